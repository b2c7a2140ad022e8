# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import json
import math

import jax
from jax.experimental.compilation_cache import compilation_cache
import numpy as np
import pytest

from experiments import compare_architectures as compare
from experiments import train_recurrent_cell, worker_settings
from jaxnas import retraining as retraining_lib
from jaxnas.export import architecture as architecture_file
from jaxnas.records import workdir
from jaxnas.spaces import recurrent_cell as spaces


@pytest.fixture(scope='module', autouse=True)
def caches(tmp_path_factory):
  """Compiles each program once for all the runs of this module."""
  settings = {
    'jax_compilation_cache_dir': str(tmp_path_factory.mktemp('xla')),
    'jax_persistent_cache_min_compile_time_secs': 0.1,
    'jax_disable_most_optimizations': True,
  }
  before = {name: jax.config.values[name] for name in settings}
  for name, value in settings.items():
    jax.config.update(name, value)
  compilation_cache.reset_cache()
  yield
  for name, value in before.items():
    jax.config.update(name, value)
  compilation_cache.reset_cache()


@pytest.fixture(scope='module')
def config(tmp_path_factory):
  """Settings whose text has no test split, which nothing misses."""
  folder = tmp_path_factory.mktemp('data')
  generator = np.random.default_rng(0)
  for name, count in (('train', 40), ('valid', 20)):
    starts = generator.integers(5, size=count)
    lines = (' '.join('abcdefghi'[start : start + 5]) for start in starts)
    (folder / f'{name}.txt').write_text('\n'.join(lines) + '\n')
  architecture = folder / 'best.json'
  architecture_file.write_architecture(
    architecture, spaces.KNOWN_CELLS['paper_example']
  )
  return compare.Config(
    architectures=(str(architecture), 'lstm'),
    dataset='text',
    data_dir=str(folder),
    level='char',
    features=6,
    init_scale=0.3,
    dropout_rate=0.1,
    batch_size=4,
    num_unrolled=5,
    num_segments=8,
    num_epochs=2,
    learning_rates=(0.0001, 0.05),
    num_selection_seeds=1,
    num_seeds=2,
  )


@pytest.fixture(scope='module')
def finished(config, tmp_path_factory):
  folder = tmp_path_factory.mktemp('runs') / 'finished'
  compare.run(config, str(folder))
  return folder


def trials_of(folder):
  return [
    json.loads(line)
    for line in (folder / 'trials.jsonl').read_text().splitlines()
  ]


@pytest.mark.slow
def test_rates_are_chosen_and_fresh_trainings_are_reported(finished, config):
  trials = trials_of(finished)
  # Two cells: each at two rates, and then with two fresh seeds.
  assert len(trials) == 2 * 2 + 2 * 2
  assert {trial['arm'] for trial in trials} == {'retrain'}
  found = workdir.read_json(finished / 'comparison.json')
  assert found['measure'] == 'bits per character'
  assert found['num_steps'] == 2 * 8
  first, second = found['architectures']
  assert [first['label'], second['label']] == ['best', 'LSTM']
  cell = spaces.KNOWN_CELLS['paper_example']
  assert first['architecture'] == workdir.plain_json(cell.to_json())
  assert first['features'] == 6
  assert abs(second['num_params'] / first['num_params'] - 1) < 0.2
  for row in found['architectures']:
    mine = [t for t in trials if t['settings']['label'] == row['label']]
    by_rate = {
      t['settings']['learning_rate']: t['metrics']['validation_perplexity']
      for t in mine
      if t['settings']['stage'] == 'selection'
    }
    assert row['learning_rate'] == min(by_rate, key=by_rate.get) == 0.05
    fresh = [t for t in mine if t['settings']['stage'] == 'report']
    assert {t['settings']['learning_rate'] for t in fresh} == {0.05}
    assert row['report'] == [
      pytest.approx(math.log2(t['metrics']['report_perplexity'])) for t in fresh
    ]
  (verdict, _) = found['verdicts']
  assert verdict.startswith('best against LSTM: bits per character difference ')


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_log(
  finished, config, tmp_path, capsys
):
  for name in ('config.json', 'manifest.json', 'trials.task.json'):
    (tmp_path / name).write_bytes((finished / name).read_bytes())
  log = (finished / 'trials.jsonl').read_bytes().splitlines(keepends=True)
  killed = b''.join(log[:3]) + log[3][:50]
  (tmp_path / 'trials.jsonl').write_bytes(killed)
  with pytest.raises(ValueError, match="Config field 'architectures' is"):
    compare.run(
      dataclasses.replace(config, architectures=('gru', 'lstm')), str(tmp_path)
    )
  assert (tmp_path / 'trials.jsonl').read_bytes() == killed
  compare.run(config, str(tmp_path))
  shown = capsys.readouterr().out
  assert 'Resuming the run in' in shown
  assert 'Trained for 16 steps: mean bits per character of 2 fresh' in shown
  for name in ('trials.jsonl', 'comparison.json'):
    assert (tmp_path / name).read_bytes() == (finished / name).read_bytes()


@pytest.mark.slow
def test_a_worker_trains_the_same(finished, config):
  field = compare._make_field(config)
  made = worker_settings.make_trainers(
    'compare_architectures', worker_settings.without_workers(field.config)
  )
  retraining = compare.make_comparison(config).retraining
  jobs = [
    job
    for job in retraining_lib._selection_jobs(retraining)
    if job.contestant.label == 'LSTM'
  ]
  trained = made.get('LSTM').run(
    [None] * len(jobs),
    retraining_lib._keys(retraining.key, jobs),
    [job.learning_rate for job in jobs],
    retraining.num_steps,
  )
  expected = [
    trial['metrics']['validation_perplexity']
    for trial in trials_of(finished)
    if trial['settings']['label'] == 'LSTM'
    and trial['settings']['stage'] == 'selection'
  ]
  np.testing.assert_array_equal(
    trained.metrics['validation_perplexity'], np.float32(expected)
  )


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'architectures': ('lstm',)}, 'architectures must be two or more'),
    ({'architectures': ('lstm', 'lsmt')}, 'lsmt'),
    ({'architectures': ('lstm', 'no.json')}, 'no architecture file no.json'),
    ({'learning_rates': ()}, 'learning_rates must be at least one rate'),
    ({'learning_rates': (0.1, 0.1)}, 'learning_rates .* all different'),
    ({'num_segments': 10**6}, 'num_segments must be from 0 to'),
    ({'num_epochs': 10**9}, 'would take 8,000,000,000 steps'),
    ({'num_params': 1}, 'cannot have about 1 parameters'),
    ({'constant_epochs': 2}, 'constant_epochs must be below num_epochs'),
    ({'data_dir': 'nowhere'}, 'nowhere'),
    ({'block_size': 3, 'num_host_devices': 2}, 'block_size must be a multiple'),
  ],
)
def test_a_bad_setting_is_refused_and_nothing_written(
  config, tmp_path, changes, message
):
  with pytest.raises((ValueError, OSError), match=message) as error:
    compare.run(dataclasses.replace(config, **changes), str(tmp_path / 'run'))
  assert '\n' not in str(error.value)
  assert not (tmp_path / 'run').exists()


def test_the_presets_are_what_they_are_called():
  zaremba = compare.PRESETS['zaremba_medium']
  long = train_recurrent_cell.Config()
  for name in ('features', 'num_layers', 'dropout_rate', 'num_epochs', 'decay'):
    assert getattr(zaremba, name) == getattr(long, name)
  assert compare.PRESETS['quick'] == compare.Config()
