# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import contextlib
import dataclasses
import math

import numpy as np
import pytest

from jaxnas.datasets import base2_bench
from jaxnas.spaces import recurrent_cell as spaces

NUM_CELLS = math.prod(base2_bench.CARDINALITIES)


def make_table(num_classes=8, num_seeds=3, num_points=2):
  """Makes a table whose cells differ by 1 and whose seeds differ by 0.1."""
  rng = np.random.default_rng(0)
  logs = 4 + rng.normal(size=(num_classes, 1, num_points))
  logs = logs + 0.1 * rng.normal(size=(num_classes, num_seeds, num_points))
  return base2_bench.Base2Bench(
    cell_of=(np.arange(NUM_CELLS) % num_classes).astype(np.int32),
    validation=np.exp(logs).astype(np.float32),
    report=np.exp(logs + 1).astype(np.float32),
    num_trained=np.full((num_classes, num_seeds), 9, np.int32),
    points=(4, 9)[:num_points],
    facts={'num_params': 5, 'core_hours': 0.5},
  )


def test_ranks_number_the_cells_of_the_space():
  space = spaces.make_space(2)
  choices = tuple(decision.num_choices for decision in space.decisions)
  assert choices == base2_bench.CARDINALITIES
  assert space.size == NUM_CELLS
  ranks = np.array([0, 1, 3, 12345, NUM_CELLS - 1])
  tokens = base2_bench.tokens_of(ranks)
  assert tokens[1].tolist() == [0] * 9 + [1]
  assert tokens[-1].tolist() == [n - 1 for n in choices]
  np.testing.assert_array_equal(base2_bench.ranks_of(tokens), ranks)


def test_a_saved_table_is_loaded_as_it_was(tmp_path):
  table = make_table()
  base2_bench.save(table, tmp_path / 'table.npz')
  loaded = base2_bench.load(tmp_path / 'table.npz')
  for field in dataclasses.fields(table):
    np.testing.assert_array_equal(
      getattr(loaded, field.name), getattr(table, field.name), field.name
    )
  assert loaded.num_params == 5
  assert loaded.num_trainings == 24


def test_rewards_are_those_of_the_paper():
  table = make_table()
  table.validation[3, 0, 1] = np.nan
  table.validation[4, 0, 1] = np.inf
  rewards = table.rewards()
  assert rewards.shape == (NUM_CELLS,)
  assert rewards.dtype == np.float32
  assert rewards[3] == rewards[4] == rewards[11] == 0
  np.testing.assert_allclose(
    rewards[9], 80 / table.validation[1, 0, 1] ** 2, rtol=1e-6
  )
  np.testing.assert_allclose(
    table.rewards('report', point=0, seed=2, scale=2.0)[2],
    2 / table.report[2, 2, 0] ** 2,
    rtol=1e-6,
  )
  assert table.failed_part(1) == 2 / 8
  curves = table.curves()
  np.testing.assert_array_equal(np.nan_to_num(curves[:, 1]), rewards)
  np.testing.assert_array_equal(curves[:, 0], table.rewards(point=0))
  assert np.isnan(curves[[3, 4, 11], 1]).all()


def test_noise_is_that_of_the_seeds():
  noise = make_table(num_classes=400).noise()
  assert noise.num_cells == 400
  # The median of the deviation of three is 0.83 of the root of its mean square.
  np.testing.assert_allclose(noise.seed_deviation, 0.083, rtol=0.1)
  np.testing.assert_allclose(noise.cell_deviation, 1.0, rtol=0.1)
  # The correlation of what has a share 1 / 1.01 in common.
  np.testing.assert_allclose(noise.rank_correlation, 0.99, atol=0.01)


def test_noise_of_the_best_tenth_by_hand():
  table = make_table(num_classes=40, num_seeds=2, num_points=1)
  logs = np.log(table.validation.astype(np.float64))[..., 0]
  best = logs[np.argsort(logs.mean(1))[:4]]
  rewards = 80 / np.exp(2 * best)
  noise = table.noise()
  np.testing.assert_allclose(
    noise.reward_deviation,
    [np.sqrt(np.mean((rewards[:, 0] - rewards[:, 1]) ** 2 / 2))],
  )
  ranks = best.argsort(0).argsort(0)
  # Spearman's, of n = 4 without ties: 1 - 6 sum d^2 / (n (n^2 - 1)).
  np.testing.assert_allclose(
    noise.best_rank_correlation,
    [1 - 6 * np.sum((ranks[:, 0] - ranks[:, 1]) ** 2) / 60],
  )


