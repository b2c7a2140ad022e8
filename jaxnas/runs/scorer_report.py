# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The report on scorers: tables, verdicts and a figure."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import math
import pathlib
from typing import Any

import numpy as np

from jaxnas.datasets import base2_bench
from jaxnas.records import workdir
from jaxnas.runs import scorers
from jaxnas.visualize import pictures, progress
from jaxnas.visualize import scorers as scorer_plot

YARDSTICK = 'steps_64'
"""The name of the scorer that a proxy must be better than to be of use."""

_NOTES = (
  'Scores that are not finite are last. Equal scores share their mean rank, '
  'and the best of them are expectations over their random order, so scores '
  'that are all equal have no correlation and choose as random search does.',
  'Core-seconds of proxies are measured in this run, without compiling; those '
  'of trainings are their share of what the table took where it was made.',
)

_SHARED_NOTE = (
  'Rows of shared weights are means over seeds with their standard deviation; '
  'M is the number of cells that a step trains the weights on, and their '
  'core-seconds are of that training and of all scores.'
)
# The kinds of scorers that are compared with the yardstick.
_CHEAP = {'proxy': 'No proxy is', 'shared': 'No shared weights are'}

_PLOTTED = {
  'correlation': 'rank correlation',
  'best_correlation': 'in the best tenth',
  'overlap': 'overlap of the best 1 %',
}
# The title of each measure, and 1 where higher is better or -1 where lower is.
_MEASURES = {
  'correlation': ('rank correlation', 1),
  'best_correlation': ('rank correlation in the best tenth', 1),
  'overlap': ('overlap of the best 1 %', 1),
  'regret': (f'regret of the top {scorers.NUM_TOP}', -1),
}


@dataclasses.dataclass(frozen=True)
class Result:
  """The result of one scorer.

  Attributes:
    scorer: the scorer.
    judgement: the judgement of how well the scorer ranks cells.
    core_seconds: the core-seconds that all of its scores take.
    deviations: the standard deviations over seeds of what `judgement` is the
      mean of; `None` for one scorer.
  """

  scorer: scorers.Scorer
  judgement: scorers.Judgement
  core_seconds: float
  deviations: scorers.Judgement | None = None

  @property
  def seconds(self) -> float:
    """The core-seconds that one score takes."""
    return self.core_seconds / self.judgement.num_cells

  def to_json(self) -> dict[str, Any]:
    """Returns the result as a dict; see `workdir.plain_json`."""
    return {
      'label': self.scorer.label,
      'kind': self.scorer.kind,
      'core_seconds': self.core_seconds,
      **self.judgement._asdict(),
    }


def _mean(results: list[Result]) -> Result:
  """Returns the means of scorers that differ in their seeds alone."""
  if len(results) == 1:
    return results[0]
  judged = np.array([result.judgement for result in results])
  return Result(
    results[0].scorer,
    scorers.Judgement._make(judged.mean(0).tolist()),
    float(np.mean([result.core_seconds for result in results])),
    scorers.Judgement._make(judged.std(0, ddof=1).tolist()),
  )


