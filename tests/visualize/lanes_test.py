# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of the ways of lines past boxes."""

import itertools

import numpy as np
import pytest

from jaxnas.visualize import lanes


def random_links(num_boxes, probability, seed):
  generator = np.random.default_rng(seed)
  return [
    (source, target)
    for source, target in itertools.combinations(range(num_boxes), 2)
    if generator.random() < probability
  ]


def num_crossings(first, second, heights):
  """How often two lines on a side cross, with a line's bends square."""
  return sum(
    other.lane < line.lane
    and heights[other, other.source] < heights[line, box]
    and heights[line, box] < heights[other, other.target]
    for line, other in ((first, second), (second, first))
    for box in (line.source, line.target)
  )


@pytest.mark.parametrize(
  'links',
  [
    random_links(2, 1, 0),
    random_links(17, 1, 0),
    *(random_links(12, 0.5, seed) for seed in range(5)),
    *(random_links(24, 0.2, seed) for seed in range(5)),
  ],
)
def test_lines_are_nested_or_cross_once(links):
  lines = lanes.route(links)
  assert sorted((line.source, line.target) for line in lines) == sorted(links)
  for line in lines:
    assert bool(line.side) == (line.target - line.source > 1)
  boxes = range(1 + max(target for _, target in links))
  for side in (1, -1):
    heights = {
      (line, box): (box, port)
      for box in boxes
      for port, line in enumerate(lanes.ports(lines, box, side))
    }
    beside = [line for line in lines if line.side == side]
    assert len(heights) == 2 * len(beside)
    assert lanes.num_lanes(lines, side) == len({line.lane for line in beside})
    for first, second in itertools.permutations(beside, 2):
      spans = first.source <= second.source and second.target <= first.target
      if spans:
        assert first.lane > second.lane
      if first.source < second.target and second.source < first.target:
        assert first.lane != second.lane
      assert num_crossings(first, second, heights) <= (0 if spans else 1)


def test_both_sides_are_used_alike():
  lines = lanes.route(random_links(17, 1, 0))
  left, right = (sum(line.side == side for line in lines) for side in (-1, 1))
  assert abs(left - right) <= 2
  assert abs(lanes.num_lanes(lines, 1) - lanes.num_lanes(lines, -1)) <= 2


def test_lanes_by_hand():
  lines = lanes.route([(0, 3), (0, 1), (3, 5), (0, 2), (1, 3), (0, 5)])
  assert set(lines) == {
    lanes.Line(0, 1),
    lanes.Line(3, 5, 1, 0),
    # The lane of the line above is free here: it starts where this one ends.
    lanes.Line(1, 3, 1, 0),
    lanes.Line(0, 2, -1, 0),
    lanes.Line(0, 3, -1, 1),
    lanes.Line(0, 5, 1, 1),
  }
  assert lanes.ports(lines, 3, 1) == [
    lanes.Line(1, 3, 1, 0),
    lanes.Line(3, 5, 1, 0),
  ]
  assert lanes.ports(lines, 0, -1) == [
    lanes.Line(0, 3, -1, 1),
    lanes.Line(0, 2, -1, 0),
  ]
  assert lanes.num_lanes([], 1) == 0
