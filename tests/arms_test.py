# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import pytest

from jaxnas import arms
from jaxnas.strategies import fixed

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
