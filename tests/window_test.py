# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests that a window is a fold over the trials of its arm."""

import random
import zlib

import jax
import numpy as np
import pytest

from jaxnas import arms, pure_search, window
from jaxnas.controllers import recurrent
from jaxnas.spaces import recurrent_cell
from jaxnas.strategies import evolution, ppo, random_search, reinforce
from jaxnas.types import Proposals, Strategy

SPACE = recurrent_cell.make_space(2)
CONTROLLER = recurrent.make_controller(SPACE.decisions, features=3)
STRATEGIES = {
  'reinforce': reinforce.make_reinforce(CONTROLLER, 0.2),
  'ppo': ppo.make_ppo(CONTROLLER, 0.2),
  'evolution': evolution.make_evolution(SPACE.decisions, 5, 2),
  'random': random_search.make_random_search(SPACE.decisions),
}
# Replicas, trials of a group, groups of an update, groups.
SHAPES = [
  (1, 4, 1, 12),
  (3, 4, 1, 14),
  (5, 1, 1, 40),
  (8, 1, 3, 40),
  (2, 3, 4, 17),
  (1, 1, 10, 35),
  (4, 2, 2, 9),
]


def make_fold(strategy, replicas, batch_size, per_update, num_groups):
  arm = arms.Arm(
    'mine',
    strategy,
    batch_size * num_groups,
    batch_size,
    replicas=replicas,
    replicas_per_update=per_update,
  )
  return window.Fold(arm, jax.random.key(5), SPACE, num_groups)


def reward_of(proposal, tokens):
  """A reward that follows from the proposal and its tokens alone."""
  return zlib.crc32(repr((proposal, tokens.tolist())).encode()) % 1000 / 1000


def pending_of(fold, state):
  return [
    each
    for group in state.open
    for each in window.rows(group, fold.arm.batch_size)
  ]


def play(fold, seed):
  """Plays a search that finishes in random order.

  Returns:
    The proposals in the order of finishing, and the state after each.
  """
  order, generator = [], random.Random(seed)
  state = fold.start()
  states, versions = [state], []
  while pending := pending_of(fold, state):
    proposal, tokens = generator.choice(pending)
    before = state
    state, told, asked = fold.record(
      state, proposal, reward_of(proposal, tokens)
    )
    if asked is not None:
      assert fold.version(int(asked.number)) == state.num_told
    if told is not None:
      versions.append(told.version)
      assert state.num_told == before.num_told + 1
    order.append(proposal)
    states.append(state)
  assert versions == list(range(len(versions)))
  return order, states


def assert_equal(one, other):
  assert jax.tree.structure(one) == jax.tree.structure(other)
  jax.tree.map(np.testing.assert_array_equal, one, other)


def shapes_of(state):
  return [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(state)]


@pytest.mark.parametrize('shape', SHAPES)
@pytest.mark.parametrize('name', STRATEGIES)
def test_every_prefix_folds_to_the_state_that_it_led_to(name, shape):
  fold = make_fold(STRATEGIES[name], *shape)
  replicas, batch_size, per_update, num_groups = shape
  order, states = play(fold, 1)
  assert sorted(order) == list(range(batch_size * num_groups))
  last = states[-1]
  assert last.num_finished == last.num_asked == num_groups
  assert last.num_told == num_groups // per_update
  assert len(last.groups) == replicas
  state = fold.start()
  for length, proposal in enumerate(order):
    assert_equal(state, states[length])
    assert shapes_of(state) == shapes_of(states[0])
    tokens = fold.find(state, proposal)
    state = fold.record(state, proposal, reward_of(proposal, tokens)).window
    assert fold.find(state, proposal) is None
  assert_equal(state, last)


@pytest.mark.parametrize('name', STRATEGIES)
def test_order_within_a_group_does_not_matter(name):
  fold = make_fold(STRATEGIES[name], 1, 4, 1, 8)
  (one, first), (other, second) = play(fold, 1), play(fold, 2)
  assert one != other
  assert_equal(first[-1], second[-1])


def test_order_of_groups_matters_with_replicas():
  fold = make_fold(STRATEGIES['reinforce'], 3, 2, 1, 8)
  first, second = play(fold, 1)[1], play(fold, 2)[1]
  leaves = zip(*map(jax.tree.leaves, (first[-1], second[-1])), strict=True)
  assert any((one != other).any() for one, other in leaves)


@pytest.mark.parametrize('name', STRATEGIES)
def test_one_replica_is_ask_and_tell_in_turn(name):
  strategy = STRATEGIES[name]
  fold = make_fold(strategy, 1, 4, 1, 6)
  state = strategy.init(pure_search.init_key(fold.key))
  for index in range(6):
    key = pure_search.round_key(fold.key, index)
    proposals = strategy.ask(state, key, 4)
    rewards = [
      reward_of(4 * index + row, tokens)
      for row, tokens in enumerate(np.asarray(proposals.tokens))
    ]
    state, _ = strategy.tell(state, proposals, np.array(rewards, np.float32))
  assert_equal(play(fold, 3)[1][-1].strategy, state)


