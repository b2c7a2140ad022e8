# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The line that tells every ten seconds what workers do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import statistics

SECONDS = 10.0
"""The time between two lines."""


class StatusLine:
  """Keeps count of what happens between two lines."""

  def __init__(self, clock: Callable[[], float]):
    """Begins to count.

    Args:
      clock: returns the time in seconds.
    """
    self._clock = clock
    self._since = clock()
    self._num_trials = 0
    self._busy_seconds = 0.0

  def count(self, num_trials: int) -> None:
    """Counts trials that have been finished."""
    self._num_trials += num_trials

  def add_work(self, started: float, seconds: float) -> None:
    """Counts the work of a worker, which is idle until it is given more.

    Args:
      started: the time at which it was given the work, by the clock.
      seconds: the time that it worked, in seconds.
    """
    self._busy_seconds += max(
      0.0, started + seconds - max(started, self._since)
    )

  def update(
    self,
    num_workers: int,
    num_ready: int,
    num_starting: int,
    started: Sequence[float],
    medians: Sequence[float | None],
    lag: float | None,
  ) -> str:
    """Returns the line if it is time for one, else `''`.

    Args:
      num_workers: the number of workers there should be.
      num_ready: the number of workers there are.
      num_starting: the number of workers that are being started.
      started: the times at which the blocks that run now began, by the clock.
      medians: the median duration of each kind of block, in seconds, if known.
      lag: the number of groups that the search is behind, if known.
    """
    now = self._clock()
    passed = now - self._since
    if passed < SECONDS:
      return ''
    for each in started:
      self.add_work(each, now - each)
    lost = max(0, num_workers - num_ready - num_starting)
    parts = [f'{num_ready} ready, {lost} lost, {num_starting} starting']
    blocks = f'{len(started)} block{"" if len(started) == 1 else "s"} running'
    if started:
      blocks += f', the oldest for {now - min(started):.0f} s'
    if known := [each for each in medians if each is not None]:
      blocks += f', median {statistics.median(known):.3g} s'
    share = self._busy_seconds / (passed * max(1, num_workers))
    parts += [
      blocks,
      f'{self._num_trials / passed:.3g} trials/s',
      f'utilization {share:.0%}',
    ]
    if lag is not None:
      parts.append(f'lag {lag:.3g}')
    self._since = now
    self._num_trials = 0
    self._busy_seconds = 0.0
    return f'Workers: {"; ".join(parts)}.'
