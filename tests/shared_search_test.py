# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0


import jax
import numpy as np
import pytest

from jaxnas import shared_search
from jaxnas.controllers import recurrent as controllers
from jaxnas.records import checkpoints as checkpoints_lib
from jaxnas.strategies import random_search, reinforce, relaxations, sharing
from jaxnas.types import Reward
from tests.shared_toy import REWARD, SPACE, Counts, KilledError, canonical


def make_policy(rate=0.05):
  controller = controllers.make_controller(
    SPACE.decisions, num_layers=1, features=8
  )
  return sharing.of_strategy(reinforce.make_reinforce(controller, rate), 16)


@pytest.fixture(scope='module')
def policy():
  return make_policy()


def make_search(policy, supernet=None, **changes):
  settings = {
    'space': SPACE,
    'supernet': supernet or Counts(),
    'policy': policy,
    'reward': REWARD,
    'key': jax.random.key(3),
    'num_steps': 60,
    'num_frozen': 20,
    'num_trained': 4,
  }
  return shared_search.SharedSearch(**settings | changes)


def best_share(search, state):
  drawn = search.policy.sample(state.policy, jax.random.key(9), 200)
  return np.mean((drawn == 0).all(-1))


def test_a_policy_learns_what_is_good_on_every_minibatch(policy):
  search = make_search(policy, num_steps=100)
  before = best_share(search, shared_search.init(search))
  told = []
  state = shared_search.run(
    search, follow=lambda *progress: told.append(progress)
  )
  assert before < 0.2
  assert best_share(search, state) > 0.6
  assert [each for each, _ in told] == [*range(101)]
  assert np.isnan([mean for _, mean in told[:21]]).all()
  assert np.isfinite([mean for _, mean in told[21:]]).all()
  # Advantages have the mean 0, so nothing is left for a moving baseline. They
  # are sums of 16 numbers of size 10 in single precision.
  assert abs(float(state.policy.baseline)) < 1e-5
  assert int(state.policy.num_updates) == 80


def test_a_relaxed_policy_follows_slopes():
  relaxed = relaxations.make_relaxed_policy(
    SPACE.decisions,
    'darts',
    optimizer=relaxations.make_optimizer(0.1),
  )
  search = make_search(sharing.of_relaxation(relaxed), num_steps=80)
  state = shared_search.run(search)
  assert best_share(search, state) > 0.6


def test_a_frozen_policy_draws_uniformly(policy):
  supernet = Counts()
  search = make_search(policy, supernet, num_steps=200, num_frozen=200)
  state = shared_search.run(search)
  trained = [each for call in supernet.calls for each in call]
  counts = np.unique(trained, axis=0, return_counts=True)[1]
  # 800 draws of 24 architectures: 33 each, with a deviation of 5.7.
  assert len(counts) == 24
  assert counts.min() > 10
  assert counts.max() < 60
  jax.tree.map(
    np.testing.assert_array_equal,
    state.policy,
    shared_search.init(search).policy,
  )
  # Whatever the policy, the same are drawn.
  other = Counts()
  uniform = sharing.never_learning(
    random_search.make_random_search(SPACE.decisions)
  )
  shared_search.run(make_search(uniform, other, num_steps=200, num_frozen=200))
  assert other.calls == supernet.calls


@pytest.mark.parametrize('kill_at', [3, 16, 35])
def test_killed_and_resumed_is_bitwise_the_same(tmp_path, policy, kill_at):
  whole = shared_search.run(make_search(policy))
  folder = tmp_path / 'checkpoints'
  with checkpoints_lib.Checkpoints(folder) as store, pytest.raises(KilledError):
    shared_search.run(make_search(policy, Counts(kill_at)), store, 8)
  again = Counts()
  with checkpoints_lib.Checkpoints(folder) as store:
    state = shared_search.run(make_search(policy, again), store, 8)
  jax.tree.map(np.testing.assert_array_equal, state, whole)
  # Not all is done again.
  assert len(again.calls) == 60 - 8 * (kill_at // 8)


def test_the_best_of_what_is_drawn_are_different_and_alive(policy):
  search = make_search(policy, num_steps=1, num_frozen=1)
  state = shared_search.run(search)
  ranking = shared_search.rank(search, state, 500, 6)
  # 3 * 3 * 2 in canonical form, of which a third is dead.
  assert (ranking.num_distinct, ranking.num_dead) == (18, 6)
  assert len({canonical(each).tobytes() for each in ranking.tokens}) == 6
  assert (np.diff(ranking.rewards) <= 0).all()
  assert (ranking.tokens[:, 0] < 2).all()
  evaluation = shared_search.score(search, state, ranking.tokens)
  np.testing.assert_array_equal(evaluation.rewards, ranking.rewards)
  everything = shared_search.rank(search, state, 500, 100).tokens
  assert (everything[-6:, 0] == 2).all()
  assert (everything[:-6, 0] < 2).all()


def test_costs_are_among_what_a_reward_sees(policy):
  reward = Reward(lambda _, metrics: metrics['cost'], 0.0)
  search = make_search(
    policy, reward=reward, costs={'cost': lambda toy: float(toy.tokens[1])}
  )
  found = shared_search.score(
    search, shared_search.init(search), np.array([[0, 2, 0], [2, 3, 1]])
  )
  np.testing.assert_array_equal(found.rewards, [2, 0])


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'num_steps': 0, 'num_frozen': 0}, 'at least one step and one arch'),
    ({'num_trained': 0}, 'at least one step and one arch'),
    ({'num_frozen': 61}, r'from 0 to num_steps \(60\), got 61'),
  ],
)
def test_bad_numbers_are_refused(policy, changes, message):
  with pytest.raises(ValueError, match=message):
    make_search(policy, **changes)


def test_a_policy_that_never_learns_is_frozen():
  uniform = sharing.never_learning(
    random_search.make_random_search(SPACE.decisions)
  )
  with pytest.raises(ValueError, match='never learns is frozen'):
    make_search(uniform)
