# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""How many steps of a long training are done in one call."""

from __future__ import annotations

from collections.abc import Callable
import time
from typing import Any

import jax
import jax.numpy as jnp

from jaxnas.records import trial_log
from jaxnas.runs import stopwatch
from jaxnas.trainers import memory


class Clock:
  """Decides how many steps a call takes; keeps account of the time.

  The training comes out the same however it is cut into calls.
  """

  CALL_SECONDS = 1.0
  """How many seconds a call is to take, about."""

  _FIRST_CALLS = (1, 4)  # One warms up, and the other gives the estimate.

  def __init__(self, timings: trial_log.JsonLines, save_seconds: float):
    """Starts the clock.

    Args:
      timings: gets a line for each lap.
      save_seconds: the longest time between two checkpoints, about.
    """
    self._save_seconds = save_seconds
    self._compile_seconds = self._train_seconds = 0.0
    self._stopwatch = stopwatch.Stopwatch(
      timings,
      lambda: stopwatch.Spent(self._compile_seconds, self._train_seconds),
    )
    self._step_seconds = 0.0
    self._num_calls = 0

  @property
  def total(self) -> float:
    """Seconds since the start."""
    return self._stopwatch.total

  @property
  def is_save_due(self) -> bool:
    """Whether the last lap was long ago."""
    return self._stopwatch.since_lap >= self._save_seconds

  @property
  def is_first_estimate(self) -> bool:
    """Whether the last call is the first that tells how long a step takes."""
    return self._num_calls == len(self._FIRST_CALLS)

  @property
  def num_steps(self) -> int:
    """How many steps the next call is to take."""
    if self._num_calls < len(self._FIRST_CALLS):
      return self._FIRST_CALLS[self._num_calls]
    return max(1, int(self.CALL_SECONDS / self._step_seconds))

  def estimate(self, num_steps: int) -> float:
    """Returns the seconds that so many steps will take."""
    return num_steps * self._step_seconds

  def compile(self, train: Callable[..., Any], state: Any, data: Any) -> None:
    """Compiles what is called later.

    Args:
      train: `(state, data, num_steps) -> state`, jitted.
      state: the first state.
      data: what is trained on.

    Raises:
      NotEnoughMemoryError: there is not enough memory for it.
    """
    started = time.perf_counter()
    program = train.lower(state, data, jnp.int32(0)).compile()  # type: ignore[attr-defined]  # Jitted.
    self._compile_seconds += time.perf_counter() - started
    memory.check(
      program,
      jax.devices()[:1],
      'The training',
      'take a smaller --batch_size or a smaller network',
    )

  def train(
    self, train: Callable[..., Any], state: Any, data: Any, num_steps: int
  ) -> Any:
    """Trains; returns the new state.

    Args:
      train: as for `compile`.
      state: where the training stands; it is given away.
      data: what is trained on.
      num_steps: how many steps to take, at least one.
    """
    started = time.perf_counter()
    state = jax.block_until_ready(train(state, data, jnp.int32(num_steps)))
    seconds = time.perf_counter() - started
    self._train_seconds += seconds
    self._step_seconds = seconds / num_steps
    self._num_calls += 1
    return state

  def lap(self, num_trained: int) -> None:
    """Writes what the time since the last lap went to.

    Args:
      num_trained: steps taken since the training began.
    """
    self._stopwatch.lap('train', num_trained=num_trained)
