# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Decides how many steps of a long training are taken in one call."""

from __future__ import annotations

from collections.abc import Callable
import time
from typing import TypeVar

from jaxnas.records import trial_log
from jaxnas.runs import stopwatch

_T = TypeVar('_T')


class Clock:
  """Decides how many steps a call takes, and keeps account of the time.

  The training's result does not depend on how it is cut into calls.
  """

  CALL_SECONDS = 1.0
  """The approximate duration of a call, in seconds."""

  _FIRST_CALLS = (1, 4)  # The first warms up, the second gives the estimate.

  def __init__(
    self,
    timings: trial_log.JsonLines,
    save_seconds: float,
    spent: Callable[[], stopwatch.Spent],
  ):
    """Starts the clock.

    Args:
      timings: the file that gets one line per lap.
      save_seconds: the approximate maximum time between checkpoints, in
        seconds.
      spent: a function that returns the work so far.
    """
    self._save_seconds = save_seconds
    self._stopwatch = stopwatch.Stopwatch(timings, spent)
    self._step_seconds = 0.0
    self._num_calls = 0

  @property
  def total(self) -> float:
    """The time since the start, in seconds."""
    return self._stopwatch.total

  @property
  def is_save_due(self) -> bool:
    """Whether the last lap was long enough ago for the next checkpoint."""
    return self._stopwatch.since_lap >= self._save_seconds

  @property
  def is_first_estimate(self) -> bool:
    """Whether the last call was the first to show how long a step takes."""
    return self._num_calls == len(self._FIRST_CALLS)

  @property
  def num_steps(self) -> int:
    """The number of steps that the next call should take."""
    if self._num_calls < len(self._FIRST_CALLS):
      return self._FIRST_CALLS[self._num_calls]
    return max(1, int(self.CALL_SECONDS / self._step_seconds))

  def estimate(self, num_steps: int) -> float:
    """Returns the seconds that a number of steps will take."""
    return num_steps * self._step_seconds

  def time(self, call: Callable[[], _T], num_steps: int) -> _T:
    """Times a call that trains; returns what it returns.

    Args:
      call: the function to call, already compiled.
      num_steps: the number of steps it takes, at least one.
    """
    started = time.perf_counter()
    result = call()
    self._step_seconds = (time.perf_counter() - started) / num_steps
    self._num_calls += 1
    return result

  def lap(self, num_trained: int) -> None:
    """Records how the time since the last lap was spent.

    Args:
      num_trained: the number of steps taken since the training began.
    """
    self._stopwatch.lap('train', num_trained=num_trained)
