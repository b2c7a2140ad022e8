# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""How far estimates of a gradient are from the exact one.

All numbers are relative to the norm of the exact gradient, of which the square
in a variance. Letters: `R` estimates, `V` components.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import math
from typing import NamedTuple

import numpy as np

# Of a normal distribution, two-sided, 95 %.
_QUANTILE = 1.959964


class Errors(NamedTuple):
  """The errors of an estimator.

  Attributes:
    bias: the norm of the mean estimate less the exact gradient, without what
      the noise of the mean adds to its square; 0 where that is more than all.
    bias_interval: its 95 % interval.
    variance: the sum of all components' variances, by the number of draws that
      an estimate is made of; NaN where there is none.
    mean_cosine: the cosine of the angle between the mean estimate and the exact
      gradient.
    cosine: the mean of that of single estimates, by the number of draws.
    num_dropped: the number of estimates that were not finite, and left out.
  """

  bias: float
  bias_interval: tuple[float, float]
  variance: Mapping[int, float]
  mean_cosine: float
  cosine: Mapping[int, float]
  num_dropped: int

  def total(self, num_draws: int) -> float:
    """Returns the root of the mean squared error at a number of draws."""
    return math.sqrt(self.bias**2 + self.variance[num_draws])


def judge(
  estimates: Mapping[int, np.ndarray],
  exact: np.ndarray,
  num_draws: Sequence[int],
) -> Errors:
  """Compares independent estimates with the exact gradient.

  Args:
    estimates: estimates made of so many draws each, `[R, V]`; those of 1 draw
      stand for the means of more, which are made of them, where there are no
      others. Without noise, one estimate is enough.
    exact: the exact gradient, `[V]`, not zero.
    num_draws: the numbers of draws that variances and cosines are wanted for.

  Raises:
    ValueError: the exact gradient is zero, or no estimate is finite.
  """
  norm = float(np.linalg.norm(exact))
  if not norm > 0:
    raise ValueError(
      'The exact gradient is zero, so no error is relative to it.'
    )
  exact = np.asarray(exact, np.float64) / norm
  finite = {
    each: rows[np.isfinite(rows).all(-1)].astype(np.float64) / norm
    for each, rows in estimates.items()
  }
  if not all(len(rows) for rows in finite.values()):
    raise ValueError('No estimate of the gradient is finite.')
  most = max(finite, key=lambda each: each * len(finite[each]))
  bias, interval = _bias(finite[most], exact)
  variance, cosine = {}, {}
  for wanted in num_draws:
    each = wanted if wanted in finite else 1
    variance[wanted] = cosine[wanted] = math.nan
    if each in finite:
      rows = finite[each]
      variance[wanted] = _variance(rows) * each / wanted
      cosine[wanted] = float(
        _cosines(_means(rows, wanted // each), exact).mean()
      )
  return Errors(
    bias,
    interval,
    variance,
    float(_cosines(finite[most].mean(0)[None], exact)[0]),
    cosine,
    sum(map(len, estimates.values())) - sum(map(len, finite.values())),
  )


def _means(rows: np.ndarray, size: int) -> np.ndarray:
  """Returns the means of groups of rows; of one row alone, itself."""
  if len(rows) == 1:
    return rows
  count = len(rows) // size
  if not count:
    return np.full((1, rows.shape[1]), np.nan)
  return rows[: count * size].reshape(count, size, -1).mean(1)


def _variance(rows: np.ndarray) -> float:
  return float(rows.var(0, ddof=1).sum()) if len(rows) > 1 else 0.0


def _bias(
  rows: np.ndarray, exact: np.ndarray
) -> tuple[float, tuple[float, float]]:
  """Returns the norm of the bias and its interval.

  The squared distance of the mean is larger than that of the expectation by
  `tr(S) / R` on average, where `S` is the covariance of an estimate, and its
  variance is about `4 d' S d / R + 2 tr(S^2) / R^2` for a distance `d`.
  """
  distance = rows.mean(0) - exact
  square = float(distance @ distance)
  if len(rows) == 1:
    return math.sqrt(square), (math.sqrt(square),) * 2
  count = len(rows)
  square -= _variance(rows) / count
  along = float((rows @ distance).var(ddof=1))
  covariance = np.atleast_2d(np.cov(rows.T))
  spread = math.sqrt(
    4 * along / count + 2 * float((covariance**2).sum()) / count**2
  )
  low, high = (
    math.sqrt(max(0.0, square + sign * _QUANTILE * spread)) for sign in (-1, 1)
  )
  return math.sqrt(max(0.0, square)), (low, high)


def _cosines(rows: np.ndarray, exact: np.ndarray) -> np.ndarray:
  """Returns the cosine of each row with a unit vector; 0 of a row of zeros."""
  norms = np.linalg.norm(rows, axis=-1)
  return rows @ exact / np.where(norms > 0, norms, 1.0)
