# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Values as dots on one axis, a row for each group, for a web page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxnas import statistics
from jaxnas.visualize import markup

MAX_DOTS = 4000
"""A drawing has no more dots; others are left out, evenly."""


class Row(NamedTuple):
  """The values of a group.

  Attributes:
    name: the group's name.
    values: the finite values, `[P]`.
    is_marked: whether the row has the color of what was found.
  """

  name: str
  values: np.ndarray
  is_marked: bool = False


def draw(
  measure: statistics.Measure,
  rows: Sequence[Row],
  dots: str = 'trainings',
  has_intervals: bool = True,
) -> str:
  """Returns a line for each row with its values, their mean and its interval.

  Args:
    measure: the measure of the values.
    rows: the rows; without any value, nothing is drawn.
    dots: what the dots are.
    has_intervals: whether the values of a row are independent, so that their
      mean has an interval.
  """
  everything = np.concatenate([*(row.values for row in rows), np.array([])])
  if not len(everything):
    return ''
  low, high = float(everything.min()), float(everything.max())
  room = 0.35 * (high - low) or 0.05 * abs(high) or 1.0
  low, high = low - room, high + room

  def place(value: float) -> float:
    return min(100.0, max(0.0, 100 * (value - low) / (high - low)))

  lines = []
  most = max(1, MAX_DOTS // len(rows))
  for row in rows:
    marks = ''
    if len(row.values) > 1:
      mean, left, right = mean_interval(measure, row.values)
      if has_intervals:
        width = place(right) - place(left)
        marks += f'<s style="left:{place(left):.1f}%;width:{width:.1f}%"></s>'
      marks += f'<u style="left:{place(mean):.1f}%"></u>'
    marks += ''.join(
      f'<b style="left:{place(each):.1f}%"></b>'
      for each in _thinned(row.values, most)
    )
    kind = ' class="found"' if row.is_marked else ''
    lines.append(
      f'<li{kind}><span>{markup.escape(row.name)}</span><i>{marks}</i></li>'
    )
  mean = (
    'Tick and bar: their mean and its 95 % interval, cut at the edge.'
    if has_intervals
    else 'Tick: their mean.'
  )
  if any(len(row.values) > most for row in rows):
    dots += f', {most:,} of a row'
  better = 'right' if measure.is_higher_better else 'left'
  return (
    f'<ul class="intervals" aria-hidden="true">{"".join(lines)}</ul>'
    + markup.paragraphs(
      [
        f'Dots: {dots}. {mean} Better is to the {better}; the axis goes from '
        f'{measure.text(low)} to {measure.text(high)}.'
      ],
      'note',
    )
  )


def _thinned(values: np.ndarray, most: int) -> np.ndarray:
  """Returns at most so many values, from the least to the greatest."""
  if len(values) <= most:
    return values
  kept = np.linspace(0, len(values) - 1, most).astype(int)
  return np.sort(values)[kept]


def mean_interval(
  measure: statistics.Measure, values: np.ndarray
) -> statistics.Interval:
  """Returns the mean with its interval, of ratios on the logarithmic scale.

  That is the scale on which they are compared, and no end is below 0.

  Args:
    measure: the measure of the values.
    values: the finite values, `[P]`, at least one.
  """
  if not measure.is_ratio or values.min() <= 0:
    return statistics.mean_interval(values)
  logs = statistics.mean_interval(np.log(values))
  return statistics.Interval(*map(np.exp, logs))
