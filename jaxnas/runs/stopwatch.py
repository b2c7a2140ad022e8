# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""What the time of a run went to: one line of `timings.jsonl` for each lap."""

from __future__ import annotations

from collections.abc import Callable
import time
from typing import Any, NamedTuple

from jaxnas.records import trial_log


class Spent(NamedTuple):
  """Seconds of work since the run was started.

  Attributes:
    compile: spent on compiling.
    train: spent on training.
  """

  compile: float
  train: float


class Stopwatch:
  """Writes what each stretch of work took, by compiling and by training."""

  def __init__(self, timings: trial_log.JsonLines, spent: Callable[[], Spent]):
    """Starts the watch.

    Args:
      timings: gets a line for each lap.
      spent: `() -> Spent`, the work so far.
    """
    self._timings, self._spent = timings, spent
    self._started = self._last = time.perf_counter()
    self._before = spent()

  @property
  def total(self) -> float:
    """Seconds since the start."""
    return time.perf_counter() - self._started

  @property
  def since_lap(self) -> float:
    """Seconds since the last lap, or the start."""
    return time.perf_counter() - self._last

  def lap(self, phase: str, **facts: Any) -> None:
    """Writes a line about the time since the last lap.

    Args:
      phase: what was done, as `'search'`.
      **facts: what else the line says; values that JSON can hold.
    """
    now, spent = time.perf_counter(), self._spent()
    self._timings.append(
      [
        {
          'phase': phase,
          **facts,
          'wall_seconds': now - self._last,
          'compile_seconds': spent.compile - self._before.compile,
          'train_seconds': spent.train - self._before.train,
        }
      ]
    )
    self._last, self._before = now, spent
