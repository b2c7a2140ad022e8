# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas import pure_search
from jaxnas.controllers import recurrent
from jaxnas.datasets import reward_table as tables
from jaxnas.spaces import recurrent_cell
from jaxnas.strategies import random_search, reinforce

SPACE = recurrent_cell.make_space(2)
CONTROLLER = recurrent.make_controller(SPACE.decisions, features=4)
STRATEGIES = {
  'reinforce': reinforce.make_reinforce(CONTROLLER, learning_rate=0.2),
  'random': random_search.make_random_search(SPACE.decisions),
}
TABLE = tables.Table(
  tuple(decision.num_choices for decision in SPACE.decisions),
  np.random.default_rng(0).uniform(size=SPACE.size),
)


def scan_table(strategy, key):
  return pure_search.scan(strategy, TABLE.look_up, key, 4, 6)


SCANS = {
  name: jax.jit(functools.partial(scan_table, strategy))
  for name, strategy in STRATEGIES.items()
}


def test_scans_of_many_seeds_are_single_scans_in_one_program():
  num_traces = 0

  @jax.jit
  def search_all(keys):
    nonlocal num_traces
    num_traces += 1
    return jax.vmap(lambda key: scan_table(STRATEGIES['reinforce'], key))(keys)

  keys = jax.random.split(jax.random.key(1), 3)
  results = search_all(keys)
  assert results.tokens.shape == (3, 4, 6, SPACE.num_tokens)
  for index, key in enumerate(keys):
    single = SCANS['reinforce'](key)
    np.testing.assert_array_equal(results.tokens[index], single.tokens)
    np.testing.assert_array_equal(results.rewards[index], single.rewards)
  others = search_all(jax.random.split(jax.random.key(2), 3))
  assert not np.array_equal(results.tokens, others.tokens)
  assert num_traces == 1


def test_settings_of_a_strategy_are_mapped():
  def search_with(rate):
    strategy = reinforce.make_reinforce(CONTROLLER, rate)
    return scan_table(strategy, jax.random.key(1))

  rates = jnp.asarray([1e-12, 2.0])
  results = jax.jit(jax.vmap(search_with))(rates)
  single = jax.jit(lambda: search_with(2.0))()
  np.testing.assert_array_equal(results.tokens[1], single.tokens)
  assert not np.array_equal(results.tokens[0], results.tokens[1])
  # The first batch only sets the baseline.
  for same in (results.tokens[:, 0], results.tokens[:, 1]):
    np.testing.assert_array_equal(same[0], same[1])


def test_a_scan_follows_a_depth_schedule():
  def reward(tokens):
    return jnp.sum(tokens >= 0, axis=1).astype(jnp.float32)

  strategy = STRATEGIES['random']
  for num_active, expected in (
    (None, [10] * 3),
    (4, [4] * 3),
    ([2, 5, 10],) * 2,
  ):
    result = pure_search.scan(
      strategy, reward, jax.random.key(0), 3, 2, num_active
    )
    np.testing.assert_array_equal(
      result.rewards, np.repeat(np.array(expected)[:, None], 2, axis=1)
    )
  with pytest.raises(AssertionError):
    pure_search.scan(strategy, reward, jax.random.key(0), 3, 2, [2, 5])


@pytest.mark.parametrize('name', STRATEGIES)
def test_a_scan_with_a_reward_that_is_not_finite_is_an_error(name):
  def reward(tokens):
    return jnp.where(tokens[:, 0] == 1, jnp.nan, 0.5)

  def scan(key):
    return pure_search.scan(STRATEGIES[name], reward, key, 3, 4)

  with pytest.raises(ValueError, match='finite as a float32, got nan'):
    scan(jax.random.key(0))
  # Where nothing can be raised, the rewards say it, and the state is sound.
  result = jax.jit(scan)(jax.random.key(0))
  assert np.isnan(result.rewards).any()
  chex.assert_tree_all_finite(result.state)


def test_keys_of_rounds_differ_from_each_other_and_from_the_first():
  key = jax.random.key(5)
  keys = [
    pure_search.init_key(key),
    *(pure_search.round_key(key, index) for index in range(3)),
  ]
  data = {tuple(jax.random.key_data(each).tolist()) for each in keys}
  assert len(data) == 4
