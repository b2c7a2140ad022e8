# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""What holds for every strategy. A new one is one more line of `CASES`."""

from collections.abc import Callable
import logging
from typing import NamedTuple

import chex
from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.controllers import recurrent
from jaxnas.strategies import random_search, reinforce
from jaxnas.types import Choice, Decision, Range, Strategy

DECISIONS = (
  Choice('combiner', ('add', 'mul')),
  Choice('activation', ('identity', 'tanh', 'sigmoid', 'relu')),
  Range('rate', 0.1, 1.0, num_levels=5),
  Choice('index', (0, 1, 2)),
)
NUM_CHOICES = np.asarray([decision.num_choices for decision in DECISIONS])
OPTIMUM = np.asarray([1, 2, 3, 0])


class Case(NamedTuple):
  """A strategy, and whether its proposals get better with what it is told."""

  make: Callable[[tuple[Decision, ...]], Strategy]
  learns: bool


def _make_reinforce(decisions):
  return reinforce.make_reinforce(
    recurrent.make_controller(
      decisions, nn.SimpleCell, num_layers=1, features=8
    ),
    learning_rate=0.03,
  )


CASES = {
  'random_search': Case(random_search.make_random_search, learns=False),
  'reinforce': Case(_make_reinforce, learns=True),
}


@pytest.fixture(scope='module', params=CASES, name='case')
def fixture_case(request):
  return CASES[request.param]


@pytest.fixture(scope='module', name='strategy')
def fixture_strategy(case):
  return case.make(DECISIONS)


def reward_of(tokens) -> jax.Array:
  """The share of decisions made as in the optimum."""
  return jnp.asarray(
    np.mean(np.asarray(tokens) == OPTIMUM, axis=1), jnp.float32
  )


def run_steps(strategy, state, keys, num_trials=7):
  """Runs one ask and tell for each key."""
  for key in keys:
    proposals = strategy.ask(state, key, num_trials)
    state, _ = strategy.tell(state, proposals, reward_of(proposals.tokens))
  return state


def check_proposals(proposals, num_trials, num_active=4):
  """Checks shapes, types and ranges."""
  tokens = np.asarray(proposals.tokens)
  chex.assert_shape(tokens, (num_trials, len(DECISIONS)))
  chex.assert_type(proposals.tokens, jnp.int32)
  active, inactive = tokens[:, :num_active], tokens[:, num_active:]
  assert np.all((active >= 0) & (active < NUM_CHOICES[:num_active]))
  assert np.all(inactive == -1)
  chex.assert_shape(proposals.log_prob, (num_trials,))
  chex.assert_type(proposals.log_prob, jnp.float32)
  assert np.all(np.isfinite(proposals.log_prob))
  assert np.all(np.asarray(proposals.log_prob) <= 0)


@pytest.mark.parametrize('num_trials', [1, 7, 64])
def test_ask_and_tell_alternate_at_any_batch_size(strategy, num_trials):
  state = strategy.init(jax.random.key(0))
  for key in jax.random.split(jax.random.key(1), 3):
    proposals = strategy.ask(state, key, num_trials)
    check_proposals(proposals, num_trials)
    before = jax.tree.map(jnp.shape, state)
    state, metrics = strategy.tell(
      state, proposals, reward_of(proposals.tokens)
    )
    chex.assert_trees_all_equal(before, jax.tree.map(jnp.shape, state))
    chex.assert_tree_all_finite(state)
    for value in metrics.values():
      chex.assert_shape(value, ())
    assert 'mean_reward' in metrics


def test_same_key_same_proposals_and_another_key_others(strategy):
  state = strategy.init(jax.random.key(0))
  first, again, other = (
    strategy.ask(state, jax.random.key(seed), 64) for seed in (2, 2, 3)
  )
  chex.assert_trees_all_equal(first, again)
  assert not np.array_equal(first.tokens, other.tokens)


def test_trials_of_a_batch_differ(strategy):
  state = strategy.init(jax.random.key(0))
  proposals = strategy.ask(state, jax.random.key(4), 64)
  assert len(np.unique(proposals.tokens, axis=0)) > 16


def test_a_state_restored_from_numpy_continues_bit_for_bit(strategy):
  keys = list(jax.random.split(jax.random.key(5), 6))
  keys_again = [jax.random.clone(key) for key in keys[3:]]
  state = run_steps(strategy, strategy.init(jax.random.key(0)), keys[:3])
  leaves, treedef = jax.tree.flatten(state)
  saved = [
    (np.asarray(leaf).tobytes(), leaf.dtype, leaf.shape) for leaf in leaves
  ]
  restored = jax.tree.unflatten(
    treedef,
    [
      jnp.asarray(np.frombuffer(data, dtype).reshape(shape))
      for data, dtype, shape in saved
    ],
  )
  uninterrupted = run_steps(strategy, state, keys[3:])
  resumed = run_steps(strategy, restored, keys_again)
  chex.assert_trees_all_equal(uninterrupted, resumed)


