# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Plots of a search: the rewards of its architectures, and their cost."""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import os
import typing

import numpy as np

from jaxnas.visualize import colors, pictures

if typing.TYPE_CHECKING:
  from matplotlib import axes


@dataclasses.dataclass(frozen=True)
class ArmCurve:
  """The rewards of one arm.

  Attributes:
    name: the arm's name.
    rewards: the reward of every trial, in order.
    is_new: whether each trial was trained; false for a duplicate.
    group: the name of the curve's group, such as the repeats of an arm, whose
      curves share a color; `name` if empty.
    is_stopped: whether each trial stopped at a rung, so that its reward is not
      that of a full training and cannot be the best; none if empty.
  """

  name: str
  rewards: Sequence[float]
  is_new: Sequence[bool]
  group: str = ''
  is_stopped: Sequence[bool] = ()

  def __post_init__(self):
    if len(self.rewards) != len(self.is_new):
      raise ValueError(
        f'Curve {self.name!r} has {len(self.rewards)} rewards and '
        f'{len(self.is_new)} marks of new trials.'
      )


def plot_search(
  path: str | os.PathLike[str], arms: Sequence[ArmCurve], window: int = 32
) -> None:
  """Plots the best reward so far and the mean reward of each arm.

  The left panel is against trials proposed and the right one against trainings,
  where duplicates cost nothing; without duplicates there is only one panel. The
  first tenth of each curve does not affect the lower limit of the rewards axis,
  since one early failure would squeeze everything else at the top.

  Args:
    path: the PNG file to write.
    arms: the curves, of at least one trial each.
    window: the number of trials that the mean is taken over.

  Raises:
    ValueError: there is no curve, or one is empty.
  """
  if not arms or any(not len(arm.rewards) for arm in arms):
    raise ValueError('A plot needs at least one curve, and none may be empty.')
  groups: dict[str, list[ArmCurve]] = {}
  for arm in arms:
    groups.setdefault(arm.group or arm.name, []).append(arm)
  # The panels keep their height, whatever the number of rows in the legend.
  has_duplicates = not all(all(arm.is_new) for arm in arms)
  # A single panel is too narrow for two columns of labels.
  num_columns = 2 if has_duplicates else 1
  picture = pictures.figure(
    10 if has_duplicates else 7, 3.86 + 0.17 * len(groups) * 2 / num_columns
  )
  left, *right = picture.subplots(
    1, 1 + has_duplicates, sharey=True, squeeze=False
  )[0]
  shown = []
  for index, (group, members) in enumerate(groups.items()):
    color = colors.COLORS[index % len(colors.COLORS)]
    name = _describe(group, members)
    for arm in members:
      rewards = np.asarray(arm.rewards, float)
      stopped = np.zeros(len(rewards), bool)
      if arm.is_stopped:
        stopped = np.asarray(arm.is_stopped, bool)
      best = np.where(stopped, -np.inf, rewards)
      new = np.asarray(arm.is_new, bool)
      shown += _plot_arm(left, name, rewards, best, window, color)
      for panel in right:
        shown += _plot_arm(panel, name, rewards[new], best[new], window, color)
      # Matplotlib omits labels that begin with an underscore from the legend.
      name = f'_{group}'
  left.set_ylim(*_limits(shown))
  left.set_xlabel('trials proposed' if has_duplicates else 'trials')
  for panel in right:
    panel.set_xlabel('trainings (duplicates cost none)')
  for panel in (left, *right):
    panel.margins(x=0.02)
    panel.xaxis.get_major_locator().set_params(integer=True)
    panel.grid(alpha=0.3)
    panel.spines[['top', 'right']].set_visible(False)
  left.set_ylabel('reward')
  left.ticklabel_format(axis='y', style='plain', useOffset=False)
  # One row per group, since legends are filled column by column.
  handles, labels = left.get_legend_handles_labels()
  picture.legend(
    handles[::2] + handles[1::2],
    labels[::2] + labels[1::2],
    loc='outside lower center',
    ncols=num_columns,
    frameon=False,
    fontsize=8,
  )
  picture.savefig(path, dpi=130, format='png')


def _limits(curves: Sequence[np.ndarray]) -> tuple[float, float]:
  """Returns the limits of the rewards axis."""
  curves = [curve for curve in curves if len(curve)]
  low = min(float(curve[len(curve) // 10 :].min()) for curve in curves)
  high = max(float(curve.max()) for curve in curves)
  # Constant curves need an axis of nonzero length too.
  margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
  return low - margin, high + margin


def _describe(group: str, members: Sequence[ArmCurve]) -> str:
  proposals = sum(len(arm.rewards) for arm in members)
  trained = sum(map(bool, (new for arm in members for new in arm.is_new)))
  repeats = f'{len(members)} repeats, ' if len(members) > 1 else ''
  return f'{group} ({repeats}{proposals} proposals, {trained} trained)'


def _plot_arm(
  panel: axes.Axes,
  name: str,
  rewards: np.ndarray,
  rivals: np.ndarray,
  window: int,
  color: str,
) -> list[np.ndarray]:
  """Plots one search and returns its curves; the best is of the rivals."""
  if not len(rewards):
    return []
  trials = np.arange(1, len(rewards) + 1)
  best = np.maximum.accumulate(rivals)
  best = np.where(np.isfinite(best), best, np.nan)
  panel.plot(
    trials,
    best,
    color=color,
    drawstyle='steps-post',
    # A line through a single point would be invisible.
    marker='o' if np.isfinite(best).sum() == 1 else None,
    label=f'{name}: best so far',
  )
  sums = np.concatenate([[0.0], np.cumsum(rewards)])
  starts = np.maximum(trials - window, 0)
  means = (sums[trials] - sums[starts]) / (trials - starts)
  panel.plot(
    trials,
    means,
    color=color,
    linestyle='--',
    linewidth=1,
    alpha=0.7,
    label=f'{name}: mean of the last {window}',
  )
  return [best[np.isfinite(best)], means]
