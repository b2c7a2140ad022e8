# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import json

import numpy as np
import pytest

from experiments import compare_scorers as compare
from jaxnas import npz
from jaxnas.datasets import base2_bench
from jaxnas.trainers import proxy_scorer, shared_scorer

NAMES = ('steps_64', 'other_seed', 'synflow', 'hidden_covariance', 'num_params')


@pytest.fixture(scope='module', name='table')
def fixture_table():
  """Returns the shipped table, whose children would be of two units."""
  table = base2_bench.load()
  made = {
    **table.facts['config'], 'features': 2, 'vocab_size': 20, 'batch_size': 6,
    'num_unrolled': 5,
  }  # fmt: skip
  facts = {**table.facts, 'config': made, 'content_hash': 'another'}
  return dataclasses.replace(table, facts=facts)


@pytest.fixture(autouse=True)
def small_children(table, monkeypatch):
  monkeypatch.setattr(base2_bench, 'load', lambda: table)


def make_config(**changes):
  settings = {'scorers': NAMES, 'num_cells': 96, 'block_size': 32}
  return compare.Config(**settings | changes)


def read(folder):
  return json.loads((folder / 'scorers.json').read_text())


@pytest.mark.slow
def test_a_run_is_shown_again_and_continued(tmp_path, capsys, monkeypatch):
  compare.run(make_config(scorers=NAMES[:3]), tmp_path)
  printed = capsys.readouterr().out
  assert 'differ from those that the table was trained on' in printed
  assert 'Base2Bench, 96 cells: how scores rank' in printed
  first = read(tmp_path)
  assert list(first['scorers']) == list(NAMES[:3])
  assert first['scorers']['synflow']['num_cells'] == 96
  assert first['warm_starts'] is None
  assert first['verdicts'][-1].startswith(('No proxy', 'Better than'))
  assert (tmp_path / 'scorers.png').stat().st_size > 5000
  scored = []
  score = proxy_scorer.ProxyScorer.score

  def watched(self, name, *arguments, **named):
    scored.append(name)
    return score(self, name, *arguments, **named)

  monkeypatch.setattr(proxy_scorer.ProxyScorer, 'score', watched)
  compare.run(make_config(), tmp_path)
  assert scored == ['hidden_covariance']
  second = read(tmp_path)
  assert list(second['scorers']) == list(NAMES)
  for name, result in first['scorers'].items():
    assert second['scorers'][name] == result
  with pytest.raises(ValueError, match='num_cells'):
    compare.run(make_config(num_cells=95), tmp_path)
  file = tmp_path / 'scores' / 'synflow.npz'
  whole = npz.read(file, ('values', 'core_seconds', 'text_hash'))
  npz.write(file, {**whole, 'text_hash': np.array('of another text')})
  with pytest.raises(
    ValueError, match='another text, whose hash is of another'
  ):
    compare.run(make_config(), tmp_path)
  del whole['text_hash']
  npz.write(file, whole)
  with pytest.raises(ValueError, match='another text, whose hash is unknown'):
    compare.run(make_config(), tmp_path)
  file.write_bytes(file.read_bytes()[:50])
  with pytest.raises(ValueError, match='is damaged'):
    compare.run(make_config(), tmp_path)
  np.savez(file, values=np.zeros(3), core_seconds=1.0)
  with pytest.raises(ValueError, match=r'holds \(3,\) scores and not 96'):
    compare.run(make_config(), tmp_path)


def test_evolution_starts_from_the_best_of_scored_pools(tmp_path, capsys):
  config = make_config(
    scorers=('steps_32', 'num_params', 'num_transcendentals'),
    num_cells=0,
    pool_size=150,
    num_searches=4,
    num_trials=120,
  )
  compare.run(config, tmp_path)
  printed = capsys.readouterr().out
  assert 'at the cost of 120 trainings, whose first 40 trials' in printed
  started = read(tmp_path)['warm_starts']
  # All cells have the same parameters, which choose as a random start does.
  assert list(started['scorers']) == ['steps_32', 'num_transcendentals']
  # 150 trainings of an eighth.
  assert started['scorers']['steps_32']['num_spent'] == 19
  assert started['scorers']['num_transcendentals']['num_spent'] == 0
  assert started['pool_size'] == 150


@pytest.mark.slow
def test_shared_weights_are_scored_seed_by_seed(tmp_path, capsys, monkeypatch):
  def make(**changes):
    return make_config(
      scorers=('steps_64', 'shared_operation_8'), shared_steps=2, **changes
    )

  compare.run(make(shared_seeds=1), tmp_path)
  name = 'shared_operation_8_seed0'
  first = read(tmp_path)['scorers'][name]
  assert first['num_cells'] == 96
  assert 'shared by operation, M = 8, seed0:' in capsys.readouterr().out
  scored = []
  score = shared_scorer.SharedScorer.score

  def watched(self, sharing, num_children, tokens, seed, follow):
    scored.append((sharing, num_children, seed))
    return score(self, sharing, num_children, tokens, seed, follow)

  monkeypatch.setattr(shared_scorer.SharedScorer, 'score', watched)
  compare.run(make(shared_seeds=2), tmp_path)
  assert scored == [('operation', 8, 1)]
  second = read(tmp_path)['scorers']
  assert second[name] == first
  assert second['shared_operation_8_seed1'] != first
  assert ' ± ' in capsys.readouterr().out
  with pytest.raises(ValueError, match='shared_batches'):
    compare.run(make(shared_batches=2), tmp_path)


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    (
      {'scorers': ('luck',)},
      "Unknown scorer 'luck'; --scorers takes steps_32,",
    ),
    ({'num_cells': 20_000}, '--num_cells must be at most 18,688'),
  ],
)
def test_bad_settings(changes, message, tmp_path):
  with pytest.raises(ValueError, match=message):
    compare.run(make_config(**changes), tmp_path)
