# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A plot of estimators: bias and variance against temperature."""

from __future__ import annotations

from collections.abc import Sequence
import os
from typing import Any, NamedTuple

import numpy as np

from jaxnas.visualize import colors, pictures


class Series(NamedTuple):
  """An estimator at some temperatures, or at none, as a level line.

  Attributes:
    name: the estimator's name.
    temperatures: the temperatures, ascending; `None` for an estimator without.
    biases: the bias at each, or one number.
    intervals: the interval of each bias.
    variances: the variance at each, or one number; 0 is not drawn.
    variant_of: the name of the estimator whose color this one shares, as a
      dotted line; `None` for a color of its own.
  """

  name: str
  temperatures: Sequence[float] | None
  biases: Sequence[float]
  intervals: Sequence[tuple[float, float]]
  variances: Sequence[float]
  variant_of: str | None = None


class Panel(NamedTuple):
  """Estimators of one gradient.

  Attributes:
    title: what the gradient is of.
    series: the estimators; the same name has the same color in all panels.
  """

  title: str
  series: Sequence[Series]


_MARKERS = 'os^vD'
# What is larger says nothing but that there is no use in it.
_MAX_BIAS = 1.6
_MAX_VARIANCE = 1e3


def plot_estimators(
  path: str | os.PathLike[str],
  panels: Sequence[Panel],
  variance_label: str = 'variance',
  title: str = '',
) -> None:
  """Plots biases above variances, with a column for each panel.

  What is too large for the scale, or whose interval is, is not drawn; a line
  names the estimators that this happens to.

  Args:
    path: the PNG file to write.
    panels: the columns, from left to right.
    variance_label: the label of the lower axes.
    title: the title above the plot.

  Raises:
    ValueError: there is nothing to plot, or an estimator lacks a number.
  """
  if not panels or not all(panel.series for panel in panels):
    raise ValueError('A plot needs at least one panel, and each an estimator.')
  for each in (each for panel in panels for each in panel.series):
    count = 1 if each.temperatures is None else len(each.temperatures)
    for values in (each.biases, each.intervals, each.variances):
      if len(values) != count:
        raise ValueError(
          f'Estimator {each.name!r} needs {count} values of a kind, got '
          f'{len(values)}.'
        )
  names = list(dict.fromkeys(s.name for panel in panels for s in panel.series))
  own = list(
    dict.fromkeys(
      each.variant_of or each.name for panel in panels for each in panel.series
    )
  )
  picture = pictures.figure(1.2 + 3.1 * len(panels), 6)
  axes = picture.subplots(
    2, len(panels), sharex=True, sharey='row', squeeze=False
  )
  for (above, below), panel in zip(axes.T, panels, strict=True):
    _draw_panel(above, below, panel, own)
  axes[0, 0].set_ylabel('bias')
  axes[1, 0].set_ylabel(variance_label)
  axes[0, 0].set_ylim(0, _MAX_BIAS)
  for axis in axes.flat:
    axis.grid(alpha=0.3, linewidth=0.5)
    axis.spines[['top', 'right']].set_visible(False)
  picture.suptitle(title, fontsize=10, x=0.01, ha='left')
  picture.legend(
    *_legend(axes, names),
    loc='outside lower center',
    ncols=min(len(names), 3),
    frameon=False,
    fontsize=9,
  )
  picture.savefig(path, dpi=130, format='png')


def _draw_panel(above, below, panel, own) -> None:
  above.set_title(panel.title, fontsize=10)
  off_scale = []
  for each in panel.series:
    place = own.index(each.variant_of or each.name)
    low, high = np.transpose(each.intervals)
    variances = np.asarray(each.variances, float)
    is_known = (high <= _MAX_BIAS) & (variances <= _MAX_VARIANCE)
    if not is_known.all():
      off_scale.append(each.name)
    _draw_line(above, each, np.where(is_known, each.biases, np.nan), place)
    if each.temperatures is not None:
      above.fill_between(
        each.temperatures,
        low,
        high,
        where=is_known,
        color=_color(place),
        alpha=0.2,
        lw=0,
      )
    is_drawn = (variances > 0) & (variances <= _MAX_VARIANCE)
    _draw_line(below, each, np.where(is_drawn, variances, np.nan), place)
  if off_scale:
    below.set_title(
      'off the scale: ' + ', '.join(off_scale), fontsize=7, loc='right'
    )
  below.set_xscale('log')
  below.set_yscale('log')
  below.set_xlabel('temperature')


def _draw_line(axis, series, values, place) -> None:
  if series.temperatures is None:
    if np.isfinite(values[0]):
      # Above the axis, on which an estimator without bias lies.
      axis.axhline(
        values[0],
        color=_color(place),
        linestyle='--',
        label=series.name,
        clip_on=False,
        zorder=3,
      )
    return
  axis.plot(
    series.temperatures,
    values,
    color=_color(place),
    marker=_MARKERS[place % len(_MARKERS)],
    markersize=4,
    linestyle=':' if series.variant_of else '-',
    markerfacecolor='white' if series.variant_of else None,
    label=series.name,
    zorder=4,
  )


def _legend(axes, names):
  """Returns a handle for each name, and the names."""
  found: dict[str, Any] = {}
  for axis in axes.flat:
    for handle, name in zip(*axis.get_legend_handles_labels(), strict=True):
      found.setdefault(name, handle)
  shown = [name for name in names if name in found]
  return [found[name] for name in shown], shown


def _color(place: int) -> str:
  return colors.COLORS[place % len(colors.COLORS)]
