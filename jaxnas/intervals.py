# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""What independent values tell: means, ratios and shares with their intervals.

`S` is the number of values, one a seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import stats


class Interval(NamedTuple):
  """An estimate with its confidence interval.

  Attributes:
    value: an array, or a number.
    low: the interval's lower end; NaN where a single value gives none.
    high: its upper end, likewise.
  """

  value: Any
  low: Any
  high: Any


def of_mean(values: np.ndarray, confidence: float = 0.95) -> Interval:
  """Returns the mean over the first axis, with Student's interval.

  Args:
    values: independent along the first axis, `[S, ...]`.
    confidence: of the interval.
  """
  values = np.asarray(values, np.float64)
  mean = values.mean(axis=0)
  if len(values) < 2:
    nothing = np.full_like(mean, np.nan)
    return Interval(mean, nothing, nothing)
  quantile = stats.t.ppf((1 + confidence) / 2, len(values) - 1)
  width = quantile * values.std(axis=0, ddof=1) / np.sqrt(len(values))
  return Interval(mean, mean - width, mean + width)


def of_ratio(
  values: Sequence[float], others: Sequence[float], confidence: float = 0.95
) -> Interval:
  """Returns the geometric mean of the ratio of paired values, at least 0.

  Args:
    values: the numerators, `[S]`.
    others: the denominators, `[S]`.
    confidence: of the interval.
  """
  # A search in which every trial failed has nothing but floor rewards.
  smallest = np.finfo(np.float32).tiny
  logs = np.log(np.maximum(values, smallest) / np.maximum(others, smallest))
  return Interval(*(float(np.exp(x)) for x in of_mean(logs, confidence)))


def of_share(is_true: np.ndarray, confidence: float = 0.95) -> Interval:
  """Returns how often something is true, with Wilson's interval.

  Args:
    is_true: `bool[S]`.
    confidence: of the interval.
  """
  count, total = int(np.sum(is_true)), len(is_true)
  bounds = stats.binomtest(count, total).proportion_ci(
    confidence, method='wilson'
  )
  return Interval(count / total, float(bounds.low), float(bounds.high))
