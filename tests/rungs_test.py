# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of how the children of a search share steps."""

import dataclasses

import numpy as np
import pytest

from jaxnas import arms as arms_lib
from jaxnas import halving, rungs
from jaxnas.records import trial_log
from jaxnas.types import Strategy

NOTHING = Strategy(lambda key: None, lambda *_: None, lambda *_: None)
ARM = arms_lib.Arm('random', NOTHING, 512, 16)
SCHEDULE = halving.Schedule((64, 128, 256), 4)
# 16 children take 64 steps, 4 of them 64 more and 1 the last 128.
STEPS = 16 * 64 + 4 * 64 + 128


def test_an_arm_proposes_what_its_steps_allow():
  halved = rungs.Halving(SCHEDULE)
  num_trials = halved.num_trials(ARM)
  assert num_trials == 512 * 256 // STEPS * 16
  assert num_trials == 1488
  # One more batch would be too many.
  assert num_trials // 16 * STEPS <= 512 * 256 < (num_trials // 16 + 1) * STEPS


def test_children_that_calibrate_cost_their_full_steps():
  calibrating = rungs.Calibrating(ARM.identity, 32, (32, 64, 128, 256))
  halved = rungs.Halving(SCHEDULE, calibrating)
  num_trials = halved.num_trials(ARM)
  assert num_trials == 32 + (512 - 32) * 256 // STEPS * 16
  other = dataclasses.replace(ARM, repeat=1)
  assert halved.num_trials(other) == rungs.Halving(SCHEDULE).num_trials(ARM)
  assert [halved.is_calibrating(ARM, group) for group in range(3)] == [
    *(True, True, False)
  ]


def test_who_trains_fully_proposes_as_many_as_before():
  halved = rungs.Halving(SCHEDULE)
  for changes in ({'trains_fully': True}, {'role': arms_lib.Role.KNOWN}):
    assert halved.num_trials(dataclasses.replace(ARM, **changes)) == 512
  # A single rung is no halving.
  assert rungs.Halving(halving.Schedule((256,), 4)).num_trials(ARM) == 512


def make_trial(proposal, curve, **fields):
  return trial_log.Trial(
    **{
      'number': proposal,
      'arm': 'random',
      'repeat': 0,
      'tokens': (0,),
      'architecture': {},
      'reward': 0.0,
      'metrics': {},
      'status': 'ok',
      'proposal': proposal,
      'steps': curve[-1][0] if curve else 64,
      'curve': tuple(curve),
      **fields,
    }
  )


TRIALS = [
  make_trial(0, [(64, 0.25), (128, 0.5), (256, 0.75)], rung=2),
  make_trial(1, [(64, 0.125)], rung=0, is_stopped=True),
  make_trial(2, [], rung=0, status='diverged'),
  make_trial(3, [(64, 0.25), (128, 0.5), (256, 0.75)], rung=2, duplicate_of=0),
]


def test_curves_are_as_long_as_children_were_trained():
  nan = np.nan
  first = [0.25, 0.5, 0.75]
  curves = rungs.curves_in([*TRIALS, None], SCHEDULE, reevaluates=False)
  np.testing.assert_array_equal(
    curves, [first, [0.125, nan, nan], *[[nan] * 3] * 3]
  )
  curves = rungs.curves_in(TRIALS, SCHEDULE, reevaluates=True)
  np.testing.assert_array_equal(curves[3], first)


def test_only_distinct_children_calibrate():
  others = [
    make_trial(4, [(64, 0.5), (256, 1.0)]),
    dataclasses.replace(TRIALS[0], number=5, repeat=1),
    make_trial(6, [(64, 0.5), (256, 0.5)]),
  ]
  calibrating = rungs.Calibrating(ARM.identity, 5, (64, 256))
  curves = rungs.calibration_curves([*others, *TRIALS], calibrating)
  nan = np.nan
  np.testing.assert_array_equal(
    curves, [[0.25, 0.75], [0.125, nan], [nan, nan], [0.5, 1.0]]
  )


def test_trials_are_told_from_those_of_other_rungs():
  rungs.Halving(SCHEDULE).check_log(TRIALS)
  other = rungs.Halving(halving.Schedule((32, 256), 4))
  with pytest.raises(ValueError, match=r'Trial 1 .* stopped after 64 steps'):
    other.check_log(TRIALS)
  without = dataclasses.replace(TRIALS[0], steps=None)
  with pytest.raises(ValueError, match='was trained without rungs'):
    other.check_log([without])
  rungs.check_has_none([without])
  with pytest.raises(ValueError, match='of a search with rungs'):
    rungs.check_has_none(TRIALS)


def test_rungs_are_sought_at_parts_of_a_training():
  assert rungs.Plan(4, 256).points == (32, 64, 128, 256)
  assert rungs.Plan(4, 80).points == (10, 20, 40, 80)
  assert rungs.Plan(2, 3).points == (1, 2, 3)
  by_hand = rungs.Plan(4, 256, (64, 256))
  assert by_hand.schedule == halving.Schedule((64, 256), 4)
  assert by_hand.calibrating(()) is None


@pytest.mark.parametrize(
  ('eta', 'num_steps', 'given', 'message'),
  [
    (1, 80, None, 'eta must be at least 2'),
    (4, 80, (40, 20, 80), 'rungs must grow'),
    (4, 80, (40, 160), 'full training of 80 steps, got 40, 160'),
    (4, 80, (20, 40), 'full training of 80 steps, got 20, 40'),
    (4, 80, (80,), 'one of 80 steps has none'),
    (4, 1, None, 'one of 1 steps has none'),
  ],
)
def test_bad_rungs_are_refused(eta, num_steps, given, message):
  with pytest.raises(ValueError, match=message):
    rungs.Plan(eta, num_steps, given)


def test_random_search_finds_the_rungs():
  plan = rungs.Plan(4, 256)
  baseline = dataclasses.replace(ARM, role=arms_lib.Role.BASELINE)
  searched = dataclasses.replace(ARM, name='evolution')
  fully = dataclasses.replace(baseline, name='fully', trains_fully=True)
  calibrating = plan.calibrating([searched, fully, baseline])
  assert calibrating == rungs.Calibrating(ARM.identity, 32, plan.points)
  uneven = dataclasses.replace(baseline, num_trials=36, batch_size=12)
  assert plan.calibrating([uneven]).num_trials == 36
  with pytest.raises(ValueError, match='let random search ride along'):
    plan.calibrating([searched, fully])
  few = dataclasses.replace(baseline, num_trials=16)
  with pytest.raises(ValueError, match='which has only 16; take more trials'):
    plan.calibrating([few])


def test_rungs_are_told_with_what_found_them():
  assert rungs.spell(SCHEDULE) == (
    'Rungs: 64, 128 and 256 steps; one child in 4 goes on.'
  )
  found = halving.Calibration(1, (0.25, 0.625, 0.875), 32)
  line = rungs.spell(SCHEDULE, found)
  assert '32 random children: 0.25, 0.62, 0.88' in line
  none = rungs.spell(halving.Schedule((256,), 4))
  assert none == 'No rungs: all children train 256 steps.'
