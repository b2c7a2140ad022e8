# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Measures of searches of a table: regret, and trials to reach a rank.

Letters: `S` seeds, `R` trials of a search.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import math
from typing import NamedTuple

import numpy as np

from jaxnas import statistics


class Reach(NamedTuple):
  """How quickly searches reach a reward.

  Attributes:
    median: the median, over all seeds, of the first trial that reaches the
      reward, counted from 1; infinite unless more than half of the seeds do.
    reached: the fraction of seeds that reach the reward.
  """

  median: float
  reached: float


class StrategyComparison(NamedTuple):
  """The difference between two strategies on the same seeds.

  Attributes:
    difference: the difference of the mean final regrets, by paired differences;
      below 0 if the first strategy is better.
    better: the fraction of seeds on which the first has a lower final regret.
    equal: the fraction of seeds with equal final regrets.
    worse: the fraction of seeds on which the first has a higher final regret.
  """

  difference: statistics.Comparison
  better: float
  equal: float
  worse: float

  @property
  def is_better(self) -> bool | None:
    """Whether the first strategy is better; `None` if not significant."""
    return self.difference.is_better


def simple_regret(rewards: np.ndarray, entries: np.ndarray) -> np.ndarray:
  """Returns the table's best reward minus the best found so far.

  Args:
    rewards: the reward of every entry of the table.
    entries: the entries that each search tried, `int[S, R]`.

  Returns:
    The regret after every trial, `float64[S, R]`.
  """
  rewards = rewards.astype(np.float64)
  return rewards.max() - np.maximum.accumulate(rewards[entries], axis=1)


def mean_curve(regrets: np.ndarray) -> statistics.Interval:
  """Estimates the mean regret after every trial, from `[S, R]`.

  Intervals are clipped at 0, since no regret is negative.
  """
  mean, low, high = statistics.mean_interval(regrets)
  return statistics.Interval(mean, np.maximum(low, 0.0), high)


def top_reward(rewards: np.ndarray, fraction: float) -> float:
  """Returns the lowest reward among the best entries of a table.

  Args:
    rewards: the reward of every entry; with ties, more entries may reach the
      result.
    fraction: the fraction of all entries that count as best; at least one
      entry.
  """
  # A product such as 0.07 * 100 may end just above a whole number.
  count = max(1, math.ceil(fraction * len(rewards) - 1e-9))
  return float(np.partition(rewards, -count)[-count])


def reach(rewards: np.ndarray, entries: np.ndarray, reward: float) -> Reach:
  """Returns how quickly searches reach a reward.

  Args:
    rewards: the reward of every entry of the table.
    entries: the entries that each search tried, `int[S, R]`.
    reward: the reward to reach.
  """
  is_reached = rewards[entries] >= reward
  has_reached = is_reached.any(axis=1)
  first = np.where(has_reached, 1 + is_reached.argmax(axis=1), np.inf)
  # For an even number, the upper of the two middle values: their mean could be
  # that of a number and infinity.
  median = np.sort(first)[len(first) // 2]
  return Reach(float(median), float(has_reached.mean()))


MEASURE = statistics.Measure('regret', is_higher_better=False, is_ratio=False)
"""The final regret, as a measure to compare by."""


def compare(
  regrets: Mapping[str, np.ndarray], baseline: np.ndarray
) -> dict[str, StrategyComparison]:
  """Compares strategies with a baseline on the same seeds.

  All comparisons share one correction; see `statistics.compare`.

  Args:
    regrets: the final regrets of each strategy, by name, `[S]`.
    baseline: the final regrets of the baseline, `[S]`.
  """
  found = compare_pairs([(finals, baseline) for finals in regrets.values()])
  return dict(zip(regrets, found, strict=True))


def compare_pairs(
  pairs: Sequence[tuple[np.ndarray, np.ndarray]],
) -> list[StrategyComparison]:
  """Compares pairs of searches on the same seeds.

  All comparisons share one correction; see `statistics.compare`.

  Args:
    pairs: the final regrets of both sides of each pair, `[S]`.
  """
  differences = statistics.compare(MEASURE, pairs, is_paired=True)
  return [
    StrategyComparison(
      difference,
      better=float(np.mean(finals < others)),
      equal=float(np.mean(finals == others)),
      worse=float(np.mean(finals > others)),
    )
    for (finals, others), difference in zip(pairs, differences, strict=True)
  ]


def spell_difference(comparison: statistics.Comparison | None) -> list[str]:
  """Returns a difference, its interval and its p-value for a table.

  Args:
    comparison: the comparison; `None` where there is none.
  """
  if comparison is None or np.isnan(comparison.low):
    return ['-', '-', '-']
  p_value = statistics.p_text(comparison.p_value)
  return [
    f'{comparison.value:+.4f}',
    f'{comparison.low:+.4f} to {comparison.high:+.4f}',
    p_value.removeprefix('p = ').removeprefix('p '),
  ]


def distinct_part(entries: np.ndarray) -> float:
  """Returns the fraction of trials that tried new entries, of `int[S, R]`."""
  num_new = 1 + (np.diff(np.sort(entries, axis=1), axis=1) != 0).sum(axis=1)
  return float(num_new.mean() / entries.shape[1])
