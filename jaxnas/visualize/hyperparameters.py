# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Plots of rewards against hyperparameters: all trials, one panel for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
import math
import os
import typing
from typing import Any

import numpy as np

from jaxnas.types import Choice, Decision, Range
from jaxnas.visualize import colors, pictures

if typing.TYPE_CHECKING:
  from matplotlib import axes

_NUM_COLUMNS = 3
# The trials of one value of a choice are spread over this share of its width.
_JITTER = 0.6


@dataclasses.dataclass(frozen=True)
class Trials:
  """The trials of one arm.

  Attributes:
    name: the arm's name.
    values: the values of each trial, by decision.
    rewards: the reward of each trial.
  """

  name: str
  values: Sequence[Mapping[str, Any]]
  rewards: Sequence[float]

  def __post_init__(self):
    if len(self.values) != len(self.rewards):
      raise ValueError(
        f'Arm {self.name!r} has {len(self.values)} trials and '
        f'{len(self.rewards)} rewards.'
      )


def plot_trials(
  path: str | os.PathLike[str],
  decisions: Sequence[Decision],
  arms: Sequence[Trials],
  best: Mapping[str, Any] | None = None,
  label: str = '',
) -> None:
  """Plots the reward of every trial against each of its hyperparameters.

  Args:
    path: the PNG file to write.
    decisions: the decisions of the space, each a `Choice` or a `Range`.
    arms: the trials.
    best: the value of each decision to mark with a line.
    label: the label of the line.

  Raises:
    ValueError: there is no trial, or a decision is an anchor point.
  """
  if not sum(len(arm.rewards) for arm in arms):
    raise ValueError('A plot needs at least one trial.')
  plotted = [each for each in decisions if isinstance(each, Choice | Range)]
  for decision in decisions:
    if decision not in plotted:
      raise ValueError(
        f'Only choices and ranges can be plotted, got {decision.name!r}.'
      )
  num_rows = math.ceil(len(decisions) / _NUM_COLUMNS)
  num_columns = min(len(decisions), _NUM_COLUMNS)
  picture = pictures.figure(3.6 * num_columns, 0.6 + 2.8 * num_rows)
  panels = picture.subplots(num_rows, num_columns, sharey=True, squeeze=False)
  for number, panel in enumerate(panels.flat):
    if number >= len(plotted):
      panel.set_axis_off()
      continue
    _plot_panel(panel, plotted[number], arms)
    if best is not None:
      _mark(panel, plotted[number], best[plotted[number].name], label)
    if number % num_columns == 0:
      panel.set_ylabel('reward')
  handles, labels = panels.flat[0].get_legend_handles_labels()
  picture.legend(
    handles,
    labels,
    loc='outside lower center',
    ncols=len(handles),
    frameon=False,
    fontsize=8,
  )
  picture.savefig(path, dpi=130, format='png')


def _plot_panel(
  panel: axes.Axes, decision: Choice | Range, arms: Sequence[Trials]
) -> None:
  for number, arm in enumerate(arms):
    places = np.array(
      [_place(decision, each[decision.name]) for each in arm.values]
    )
    if isinstance(decision, Choice):
      # Each arm has its own strip, filled evenly and deterministically.
      spread = (np.arange(len(places)) * 0.618) % 1
      places = places + _JITTER * ((number + spread) / len(arms) - 0.5)
    panel.plot(
      places,
      arm.rewards,
      linestyle='none',
      marker='o',
      markersize=3.5,
      markeredgewidth=0,
      alpha=0.5,
      color=colors.COLORS[number % len(colors.COLORS)],
      label=f'{arm.name} ({len(places)})',
    )
  panel.set_title(decision.name, fontsize=10)
  if isinstance(decision, Range):
    panel.set_xscale('log' if decision.log else 'linear')
  else:
    panel.set_xticks(
      range(decision.num_choices), [str(value) for value in decision.values]
    )
    panel.set_xlim(-0.5, decision.num_choices - 0.5)
  panel.grid(alpha=0.3)
  panel.spines[['top', 'right']].set_visible(False)


def _mark(
  panel: axes.Axes, decision: Choice | Range, value: Any, label: str
) -> None:
  panel.axvline(
    _place(decision, value),
    color='0.3',
    linewidth=1,
    linestyle='--',
    label=label,
  )


def _place(decision: Choice | Range, value: Any) -> float:
  if isinstance(decision, Range):
    return value
  return decision.values.index(value)
