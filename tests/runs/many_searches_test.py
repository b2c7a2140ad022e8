# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.datasets import reward_table as tables
from jaxnas.runs import many_searches
from jaxnas.strategies import random_search

REWARDS = np.random.default_rng(0).normal(size=24).astype(np.float32)
TABLE = tables.Table((2, 4, 3), REWARDS)
RANDOM = random_search.make_random_search(tables.make_decisions((2, 4, 3)))


def draw(row):
  return {'sum': jax.random.uniform(row['key']) + row['x'], 'x': row['x']}


def make_rows(num_rows):
  return {
    'key': many_searches.seed_keys(3, num_rows),
    'x': jnp.arange(num_rows, dtype=jnp.float32),
  }


def test_blocks_give_every_row_its_own_result():
  num_traces = 0

  def counted(row):
    nonlocal num_traces
    num_traces += 1
    return draw(row)

  runner = many_searches.ManySearches(counted, 4)
  assert runner.num_devices == jax.local_device_count() == 2
  expected = jax.vmap(draw)(make_rows(10))
  for num_rows in (10, 3, 8):
    result = runner.run(make_rows(num_rows))
    for name, values in result.items():
      np.testing.assert_array_equal(values, expected[name][:num_rows])
  assert num_traces == 1
  assert runner.compile_seconds > 0
  assert runner.run_seconds > 0
  blocks = list(runner.blocks(make_rows(10), first=1))
  assert [block['x'].tolist() for block in blocks] == [[4, 5, 6, 7], [8, 9]]
  assert not list(runner.blocks(make_rows(10), first=3))


@pytest.mark.parametrize('block_size', [0, 3, -2])
def test_a_block_must_divide(block_size):
  with pytest.raises(ValueError, match=rf'devices \(2\), got {block_size}'):
    many_searches.ManySearches(draw, block_size)


def test_more_seeds_change_none_of_the_first():
  few, many = (many_searches.seed_keys(1, count) for count in (2, 5))
  np.testing.assert_array_equal(
    jax.random.key_data(few), jax.random.key_data(many[:2])
  )
  assert len({tuple(row) for row in jax.random.key_data(many).tolist()}) == 5


def test_random_search_of_a_table_is_as_good_as_it_must_be():
  search = many_searches.make_table_search(TABLE, RANDOM, 12, 4)
  runner = many_searches.ManySearches(search, 500)
  entries = runner.run(many_searches.seed_keys(0, 1000))
  assert entries.shape == (1000, 12)
  assert entries.dtype == np.int32
  assert set(entries.ravel()) == set(range(24))
  # The distribution of the best of t draws: all t are among the least i.
  found = np.maximum.accumulate(REWARDS[entries], axis=1)
  shares = (np.arange(25) / 24)[:, None] ** np.arange(1, 13)
  expected = np.sort(REWARDS) @ np.diff(shares, axis=0)
  error = found.std(axis=0) / np.sqrt(1000)
  assert np.all(np.abs(found.mean(axis=0) - expected) < 4 * error)


def test_searches_of_a_file_that_is_packed_in_an_unknown_way_are_named(
  tmp_path,
):
  path = tmp_path / 'random.npz'
  entries = np.arange(6, dtype=np.int32).reshape(2, 3)
  many_searches.Searches(entries, 1.5).save(path)
  again = many_searches.Searches.load(path, (2, 3))
  np.testing.assert_array_equal(again.entries, entries)
  assert again.seconds == 1.5
  content = bytearray(path.read_bytes())
  # The method of compression, in the directory at the end.
  content[content.index(b'PK\1\2') + 10] = 99
  path.write_bytes(content)
  with pytest.raises(ValueError, match=r'random\.npz is damaged .* delete it'):
    many_searches.Searches.load(path, (2, 3))


@pytest.mark.parametrize(('trials', 'batch'), [(10, 4), (0, 4), (4, 0)])
def test_batches_must_spend_the_budget(trials, batch):
  with pytest.raises(ValueError, match=rf'trials_per_update \({batch}\), got'):
    many_searches.make_table_search(TABLE, RANDOM, trials, batch)


@pytest.mark.slow
def test_replicas_change_the_order_of_a_random_search_alone():
  keys = many_searches.seed_keys(0, 40)
  lock_step, late = (
    many_searches.ManySearches(
      many_searches.make_table_search(TABLE, RANDOM, 12, 1, replicas, 2), 8
    ).run(keys)
    for replicas in (1, 5)
  )
  assert not np.array_equal(lock_step, late)
  np.testing.assert_array_equal(np.sort(lock_step), np.sort(late))
  orders = [many_searches.draw_order(key, 12, 5) for key in keys]
  for row, order in enumerate(orders):
    np.testing.assert_array_equal(late[row], lock_step[row][order])
  assert len({tuple(order.tolist()) for order in orders}) > 30


def test_the_mean_lag_is_that_of_all_proposals():
  keys = many_searches.seed_keys(0, 7)
  assert many_searches.mean_lag(keys, 12, 1, 3) == 0
  lags = []
  for key in keys:
    version_of = dict.fromkeys(range(4), 0)
    order = many_searches.draw_order(key, 12, 4).tolist()
    for place, group in enumerate(order):
      lags.append(place // 3 - version_of[group])
      version_of[place + 4] = (place + 1) // 3
  assert many_searches.mean_lag(keys, 12, 4, 3) == pytest.approx(np.mean(lags))
  # As many as finish while one is in flight.
  assert many_searches.mean_lag(keys, 600, 4, 1) == pytest.approx(3, abs=0.1)


def test_groups_of_all_replicas_must_spend_the_budget():
  with pytest.raises(ValueError, match=r'times replicas_per_update \(6\), got'):
    many_searches.make_table_search(TABLE, RANDOM, 8, 2, 4, 3)
