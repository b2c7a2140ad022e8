# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Which of several ways to train the same children is the fastest.

A route that compiles a program for each child pays for it anew with every
child, and one where architectures are data pays with slower steps. Which is
less depends on the children, their number of steps and the machine, so it is
measured: each route trains a few children for a few steps.
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
  """What a route costs, seconds of wall time.

  Attributes:
    once: whatever is done once for all children, compiling above all.
    child: what each child takes, whatever its number of steps.
    step: what each step of a child takes.
  """

  once: float
  child: float
  step: float

  def total(self, num_children: int, num_steps: int) -> float:
    """Returns the seconds that so many children of so many steps take."""
    return self.once + num_children * (self.child + num_steps * self.step)


# Steps of the trainings that are compared. The longer one grows until it takes
# so many seconds more than the other, or is so long.
_FEW, _MORE, _MOST = 1, 5, 81
_ENOUGH_SECONDS = 0.3


def measure(
  trainer: Trainer, architectures: Sequence[Any], learning_rate: float
) -> Timing:
  """Measures what a route costs.

  Args:
    trainer: trains by the route; its programs stay compiled.
    architectures: typical ones, as many as fill the trainer's devices.
    learning_rate: learning rate of the short trainings.

  Raises:
    NotEnoughMemoryError: the route does not fit, or some child does not.
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
        'children of the full size do not fit into memory; make them smaller.'
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
  """Returns the cheapest route, and why it is chosen.

  Args:
    measured: of each route, by its name, what it costs, or why it does not fit.
    num_children: how many are to be trained.
    num_steps: how many steps each takes.

  Returns:
    The route's name, and a sentence with the measured figures.

  Raises:
    NotEnoughMemoryError: no route fits; what is told of each is repeated.
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
    reason += f'; a compiled program pays from {steps:.0f} steps on'
  return name, f'{reason}.'


def break_even(timings: Mapping[str, Timing]) -> float | None:
  """Returns from how many steps on compiling each child pays.

  Args:
    timings: what each route costs, by its name; `'compiled'` and
      `'interpreted'` are compared.

  Returns:
    The number of steps; `None` where one is missing, or the interpreted route
    is faster in its steps too.
  """
  if not {'compiled', 'interpreted'} <= set(timings):
    return None
  one, other = timings['compiled'], timings['interpreted']
  if other.step <= one.step:
    return None
  return max(0.0, one.child - other.child) / (other.step - one.step)


def _first_line(error: Exception) -> str:
  return (str(error) or 'There is no memory left').splitlines()[0]
