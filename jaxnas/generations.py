# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""What the generations of a succession found, and what they add up to.

See `succession` for what a generation is. In each, `G` lineages search side by
side, once in either branch: the succession itself, and its control.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any, NamedTuple

import numpy as np

from jaxnas import statistics

CONTROL = 'control'
SUCCESSION = 'succession'

_AREA = statistics.Measure('anytime area', is_higher_better=True, is_ratio=True)


@dataclasses.dataclass(frozen=True)
class Generation:
  """What the searches of one generation found in `G` lineages.

  A controller that has diverged proposes the first value of every decision from
  then on. If the next best cell can replace its cell, the search is started
  over and the old one does not count. If there is none left, the lineage is
  lost, and its search counts as it is.

  Attributes:
    branch: `CONTROL` or `SUCCESSION`.
    number: the number of the generation, from 0.
    cells: the tokens of each controller's cell, or `None` for the LSTM.
    candidates: the best distinct cells that each lineage found, as canonical
      tokens, best first.
    rewards: the reward of each lineage's best cell.
    areas: the area under each lineage's anytime curve: the mean, over trials,
      of the best reward so far.
    late_means: the mean reward of the last quarter of each lineage's trials.
    num_replaced: the number of cells of each lineage that made its controller
      diverge and were replaced.
    is_finite: whether each controller stayed finite; if not, its lineage is
      lost.
  """

  branch: str
  number: int
  cells: tuple[tuple[int, ...] | None, ...]
  candidates: tuple[tuple[tuple[int, ...], ...], ...]
  rewards: tuple[float, ...]
  areas: tuple[float, ...]
  late_means: tuple[float, ...]
  num_replaced: tuple[int, ...]
  is_finite: tuple[bool, ...]

  @property
  def found(self) -> tuple[tuple[int, ...], ...]:
    """The canonical tokens of each lineage's best cell."""
    return tuple(cells[0] for cells in self.candidates)

  def to_json(self) -> dict[str, Any]:
    """Returns the generation as a dict that `json.dumps` accepts."""
    return dataclasses.asdict(self)

  @classmethod
  def from_json(cls, fields: Mapping[str, Any]) -> Generation:
    """Returns the generation that `to_json` described.

    Raises:
      ValueError: a field is missing or unknown.
    """
    names = [field.name for field in dataclasses.fields(cls)]
    if sorted(fields) != sorted(names):
      raise ValueError(
        f'A generation has the fields {", ".join(names)}; got '
        f'{", ".join(sorted(fields))}.'
      )
    return cls(**{name: _to_tuples(fields[name]) for name in names})


def _to_tuples(value: Any) -> Any:
  if isinstance(value, list | tuple):
    return tuple(_to_tuples(each) for each in value)
  return value


class Verdict(NamedTuple):
  """The outcome of a succession.

  Attributes:
    kind: `'improved'`, `'worse'`, `'converged'`, `'no difference'` or, for a
      single lineage, `'undecided'`.
    area_ratio: the ratio of the last generation's anytime area to the
      control's; see `against_control`.
    repeats: the share of lineages whose last two generations found the same
      cell.
    control_repeats: the same share for the control. If it is as large, cells
      are found again because they are easy to find.
  """

  kind: str
  area_ratio: statistics.Comparison
  repeats: statistics.Interval
  control_repeats: statistics.Interval


def verdict(generations: Sequence[Generation]) -> Verdict:
  """Compares a succession with its control.

  The succession has improved, or is worse, if the anytime areas of the last
  generation differ significantly; see `against_control`. Otherwise it has
  converged if the last two generations found the same cell in most lineages,
  judged by the lower end of that share's 95 % interval. Otherwise there is no
  difference. A single lineage cannot decide any of this.

  Args:
    generations: the generations of both branches.

  Raises:
    ValueError: there is only one generation, so nothing was succeeded.
  """
  by_place = {(each.branch, each.number): each for each in generations}
  last = max(number for _, number in by_place)
  if not last:
    raise ValueError(
      'num_generations must be at least 2 for a comparison, got 1.'
    )
  area_ratio = against_control(generations)[last]
  before = by_place[SUCCESSION if last > 1 else CONTROL, last - 1]
  repeats = statistics.share_interval(
    repeats_of(by_place[SUCCESSION, last], before)
  )
  control_repeats = statistics.share_interval(
    repeats_of(by_place[CONTROL, last], by_place[CONTROL, last - 1])
  )
  kind = 'no difference'
  if len(by_place[SUCCESSION, last].areas) < 2:
    kind = 'undecided'
  elif area_ratio.is_better is not None:
    kind = 'improved' if area_ratio.is_better else 'worse'
  elif repeats.low > 0.5:
    kind = 'converged'
  return Verdict(kind, area_ratio, repeats, control_repeats)


def against_control(
  generations: Sequence[Generation],
) -> dict[int, statistics.Comparison]:
  """Compares every generation from 1 on with the control of the same number.

  The measure is the ratio of anytime areas. Lineages are compared in pairs,
  since both branches of a lineage begin with the same search and have the same
  keys. All generations share one correction; see `statistics.compare`.

  Args:
    generations: the generations of both branches.

  Returns:
    The comparisons by number of the generation.
  """
  by_place = {(each.branch, each.number): each for each in generations}
  numbers = sorted(
    each.number for each in generations if each.branch == SUCCESSION
  )
  comparisons = statistics.compare(
    _AREA,
    [
      (by_place[SUCCESSION, number].areas, by_place[CONTROL, number].areas)
      for number in numbers
    ],
    is_paired=True,
  )
  return dict(zip(numbers, comparisons, strict=True))


def repeats_of(generation: Generation, before: Generation) -> np.ndarray:
  """Returns which lineages found the same best cell as before, `bool[G]`."""
  return np.array(
    [a == b for a, b in zip(generation.found, before.found, strict=True)]
  )
