# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""How good searches of a table are: regret, and trials to reach a rank.

Letters: `S` seeds, `R` trials of a search.
"""

from __future__ import annotations

from collections.abc import Mapping
import math
from typing import NamedTuple

import numpy as np

from jaxnas import statistics


class Reach(NamedTuple):
  """How soon searches reach a reward.

  Attributes:
    median: of the first trials that reach it, counted from 1, over all seeds;
      infinite unless more than half do.
    reached: which part of the seeds does.
  """

  median: float
  reached: float


class StrategyComparison(NamedTuple):
  """One strategy less another, on the same seeds.

  Attributes:
    difference: of the mean final regrets, by the paired differences; below 0
      where the first is better.
    better: the part of the seeds with a lower final regret.
    equal: with the same one.
    worse: with a higher one.
  """

  difference: statistics.Comparison
  better: float
  equal: float
  worse: float

  @property
  def is_better(self) -> bool | None:
    """Whether the first is better; `None` where that cannot be told."""
    return self.difference.is_better


def simple_regret(rewards: np.ndarray, entries: np.ndarray) -> np.ndarray:
  """Returns the table's best reward less the best found so far.

  Args:
    rewards: of every entry of the table.
    entries: what each search tried, `int[S, R]`.

  Returns:
    `float64[S, R]`.
  """
  rewards = rewards.astype(np.float64)
  return rewards.max() - np.maximum.accumulate(rewards[entries], axis=1)


def mean_curve(regrets: np.ndarray) -> statistics.Interval:
  """Estimates the mean regret after every trial, from `[S, R]`.

  Intervals are cut at 0, which no regret is below.
  """
  mean, low, high = statistics.mean_interval(regrets)
  return statistics.Interval(mean, np.maximum(low, 0.0), high)


def top_reward(rewards: np.ndarray, fraction: float) -> float:
  """Returns the least reward among the best entries of a table.

  Args:
    rewards: of every entry; of equal ones, more may reach the result.
    fraction: how many are the best, of all; at least one entry.
  """
  # A product such as 0.07 * 100 may end just above a whole number.
  count = max(1, math.ceil(fraction * len(rewards) - 1e-9))
  return float(np.partition(rewards, -count)[-count])


def reach(rewards: np.ndarray, entries: np.ndarray, reward: float) -> Reach:
  """Returns how soon searches reach a reward.

  Args:
    rewards: of every entry of the table.
    entries: what each search tried, `int[S, R]`.
    reward: what is to be reached.
  """
  is_reached = rewards[entries] >= reward
  has_reached = is_reached.any(axis=1)
  first = np.where(has_reached, 1 + is_reached.argmax(axis=1), np.inf)
  # Of an even number the upper one of the two in the middle: their mean could
  # be that of a number and infinity.
  median = np.sort(first)[len(first) // 2]
  return Reach(float(median), float(has_reached.mean()))


_REGRET = statistics.Measure('regret', is_higher_better=False, is_ratio=False)


def compare(
  regrets: Mapping[str, np.ndarray], baseline: np.ndarray
) -> dict[str, StrategyComparison]:
  """Compares strategies with another one on the same seeds.

  All are told together, so they share one correction; see `statistics.compare`.

  Args:
    regrets: final ones by strategy, `[S]`.
    baseline: those of the strategy that they are compared with, `[S]`.
  """
  differences = statistics.compare(
    _REGRET,
    [(finals, baseline) for finals in regrets.values()],
    is_paired=True,
  )
  return {
    name: StrategyComparison(
      difference,
      better=float(np.mean(finals < baseline)),
      equal=float(np.mean(finals == baseline)),
      worse=float(np.mean(finals > baseline)),
    )
    for (name, finals), difference in zip(
      regrets.items(), differences, strict=True
    )
  }


def distinct_part(entries: np.ndarray) -> float:
  """Returns which part of the trials were of new entries, `int[S, R]`."""
  num_new = 1 + (np.diff(np.sort(entries, axis=1), axis=1) != 0).sum(axis=1)
  return float(num_new.mean() / entries.shape[1])
