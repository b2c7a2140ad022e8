# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import functools
import json

import jax
import numpy as np
import pytest

from experiments import compare_estimators as compare
from jaxnas.runs import shared_cells

CELLS = shared_cells.SharedCells


@pytest.fixture(autouse=True)
def quick_compilation():
  jax.config.update('jax_disable_most_optimizations', True)
  yield
  jax.config.update('jax_disable_most_optimizations', False)


@pytest.fixture(autouse=True)
def fewer_cells(monkeypatch):
  """Leaves 2,304 cells, of two activations."""
  monkeypatch.setattr(
    compare.shared_cells,
    'SharedCells',
    functools.partial(CELLS, activations=('identity', 'tanh')),
  )


def make_config(**changes):
  settings = {
    'features': 3,
    'vocab_size': 20,
    'batch_size': 4,
    'num_unrolled': 5,
    'num_steps': 32,
    'num_children': 4,
    'learning_rate': 0.1,
    'logit_scales': (0.0,),
    'temperatures': (0.5,),
    'num_draws': (1, 8),
    'num_estimates': 64,
    'block_size': 64,
  }
  return compare.Config(**settings | changes)


def read(folder):
  return json.loads((folder / 'estimators.json').read_text())


@pytest.mark.slow
def test_a_run_is_shown_again_and_continued(tmp_path, capsys, monkeypatch):
  compare.run(make_config(), tmp_path)
  printed = capsys.readouterr().out
  assert 'Gradients of the expected reward of 2,304 cells' in printed
  assert 'uniform: straight-through 0.5' in printed
  first = read(tmp_path)
  rows = {row['estimator']: row for row in first['estimators']}
  assert list(rows) == [
    'reinforce', 'leave_one_out', 'darts', 'gumbel', 'gumbel_clipped',
    'straight_through', 'straight_through_clipped',
  ]  # fmt: skip
  # No bias; the others have one.
  assert rows['reinforce']['bias_interval'][0] < 0.2
  assert rows['darts']['variance'] == {'1': 0, '8': 0}
  assert rows['leave_one_out']['variance']['1'] is None
  assert (
    rows['leave_one_out']['variance']['8'] < rows['reinforce']['variance']['8']
  )
  assert (tmp_path / 'estimators.png').stat().st_size > 5000

  made = []
  gradients = CELLS.gradients

  def watched(self, estimator, params, logits, temperature, *rest):
    made.append((estimator, temperature))
    return gradients(self, estimator, params, logits, temperature, *rest)

  def forbidden(*arguments):
    raise AssertionError('done before')

  monkeypatch.setattr(CELLS, 'gradients', watched)
  monkeypatch.setattr(CELLS, 'train', forbidden)
  monkeypatch.setattr(CELLS, 'rewards', forbidden)
  compare.run(make_config(temperatures=(0.5, 2.0)), tmp_path)
  assert made == [('gumbel', 2.0), ('straight_through', 2.0)]
  second = read(tmp_path)
  again = [row for row in second['estimators'] if row['temperature'] != 2.0]
  assert again == first['estimators']

  with pytest.raises(ValueError, match='num_steps'):
    compare.run(make_config(num_steps=31), tmp_path)
  file = tmp_path / 'rewards.npz'
  whole = file.read_bytes()
  file.write_bytes(whole[:50])
  with pytest.raises(ValueError, match=r'rewards.npz is damaged .* delete it'):
    compare.run(make_config(), tmp_path)
  np.savez(file, rewards=np.zeros(3), seconds=1.0)
  with pytest.raises(ValueError, match=r'rewards of shape \(3,\) and not \(23'):
    compare.run(make_config(), tmp_path)


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'temperatures': ()}, '--temperatures must be .* got none'),
    ({'temperatures': (1.0, 0.5)}, r'growing order, got 1\.0,0\.5'),
    ({'num_draws': (1, 1)}, '--num_draws must be different'),
    ({'logit_scales': (-1.0,)}, 'logit_scales'),
    (
      {'num_draws': (1, 100)},
      '--num_estimates must be at least 100, the most of --num_draws, got 64',
    ),
  ],
)
def test_bad_settings(changes, message, tmp_path):
  with pytest.raises(ValueError, match=message):
    compare.run(make_config(**changes), tmp_path)
