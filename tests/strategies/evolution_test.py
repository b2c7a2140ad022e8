# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import functools
import tracemalloc

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.strategies import evolution
from jaxnas.types import AnchorPoint, Choice, Proposals, Range

DECISIONS = (
  AnchorPoint(0, 'layer_0'),
  Choice((24, 36, 48), 'filters'),
  AnchorPoint(2, 'layer_2'),
  Choice((1,), 'stride'),
  Range(0.1, 1.0, num_levels=6, name='rate'),
)
NUM_CHOICES = np.array([3, 2, 2, 1, 6])
DECISION_OF_TOKEN = np.array([1, 2, 2, 3, 4])
NUM_TRIALS = 20_000


@functools.cache
def make(population_size, sample_size):
  """Makes each strategy once, with what is compiled for it."""
  return evolution.make_evolution(DECISIONS, population_size, sample_size)


def random_tokens(count, seed=0):
  tokens = np.random.default_rng(seed).integers(0, NUM_CHOICES, (count, 5))
  return tokens.astype(np.int32)


def told(strategy, tokens, rewards):
  """Returns the state after one batch."""
  tokens = jnp.asarray(tokens)
  proposals = Proposals(tokens, jnp.zeros(len(tokens)))
  state = strategy.init(jax.random.key(0))
  return strategy.tell(state, proposals, jnp.asarray(rewards, jnp.float32))[0]


def test_the_oldest_die_whatever_their_rewards():
  strategy = make(4, 2)
  tokens = random_tokens(17)
  rewards = np.arange(17, 0, -1).astype(np.float32)
  state = strategy.init(jax.random.key(0))
  done = 0
  # The last batch is larger than the population.
  for size, population in ((3, 2.0), (3, 13.5), (11, 2.5)):
    batch = slice(done, done + size)
    proposals = Proposals(jnp.asarray(tokens[batch]), jnp.zeros(size))
    state, metrics = strategy.tell(state, proposals, rewards[batch])
    done += size
    newest = np.arange(max(0, done - 4), done)
    np.testing.assert_array_equal(
      state.tokens[newest % 4], tokens[newest], strict=True
    )
    np.testing.assert_array_equal(state.rewards[newest % 4], rewards[newest])
    assert int(state.num_told) == done
    population = np.mean(rewards[newest])
    assert float(metrics['population_reward']) == pytest.approx(population)


def test_proposals_are_uniform_until_the_population_is_full():
  strategy = make(3, 2)
  tokens = random_tokens(3)
  size = np.prod(NUM_CHOICES)
  state = told(strategy, tokens, np.arange(3))
  for num_told in (0, 2, 3):
    proposals = strategy.ask(
      state._replace(num_told=jnp.int32(num_told)),
      jax.random.key(1),
      NUM_TRIALS,
    )
    is_uniform = np.allclose(proposals.log_prob, -np.log(size), rtol=1e-6)
    num_distinct = len(np.unique(proposals.tokens, axis=0))
    assert is_uniform == (num_distinct == size) == (num_told < 3)


def mutations(parent):
  """Returns children of one parent, and where they differ from it."""
  strategy = make(1, 1)
  state = told(strategy, np.array([parent], np.int32), [1.0])
  proposals = strategy.ask(state, jax.random.key(2), NUM_TRIALS)
  children = np.asarray(proposals.tokens)
  return children, children != parent


def test_one_decision_is_changed_and_each_as_often():
  parent = np.array([1, 0, 1, 0, 2])
  children, is_changed = mutations(parent)
  # One connection of the anchor point, and never what has only one value.
  assert np.all(np.sum(is_changed, axis=1) == 1)
  share = np.mean(is_changed, axis=0)
  # Five standard deviations are below 0.02.
  expected = [1 / 3, 1 / 6, 1 / 6, 0, 1 / 3]
  np.testing.assert_allclose(share, expected, atol=0.02)
  filters = children[is_changed[:, 0], 0]
  assert np.mean(filters == 0) == pytest.approx(0.5, abs=0.04)


@pytest.mark.parametrize('level', [0, 2, 5])
def test_steps_on_a_range_are_short_and_do_not_pile_up_at_its_ends(level):
  children, is_changed = mutations(np.array([1, 0, 1, 0, level]))
  levels = children[is_changed[:, 4], 4]
  steps = np.abs(np.arange(6) - level)
  # A step of one of six levels is 1 / 0.6 scales long.
  weights = np.where(steps > 0, np.exp(-steps / 0.6), 0)
  counts = np.bincount(levels, minlength=6)
  np.testing.assert_allclose(
    counts / len(levels), weights / weights.sum(), atol=0.04
  )


