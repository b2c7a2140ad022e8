# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Plots of how well each generation of controllers searched."""

from __future__ import annotations

from collections.abc import Sequence
import os

import numpy as np

from jaxnas import statistics, succession
from jaxnas.visualize import colors, pictures

_COLORS = dict(
  zip((succession.CONTROL, succession.SUCCESSION), colors.COLORS, strict=False)
)
_LABELS = {
  succession.CONTROL: 'control: always an LSTM',
  succession.SUCCESSION: 'succession: the best cell of the generation before',
}


def plot_succession(
  path: str | os.PathLike[str], generations: Sequence[succession.Generation]
) -> None:
  """Plots what each generation found, and how quickly.

  The left panel shows the best reward that a search found, the right one the
  area under its anytime curve. Both show means over lineages with 95 %
  intervals, and each lineage as a dot.

  Args:
    path: the PNG file to write.
    generations: the generations of both branches, including generation 0.
  """
  picture = pictures.figure(10, 4.2)
  panels = picture.subplots(1, 2)
  for panel, field, label in zip(
    panels,
    ('rewards', 'areas'),
    ('best reward', 'mean of the best reward so far'),
    strict=True,
  ):
    for branch, shift in (
      (succession.CONTROL, -0.08),
      (succession.SUCCESSION, 0.08),
    ):
      mine = sorted(
        (
          each
          for each in generations
          if each.branch == branch or each.number == 0
        ),
        key=lambda each: each.number,
      )
      _plot_branch(panel, branch, shift, mine, field)
    panel.set_xlabel('generation')
    panel.set_ylabel(label)
    panel.xaxis.get_major_locator().set_params(integer=True)
    panel.ticklabel_format(axis='y', style='plain', useOffset=False)
    panel.grid(alpha=0.3)
    panel.spines[['top', 'right']].set_visible(False)
  handles, labels = panels[0].get_legend_handles_labels()
  picture.legend(
    handles,
    labels,
    loc='outside lower center',
    ncols=2,
    frameon=False,
    fontsize=8,
  )
  picture.savefig(path, dpi=130, format='png')


def _plot_branch(panel, branch, shift, generations, field) -> None:
  places, values = [], []
  for generation in generations:
    mine = np.asarray(getattr(generation, field))
    places.append(generation.number + shift)
    values.append(statistics.mean_interval(mine))
    panel.plot(
      np.full(len(mine), places[-1]),
      mine,
      '.',
      color=_COLORS[branch],
      alpha=0.25,
      markersize=4,
    )
  means = np.array([each.value for each in values])
  errors = [
    [each.value - each.low for each in values],
    [each.high - each.value for each in values],
  ]
  panel.errorbar(
    places,
    means,
    # A single lineage has no interval.
    np.nan_to_num(errors),
    color=_COLORS[branch],
    marker='o',
    capsize=3,
    label=_LABELS[branch],
  )