def test_a_cell_that_explodes_with_one_seed_does_not_decide_the_noise():
  table = make_table(num_classes=400)
  table.validation[0, 0] = 1e38
  np.testing.assert_allclose(table.noise().seed_deviation, 0.083, rtol=0.1)


def test_noise_leaves_out_what_failed_or_was_not_repeated():
  table = make_table()
  table.validation[0, 1, 0] = np.nan
  assert table.noise().num_cells == 7
  table.validation[1:, 2] = np.nan
  assert np.isnan(table.noise().seed_deviation).all()


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ({'split': 'test'}, "must be validation or report, got 'test'"),
    ({'point': 2}, 'has 2 points and 3 seeds, got point 2'),
    ({'seed': 3}, 'got point -1 and seed 3'),
    ({'seed': 1}, '1 cells have no training with seed 1'),
  ],
)
def test_rewards_that_a_table_does_not_have(arguments, message):
  table = make_table()
  table.num_trained[5, 1] = -1
  with pytest.raises(ValueError, match=message):
    table.rewards(**arguments)


def test_a_file_that_holds_no_table(tmp_path):
  path = tmp_path / 'table.npz'
  with pytest.raises(FileNotFoundError, match='There is no such table'):
    base2_bench.load(path)
  path.write_bytes(b'PK\x03\x04 and no more')
  with pytest.raises(ValueError, match='holds no table of Base2Bench'):
    base2_bench.load(path)
  np.savez(path, cell_of=np.zeros(3))
  with pytest.raises(ValueError, match='holds no table of Base2Bench'):
    base2_bench.load(path)
  np.save(tmp_path / 'array.npy', np.zeros(3))
  with pytest.raises(ValueError, match='holds no table of Base2Bench'):
    base2_bench.load(tmp_path / 'array.npy')


def test_a_damaged_file_is_told_whatever_its_damage(tmp_path):
  path = tmp_path / 'table.npz'
  base2_bench.save(make_table(), path)
  content = path.read_bytes()
  messages = []
  for place in range(0, len(content), 7):
    damaged = bytearray(content)
    damaged[place] ^= 255
    path.write_bytes(damaged)
    # A date in the archive, for example, may be damaged and nothing is lost.
    with contextlib.suppress(OSError):
      try:
        base2_bench.load(path)
      except ValueError as error:
        messages.append(str(error))
  assert len(messages) > len(content) / 14
  assert all('holds no table of Base2Bench' in each for each in messages)


@pytest.mark.parametrize(
  'changes',
  [
    {'cell_of': np.zeros(5, np.int32)},
    {'points': (1,)},
    {'report': np.ones((8, 3, 1), np.float32)},
    {'num_trained': np.ones(8, np.int32)},
  ],
)
def test_arrays_that_do_not_fit_each_other(changes):
  with pytest.raises(ValueError, match=r'A table has cell_of \[36864\]'):
    dataclasses.replace(make_table(), **changes)


def test_tokens_out_of_range_have_no_rank():
  with pytest.raises(ValueError, match='invalid entry'):
    base2_bench.ranks_of(np.array([[2] + [0] * 9]))


@pytest.mark.skipif(not base2_bench.PATH.exists(), reason='no table is shipped')
def test_the_shipped_table_is_complete_and_small():
  assert base2_bench.PATH.stat().st_size < 2_000_000
  table = base2_bench.load()
  assert table.num_cells == spaces.size_up_to_swaps(2) == 18_688
  assert (table.num_trained >= 0).sum(0).tolist() == [18_688, 1_869, 1_869]
  rewards = table.rewards()
  assert (rewards > 0).mean() > 0.5
  # Cells are of one class if and only if they are equal up to swaps.
  space = spaces.make_space(2)
  tokens = base2_bench.tokens_of(np.arange(0, NUM_CELLS, 97))
  ranks = base2_bench.ranks_of(np.array([space.canonical(t) for t in tokens]))
  np.testing.assert_array_equal(
    table.cell_of[ranks], table.cell_of[::97], strict=True
  )
  assert len(np.unique(table.cell_of)) == 18_688
  noise = table.noise()
  assert (noise.seed_deviation < noise.cell_deviation).all()
