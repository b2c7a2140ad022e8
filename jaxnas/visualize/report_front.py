# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The fronts of a search with several objectives, for its report."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jaxnas.records import folder as folder_lib
from jaxnas.records import search_fronts
from jaxnas.records import summary as summary_lib
from jaxnas.visualize import line_chart, markup, report_curves

_MAX_ROWS = 100


def chart(
  run: folder_lib.Run, summary: summary_lib.Summary, objectives: Sequence[str]
) -> line_chart.Chart:
  """Returns the chart of each strategy's front, all its searches together.

  Args:
    run: the run.
    summary: the run's summary.
    objectives: the names of the objectives, the reward first; the first cost is
      drawn.
  """
  names = report_curves.labels(summary)
  searched = [arm.name for arm in summary.arms if arm.role != 'known']
  curves = []
  for number, name in enumerate(dict.fromkeys(searched)):
    mine = [trial for trial in run.searched if trial.arm == name]
    # Of further costs the picture shows nothing.
    best = search_fronts.front(mine, objectives[:2])[::-1]
    values = search_fronts.points(best, objectives[:2])
    nothing = np.full(len(best), np.nan)
    if best:
      curves.append(
        line_chart.Curve(
          names.get(name, name),
          number,
          -values[:, 1],
          values[:, 0],
          nothing,
          nothing,
          is_stepped=True,
        )
      )
  return line_chart.Chart(
    'The best reward for each cost',
    f'{_words(objectives[1])}, lower is better',
    'reward, higher is better',
    curves,
    'The front of all searches of a strategy together, by the reward of a '
    'single short training, which flatters the best.',
  )


def table(
  run: folder_lib.Run, summary: summary_lib.Summary, objectives: Sequence[str]
) -> str:
  """Returns the front of the whole run, the highest reward first.

  Args:
    run: the run.
    summary: the run's summary.
    objectives: the names of the objectives, the reward first.
  """
  names = report_curves.labels(summary)
  best = search_fronts.front(run.searched, objectives)
  rows: list[markup.Row] = []
  for trial in best[:_MAX_ROWS]:
    costs = [trial.metrics[name] for name in objectives[1:]]
    rows.append(
      [
        f'#{trial.number}',
        names.get(trial.arm, trial.arm),
        markup.Cell(f'{trial.reward:.5g}', trial.reward),
        *(markup.Cell(f'{cost:,.6g}', cost) for cost in costs),
      ]
    )
  if not rows:
    return markup.paragraphs(['No trial of the search succeeded.'])
  columns = ['trial', 'proposed by', *map(_words, objectives)]
  return markup.table(columns, rows, 'The front of the run')


def _words(name: str) -> str:
  return name.replace('_', ' ')
