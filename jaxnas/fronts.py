# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Fronts of several objectives: what is not dominated, and how much that is.

More is better in every objective here; negate what should be small, such as a
cost. A point *dominates* another if it is at least as good in all objectives
and better in one. The *front* is all that nothing dominates.

Letters: `N` points, `M` objectives.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def is_dominated(points: npt.ArrayLike) -> np.ndarray:
  """Returns which points another point dominates, `bool[N]`.

  Args:
    points: the points, `[N, M]`.
  """
  distinct, inverse = np.unique(_checked(points), axis=0, return_inverse=True)
  # Whatever dominates a point comes after it in this order, and so does a point
  # of the front that dominates both.
  best = np.empty_like(distinct)
  is_out = np.zeros(len(distinct), bool)
  size = 0
  for row in reversed(range(len(distinct))):
    is_out[row] = (best[:size] >= distinct[row]).all(axis=1).any()
    if not is_out[row]:
      best[size] = distinct[row]
      size += 1
  return is_out[inverse.reshape(-1)]


def front(points: npt.ArrayLike) -> list[int]:
  """Returns the rows of the front, the best in the first objective first.

  Of equal points only the first is among them.

  Args:
    points: the points, `[N, M]`.
  """
  values = _checked(points)
  left = np.flatnonzero(~is_dominated(values))
  _, first = np.unique(values[left], axis=0, return_index=True)
  rows = left[np.sort(first)]
  order = np.lexsort((*(-values[rows].T[::-1]),))
  return rows[order].tolist()


def knee(points: npt.ArrayLike) -> int:
  """Returns the row of the front's knee, where most is had for the least.

  Objectives are scaled so that the front spans from 0 to 1 in each; the knee
  has the largest sum. With two objectives it is the point that is farthest from
  the line between the front's ends ("Finding Knees in Multi-objective
  Optimization", Branke et al., 2004). Of equal ones it is the best in the first
  objective.

  Args:
    points: the points, `[N, M]`, at least one.
  """
  values = _checked(points)
  rows = front(values)
  if not rows:
    raise ValueError('A knee needs at least one point, got none.')
  least, most = values[rows].min(axis=0), values[rows].max(axis=0)
  span = np.where(most > least, most - least, 1.0)
  sums = ((values[rows] - least) / span).sum(axis=1)
  # Rounding must not decide among equal sums.
  return rows[int(np.argmax(np.round(sums, 12)))]


def hypervolume(points: npt.ArrayLike, reference: Sequence[float]) -> float:
  """Returns the volume that points dominate above a reference, exactly.

  "Multiobjective Evolutionary Algorithms: A Comparative Case Study and the
  Strength Pareto Approach", Zitzler and Thiele, 1999.

  Args:
    points: the points, `[N, M]` with two or three objectives; what is not
      better than the reference in all of them adds nothing.
    reference: a point that is worse than all that should count, `[M]`.

  Raises:
    ValueError: there are neither two nor three objectives.
  """
  origin, values = np.asarray(reference, np.float64), _checked(points)
  if origin.shape not in ((2,), (3,)) or values.shape[1] != len(origin):
    raise ValueError(
      'A hypervolume is of two or three objectives and a reference of as many; '
      f'got {values.shape[1]} and {origin.size}.'
    )
  values = values - origin[None]
  values = values[(values > 0).all(axis=1)]
  return _area(values) if len(origin) == 2 else _volume(values)


def _area(values: np.ndarray) -> float:
  """Returns the area between the origin and a staircase of points."""
  area = height = 0.0
  for width, top in values[np.argsort(-values[:, 0], kind='stable')]:
    area += width * max(0.0, top - height)
    height = max(height, top)
  return float(area)


def _volume(values: np.ndarray) -> float:
  """Returns the sum over slabs, between one point's height and the next's."""
  order = np.argsort(-values[:, 2], kind='stable')
  heights = np.append(values[order, 2], 0.0)
  return sum(
    _area(values[order[: place + 1], :2])
    * (heights[place] - heights[place + 1])
    for place in range(len(order))
    if heights[place] > heights[place + 1]
  )


def _checked(points: npt.ArrayLike) -> np.ndarray:
  values = np.asarray(points, np.float64)
  if values.ndim != 2 or not np.isfinite(values).all():
    raise ValueError(
      'Points must be finite numbers of the shape [N, M], got the shape '
      f'{list(values.shape)}.'
    )
  return values
