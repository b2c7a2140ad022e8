# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of who takes part in a retraining."""

import dataclasses

import numpy as np
import pytest

from jaxnas import contestants
from jaxnas.records import trial_log


def test_top_are_of_one_search_and_distinct():
  def trial(number, repeat, tokens, reward):
    return trial_log.Trial(
      number, 'random', repeat, tokens, {}, reward, {}, 'ok'
    )

  trials = [
    trial(0, 0, (1, 2), 0.5),
    trial(1, 1, (2, 1), 0.6),
    trial(2, 1, (3, 3), 0.4),
    trial(3, 1, (1, 2), 0.5),
  ]
  for repeat, numbers in ((0, [0]), (1, [1, 2]), (2, [])):
    found = contestants.top(trials, 'random', 2, np.sort, repeat)
    assert [trial.number for trial in found] == numbers


def test_top_are_distinct_and_trained():
  def trial(number, reward, **fields):
    return trial_log.Trial(
      number, 'random', 0, (number,), {}, reward, {}, 'ok', **fields
    )

  trials = [
    trial(0, 0.2),
    trial(1, 0.5),
    trial(2, 0.5, duplicate_of=1),
    dataclasses.replace(trial(3, 0.0), status='diverged'),
    dataclasses.replace(trial(4, 0.9), arm='reinforce'),
    trial(5, 0.3),
  ]
  chosen = contestants.top(trials, 'random', 2)
  assert [trial.number for trial in chosen] == [1, 5]
  assert len(contestants.top(trials, 'random', 9)) == 3


def test_one_that_stopped_may_be_trained_to_its_end_later():
  def trial(number, **fields):
    return trial_log.Trial(
      number, 'random', 0, (1,), {}, 0.5, {}, 'ok', **fields
    )

  stopped = trial(0, is_stopped=True)
  complete, again = trial(1, duplicate_of=0), trial(2, duplicate_of=1)
  found = contestants.top([stopped, complete, again], 'random', 3)
  assert found == [complete]


def test_of_equal_ones_the_first_proposed_wins_whenever_it_was_finished():
  def trial(number, proposal):
    return trial_log.Trial(
      number, 'random', 0, (proposal,), {}, 0.5, {}, 'ok', proposal=proposal
    )

  late = [trial(0, 2), trial(1, 0), trial(2, 1)]
  found = contestants.top(late, 'random', 2)
  assert [trial.proposal for trial in found] == [0, 1]


@pytest.mark.parametrize('wanted', [1, 50, 1234, 99999])
def test_equal_features_is_nearest(wanted):
  def count(features):
    return 3 * features * features + 7

  found = contestants.equal_features(count, wanted)
  distances = [abs(count(width) - wanted) for width in range(1, 400)]
  assert abs(count(found) - wanted) == min(distances)