def frequencies(proposals):
  """Returns distinct architectures' shares, and what their log_prob says."""
  tokens, first, counts = np.unique(
    np.asarray(proposals.tokens), axis=0, return_index=True, return_counts=True
  )
  probability = np.exp(np.asarray(proposals.log_prob, np.float64))
  for row, expected in zip(tokens, probability[first], strict=True):
    same = np.all(proposals.tokens == row[None], axis=1)
    np.testing.assert_allclose(probability[same], expected, rtol=1e-5)
  return counts / counts.sum(), probability[first]


# As many decisions as the parents have, more, and fewer.
@pytest.mark.parametrize(
  ('parents_active', 'num_active'), [(5, 5), (3, 5), (5, 3), (1, 1)]
)
def test_log_prob_is_the_share_of_proposals(parents_active, num_active):
  strategy = make(3, 2)
  tokens = random_tokens(3, seed=3)
  tokens[2, 0] = (tokens[0, 0] + 1) % 3
  # Neighbors, so that a child may be either's.
  tokens[2, 1:] = tokens[0, 1:]
  tokens[:, parents_active <= DECISION_OF_TOKEN] = -1
  state = told(strategy, tokens, [0.2, 0.1, 0.3])
  proposals = strategy.ask(state, jax.random.key(4), NUM_TRIALS, num_active)
  share, probability = frequencies(proposals)
  # Everything that can be proposed is among so many.
  assert np.sum(probability) == pytest.approx(1, abs=0.005)
  deviation = np.sqrt(probability / NUM_TRIALS)
  assert np.all(np.abs(share - probability) < 5 * deviation + 1e-6)


def test_the_best_of_a_sample_is_the_parent_and_the_younger_of_equals():
  tokens = np.zeros((3, 5), np.int32)
  tokens[:, 4] = [0, 2, 5]
  state = told(make(3, 2), tokens, [0.5, 0.2, 0.5])
  proposals = make(3, 2).ask(state, jax.random.key(5), NUM_TRIALS)
  children = np.asarray(proposals.tokens)
  # Where the filters have changed, the rate names the parent. The best of two
  # of three is the first by 5 / 9, the second by 3 / 9.
  parents = children[children[:, 0] > 0, 4]
  shares = np.bincount(parents, minlength=6)[[5, 0, 2]] / len(parents)
  np.testing.assert_allclose(shares, [5 / 9, 3 / 9, 1 / 9], atol=0.04)


def test_a_range_may_have_steps_of_one_level_alone():
  decisions = (Range(0.1, 1.0, name='rate'),)
  strategy = evolution.make_evolution(
    decisions, population_size=1, sample_size=1, range_scale=1e-6
  )
  state = told(strategy, np.array([[7]], np.int32), [1.0])
  proposals = strategy.ask(state, jax.random.key(6), 64)
  assert set(np.asarray(proposals.tokens)[:, 0].tolist()) == {6, 8}
  np.testing.assert_allclose(proposals.log_prob, np.log(0.5), rtol=1e-6)


def test_decisions_of_many_values_need_memory_for_each_and_not_for_pairs():
  tracemalloc.start()
  try:
    evolution.make_evolution((Choice(tuple(range(3000)), 'entry'),))
    peak = tracemalloc.get_traced_memory()[1]
  finally:
    tracemalloc.stop()
  assert peak < 3000**2


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (
      {'population_size': 0, 'sample_size': 1},
      'population_size must be at least 1, got 0',
    ),
    ({'sample_size': 0}, 'sample_size must be from 1 to .* got 0'),
    (
      {'population_size': 4, 'sample_size': 5},
      r'sample_size must be from 1 to population_size \(4\), got 5',
    ),
    (
      {'num_trials': 32},
      r'population_size \(32\) .* each search has 32 trials',
    ),
    ({'range_scale': 0.0}, 'range_scale must be greater than 0, got 0.0'),
    ({'range_scale': float('nan')}, 'range_scale .* got nan'),
  ],
)
def test_bad_arguments_are_refused(arguments, message):
  with pytest.raises(ValueError, match=message):
    evolution.make_evolution(DECISIONS, **arguments)


def test_decisions_without_a_token_are_refused():
  with pytest.raises(ValueError, match='at least one decision with a token'):
    evolution.make_evolution((AnchorPoint(0, 'layer_0'),))
