# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Measures which of several ways to train the same children is fastest.

A route that compiles a program for each child pays for it with every child, and
one that takes architectures as data pays with slower steps. Which route costs
less depends on the children, their number of steps and the machine, so the
costs are measured: each route trains a few children for a few steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import time
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnas.trainers import compiled, memory
from jaxnas.types import Status, Trainer


class Timing(NamedTuple):
  """The cost of a route, in seconds of wall time.

  Attributes:
    once: the cost paid once for all children, mainly compiling.
    child: the cost of each child, regardless of its number of steps.
    step: the cost of each step of a child.
  """

  once: float
  child: float
  step: float

  def total(self, num_children: int, num_steps: int) -> float:
    """Returns the seconds that training some children for some steps takes."""
    return self.once + num_children * (self.child + num_steps * self.step)


# The lengths, in steps, of the trainings compared. The longer one grows until
# it takes _ENOUGH_SECONDS more than the shorter, or has _MOST steps.
_FEW, _MORE, _MOST = 1, 5, 81
_ENOUGH_SECONDS = 0.3


def measure(
  trainer: Trainer, architectures: Sequence[Any], learning_rate: float
) -> Timing:
  """Measures the cost of a route.

  Args:
    trainer: the trainer of the route; its programs stay compiled.
    architectures: typical architectures, enough to fill the trainer's devices.
    learning_rate: the learning rate of the trial trainings.

  Raises:
    NotEnoughMemoryError: the route, or some child, does not fit into memory.
  """
  keys = jax.random.split(jax.random.key(0), len(architectures))
  rates = np.full(len(architectures), learning_rate)

  def seconds(num_steps):
    started = time.perf_counter()
    try:
      trained = trainer.run(architectures, keys, rates, num_steps)
    except Exception as error:
      if not memory.is_exhausted(error):
        raise
      raise memory.NotEnoughMemoryError(_first_line(error)) from error
    num_too_large = np.sum(trained.status == Status.OUT_OF_MEMORY)
    if num_too_large:
      raise memory.NotEnoughMemoryError(
        f'{num_too_large} of {len(architectures)} '
        'children of full size do not fit into memory; make them smaller.'
      )
    return time.perf_counter() - started

  cold, warm = seconds(_FEW), seconds(_FEW)
  added, more = _MORE - _FEW, seconds(_MORE) - warm
  while more < _ENOUGH_SECONDS and _FEW + added < _MOST:
    added *= 2
    more = seconds(_FEW + added) - warm
  step = max(0.0, more) / added / len(architectures)
  child = max(0.0, warm / len(architectures) - _FEW * step)
  compiling = max(0.0, cold - warm)
  if isinstance(trainer, compiled.CompiledTrainer):
    return Timing(0.0, child + compiling / len(architectures), step)
  return Timing(compiling, child, step)


def choose(
  measured: Mapping[str, Timing | memory.NotEnoughMemoryError],
  num_children: int,
  num_steps: int,
) -> tuple[str, str]:
  """Returns the cheapest route, and the reason for it.

  Args:
    measured: the cost of each route, by name, or the error of a route that does
      not fit.
    num_children: the number of children to train.
    num_steps: the number of steps of each child.

  Returns:
    The route's name, and a sentence with the measured figures.

  Raises:
    NotEnoughMemoryError: no route fits; the message repeats the reason for
      each.
  """
  timings = {
    name: each for name, each in measured.items() if isinstance(each, Timing)
  }
  if not timings:
    reasons = ' '.join(f'{name}: {each}' for name, each in measured.items())
    raise memory.NotEnoughMemoryError(
      f'No route of training these children fits into memory. {reasons}'
    )
  totals = {
    name: timing.total(num_children, num_steps)
    for name, timing in timings.items()
  }
  name = min(totals, key=lambda name: totals[name])
  figures = '; '.join(
    f'{other} {totals[other]:.0f} s ({timing.once:.1f} s once, '
    f'{timing.child:.2f} s a child, {1000 * timing.step:.1f} ms a step)'
    for other, timing in timings.items()
  )
  reason = (
    f'the least time for {num_children} children of {num_steps} steps: '
    f'{figures}'
  )
  for other, error in measured.items():
    if other not in timings:
      reason += f'; {other} does not fit: {str(error).rstrip(".")}'
  steps = break_even(timings)
  if steps is not None:
    reason += f'; compiling each child pays off from {steps:.0f} steps'
  return name, f'{reason}.'


def break_even(timings: Mapping[str, Timing]) -> float | None:
  """Returns the number of steps from which compiling each child pays off.

  Args:
    timings: the cost of each route, by name; `'compiled'` and `'interpreted'`
      are compared.

  Returns:
    The number of steps; `None` if either route is missing, or if the steps of
    the interpreted route are no slower.
  """
  if not {'compiled', 'interpreted'} <= set(timings):
    return None
  one, other = timings['compiled'], timings['interpreted']
  if other.step <= one.step:
    return None
  return max(0.0, one.child - other.child) / (other.step - one.step)


def _first_line(error: Exception) -> str:
  return (str(error) or 'There is no memory left').splitlines()[0]
