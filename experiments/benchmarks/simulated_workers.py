# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A search with many workers, event by event, without any training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import heapq
from typing import NamedTuple

import numpy as np

Draw = Callable[[np.random.Generator, int], np.ndarray]
"""`(generator, count) -> durations [count]`, each above 0."""


class Fleet(NamedTuple):
  """Workers, and the trials that are in flight for them.

  Attributes:
    num_workers: the number of workers.
    replicas: the number of groups of trials in flight. A group is replaced by
      the next when its last trial is finished.
    trials_per_update: the number of trials of a group.
    block_size: the number of trials that a worker takes at a time.
  """

  num_workers: int
  replicas: int
  trials_per_update: int
  block_size: int = 1


class Outcome(NamedTuple):
  """What a simulation found.

  Attributes:
    utilization: the share of time in which workers train, until no further
      group is proposed.
    mean_lag: the number of groups that finish between the proposal of a group
      and its own end, as a mean.
    high_lag: the same, exceeded by one group in twenty.
  """

  utilization: float
  mean_lag: float
  high_lag: float


def lognormal(sigma: float) -> Draw:
  """Returns durations whose logarithm is normal, with a mean of 1.

  Args:
    sigma: the standard deviation of the logarithm; 0 for equal durations.
  """
  return lambda rng, count: rng.lognormal(-(sigma**2) / 2, sigma, count)


def with_tail(draw: Draw) -> Draw:
  """Returns durations of which one in a hundred is ten times as long.

  Args:
    draw: the other durations.
  """

  def draw_with_tail(rng, count):
    return draw(rng, count) * np.where(rng.random(count) < 0.01, 10.0, 1.0)

  return draw_with_tail


def measured(durations: Sequence[float]) -> Draw:
  """Returns durations drawn from measured ones.

  Args:
    durations: the measured durations.
  """
  known = np.asarray(durations, float)
  return lambda rng, count: rng.choice(known, count)


def simulate(
  fleet: Fleet, draw: Draw, num_groups: int, seed: int = 0
) -> Outcome:
  """Simulates a search.

  Args:
    fleet: the workers and their trials.
    draw: the durations of blocks.
    num_groups: the number of groups of the search; more than are in flight at
      once.
    seed: the seed of the durations.

  Raises:
    ValueError: there are too few groups.
  """
  if num_groups <= fleet.replicas:
    raise ValueError(
      f'num_groups must be more than replicas ({fleet.replicas}), got '
      f'{num_groups}.'
    )
  num_trials = num_groups * fleet.trials_per_update
  durations = draw(np.random.default_rng(seed), num_trials).tolist()
  left = [fleet.trials_per_update] * num_groups
  finished_when_asked = [0] * fleet.replicas
  num_asked = fleet.replicas
  num_free, next_trial, num_finished = fleet.num_workers, 0, 0
  now = asked_last = 0.0
  running: list[tuple[float, int, int]] = []
  spans: list[tuple[float, float]] = []
  lags: list[int] = []
  while num_finished < num_groups:
    while num_free and next_trial < num_asked * fleet.trials_per_update:
      stop = min(
        next_trial + fleet.block_size, num_asked * fleet.trials_per_update
      )
      end = now + durations[len(spans)]
      heapq.heappush(running, (end, next_trial, stop))
      spans.append((now, end))
      num_free -= 1
      next_trial = stop
    now, start, stop = heapq.heappop(running)
    num_free += 1
    for trial in range(start, stop):
      group = trial // fleet.trials_per_update
      left[group] -= 1
      if left[group]:
        continue
      lags.append(num_finished - finished_when_asked[group])
      num_finished += 1
      if num_asked < num_groups:
        finished_when_asked.append(num_finished)
        num_asked += 1
        asked_last = now
  busy = sum(max(0.0, min(end, asked_last) - start) for start, end in spans)
  return Outcome(
    busy / (fleet.num_workers * asked_last),
    float(np.mean(lags)),
    float(np.quantile(lags, 0.95)),
  )
