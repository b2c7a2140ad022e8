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
from jaxnas.spaces import hyperparameters
from jaxnas.strategies import (
  evolution,
  fixed,
  ppo,
  random_search,
  reinforce,
)
from jaxnas.types import AnchorPoint, Choice, Decision, Range, Strategy

# Two layers of an anchor point and choices, and a rate.
DECISIONS = (
  AnchorPoint(0, 'layer_0/inputs'),
  Choice(('add', 'mul'), 'layer_0/combiner'),
  Choice(('identity', 'tanh', 'relu'), 'layer_0/activation'),
  AnchorPoint(1, 'layer_1/inputs'),
  Choice((8, 16, 32), 'layer_1/filters'),
  Range(0.1, 1.0, num_levels=5, name='rate'),
)
DECISION_OF_TOKEN = np.asarray([1, 2, 3, 4, 5])
NUM_CHOICES = np.asarray([2, 3, 2, 3, 5])
OPTIMUM = np.asarray([1, 2, 1, 0, 3])


class Case(NamedTuple):
  """A strategy.

  Attributes:
    make: makes it of the decisions.
    learns: whether its proposals get better with what it is told.
    draws: whether they follow the key and the number of active decisions.
  """

  make: Callable[[tuple[Decision, ...]], Strategy]
  learns: bool
  draws: bool = True


def _make_controller(decisions):
  return recurrent.make_controller(
    decisions, nn.SimpleCell, num_layers=1, features=8
  )


def _make_reinforce(decisions):
  return reinforce.make_reinforce(
    _make_controller(decisions), learning_rate=0.03
  )


def _make_stale_reinforce(decisions):
  return reinforce.make_reinforce(
    _make_controller(decisions), learning_rate=0.03, correction='stale'
  )


def _make_truncated_reinforce(decisions):
  return reinforce.make_reinforce(
    _make_controller(decisions), learning_rate=0.03, correction='truncated'
  )


def _make_ppo(decisions):
  return ppo.make_ppo(
    _make_controller(decisions), learning_rate=0.03, num_epochs=3
  )


def _make_evolution(decisions):
  # Smaller than the largest batch, and no multiple of any.
  return evolution.make_evolution(decisions, population_size=10, sample_size=4)


def _make_fixed(decisions):
  del decisions
  tokens = np.random.default_rng(0).integers(0, NUM_CHOICES, (90, 5))
  return fixed.make_fixed(tokens)


CASES = {
  'random_search': Case(random_search.make_random_search, learns=False),
  'reinforce': Case(_make_reinforce, learns=True),
  'stale_reinforce': Case(_make_stale_reinforce, learns=True),
  'truncated_reinforce': Case(_make_truncated_reinforce, learns=True),
  'ppo': Case(_make_ppo, learns=True),
  'evolution': Case(_make_evolution, learns=True),
  'fixed': Case(_make_fixed, learns=False, draws=False),
}
of_those_that_draw = pytest.mark.parametrize(
  'case', [name for name in CASES if CASES[name].draws], indirect=True
)


@pytest.fixture(scope='module', params=CASES, name='case')
def fixture_case(request):
  return CASES[request.param]


@pytest.fixture(scope='module', name='strategy')
def fixture_strategy(case):
  return case.make(DECISIONS)


def reward_of(tokens) -> jax.Array:
  """The share of tokens that are as in the optimum."""
  return jnp.asarray(
    np.mean(np.asarray(tokens) == OPTIMUM, axis=1), jnp.float32
  )


def run_steps(strategy, state, keys, num_trials=7):
  """Runs one ask and tell for each key."""
  for key in keys:
    proposals = strategy.ask(state, key, num_trials)
    state, _ = strategy.tell(state, proposals, reward_of(proposals.tokens))
  return state


def check_proposals(proposals, num_trials, num_active=6):
  """Checks shapes, types and ranges."""
  tokens = np.asarray(proposals.tokens)
  chex.assert_shape(tokens, (num_trials, len(NUM_CHOICES)))
  chex.assert_type(proposals.tokens, jnp.int32)
  is_active = num_active > DECISION_OF_TOKEN
  assert np.all((tokens >= 0) == is_active)
  assert np.all(tokens < NUM_CHOICES)
  chex.assert_shape(proposals.log_prob, (num_trials,))
  chex.assert_type(proposals.log_prob, jnp.float32)
  assert np.all(np.isfinite(proposals.log_prob))
  assert np.all(np.asarray(proposals.log_prob) <= 0)


# Batches of one are those of the whole search below.
@pytest.mark.parametrize(
  'num_trials', [7, pytest.param(64, marks=pytest.mark.slow)]
)
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


def test_same_key_same_proposals_and_another_key_others(case, strategy):
  state = strategy.init(jax.random.key(0))
  first, again, other = (
    strategy.ask(state, jax.random.key(seed), 64) for seed in (2, 2, 3)
  )
  chex.assert_trees_all_equal(first, again)
  assert np.array_equal(first.tokens, other.tokens) != case.draws


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


def test_what_replicas_proposed_is_told_together(strategy):
  keys = iter(jax.random.split(jax.random.key(16), 9))
  old = state = strategy.init(jax.random.key(0))
  for _ in range(3):
    # In the order of finishing, whatever proposed them.
    proposals = jax.tree.map(
      lambda *leaves: jnp.concatenate(leaves),
      *(strategy.ask(each, next(keys), 3) for each in (state, old, state)),
    )
    rewards = reward_of(proposals.tokens)
    told, metrics = strategy.tell(state, proposals, rewards)
    before, after = (jax.tree.map(jnp.shape, each) for each in (state, told))
    chex.assert_trees_all_equal(before, after)
    chex.assert_tree_all_finite((told, metrics))
    old, state = state, told


