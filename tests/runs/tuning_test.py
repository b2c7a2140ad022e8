# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of the order of a grid; `tune_found_test` has those of whole runs."""

import numpy as np
import pytest

from jaxnas.runs import tuning

GRID = {'rate': (0.1, 0.2, 0.4), 'scale': (1, 2), 'name': ('a', 'b', 'c')}


def points(seed=0, **usual):
  space = tuning.make_space(GRID)
  return [
    dict(space.decode(row))
    for row in tuning.order(
      space, {'rate': 0.2, 'scale': 1, 'name': 'c'} | usual, seed
    )
  ]


def test_each_point_comes_once_in_random_order_and_the_usual_one_first():
  first = points()
  assert first[0] == {'rate': 0.2, 'scale': 1, 'name': 'c'}
  assert len({tuple(point.values()) for point in first}) == len(first) == 18
  assert points() == first
  other = points(seed=1)
  assert other[0] == first[0]
  assert other != first


def test_usual_values_that_are_not_on_the_grid_come_not_at_all():
  there = points(name='d')
  assert len(there) == 18
  assert all(point['name'] != 'd' for point in there)
  # The order is that of the others, not of the grid.
  rates = [point['rate'] for point in there]
  assert rates != sorted(rates)


def test_a_grid_is_as_large_as_it_may_be():
  assert tuning.make_space({'a': range(316), 'b': range(316)}).size == 316**2
  with pytest.raises(ValueError, match=r'has 100,489 points, but at most'):
    tuning.make_space({'a': range(317), 'b': range(317)})
  with pytest.raises(ValueError, match='at least one value of b'):
    tuning.make_space({'a': (1, 2), 'b': ()})
  order = tuning.order(tuning.make_space({'a': range(3)}), {'a': 1}, 0)
  np.testing.assert_array_equal(np.sort(order[:, 0]), [0, 1, 2])
