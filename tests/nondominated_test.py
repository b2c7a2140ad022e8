# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas import fronts, nondominated

POINTS = np.random.default_rng(0).integers(0, 5, (6, 14, 2)).astype(np.float32)
VALID = np.random.default_rng(1).random((6, 14)) < 0.8


def peeled(points, is_valid):
  """Ranks by taking one front after another away."""
  rank = np.full(len(points), len(points))
  left = np.flatnonzero(is_valid)
  for number in range(len(points)):
    if not left.size:
      break
    is_out = fronts.is_dominated(points[left])
    rank[left[~is_out]] = number
    left = left[is_out]
  return rank


def crowded(points, rank):
  """The paper's procedure, front by front."""
  distance = np.zeros(len(points))
  for number in set(rank):
    rows = np.flatnonzero(rank == number)
    for value in points.T:
      order = rows[np.argsort(value[rows], kind='stable')]
      distance[order[[0, -1]]] = np.inf
      span = np.ptp(value[rows])
      for before, row, after in zip(order, order[1:], order[2:], strict=False):
        if span:
          distance[row] += (value[after] - value[before]) / span
  return distance


def test_ranks_are_those_of_one_front_after_another():
  found = jax.jit(jax.vmap(nondominated.ranks))(POINTS, VALID)
  for row, points in enumerate(POINTS):
    np.testing.assert_array_equal(found[row], peeled(points, VALID[row]))


def test_crowding_is_the_papers():
  ranks = np.stack([peeled(each, np.ones(14, bool)) for each in POINTS])
  found = jax.jit(jax.vmap(nondominated.crowding))(POINTS, ranks)
  for row, points in enumerate(POINTS):
    np.testing.assert_allclose(
      found[row], crowded(points, ranks[row]), rtol=1e-5
    )


def test_the_order_is_by_rank_and_then_by_crowding():
  # A front of four, of which the second stands close to the first, and a point
  # that all dominate.
  points = jnp.array([[0, 10.0], [1, 9], [5, 5], [10, 0], [0, 0]])
  assert nondominated.order(points).tolist() == [0, 3, 2, 1, 4]
  is_valid = jnp.array([True, True, False, True, True])
  assert nondominated.order(points, is_valid).tolist() == [0, 3, 1, 4, 2]
