# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The cost of training children by a route, and rows about it."""

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
  """The cost of training children, in seconds of wall time.

  Attributes:
    compiling: the cost of compiling all programs, or that of each child.
    is_each: whether each child is compiled separately.
    overlaps: whether a child is compiled while another trains, at no cost to
      the training. On a CPU both need the same cores.
    child: the cost of each child, whatever its number of steps.
    step: the cost of each step of a child.
  """

  compiling: float
  is_each: bool
  overlaps: bool
  child: float
  step: float

  def run(self, num_steps: int) -> float:
    """Returns the seconds to train a child, without compiling."""
    return self.child + num_steps * self.step

  def total(self, num_children: int, num_steps: int) -> float:
    """Returns the seconds to train children, including compiling."""
    each = self.run(num_steps)
    if not self.is_each:
      return self.compiling + num_children * each
    if not self.overlaps:
      return num_children * (self.compiling + each)
    slower, faster = max(self.compiling, each), min(self.compiling, each)
    return num_children * slower + faster

  def per_hour(self, num_steps: int) -> float:
    """Returns the number of further children that one more hour trains."""
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
  """Returns the cost of a route, computed from its bursts.

  Args:
    bursts: the `short` bursts of 1 step, and `long` ones of `num_steps` more.
    cold_seconds: the duration of a first short burst, including everything
      before it, in seconds.
    num_children: the number of children in a burst.
    num_steps: the number of additional steps of a `long` burst.
    is_each: whether each child is compiled separately; see `Cost`.
    overlaps: whether compiling overlaps with training; see `Cost`.
  """
  short, long = shortest(bursts['short']), shortest(bursts['long'])
  # The cost of a call apart from its steps is in both, and cancels. If tiny
  # shapes drown in noise it is kept, to our disadvantage.
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
    name: the name of the shape.
    costs: the cost of each route, by name.
    theirs: the cost of PyTorch, if it was measured.
    num_children: the number of children of a whole training.
    all_num_steps: the numbers of steps per child, one for each whole training.
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
  """Returns a row whose ratio, if any, is how many times better ours is."""
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
  """Returns the duration of the shortest burst, in seconds."""
  return min(burst['seconds'] for burst in bursts)
