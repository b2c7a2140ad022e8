# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import itertools

import numpy as np
import pytest

from jaxnas import fronts


def drawn(num_points, num_objectives, seed, high=6):
  generator = np.random.default_rng(seed)
  # Few values, so that there are ties and equal points.
  return generator.integers(0, high, (num_points, num_objectives)).astype(float)


def dominates(one, other):
  return all(one >= other) and any(one > other)


@pytest.mark.parametrize('num_objectives', [1, 2, 3])
@pytest.mark.parametrize('seed', range(4))
def test_the_front_is_that_of_brute_force(num_objectives, seed):
  points = drawn(25, num_objectives, seed)
  dominated = [any(dominates(o, each) for o in points) for each in points]
  np.testing.assert_array_equal(fronts.is_dominated(points), dominated)
  rows = fronts.front(points)
  left = {
    tuple(p) for p, is_out in zip(points, dominated, strict=True) if not is_out
  }
  assert [tuple(points[row]) for row in rows] == sorted(left, reverse=True)
  for row in rows:
    assert not (points[:row] == points[row]).all(axis=1).any()


@pytest.mark.parametrize('num_objectives', [2, 3])
@pytest.mark.parametrize('seed', range(4))
def test_the_hypervolume_is_that_of_the_cells_of_a_grid(num_objectives, seed):
  points = drawn(8, num_objectives, seed, high=7) - 1
  reference = [0, 1, -1][:num_objectives]
  cells = itertools.product(*(range(low, 6) for low in reference))
  inside = sum(
    any(all(point >= np.array(cell) + 1) for point in points) for cell in cells
  )
  assert fronts.hypervolume(points, reference) == pytest.approx(inside)


def test_volumes_are_worked_out_by_hand():
  assert fronts.hypervolume([[2, 1], [1, 3], [1, 1]], (0, 0)) == 4
  assert fronts.hypervolume([[2, 1], [1, 3]], (0, 1)) == 2
  assert fronts.hypervolume([[2, 1, 1], [1, 2, 3]], (0, 0, 0)) == 7
  assert fronts.hypervolume([[0, 5], [5, 0]], (0, 0)) == 0
  assert fronts.hypervolume(np.zeros((0, 2)), (0, 0)) == 0


def test_the_knee_is_farthest_from_the_line_between_the_ends():
  points = [[0, 10], [10, 0], [6, 6], [4, 7], [1, 1], [9, 1]]
  assert fronts.knee(points) == 2
  # A scale of its own for each objective changes nothing.
  assert fronts.knee(np.array(points) * [1, 1000] + [5, 0]) == 2
  # Of equals the best in the first objective; of one point, that.
  assert fronts.knee([[0, 1], [1, 0]]) == 1
  assert fronts.knee([[3, 3], [1, 1]]) == 0


@pytest.mark.parametrize(
  ('call', 'message'),
  [
    (lambda: fronts.hypervolume([[1.0]], [0]), 'two or three objectives'),
    (lambda: fronts.hypervolume([[1, 2]], [0, 0, 0]), 'got 2 and 3'),
    (lambda: fronts.front([[1, np.nan]]), 'must be finite numbers'),
    (lambda: fronts.front([1, 2]), r'got the shape \[2\]'),
    (lambda: fronts.knee(np.zeros((0, 2))), 'at least one point'),
  ],
)
def test_bad_points_are_refused(call, message):
  with pytest.raises(ValueError, match=message):
    call()
