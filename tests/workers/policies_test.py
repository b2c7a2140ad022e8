# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import math

import pytest

from jaxnas.types import Status
from jaxnas.workers import policies, tasks


def durations(first, others):
  made = tasks.Durations()
  for seconds in first:
    made.add(seconds, True)
  for seconds in others:
    made.add(seconds, False)
  return made


@pytest.mark.parametrize(
  ('first', 'others', 'later', 'earlier', 'age'),
  [
    # Nobody knows how long a block takes.
    ([], [], 7200.0, 7200.0, math.inf),
    # The first of a process may compile.
    ([200.0], [], 1000.0, 1600.0, 400.0),
    ([200.0], [2.0, 3.0, 50.0], 60.0, 660.0, 6.0),
    ([], [30.0], 150.0, 750.0, 60.0),
    ([0.1], [0.01], 60.0, 60.3, 1.0),
  ],
)
def test_a_block_has_a_multiple_of_the_median(
  first, others, later, earlier, age
):
  blocks = policies.Blocks()
  known = durations(first, others)
  assert blocks.deadline(known, is_first=False) == later
  assert blocks.deadline(known, is_first=True) == pytest.approx(earlier)
  assert blocks.copy_after(known) == age


def test_a_block_that_takes_too_long_at_first_says_which_setting_ends_it():
  blocks = policies.Blocks(first_block_timeout=9.0)
  limit = blocks.deadline(durations([], []), is_first=True)
  assert blocks.explain_limit(limit) == (
    'it took longer than 9 s, the first_block_timeout while none has been '
    'finished'
  )
  limit = blocks.deadline(durations([], [30.0]), is_first=False)
  assert blocks.explain_limit(limit) == 'it took longer than 150 s'


def test_a_long_training_has_no_limit_and_no_copies():
  trainings = policies.LongTrainings()
  known = durations([1.0], [1.0])
  assert trainings.deadline(known, is_first=False) == math.inf
  assert trainings.copy_after(known) == math.inf
  assert trainings.num_retries == 1


def test_a_call_has_the_time_that_the_user_gave_it():
  calls = policies.Functions('a.f', 1, 7.0)
  known = durations([1.0], [1.0])
  assert calls.deadline(known, is_first=True) == 7.0
  assert calls.deadline(known, is_first=False) == 7.0
  assert calls.copy_after(known) == math.inf
  assert calls.split(('value', 1, {})) == ()


@pytest.mark.parametrize(
  ('value', 'expected'),
  [
    (0.5, True),
    (-3e38, True),
    (1e39, False),
    (math.nan, False),
    (-math.inf, False),
    (10**400, False),
  ],
)
def test_rewards_are_finite_in_single_precision(value, expected):
  assert policies.is_finite(value) is expected
  status, reason = policies.Functions('a.f', 1, 1.0).judge({'reward': value})
  assert (status is Status.OK) is expected
  assert bool(reason) is not expected