def test_proposals_restored_from_numpy_teach_the_same(strategy):
  state = strategy.init(jax.random.key(0))
  for key in jax.random.split(jax.random.key(6), 2):
    proposals = strategy.ask(state, key, 7)
    rewards = reward_of(proposals.tokens)
    replayed = jax.tree.map(np.asarray, (proposals, rewards))
    expected = strategy.tell(state, proposals, rewards)
    chex.assert_trees_all_equal(strategy.tell(state, *replayed), expected)
    state, _ = expected


def test_the_input_state_is_not_consumed(strategy):
  state = strategy.init(jax.random.key(0))
  before = jax.tree.map(np.array, state)
  run_steps(strategy, state, [jax.random.key(7)])
  chex.assert_trees_all_equal(before, jax.tree.map(np.asarray, state))


@pytest.mark.parametrize('reward', [0.0, 1.0])
def test_equal_rewards_and_duplicates_give_finite_states(strategy, reward):
  state = strategy.init(jax.random.key(0))
  for key in jax.random.split(jax.random.key(8), 4):
    proposals = strategy.ask(state, key, 7)
    duplicates = jax.tree.map(
      lambda leaf: jnp.broadcast_to(leaf[:1], leaf.shape), proposals
    )
    state, metrics = strategy.tell(state, duplicates, jnp.full(7, reward))
    chex.assert_tree_all_finite((state, metrics))
  check_proposals(strategy.ask(state, jax.random.key(9), 7), 7)


def test_depths_are_prefixes(strategy):
  state = strategy.init(jax.random.key(0))
  for num_active in range(1, len(DECISIONS) + 1):
    proposals = strategy.ask(state, jax.random.key(10), 7, num_active)
    check_proposals(proposals, 7, num_active)
    state, metrics = strategy.tell(
      state, proposals, reward_of(proposals.tokens)
    )
    chex.assert_tree_all_finite((state, metrics))
  full = strategy.ask(state, jax.random.key(11), 7)
  check_proposals(full, 7)


def test_a_second_call_compiles_nothing(case, caplog):
  strategy = case.make(DECISIONS)

  def run(state, key, num_active):
    proposals = strategy.ask(state, key, 5, num_active)
    return strategy.tell(state, proposals, rewards)[0]

  def num_compilations():
    return sum('Compiling' in record.message for record in caplog.records)

  # Made beforehand: making an array also compiles something.
  rewards = jnp.ones(5)
  keys = list(jax.random.split(jax.random.key(12), 5))
  with caplog.at_level(logging.WARNING), jax.log_compiles():
    state = run(strategy.init(jax.random.key(0)), keys[0], 2)
    expected = num_compilations()
    assert expected > 0
    for key, num_active in zip(keys[1:], (1, 3, 4, None), strict=True):
      state = run(state, key, num_active)
    assert num_compilations() == expected


def test_ask_and_tell_run_inside_an_outer_program(strategy):
  @jax.jit
  @jax.vmap
  def run(key):
    init_key, ask_key = jax.random.split(key)
    state = strategy.init(init_key)
    proposals = strategy.ask(state, ask_key, 7)
    rewards = jnp.mean(proposals.tokens == OPTIMUM[None], axis=1)
    return strategy.tell(state, proposals, rewards)[1]['mean_reward']

  means = run(jax.random.split(jax.random.key(13), 3))
  chex.assert_shape(means, (3,))
  assert np.all((means >= 0) & (means <= 1))


def test_a_known_problem_is_solved(case, strategy):
  state = strategy.init(jax.random.key(0))
  means, best = [], 0.0
  for key in jax.random.split(jax.random.key(14), 90):
    proposals = strategy.ask(state, key, 7)
    rewards = reward_of(proposals.tokens)
    state, metrics = strategy.tell(state, proposals, rewards)
    assert float(metrics['mean_reward']) == pytest.approx(
      float(rewards.mean()), rel=1e-6
    )
    means.append(float(rewards.mean()))
    best = max(best, float(rewards.max()))
  # 630 trials of 120 sequences.
  assert best == 1.0
  chance = float(np.mean(1 / NUM_CHOICES))
  if case.learns:
    assert np.mean(means[-10:]) > 2 * chance
  else:
    assert np.mean(means) == pytest.approx(chance, abs=0.05)
