# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Which of several ways to train the same children is the fastest.

A route that compiles a program for each child pays for it anew with every
child, and one where architectures are data pays with slower steps. Which is
less depends on the children, their number of steps and the machine, so it is
measured: each route trains a few children for a few steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import time
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnas.evaluators import compiled
from jaxnas.types import Runner


class Route(NamedTuple):
  """A way to train children.

  Attributes:
    runner: trains them.
    assemble: makes of architectures what the runner calls programs.
  """

  runner: Runner
  assemble: Callable[[Sequence[Any]], Any]


class Timing(NamedTuple):
  """What a route costs, seconds of wall time.

  Attributes:
    once: whatever is done once for all children, compiling above all.
    child: for each child, whatever its number of steps.
    step: for each step of a child.
  """

  once: float
  child: float
  step: float

  def total(self, num_children: int, num_steps: int) -> float:
    """Returns the seconds that so many children of so many steps take."""
    return self.once + num_children * (self.child + num_steps * self.step)


_FEW, _MORE = 1, 5


def measure(
  route: Route, architectures: Sequence[Any], learning_rate: float
) -> Timing:
  """Measures what a route costs.

  Args:
    route: the route; its programs stay compiled.
    architectures: typical ones, as many as fill the runner's devices.
    learning_rate: of the short trainings.
  """
  keys = jax.random.split(jax.random.key(0), len(architectures))
  programs = route.assemble(architectures)
  rates = np.full(len(architectures), learning_rate)

  def seconds(num_steps):
    started = time.perf_counter()
    route.runner.run(keys, programs, rates, num_steps)
    return time.perf_counter() - started

  cold, warm = seconds(_FEW), seconds(_FEW)
  step = max(0.0, seconds(_MORE) - warm) / (_MORE - _FEW) / len(architectures)
  child = max(0.0, warm / len(architectures) - _FEW * step)
  compiling = max(0.0, cold - warm)
  if isinstance(route.runner, compiled.CompiledRunner):
    return Timing(0.0, child + compiling / len(architectures), step)
  return Timing(compiling, child, step)


def choose(
  timings: Mapping[str, Timing], num_children: int, num_steps: int
) -> tuple[str, str]:
  """Returns the cheapest route, and why it is chosen.

  Args:
    timings: of each route, by its name.
    num_children: how many are to be trained.
    num_steps: how long each trains.

  Returns:
    The route's name, and a sentence with the measured figures.
  """
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
  steps = break_even(timings)
  if steps is not None:
    reason += f'; a compiled program pays from {steps:.0f} steps on'
  return name, f'{reason}.'


def break_even(timings: Mapping[str, Timing]) -> float | None:
  """Returns from how many steps on compiling each child pays.

  Args:
    timings: of each route; `'compiled'` and `'interpreted'` are compared.

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