class Recorder:
  """A strategy that writes down what it is told."""

  def __init__(self):
    self.asked, self.told = [], []

  def ask(self, state, key, num_trials):
    del state, key
    first = num_trials * len(self.asked)
    tokens = np.arange(first, first + num_trials)[:, None]
    self.asked.append(Proposals(np.repeat(tokens, 10, 1), tokens[:, 0] / 2))
    return self.asked[-1]

  def tell(self, state, proposals, rewards):
    self.told.append((proposals, rewards))
    return state, {}

  def make(self):
    return Strategy(lambda key: np.zeros(1), self.ask, self.tell)


def test_groups_are_told_in_the_order_of_finishing():
  recorder = Recorder()
  fold = make_fold(recorder.make(), 3, 2, 2, 6)
  state = fold.start()
  assert len(recorder.asked) == 3
  # Groups 2, 0 and then 1; the rows of 2 backwards.
  for proposal in (5, 0, 4, 1):
    state = fold.record(state, proposal, proposal / 10).window
  ((proposals, rewards),) = recorder.told
  np.testing.assert_array_equal(proposals.tokens[:, 0], [4, 5, 0, 1])
  np.testing.assert_array_equal(proposals.log_prob, [2.0, 2.5, 0.0, 0.5])
  np.testing.assert_array_equal(rewards, np.float32([0.4, 0.5, 0.0, 0.1]))
  assert (state.num_asked, state.num_finished, state.num_told) == (5, 2, 1)
  assert [int(group.number) for group in state.open] == [1, 3, 4]


def test_one_group_is_told_unchanged():
  recorder = Recorder()
  fold = make_fold(recorder.make(), 2, 2, 1, 3)
  state = fold.start()
  for proposal in (2, 3, 1, 0):
    state = fold.record(state, proposal, 1.0).window
  assert recorder.told[0][0] is recorder.asked[1]
  assert recorder.told[1][0] is recorder.asked[0]


@pytest.mark.parametrize('shape', [(1, 4, 1), (1, 2, 3), (3, 2, 1), (4, 1, 2)])
def test_a_larger_budget_goes_on_where_a_smaller_one_ended(shape):
  strategy = STRATEGIES['ppo']
  small, large = (make_fold(strategy, *shape, n) for n in (6, 12))
  order, states = play(small, 4)
  folded = large.start()
  for proposal in order:
    tokens = large.find(folded, proposal)
    folded = large.record(folded, proposal, reward_of(proposal, tokens)).window
  if shape[0] == 1:
    assert_equal(large.extend(states[-1]), folded)
  else:
    # The missing groups are those of versions that are gone.
    with pytest.raises(window.NotExtendableError):
      large.extend(states[-1])
  assert_equal(large.extend(folded), folded)


def test_an_arm_without_trials_proposes_nothing():
  state = make_fold(Recorder().make(), 2, 2, 1, 0).start()
  assert state.open == []


def test_proposals_that_change_their_type_are_refused():
  """A checkpoint could not be resumed from."""

  class Fickle(Recorder):
    def ask(self, state, key, num_trials):
      proposals = super().ask(state, key, num_trials)
      if len(self.asked) < 3:
        return proposals
      return proposals._replace(log_prob=np.zeros(num_trials, np.float32))

  fold = make_fold(Fickle().make(), 1, 2, 1, 6)
  state = fold.start()
  for proposal in range(3):
    state = fold.record(state, proposal, 1.0).window
  with pytest.raises(
    ValueError,
    match=r"The ask of arm 'mine' changed proposals.log_prob from "
    r'float64\[2\] to float32\[2\]; proposals must keep',
  ):
    fold.record(state, 3, 1.0)


def test_a_policy_is_recorded_of_some_versions_with_a_key_of_its_own():
  fold = make_fold(STRATEGIES['reinforce'], 1, 4, 1, 12)
  window_of = fold.start()
  # Far enough from uniform for two estimates to differ when rounded.
  params = jax.tree.map(lambda leaf: 30 * leaf, window_of.strategy.params)
  strategy = window_of.strategy._replace(params=params)
  window_of = window_of._replace(strategy=strategy)
  found = fold.policy(window_of)
  assert len(found) == sum(each.num_outcomes for each in SPACE.decisions)
  assert fold.policy(window_of) == found
  later = window_of._replace(num_told=np.array(1, np.int32))
  assert fold.policy(later) != found
  assert fold.policy(later._replace(num_told=np.array(65, np.int32))) is None
  chance = make_fold(STRATEGIES['random'], 1, 4, 1, 12)
  assert chance.policy(chance.start()) is None
