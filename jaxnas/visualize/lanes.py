# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Paths for lines between the boxes of a column, around those in between.

Boxes are numbered upwards. A line that passes boxes runs in a *lane* on one
side of them, and no two lines share part of a lane: lines may cross but never
overlap.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
import dataclasses
import itertools


@dataclasses.dataclass(frozen=True)
class Line:
  """A line from box to box.

  Attributes:
    source: the box that it leaves.
    target: the box that it enters, further up.
    side: the side on which the line passes: 1 for right, -1 for left, 0 if
      nothing is in between.
    lane: the position of the line's lane on that side, counted outwards.
  """

  source: int
  target: int
  side: int = 0
  lane: int = 0


def route(links: Iterable[tuple[int, int]]) -> list[Line]:
  """Returns a line per link, with lanes as close to the boxes as possible.

  The shortest lines are placed first, each on the side where it gets closer, or
  else on the side with fewer lines. Of two lines on one side, a line that spans
  the other runs outside of it, and any two cross at most once.

  Args:
    links: pairs of source and target, each once.
  """
  straight: list[Line] = []
  sides: dict[int, list[Line]] = {1: [], -1: []}
  for source, target in sorted(links, key=lambda link: link[1] - link[0]):
    if target - source == 1:
      straight.append(Line(source, target))
      continue
    lanes = {
      side: _free_lane(lines, source, target) for side, lines in sides.items()
    }
    side = min(sides, key=lambda side: (lanes[side], len(sides[side])))
    sides[side].append(Line(source, target, side, lanes[side]))
  return [*straight, *sides[1], *sides[-1]]


def ports(lines: Sequence[Line], box: int, side: int) -> list[Line]:
  """Returns the lines at a side of a box, upwards, so that none cross.

  Args:
    lines: all lines.
    box: the box.
    side: the side of the box, 1 for right and -1 for left.
  """
  beside = [line for line in lines if line.side == side]
  entering = [line for line in beside if line.target == box]
  leaving = [line for line in beside if line.source == box]
  return [
    *sorted(entering, key=lambda line: line.lane),
    *sorted(leaving, key=lambda line: -line.lane),
  ]


def num_lanes(lines: Sequence[Line], side: int) -> int:
  """Returns the number of lanes on a side.

  Args:
    lines: all lines.
    side: the side, 1 for right and -1 for left.
  """
  return max((line.lane + 1 for line in lines if line.side == side), default=0)


def _free_lane(lines: Sequence[Line], source: int, target: int) -> int:
  """Returns the innermost lane that is free from source to target.

  It lies outside of every shorter line that the new one spans, since all lanes
  inside of that line are taken.
  """
  # A line that ends where another starts leaves the lane below it.
  taken = {
    line.lane for line in lines if line.source < target and source < line.target
  }
  return next(lane for lane in itertools.count() if lane not in taken)
