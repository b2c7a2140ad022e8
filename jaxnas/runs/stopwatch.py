# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Accounts for the time of a run: one line of `timings.jsonl` per lap."""

from __future__ import annotations

from collections.abc import Callable
import time
from typing import Any, NamedTuple

from jaxnas.records import trial_log


class Spent(NamedTuple):
  """The work since the run was started, in seconds.

  Attributes:
    compile: the time spent compiling.
    train: the time spent training.
  """

  compile: float
  train: float


class Stopwatch:
  """Records the time of each phase, split into compiling and training."""

  def __init__(self, timings: trial_log.JsonLines, spent: Callable[[], Spent]):
    """Starts the watch.

    Args:
      timings: the file that gets one line per lap.
      spent: a function that returns the work so far.
    """
    self._timings, self._spent = timings, spent
    self._started = self._last = time.perf_counter()
    self._before = spent()

  @property
  def total(self) -> float:
    """The time since the start, in seconds."""
    return time.perf_counter() - self._started

  @property
  def since_lap(self) -> float:
    """The time since the last lap, or the start, in seconds."""
    return time.perf_counter() - self._last

  def lap(self, phase: str, **facts: Any) -> None:
    """Writes a line about the time since the last lap.

    Args:
      phase: the name of the phase, such as `'search'`.
      **facts: further entries of the line, JSON-compatible values.
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
