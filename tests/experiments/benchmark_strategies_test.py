# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import importlib.util
import json
import os

import numpy as np
import pytest

from experiments import benchmark_strategies as benchmark
from experiments import launch, strategy_settings
from experiments.benchmarks import strategies_jax

HAS_OPTUNA = importlib.util.find_spec('optuna') is not None
TINY = {
  'strategies': ('random',),
  'num_searches': 4,
  'num_trials': 20,
  'trials_per_update': 5,
  'num_repeats': 2,
  'num_processes': 1,
  'cardinalities': (3, 2),
}


@pytest.mark.slow
@pytest.mark.skipif(not HAS_OPTUNA, reason='Optuna is not installed.')
def test_rows_are_measured_and_written(tmp_path, capfd, monkeypatch):
  flags = f'{os.environ["XLA_FLAGS"]} --xla_backend_optimization_level=0'
  monkeypatch.setenv('XLA_FLAGS', flags)
  output = tmp_path / 'new' / 'table.json'
  rows = benchmark.run(benchmark.Config(output=str(output), **TINY))
  written = json.loads(output.read_text())
  assert set(written) == {'about', 'config', 'rows', 'left_out', 'seconds'}
  assert {'machine', 'devices', 'jax', 'Optuna', 'table'} <= set(
    written['about']
  )
  assert written['about']['Optuna']['processes'] == 1
  (row,) = rows
  assert row.name == 'random search against RandomSampler'
  assert row.ours > 0
  assert row.theirs > 0
  assert row.ratio == row.ours / row.theirs
  # The floor is that of the default sizes.
  assert row.floor is None
  assert row.name in capfd.readouterr().out


@pytest.mark.skipif(not HAS_OPTUNA, reason='Optuna is not installed.')
@pytest.mark.parametrize('sampler', ['random', 'tpe', 'nsga2'])
def test_optuna_searches_the_same_table(sampler):
  optuna_side = pytest.importorskip('experiments.benchmarks.strategies_optuna')
  _, burst = optuna_side.make_searches(sampler, (3, 2), 0, 2, 30)
  facts = burst()
  assert facts['num_trials'] == 60
  assert facts['best'] == np.random.default_rng(0).random(6).max()


def test_every_strategy_has_a_sampler_beside_it():
  assert set(benchmark.SAMPLERS) == set(strategy_settings.STRATEGIES)


def test_our_bursts_are_whole_searches():
  facts, burst = strategies_jax.make_searches(
    'random',
    (3, 2),
    0,
    num_searches=5,
    settings={'num_trials': 30, 'trials_per_update': 10, 'block_size': 4},
  )
  assert facts['block_size'] == 4
  assert facts['compile_seconds'] > 0
  found = burst()
  assert found['num_trials'] == 150
  assert found['seconds'] > 0
  best = np.random.default_rng(0).random(6).max()
  assert found['best'] == pytest.approx(best, abs=0.1)


def test_processes_that_run_together_are_as_slow_as_the_slowest():
  bursts = [
    {'seconds': 1.0, 'num_trials': 10},
    {'seconds': 2.0, 'num_trials': 10},
  ]
  assert benchmark._rate(bursts) == 10


class Measured:
  """A worker and its measurement, which takes so long for 1,000 trials."""

  def __init__(self, seconds):
    self.facts = {'compile_seconds': 3.0}
    self.seconds = seconds

  def make(self, name, **settings):
    del name, settings
    return self

  def start(self):
    pass

  def finish(self):
    return {'seconds': self.seconds, 'num_trials': 1000}

  burst = finish


@pytest.mark.parametrize(
  ('name', 'changes', 'is_cpu', 'floor'),
  [
    ('random', {}, True, 20.0),
    ('random', {}, False, None),
    ('random', {'num_trials': 100}, True, None),
    ('ppo', {}, True, None),
  ],
)
def test_random_search_must_be_20_times_as_fast(name, changes, is_cpu, floor):
  config = benchmark.Config(num_repeats=1, **changes)
  others = [Measured(1.0), Measured(2.0)]
  row = benchmark._row(config, name, Measured(0.05), others, is_cpu)
  assert (row.ours, row.theirs, row.ratio) == (20_000, 1000, 20)
  assert row.floor == floor
  assert row.met == ('floor' if floor else '-')


def test_without_optuna_there_is_one_line(tmp_path, monkeypatch, capsys):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  config = benchmark.Config(output=str(tmp_path / 'table.json'), **TINY)
  code = launch.report_errors(lambda: benchmark.run(config))
  printed = capsys.readouterr().err
  assert code == 1
  assert printed == (
    'error: Optuna is missing: `make bench-strategies` installs it, or `pip '
    "install '.[bench]'`.\n"
  )
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'strategies': ('random', 'luck')}, "'luck' in strategies; expected some"),
    ({'strategies': ()}, 'strategies needs at least one value'),
    ({'cardinalities': ()}, 'cardinalities needs at least one value'),
    (
      {'cardinalities': (2, 0)},
      'cardinalities must be from 1 to 100,000, got 0',
    ),
    ({'num_searches': 0}, 'num_searches must be from 1 to 100,000, got 0'),
    ({'num_processes': -1}, 'num_processes must be from 0 to 100,000, got -1'),
    ({'num_trials': 21}, r'multiple of trials_per_update \(5\), got 21'),
  ],
)
def test_bad_settings_are_named(changes, message):
  with pytest.raises(ValueError, match=message):
    benchmark.Config(**{**TINY, **changes})


def test_an_output_that_is_a_folder_is_refused(tmp_path, monkeypatch):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: True)
  config = benchmark.Config(output=str(tmp_path), **TINY)
  with pytest.raises(IsADirectoryError, match='must be a file'):
    benchmark.run(config)
