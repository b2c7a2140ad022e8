# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A plot of scorers: how well they rank, and what they cost."""

from __future__ import annotations

from collections.abc import Sequence
import os
from typing import NamedTuple

import numpy as np

from jaxnas.visualize import colors, pictures


class Row(NamedTuple):
  """One scorer.

  Attributes:
    name: the scorer's name.
    values: one number from -1 to 1 for each measure; NaN where there is none.
    seconds: the cost of one cell, in seconds of a core; 0 for none.
  """

  name: str
  values: Sequence[float]
  seconds: float


def plot_scorers(
  path: str | os.PathLike[str],
  measures: Sequence[str],
  rows: Sequence[Row],
  title: str = '',
) -> None:
  """Plots a row of dots for each scorer, and its cost beside it.

  Args:
    path: the PNG file to write.
    measures: the names of the measures.
    rows: the scorers, from top to bottom.
    title: the title above the plot.

  Raises:
    ValueError: there is no scorer, or one lacks a measure.
  """
  if not rows:
    raise ValueError('A plot needs at least one scorer.')
  for row in rows:
    if len(row.values) != len(measures):
      raise ValueError(
        f'Scorer {row.name!r} needs {len(measures)} values, got '
        f'{len(row.values)}.'
      )
  picture = pictures.figure(8, 1.6 + 0.32 * len(rows))
  left, right = picture.subplots(1, 2, sharey=True, width_ratios=(3, 1))
  places = np.arange(len(rows))
  for index, measure in enumerate(measures):
    # Equal values stay visible beside each other.
    aside = 0.22 * (index - (len(measures) - 1) / 2)
    left.scatter(
      [row.values[index] for row in rows],
      places + aside,
      color=colors.COLORS[index % len(colors.COLORS)],
      label=measure,
      zorder=3,
    )
  left.axvline(0, color='0.4', linewidth=1)
  left.set_yticks(places, [row.name for row in rows])
  left.set_ylim(len(rows) - 0.5, -0.5)
  left.set_xlim(-1.05, 1.05)
  left.set_xlabel('rank correlation, or share')
  costs = np.array([row.seconds for row in rows])
  right.scatter(
    np.where(costs > 0, costs, np.nan), places, color='0.3', zorder=3
  )
  if (costs > 0).any():
    right.set_xscale('log')
  right.set_xlabel('core-seconds each')
  for panel in (left, right):
    panel.grid(alpha=0.3, linewidth=0.5)
    panel.spines[['top', 'right']].set_visible(False)
  picture.suptitle(title, fontsize=10, x=0.01, ha='left')
  picture.legend(
    *left.get_legend_handles_labels(),
    loc='outside lower center',
    ncols=len(measures),
    frameon=False,
    fontsize=9,
  )
  picture.savefig(path, dpi=130, format='png')
