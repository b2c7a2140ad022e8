# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Plots of regret: how far searches of a table are from its best entry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
import os

import numpy as np

from jaxnas.visualize import colors, pictures


@dataclasses.dataclass(frozen=True)
class RegretCurve:
  """The mean regret of one strategy, with its interval.

  Attributes:
    name: the strategy's name.
    mean: the mean regret after every trial.
    low: the lower end of the interval; NaN where there is none.
    high: the upper end of the interval.
    color: the place of its color; that of the curve by default.
    is_dashed: whether its line is dashed.
  """

  name: str
  mean: Sequence[float]
  low: Sequence[float]
  high: Sequence[float]
  color: int | None = None
  is_dashed: bool = False

  def __post_init__(self):
    lengths = {len(self.mean), len(self.low), len(self.high)}
    if lengths == {0} or len(lengths) > 1:
      raise ValueError(
        f'Curve {self.name!r} needs a mean and both ends for every trial, got '
        f'{len(self.mean)}, {len(self.low)} and {len(self.high)} values.'
      )


def plot_regret(
  path: str | os.PathLike[str],
  curves: Sequence[RegretCurve],
  levels: Mapping[str, float] | None = None,
  title: str = '',
  cost: str = 'trials',
) -> None:
  """Plots regret against trials, or another cost, on logarithmic axes.

  A regret of 0, which has no logarithm, is drawn below all others: at half of
  the smallest nonzero mean.

  Args:
    path: the PNG file to write.
    curves: the curves, one per strategy.
    levels: the regrets to mark with a line, by label; those below all curves,
      such as 0, are left out.
    title: the title above the plot.
    cost: what the places of a curve count.

  Raises:
    ValueError: there is no curve.
  """
  if not curves:
    raise ValueError('A plot needs at least one curve.')
  picture = pictures.figure(7, 4.6)
  panel = picture.subplots()
  least = _least_shown(curves)
  for index, curve in enumerate(curves):
    place = index if curve.color is None else curve.color
    color = colors.COLORS[place % len(colors.COLORS)]
    trials = np.arange(1, len(curve.mean) + 1)
    panel.plot(
      trials,
      np.maximum(curve.mean, least),
      color=color,
      label=curve.name,
      linestyle='--' if curve.is_dashed else '-',
      # A line through a single point would be invisible.
      marker='o' if len(trials) == 1 else None,
    )
    low, high = (np.maximum(end, least) for end in (curve.low, curve.high))
    panel.fill_between(trials, low, high, color=color, alpha=0.2, linewidth=0)
  for name, level in (levels or {}).items():
    if level >= least:
      panel.axhline(level, color='0.4', linestyle=':', linewidth=1)
      panel.annotate(
        name,
        (0, level),
        xycoords=('axes fraction', 'data'),
        xytext=(4, 2),
        textcoords='offset points',
        fontsize=8,
        color='0.3',
      )
  panel.set_xscale('log')
  panel.set_yscale('log')
  panel.set_xlim(1, max(2, *(len(curve.mean) for curve in curves)))
  panel.set_xlabel(cost)
  panel.set_ylabel('regret: best reward less best so far')
  panel.set_title(title, fontsize=10, loc='left')
  panel.grid(alpha=0.3, which='both', linewidth=0.5)
  panel.spines[['top', 'right']].set_visible(False)
  panel.legend(frameon=False, fontsize=9)
  picture.savefig(path, dpi=130, format='png')


def _least_shown(curves: Sequence[RegretCurve]) -> float:
  """Returns the value to draw for a regret of 0, which has no logarithm."""
  values = np.concatenate([np.asarray(curve.mean, float) for curve in curves])
  positive = values[values > 0]
  return float(positive.min()) / 2 if positive.size else 1.0