# A floor of zero, as for perplexities; the largest; a user's own floor.
@pytest.mark.parametrize('reward', [0.0, 1.0, -1e6])
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


def test_a_floor_reward_among_others_does_no_harm(strategy):
  state = strategy.init(jax.random.key(0))
  for key in jax.random.split(jax.random.key(15), 4):
    proposals = strategy.ask(state, key, 7)
    rewards = reward_of(proposals.tokens).at[2].set(-1e6)
    state, metrics = strategy.tell(state, proposals, rewards)
    chex.assert_tree_all_finite((state, metrics))
  check_proposals(strategy.ask(state, jax.random.key(9), 7), 7)


@pytest.mark.parametrize(
  ('rewards', 'spelled'),
  [
    ([0.5, float('nan'), 0.5], 'nan at index 1'),
    ([0.5, 0.5, float('inf')], 'inf at index 2'),
    (np.array([-1e300, 0.5, 0.5]), '-inf at index 0'),
    (np.array([10**400, 0, 0], object), 'inf at index 0'),
  ],
)
def test_a_reward_that_is_not_finite_is_an_error(strategy, rewards, spelled):
  state = strategy.init(jax.random.key(0))
  proposals = strategy.ask(state, jax.random.key(1), 3)
  with pytest.raises(ValueError, match=f'finite as a float32, got {spelled}'):
    strategy.tell(state, proposals, rewards)


@of_those_that_draw
@pytest.mark.parametrize('reward', [np.nan, np.inf, -np.inf])
def test_a_traced_reward_that_is_not_finite_teaches_nothing(strategy, reward):
  state = run_steps(
    strategy,
    strategy.init(jax.random.key(0)),
    jax.random.split(jax.random.key(1), 3),
  )
  proposals = strategy.ask(state, jax.random.key(2), 7)
  rewards = reward_of(proposals.tokens).at[3].set(reward)
  told, metrics = jax.jit(strategy.tell)(state, proposals, rewards)
  assert not np.isfinite(metrics['mean_reward'])
  again = strategy.ask(told, jax.random.key(3), 64)
  chex.assert_trees_all_equal(
    again, strategy.ask(state, jax.random.clone(jax.random.key(3)), 64)
  )
  assert len(np.unique(again.tokens, axis=0)) > 16


@of_those_that_draw
def test_a_space_in_place_of_its_decisions_is_told(case):
  space = hyperparameters.make_space({'rate': Range(0.0, 1.0)})
  with pytest.raises(ValueError, match=r'SearchSpace .* pass space\.decisions'):
    case.make(space)
  with pytest.raises(ValueError, match=r"sequence of Choice.* got \('rate',\)"):
    case.make(('rate',))


@of_those_that_draw
def test_depths_are_prefixes(strategy):
  state = strategy.init(jax.random.key(0))
  # Growing, as a schedule does, and then at all depths in any order.
  for num_active in (1, 2, 3, 4, 5, 6, 2, 6, 1):
    proposals = strategy.ask(state, jax.random.key(10), 7, num_active)
    check_proposals(proposals, 7, num_active)
    state, metrics = strategy.tell(
      state, proposals, reward_of(proposals.tokens)
    )
    chex.assert_tree_all_finite((state, metrics))
  full = strategy.ask(state, jax.random.key(11), 7)
  check_proposals(full, 7)


def test_a_second_call_compiles_nothing(strategy, caplog):
  def run(state, key, num_active):
    proposals = strategy.ask(state, key, 7, num_active)
    return strategy.tell(state, proposals, rewards)[0]

  def num_compilations():
    return sum('Compiling' in record.message for record in caplog.records)

  # Made beforehand: making an array also compiles something.
  rewards = jnp.ones(7)
  keys = list(jax.random.split(jax.random.key(12), 5))
  state = run(strategy.init(jax.random.key(0)), keys[0], 2)
  with caplog.at_level(logging.WARNING), jax.log_compiles():
    for key, num_active in zip(keys[1:], (1, 3, 6, None), strict=True):
      state = run(state, key, num_active)
    assert num_compilations() == 0
    jax.jit(lambda rewards: rewards + 1)(rewards)
    assert num_compilations() > 0


def test_a_whole_search_is_one_program(strategy):
  @jax.jit
  @jax.vmap
  def run(key):
    def step(state, key):
      proposals = strategy.ask(state, key, 1)
      rewards = jnp.mean(proposals.tokens == OPTIMUM[None], axis=1)
      state, metrics = strategy.tell(state, proposals, rewards)
      return state, (proposals, metrics['mean_reward'])

    init_key, run_key = jax.random.split(key)
    state = strategy.init(init_key)
    return jax.lax.scan(step, state, jax.random.split(run_key, 12))

  state, (proposals, rewards) = run(jax.random.split(jax.random.key(13), 3))
  chex.assert_tree_all_finite(state)
  chex.assert_shape(proposals.tokens, (3, 12, 1, 5))
  check_proposals(
    jax.tree.map(lambda leaf: leaf.reshape(36, *leaf.shape[3:]), proposals), 36
  )
  chex.assert_shape(rewards, (3, 12))
  # One of five tokens is worth 0.2.
  np.testing.assert_allclose(rewards, np.round(5 * rewards) / 5, atol=1e-6)
  assert len(np.unique(rewards)) > 2


@of_those_that_draw
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
  # 630 trials of 180 sequences.
  assert best == 1.0
  chance = float(np.mean(1 / NUM_CHOICES))
  if case.learns:
    assert np.mean(means[-10:]) > 1.8 * chance
  else:
    assert np.mean(means) == pytest.approx(chance, abs=0.05)
