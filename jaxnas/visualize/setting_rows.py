# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Trainings by one of their settings at a time, for a web page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxnas import statistics
from jaxnas.records import summary as summary_lib
from jaxnas.visualize import dot_rows, markup

# What is so many times as far from the best as most are would press the others
# together.
_FAR = 4
_MAX_VALUES = 60


def draw(
  measure: statistics.Measure,
  decisions: Sequence[summary_lib.Options],
  points: Sequence[tuple[Mapping[str, Any], float]],
  usual: Mapping[str, Any],
) -> str:
  """Returns a row of dots for each value of each setting that has several.

  Args:
    measure: the measure of the trainings.
    decisions: the settings and their values, in words.
    points: the settings of each training and its measure, the best one first.
    usual: the usual settings, whose rows say so.
  """
  several = [each for each in decisions if len(each.labels) > 1]
  if len(points) < 2 or not several:
    return markup.paragraphs(['There is nothing to compare.'])
  shown = _comparable(points)
  left = len(points) - len(shown)
  best, _ = points[0]
  parts = [
    markup.paragraphs(
      [
        'All trainings by one setting at a time, whatever the others were. '
        'With few trainings of a value, the others decide as much as it does.'
        + (f' {left:,} that are much worse are left out.' if left else '')
      ]
    )
  ]
  for options in several:
    heading = f'<h3>{markup.escape(options.name)}</h3>'
    if len(options.labels) > _MAX_VALUES:
      told = f'{len(options.labels):,} values are too many to be shown.'
      parts.append(heading + markup.paragraphs([told], 'note'))
      continue
    rows = []
    for label in options.labels:
      values = [
        value
        for point, value in shown
        if markup.shorten(str(point.get(options.name))) == label
      ]
      is_usual = markup.shorten(str(usual.get(options.name))) == label
      is_best = markup.shorten(str(best.get(options.name))) == label
      name = f'{label} (usual)' if is_usual else label
      rows.append(dot_rows.Row(name, np.array(values), is_best))
    drawn = dot_rows.draw(measure, rows, has_intervals=False)
    parts.append(heading + drawn)
  return ''.join(parts)


def _comparable(
  points: Sequence[tuple[Mapping[str, Any], float]],
) -> list[tuple[Mapping[str, Any], float]]:
  """Returns the trainings that fit one axis."""
  values = np.array([value for _, value in points])
  distances = np.abs(values - values[0])
  limit = _FAR * np.quantile(distances, 0.75)
  if not limit:
    return list(points)
  return [
    point
    for point, distance in zip(points, distances, strict=True)
    if distance <= limit
  ]
