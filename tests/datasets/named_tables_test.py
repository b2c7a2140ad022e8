# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest

from jaxnas.datasets import base2_bench, named_tables


def write(path, rewards):
  np.savez(path, cardinalities=(2, 3), rewards=rewards)
  return str(path)


def test_a_file_is_a_table(tmp_path):
  named = named_tables.load(write(tmp_path / 'mine.npz', np.arange(6)))
  assert named.name == 'mine'
  assert named.table.cardinalities == (2, 3)
  np.testing.assert_array_equal(named.table.rewards, np.arange(6))
  assert named.description == (
    '6 entries of 2 decisions; the best reward is 5, the median 2.5.',
  )


def test_fingerprint_is_of_the_content(tmp_path):
  first = named_tables.load(write(tmp_path / 'a.npz', np.arange(6)))
  again = named_tables.load(write(tmp_path / 'b.npz', np.arange(6.0)))
  other = named_tables.load(write(tmp_path / 'c.npz', np.arange(1, 7)))
  assert first.fingerprint == again.fingerprint != other.fingerprint


def test_errors_name_the_file(tmp_path):
  with pytest.raises(FileNotFoundError, match='no such table'):
    named_tables.load(str(tmp_path / 'missing.npz'))
  with pytest.raises(
    ValueError, match=r'bad\.npz: rewards must have the shape'
  ):
    named_tables.load(write(tmp_path / 'bad.npz', np.arange(5)))


def make_bench(num_seeds):
  """Two classes, of which the second is better; the first cell is its own."""
  size = int(np.prod(base2_bench.CARDINALITIES))
  validation = np.full((2, num_seeds, 1), 40.0, np.float32)
  validation[1] = 20.0
  validation[:, 1:] *= 1.1
  return base2_bench.Base2Bench(
    cell_of=np.minimum(np.arange(size), 1).astype(np.int32),
    validation=validation,
    report=validation,
    num_trained=np.full((2, num_seeds), 7, np.int32),
    points=(7,),
    facts={'num_params': 3},
  )


def test_the_table_of_base_2_says_what_its_noise_is(monkeypatch):
  monkeypatch.setattr(base2_bench, 'load', lambda: make_bench(3))
  named = named_tables.load('base2')
  assert named.table.cardinalities == base2_bench.CARDINALITIES
  np.testing.assert_allclose(named.table.rewards[:3], [0.05, 0.2, 0.2])
  summary, noise = named.description
  assert '36,864 recurrent cells' in summary
  assert '2 classes up to swaps, 6 trainings' in summary
  assert '0.2 for the best' in summary
  assert 'over 2 cells of 3 seeds' in noise
  assert 'all cells with a correlation of 1.000 and the best tenth' in noise
  # The unbiased variance of (0, 1, 1) is a third; a tenth is two cells or more.
  steps = np.array([0.05, 0.2]) * (1 - 1.1**-2)
  deviation = np.sqrt(np.mean(steps**2) / 3)
  assert f'deviation of {deviation:.2g} between seeds' in noise


def test_a_table_of_one_seed_says_nothing_of_noise(monkeypatch):
  monkeypatch.setattr(base2_bench, 'load', lambda: make_bench(1))
  assert len(named_tables.load('base2').description) == 1


def test_the_last_point_of_curves_is_what_the_table_has(tmp_path):
  path = tmp_path / 'mine.npz'
  rewards = np.arange(6.0)
  curves = np.stack([rewards / 2, rewards], axis=1)
  curves[0, 1] = np.nan
  arrays = {'cardinalities': (2, 3), 'rewards': rewards, 'points': [1, 2]}
  np.savez(path, **arrays, curves=curves)
  np.testing.assert_array_equal(named_tables.load(path).curves.rewards, curves)
  curves[4, 1] = 9.0
  np.savez(path, **arrays, curves=curves)
  with pytest.raises(
    ValueError, match=r'rewards, got 9\.0 and 4\.0 at place 4'
  ):
    named_tables.load(path)
