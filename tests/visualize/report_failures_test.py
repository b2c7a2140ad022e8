# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of the failures in a report."""

import re

from jaxnas.records import trial_log
from jaxnas.visualize import report_failures


def cells(html):
  return [
    re.findall(r'<td[^>]*>([^<]*)</td>', row)
    for row in re.findall(r'<tr>(<td.*?)</tr>', html)
  ]


def failure(number, status, reason, duplicate_of=None, **metrics):
  return trial_log.Trial(
    number, 'ppo', 0, (0,), {}, 0.0, metrics, status, duplicate_of, {}, reason
  )


def reasons(*trials):
  return [row[-1] for row in cells(report_failures.draw(trials))]


def test_failures_are_counted_by_kind_and_reason():
  trials = [
    failure(0, 'ok', ''),
    failure(1, 'timed_out', 'after 5 s'),
    failure(2, 'timed_out', 'after 5 s'),
    failure(3, 'crashed', ''),
    failure(4, 'crashed', '', duplicate_of=3),
  ]
  drawn = report_failures.draw(trials)
  assert '3 of 4 trainings failed: 2 timed out, 1 crashed.' in drawn
  assert cells(drawn) == [
    ['timed out', '2', 'ppo', '#1, #2', 'after 5 s'],
    ['crashed', '1', 'ppo', '#3', 'not recorded'],
  ]
  assert report_failures.draw(trials[:1]).endswith(
    'None of 1 trainings failed.</p>'
  )


def test_reasons_that_differ_in_numbers_alone_share_a_row():
  assert reasons(
    failure(0, 'diverged', 'the reward was nan (a is 0.5, b is nan)'),
    failure(1, 'diverged', 'the reward was nan (a is 1e-05, b is nan)'),
    failure(2, 'diverged', 'the reward was inf (a is 1, c is nan)'),
  ) == [
    'the reward was nan (a is 0.5, b is nan) (its numbers vary)',
    'the reward was inf (a is 1, c is nan)',
  ]
  assert reasons(
    failure(0, 'failed', 'ValueError at a.py:7: no 3'),
    failure(1, 'failed', 'ValueError at a.py:8: no 3'),
    failure(2, 'failed', 'ValueError at a.py:7: no 44'),
  ) == [
    'ValueError at a.py:7: no 3 (its numbers vary)',
    'ValueError at a.py:8: no 3',
  ]


def test_a_child_that_diverged_tells_how_far_it_came():
  told = 'the loss or a gradient was not finite'
  one, two = (
    failure(number, 'diverged', '', num_trained=steps)
    for number, steps in enumerate((1, 1200))
  )
  assert reasons(one) == [f'{told} after 1 step']
  assert reasons(one, two) == [f'{told} after 1 to 1,200 steps']
  assert reasons(two, failure(2, 'diverged', '')) == [
    f'{told} during the training'
  ]
  # The reward of another one failed after its training.
  assert len(reasons(one, failure(2, 'diverged', 'the reward was nan'))) == 2