class Report:
  """A comparison of scorers on Base2Bench.

  Attributes:
    results: the results by scorer.
    rows: the results by row of the table: those of scorers that differ in their
      seeds alone are one, their mean.
  """

  def __init__(
    self,
    table: base2_bench.Base2Bench,
    rewards: np.ndarray,
    found: Mapping[str, tuple[scorers.Scorer, scorers.Scores]],
  ):
    """Judges scores.

    Args:
      table: the table.
      rewards: the rewards of the cells, `[N]`.
      found: the scorers and their scores of these cells, by name.
    """
    self._table, self._num_cells = table, len(rewards)
    self.results = {
      name: Result(
        scorer, scorers.judge(scores.values, rewards), scores.core_seconds
      )
      for name, (scorer, scores) in found.items()
    }
    groups: dict[str, list[Result]] = {}
    for name, result in self.results.items():
      groups.setdefault(result.scorer.group or name, []).append(result)
    self.rows = {name: _mean(group) for name, group in groups.items()}

  def show(self) -> None:
    """Prints the table and the verdicts."""
    progress.table(
      f'Base2Bench, {self._num_cells:,} cells: how scores rank their rewards '
      f'after {self._table.points[-1]} steps',
      [
        'scorer',
        'cells',
        'rank correlation',
        'in the best tenth',
        'overlap of the best 1 %',
        f'regret of the top {scorers.NUM_TOP}',
        'core-seconds',
        'ms each',
        'last',
      ],
      [self._row(result) for result in self.rows.values()],
      spare=('last', 'ms each', 'cells'),
    )
    notes = list(_NOTES)
    if any(result.scorer.kind == 'shared' for result in self.rows.values()):
      notes.append(_SHARED_NOTE)
    for line in (*self.verdicts(), *notes):
      print(line)

  def _row(self, result: Result) -> list[str]:
    judged, spread = result.judgement, result.deviations

    def number(field: str, digits: int) -> str:
      value = getattr(judged, field)
      if math.isnan(value):
        return '-'
      deviation = (
        '' if spread is None else f' ± {getattr(spread, field):.{digits}f}'
      )
      return f'{value:.{digits}f}{deviation}'

    return [
      result.scorer.label,
      f'{judged.num_cells:,.0f}',
      number('correlation', 3),
      number('best_correlation', 3),
      number('overlap', 2),
      number('regret', 4),
      f'{result.core_seconds:,.0f}',
      f'{1000 * result.seconds:.3g}',
      f'{judged.num_dead / judged.num_cells:.1%}',
    ]

  def verdicts(self) -> list[str]:
    """Returns sentences that compare cheap scorers with the yardstick."""
    yardstick = self.rows.get(YARDSTICK)
    if yardstick is None:
      return []
    return [
      line
      for kind, name in _CHEAP.items()
      for line in self._verdicts_of(kind, name, yardstick)
    ]

  def _verdicts_of(self, kind: str, name: str, yardstick: Result) -> list[str]:
    results = [
      result for result in self.rows.values() if result.scorer.kind == kind
    ]
    if not results:
      return []
    lines = []
    ahead_of_all = []
    for result in results:
      ahead = _ahead(result.judgement, yardstick.judgement)
      if len(ahead) == len(_MEASURES):
        ahead_of_all.append(result.scorer.label)
      share = result.seconds / yardstick.seconds
      lines.append(
        f'{result.scorer.label} costs {share:.2%} of '
        f'{yardstick.scorer.label} and is better in '
        f'{_join(ahead) if ahead else "nothing"}.'
      )
    if ahead_of_all:
      lines.append(
        f'Better than {yardstick.scorer.label} in everything: '
        f'{_join(ahead_of_all)}.'
      )
    else:
      lines.append(
        f'{name} better than {yardstick.scorer.label} in everything.'
      )
    return lines

  def write(
    self, folder: pathlib.Path, warm_starts: Mapping[str, Any] | None = None
  ) -> None:
    """Writes `scorers.json`.

    Args:
      folder: the folder of the run.
      warm_starts: the results of searches that start from scored pools, if
        there are any.
    """
    workdir.write_json(
      folder / 'scorers.json',
      {
        'num_cells': self._num_cells,
        'verdicts': self.verdicts(),
        'scorers': {
          name: result.to_json() for name, result in self.results.items()
        },
        'warm_starts': warm_starts,
      },
      sealed=True,
    )

  def draw(self, folder: pathlib.Path) -> None:
    """Draws `scorers.png`."""
    pictures.draw(
      scorer_plot.plot_scorers,
      folder / 'scorers.png',
      list(_PLOTTED.values()),
      [
        scorer_plot.Row(
          result.scorer.label,
          [getattr(result.judgement, field) for field in _PLOTTED],
          result.seconds,
        )
        for result in self.rows.values()
      ],
      f'Base2Bench, {self._num_cells:,} cells: scores against rewards after '
      f'{self._table.points[-1]} steps',
    )


def _ahead(judgement: scorers.Judgement, other: scorers.Judgement) -> list[str]:
  """Returns the names of the measures in which a judgement is better."""
  return [
    name
    for field, (name, sign) in _MEASURES.items()
    if sign * getattr(judgement, field) > sign * getattr(other, field)
  ]


def _join(names: list[str]) -> str:
  *most, last = names
  return f'{", ".join(most)} and {last}' if most else last
