# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest

from jaxnas import statistics
from jaxnas.runs import regret

REWARDS = np.array([0.5, 0.1, 0.9, 0.9, 0.3], np.float32)


def test_regret_is_of_the_best_so_far():
  result = regret.simple_regret(REWARDS, np.array([[1, 0, 4, 2], [2, 1, 1, 1]]))
  np.testing.assert_allclose(
    result, [[0.8, 0.4, 0.4, 0.0], [0, 0, 0, 0]], atol=1e-7
  )


def test_the_interval_of_a_regret_ends_at_0():
  regrets = np.array([[0.0, 1.0], [0.0, 1.0], [0.9, 1.1]])
  mean, low, high = regret.mean_curve(regrets)
  plain = statistics.mean_interval(regrets)
  assert plain.low[0] < 0
  np.testing.assert_array_equal(low, [0, plain.low[1]])
  np.testing.assert_array_equal(mean, plain.value)
  np.testing.assert_array_equal(high, plain.high)


@pytest.mark.parametrize(
  ('fraction', 'reward'),
  [(0.001, 0.9), (0.2, 0.9), (0.4, 0.9), (0.41, 0.5), (0.6, 0.5), (1, 0.1)],
)
def test_the_top_is_a_part_of_all_entries_and_at_least_one(fraction, reward):
  assert regret.top_reward(REWARDS, fraction) == np.float32(reward)


def test_the_top_of_a_whole_number_is_not_one_more():
  # The product is 7.000000000000001.
  assert 0.07 * 100 > 7
  assert regret.top_reward(np.arange(100), 0.07) == 93


def test_reach_counts_trials_from_one_and_seeds_that_never_do():
  entries = np.array([[2, 1, 1], [1, 0, 3], [1, 1, 1], [0, 4, 2]])
  assert regret.reach(REWARDS, entries, 0.9) == (3, 0.75)
  assert regret.reach(REWARDS, entries, 0.5) == (2, 0.75)
  assert regret.reach(REWARDS, entries, 0.1) == (1, 1)
  assert regret.reach(REWARDS, entries[1:3], 0.9) == (np.inf, 0.5)
  assert regret.reach(REWARDS, entries[2:3], 0.9) == (np.inf, 0)


def compare(first, second):
  return regret.compare({'one': first}, second)['one']


def test_comparison_is_paired():
  # Between seeds much differs, between the two of a pair little.
  second = np.linspace(0, 100, 40)
  difference = np.tile([-1.0, -0.5, -0.5, 0.0], 10)
  comparison = compare(second + difference, second)
  assert comparison.difference.value == pytest.approx(-0.5)
  assert comparison.difference.low == pytest.approx(-0.6146, abs=1e-3)
  assert comparison[1:] == (0.75, 0.25, 0)
  assert comparison.is_better is True
  assert compare(second, second + difference).is_better is False


def test_several_comparisons_share_a_correction():
  second = np.linspace(0, 100, 40)
  slightly = np.tile([-1.0, 0.5, 0.0, -0.3], 10)
  alone = compare(second + slightly, second)
  assert alone.is_better is True
  names = [f'strategy {number}' for number in range(5)]
  for comparison in regret.compare(
    dict.fromkeys(names, second + slightly), second
  ).values():
    assert comparison.is_better is None
    assert comparison.difference.low < alone.difference.low
    assert comparison.difference.high > 0
    assert comparison[1:] == alone[1:]


def test_no_difference_is_none():
  values = np.linspace(0, 1, 9)
  assert compare(values, values).is_better is None
  assert compare(values, values[::-1]).is_better is None
  assert compare(values[:1], values[1:2]).is_better is None


def test_repeats_are_not_distinct():
  entries = np.array([[3, 3, 3, 3], [3, 1, 3, 2]])
  assert regret.distinct_part(entries) == (1 + 3) / 8
