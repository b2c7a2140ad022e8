# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A picture of fronts: the best reward for each cost, search by search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import os

import numpy as np

from jaxnas.visualize import colors, pictures


def plot_fronts(
  path: str | os.PathLike[str],
  fronts: Mapping[str, Sequence[np.ndarray]],
  cost: str,
) -> None:
  """Plots the fronts of several strategies side by side.

  Args:
    path: the PNG file to write.
    fronts: for each strategy, the front of each of its searches: the cost and
      the reward of its members, `[F, 2]`.
    cost: the name of the cost.

  Raises:
    ValueError: there is no front, or all are empty.
  """
  if not any(len(each) for drawn in fronts.values() for each in drawn):
    raise ValueError('A picture needs at least one front that is not empty.')
  picture = pictures.figure(7, 4.4)
  panel = picture.subplots()
  # A front holds to the right, as far as anything was found.
  right = max(
    each[:, 0].max() for drawn in fronts.values() for each in drawn if len(each)
  )
  for number, (name, drawn) in enumerate(fronts.items()):
    color = colors.COLORS[number % len(colors.COLORS)]
    label: str | None = name
    for each in drawn:
      if not len(each):
        continue
      steps = each[np.argsort(each[:, 0], kind='stable')]
      steps = np.concatenate([steps, [[right, steps[:, 1].max()]]])
      panel.plot(
        steps[:, 0],
        steps[:, 1],
        color=color,
        drawstyle='steps-post',
        linewidth=1,
        label=label,
      )
      panel.plot(each[:, 0], each[:, 1], 'o', color=color, markersize=4)
      label = None
  panel.set_xlabel(f'{cost}, lower is better')
  panel.set_ylabel('reward, higher is better')
  panel.grid(alpha=0.3)
  panel.spines[['top', 'right']].set_visible(False)
  panel.legend(frameon=False, fontsize=8)
  picture.savefig(path, dpi=130, format='png')
