# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""What it costs to train children by a route, and rows about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
import functools
from typing import Any, NamedTuple

from experiments.benchmarks.table import Row

_TOTAL_NOTE = (
  'the mean of the sample for each child; PyTorch is counted by its steps '
  'alone, ours with making and measuring the child. Where each child is '
  'compiled, an accelerator trains meanwhile.'
)


class Cost(NamedTuple):
  """What training children costs, seconds of wall time.

  Attributes:
    compiling: of all programs, or of each child's.
    is_each: whether each child is compiled.
    overlaps: whether a child is compiled while another trains, at no cost to
      it. On a CPU both need the same cores.
    child: for each child, whatever its number of steps.
    step: for each step of a child.
  """

  compiling: float
  is_each: bool
  overlaps: bool
  child: float
  step: float

  def run(self, num_steps: int) -> float:
    """Returns the seconds of a child without compiling."""
    return self.child + num_steps * self.step

  def total(self, num_children: int, num_steps: int) -> float:
    """Returns the seconds of some children, with compiling."""
    each = self.run(num_steps)
    if not self.is_each:
      return self.compiling + num_children * each
    if not self.overlaps:
      return num_children * (self.compiling + each)
    slower, faster = max(self.compiling, each), min(self.compiling, each)
    return num_children * slower + faster

  def per_hour(self, num_steps: int) -> float:
    """Returns how many more children an hour more trains."""
    return 3600 / (self.total(2, num_steps) - self.total(1, num_steps))


def measured(
  bursts: Mapping[str, Sequence[Mapping[str, float]]],
  cold_seconds: float,
  num_children: int,
  num_steps: int,
  *,
  is_each: bool,
  overlaps: bool,
) -> Cost:
  """Returns what a route costs, from its bursts.

  Args:
    bursts: `short` ones of 1 step, and `long` ones of `num_steps` more.
    cold_seconds: of a short one with all that comes before it the first time.
    num_children: of a burst.
    num_steps: see `bursts`.
    is_each: see `Cost`.
    overlaps: see `Cost`.
  """
  short, long = shortest(bursts['short']), shortest(bursts['long'])
  # What a call costs besides its steps is in both, and cancels. Where tiny
  # shapes drown in noise it stays in, at our cost.
  seconds = (long - short) / num_steps
  step = (seconds if seconds > 0 else long / (1 + num_steps)) / num_children
  compiling = max(0.0, cold_seconds - short)
  return Cost(
    compiling / num_children if is_each else compiling,
    is_each,
    overlaps,
    max(0.0, short / num_children - step),
    step,
  )


def rows_against(
  name: str,
  costs: Mapping[str, Cost],
  theirs: Cost | None,
  num_children: int,
  all_num_steps: Sequence[int],
) -> Iterator[Row]:
  """Yields the rows that compare routes with PyTorch.

  Args:
    name: of the shape.
    costs: of each route.
    theirs: what PyTorch costs, if it was measured.
    num_children: of a whole training.
    all_num_steps: of each child, in several whole trainings.
  """
  extrapolated = functools.partial(compare, is_extrapolated=True)
  for route, cost in costs.items():
    what = f'{name}, {route}'
    yield compare(
      'step',
      f'training step against PyTorch eager, {what}',
      'ms a child',
      1e3 * cost.step,
      theirs and 1e3 * theirs.step,
      note='a long burst less one of 1 step, of all networks of a sample, '
      'which are the same for all but the vmapped route on an accelerator; '
      'PyTorch trains one after another.',
    )
    yield Row(
      'compile',
      f'compiling {"each child" if cost.is_each else "once"}, {what}',
      's',
      cost.compiling,
      note='wall time of the first call of 1 step less that of a later one; '
      'a program for each child is compiled by a thread for each device.',
    )
    for num_steps in all_num_steps:
      steps = f'{num_children} children x {num_steps} steps'
      yield extrapolated(
        'total',
        f'{steps}, {what}, compiled before',
        's',
        num_children * cost.run(num_steps),
        theirs and theirs.total(num_children, num_steps),
        note=_TOTAL_NOTE,
      )
      yield extrapolated(
        'total',
        f'{steps}, {what}, with compiling',
        's',
        cost.total(num_children, num_steps),
        theirs and theirs.total(num_children, num_steps),
        note=_TOTAL_NOTE,
      )
    longest = max(all_num_steps)
    yield extrapolated(
      'hour',
      f'children of {longest} steps, {what}',
      'an hour',
      cost.per_hour(longest),
      theirs and theirs.per_hour(longest),
      is_more_better=True,
      note='with compiling where each child is compiled, and without it '
      'where that is done once.',
    )


def compare(
  row: str,
  name: str,
  unit: str,
  ours: float,
  theirs: float | None,
  *,
  is_more_better: bool = False,
  is_extrapolated: bool = False,
  **fields: Any,
) -> Row:
  """Returns a row whose ratio, if there is one, is how much better ours is."""
  ratio = None
  if theirs is not None:
    ratio = ours / theirs if is_more_better else theirs / ours
  sides = ('ours',) if theirs is None else ('ours', 'theirs')
  return Row(
    row,
    name,
    unit,
    ours,
    theirs,
    ratio,
    extrapolated=sides if is_extrapolated else (),
    **fields,
  )


def shortest(bursts: Sequence[Mapping[str, float]]) -> float:
  """Returns the seconds of the shortest burst."""
  return min(burst['seconds'] for burst in bursts)
