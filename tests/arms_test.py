# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import dataclasses

import jax
import numpy as np
import pytest

from jaxnas import arms
from jaxnas.strategies import fixed
from jaxnas.types import Proposals, Strategy

STRATEGY = fixed.make_fixed([[0, 1]])


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ((7, 2), 'multiple of its batch_size'),
    ((4, 0), 'batch_size >= 1'),
  ],
)
def test_bad_arms_are_named(arguments, message):
  with pytest.raises(ValueError, match=message):
    arms.Arm('random', STRATEGY, *arguments)


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ((7, 1, 4, 6, 4), 'from 1 to 6, the layers of the space; got 7'),
    ((0, 1, 4, 6, 4), 'from 1 to 6'),
    ((2, -1, 4, 6, 4), 'can only grow'),
    ((2, 1, -4, 6, 4), 'can only grow'),
  ],
)
def test_bad_depth_schedules_are_refused(arguments, message):
  with pytest.raises(ValueError, match=message):
    arms.DepthSchedule(*arguments)


def test_the_papers_depth_schedule():
  schedule = arms.DepthSchedule(6, 2, 1600, 20, 4)
  depths = [schedule.depth(trials) for trials in range(0, 12_800, 1600)]
  assert depths == [6, 8, 10, 12, 14, 16, 18, 20]
  assert schedule.depth(1599) == 6
  assert schedule.depth(100_000) == 20
  assert arms.DepthSchedule(6, 2, 0, 20, 4)(10**6) == 24


def test_an_arm_is_called_by_its_name_unless_it_has_a_label():
  arm = arms.Arm('reinforce', STRATEGY, 4, 2, repeat=3)
  assert arm.label == 'reinforce'
  assert arm.identity == ('reinforce', 3)
  assert arm.role is arms.Role.SEARCHED
  assert arms.Arm('ppo', STRATEGY, 4, 2, label='PPO').label == 'PPO'


def test_settings_of_a_trial_are_its_depth_if_that_grows():
  assert arms.Arm('random', STRATEGY, 4, 2).settings(2) == {}
  schedule = arms.DepthSchedule(1, 1, 2, 3, decisions_per_layer=5)
  arm = arms.Arm('random', STRATEGY, 4, 2, num_active=schedule)
  assert arm.settings(0) == {'num_active': 5}
  assert arm.settings(2) == {'num_active': 10}


@pytest.mark.parametrize('name', ['num_trials', 'batch_size'])
def test_counts_are_whole_numbers(name):
  counts = {'num_trials': 8, 'batch_size': 4} | {name: '4'}
  with pytest.raises(ValueError, match=f"{name} of arm 'a' must be a whole"):
    arms.Arm('a', None, **counts)


ARM = arms.Arm(
  'mine',
  Strategy(
    lambda key: {'best': np.float32(0)},
    lambda state, key, num_trials: Proposals(
      np.zeros((num_trials, 2), np.int32), np.zeros(num_trials)
    ),
    lambda state, proposals, rewards: (state, {'best': state['best']}),
  ),
  8,
  4,
)


def test_a_strategy_without_a_policy_has_no_probabilities():
  assert ARM.probabilities({}, jax.random.key(0), 0, 3) is None


def test_probabilities_are_of_the_depth():
  def probabilities(state, key, num_active=None):
    del key
    return jax.numpy.where(np.arange(3) < num_active, state['best'], -1)

  arm = dataclasses.replace(
    ARM,
    strategy=ARM.strategy._replace(probabilities=probabilities),
    num_active=lambda num_trials: 1 + num_trials // 4,
  )
  found = arm.probabilities({'best': 0.5}, jax.random.key(0), 4, 3)
  np.testing.assert_array_equal(found, [0.5, 0.5, -1])


@pytest.mark.parametrize(
  'returned',
  [None, [0.5, 0.5], 'abc', [[0.5, 0.5, 0.5]], [2, 0, 0], [-2, 0, 0]],
)
def test_probabilities_are_as_many_as_outcomes(returned):
  strategy = ARM.strategy._replace(probabilities=lambda *_: returned)
  arm = dataclasses.replace(ARM, strategy=strategy)
  with pytest.raises(
    ValueError, match=r"probabilities of arm 'mine' must be 3 numbers.*got"
  ):
    arm.probabilities({}, jax.random.key(0), 0, 3)


def play(**functions):
  """Plays a round of a strategy with other functions."""
  arm = dataclasses.replace(ARM, strategy=ARM.strategy._replace(**functions))
  state = arm.strategy.init(jax.random.key(0))
  proposals = arm.ask(state, jax.random.key(1), 0, 2)
  return arm.tell(state, proposals, np.zeros(4, np.float32))


def test_a_round_returns_the_state_and_numbers():
  assert play() == ({'best': 0}, {'best': 0.0})


@pytest.mark.parametrize(
  ('returned', 'message'),
  [
    (Proposals(np.zeros((7, 2), int), None), 'for 4 proposals and returned 7'),
    (Proposals(np.zeros((3, 2), int), None), 'for 4 proposals and returned 3'),
    (
      np.zeros((4, 2), int),
      r'return jaxnas\.Proposals\(tokens, log_prob\), got',
    ),
    (Proposals(np.zeros((4, 3), int), None), r'\[4, 2\], got int64\[4, 3\]'),
    (Proposals(np.zeros(4, int), None), r'\[4, 2\], got int64\[4\]'),
    (Proposals(np.zeros((4, 2)), None), r'\[4, 2\], got float64\[4, 2\]'),
    (Proposals([[0, 1], [0]] * 2, None), r'\[4, 2\], got \[\[0, 1\], \[0\]'),
  ],
)
def test_a_batch_is_what_was_asked_for(returned, message):
  with pytest.raises(ValueError, match=f"^The ask of arm 'mine' .*{message}"):
    play(ask=lambda *_: returned)


@pytest.mark.parametrize(
  ('returned', 'message'),
  [
    (None, r'must return \(state, metrics\).*got None'),
    (({}, None), r'must return \(state, metrics\)'),
    (({'best': np.float32(1)}, {}, 3), r'must return \(state, metrics\)'),
    (({'best': np.float32(1)}, {'a': np.zeros(3)}), "scalars.* as 'a'"),
    (({'best': np.float32(1)}, {'a': 'high'}), "scalars.* 'high' as 'a'"),
    (({'best': np.zeros(2, 'f')}, {}), r"'best'\] from float32\[\] to .*\[2\]"),
    (({'best': np.int32(1)}, {}), r"'best'\] from float32\[\] to int32\[\]"),
    (({}, {}), r"'best'\] from float32\[\] to nothing; a state must keep the"),
    (({'best': np.float32(1), 'b': 1}, {}), r"'b'\] from nothing to int"),
  ],
)
def test_a_state_stays_alike_and_metrics_are_numbers(returned, message):
  with pytest.raises(ValueError, match=f"^The tell of arm 'mine' .*{message}"):
    play(tell=lambda *_: returned)
