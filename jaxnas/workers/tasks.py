# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""What a dispatcher keeps of each request: its parts, attempts and duration."""

from __future__ import annotations

import collections
import dataclasses
import statistics
from typing import Any, NamedTuple

from jaxnas.types import Status

_NUM_REMEMBERED = 64


class Part(NamedTuple):
  """A request, or a part of one that was split, and what became of it.

  Attributes:
    request: the request.
    status: the outcome; `OK` if there is an answer.
    answer: the answer.
    reason: one line on why there is no answer, or why it is not good.
  """

  request: Any
  status: Status
  answer: Any
  reason: str


@dataclasses.dataclass(eq=False)
class Task:
  """A request or a part of one, to be answered by one worker.

  Attributes:
    job: the job that the task is a part of.
    request: the request.
    num_failures: the number of times that a worker died of the task, or that it
      took too long.
    num_attempts: the number of times that it was given to a worker.
    raised_by: the workers whose servants raised an error.
    raised_at: the time of the last of these errors, by the dispatcher's clock.
    running: the workers that have the task now, and the time at which each was
      given it.
    result: the task's outcome; `None` while it is not finished.
  """

  job: Job
  request: Any
  num_failures: int = 0
  num_attempts: int = 0
  raised_by: list[str] = dataclasses.field(default_factory=list)
  raised_at: float = 0.0
  running: dict[str, float] = dataclasses.field(default_factory=dict)
  result: Part | None = None

  @property
  def is_open(self) -> bool:
    """Whether somebody still waits for the task."""
    return self.result is None and not self.job.is_dropped

  def replace(self, halves: list[Task]) -> None:
    """Puts tasks in the place of this one."""
    index = self.job.tasks.index(self)
    self.job.tasks[index : index + 1] = halves


@dataclasses.dataclass(eq=False)
class Job:
  """A request as it was submitted.

  Attributes:
    number: the job's number.
    tasks: the job's parts, in order; at first, the whole request.
    is_dropped: whether nobody waits for the job any more.
  """

  number: int
  tasks: list[Task] = dataclasses.field(default_factory=list)
  is_dropped: bool = False

  @property
  def parts(self) -> list[Part] | None:
    """The outcomes of all parts; `None` while one is not finished."""
    parts = [each.result for each in self.tasks if each.result is not None]
    return parts if len(parts) == len(self.tasks) else None


class Durations:
  """How long the requests of one kind have taken.

  Attributes:
    median: the median of the latest durations, in seconds; the first request of
      a process, which may compile, counts only if there are no others. `None`
      before any.
    longest_first: the longest duration of the first request of a process, in
      seconds; `None` before any.
  """

  def __init__(self):
    """Starts without durations."""
    self._first: Any = collections.deque(maxlen=_NUM_REMEMBERED)
    self._others: Any = collections.deque(maxlen=_NUM_REMEMBERED)
    self.median: float | None = None
    self.longest_first: float | None = None

  def add(self, seconds: float, is_first: bool) -> None:
    """Adds the duration of a request.

    Args:
      seconds: the duration.
      is_first: whether the request was the first of its process.
    """
    if is_first:
      self._first.append(seconds)
      self.longest_first = max(self._first)
    else:
      self._others.append(seconds)
    self.median = statistics.median(self._others or self._first)
