# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

from jaxnas.records import steps, trial_log


def make_trial(number, **fields):
  return trial_log.Trial(
    number, 'random', 0, (number,), {}, 1.0, {}, **{'status': 'ok', **fields}
  )


def test_steps_are_those_of_distinct_children():
  trials = [
    make_trial(0, steps=20, rung=0, is_stopped=True),
    make_trial(1, steps=80, rung=2),
    make_trial(2, steps=20, rung=0, is_stopped=True),
    make_trial(3, steps=40, rung=1, status='diverged'),
    make_trial(4, steps=80, rung=2, duplicate_of=1),
  ]
  assert steps.are_known(trials)
  assert steps.spent(trials) == 20 + 80 + 20 + 40
  assert steps.reached(trials) == {20: 2, 80: 1}
  assert steps.spell(trials) == '2 at 20, 1 at 80'


def test_without_rungs_nothing_is_known():
  trials = [make_trial(0)]
  assert not steps.are_known(trials)
  assert steps.spell(trials) == ''
  assert trials[0].is_complete
