# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Searches of a table with successive halving, for many seeds.

Letters: `S` seeds, `R` trials of a search, `K` rungs, `P` points.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas import halving, pure_search, rung_scale
from jaxnas.datasets import reward_table as tables
from jaxnas.runs import many_searches
from jaxnas.strategies import random_search
from jaxnas.types import Strategy

NUM_CALIBRATION = 32
"""The number of children of a calibration."""


class Part(NamedTuple):
  """The seeds whose searches have the same schedule.

  Attributes:
    schedule: the schedule.
    seeds: the numbers of the seeds, `int[S]`.
  """

  schedule: halving.Schedule
  seeds: np.ndarray


class Calibrations(NamedTuple):
  """The calibration of each seed.

  Attributes:
    entries: the entries that were trained fully, `int32[S, N]`.
    found: the calibration that follows from these entries, for each seed.
    scales: the scales of rewards at all points, estimated from these entries,
      arrays `[S, P - 1]`.
  """

  entries: np.ndarray
  found: list[halving.Calibration]
  scales: rung_scale.Scale

  def parts(self, points: Sequence[int], eta: int) -> list[Part]:
    """Returns the parts by schedule, the one with the earliest rung first.

    Args:
      points: the numbers of steps at all points, `P` of them.
      eta: the number of children at a rung of which one goes on to the next.
    """
    first = np.array([each.first for each in self.found])
    return [
      Part(
        halving.Schedule(tuple(points)[place:], eta),
        np.flatnonzero(first == place),
      )
      for place in range(len(points))
      if (first == place).any()
    ]

  def scale(self, part: Part) -> rung_scale.Scale:
    """Returns the scale of rewards at a part's rungs, for each of its seeds."""
    num_pairs = part.schedule.num_rungs - 1
    return jax.tree.map(
      lambda leaf: leaf[part.seeds, leaf.shape[1] - num_pairs :], self.scales
    )


def calibrate(curves: tables.Curves, keys: jax.Array) -> Calibrations:
  """Draws children at random for each seed, and calibrates with them.

  Args:
    curves: the rewards at all points.
    keys: the keys of the searches, `[S]`.
  """
  strategy = random_search.make_random_search(
    tables.make_decisions(curves.cardinalities)
  )

  def draw(key):
    key = jax.random.fold_in(key, _CALIBRATION)
    proposals = strategy.ask(strategy.init(key), key, NUM_CALIBRATION, None)
    entries = tables.index(curves.cardinalities, proposals.tokens)
    scale = rung_scale.extend_scale(
      rung_scale.init_scale(len(curves.points)),
      curves.look_up(proposals.tokens),
    )
    return entries, scale

  entries, scales = jax.tree.map(np.asarray, jax.jit(jax.vmap(draw))(keys))
  found = [halving.calibrate(curves.rewards[each]) for each in entries]
  return Calibrations(entries, found, scales)


# Beyond the numbers of rounds, and those of other draws from a search's key.
_CALIBRATION = np.uint32(2**32 - 3)


class Shape(NamedTuple):
  """How the trials of a search are halved.

  Attributes:
    schedule: the rungs.
    batch_size: the number of trials of a group.
    replicas: the number of groups in flight; with several, no child waits for
      others (ASHA).
    replicas_per_update: the number of groups told together.
  """

  schedule: halving.Schedule
  batch_size: int
  replicas: int = 1
  replicas_per_update: int = 1

  def num_trials(self, num_steps: int) -> int:
    """Returns the number of trials to propose at a cost.

    If no child waits for others, the cost depends on the rewards, so the number
    is the one at which all trials could stop at the first rung.

    Args:
      num_steps: the number of steps to spend.

    Raises:
      ValueError: the steps are too few for a single update of the strategy.
    """
    each = self.batch_size * self.replicas_per_update
    if self.replicas > 1:
      num_updates = num_steps // (each * self.schedule.rungs[0])
    else:
      num_updates = (
        self.schedule.num_batches(num_steps, self.batch_size)
        // self.replicas_per_update
      )
    if not num_updates:
      raise ValueError(
        f'{each} trials from one update to the next, halved at rungs '
        f'{", ".join(map(str, self.schedule.rungs))}, take more than the '
        f'{num_steps:,} steps of a search; use smaller --halving_batches or '
        'more --num_trials.'
      )
    return num_updates * each


def make_search(
  curves: tables.Curves,
  floor: float,
  strategy: Strategy,
  shape: Shape,
  num_trials: int,
  costs: np.ndarray | None = None,
) -> Callable[[Mapping[str, Any]], jax.Array]:
  """Makes a function that runs a whole search of a table with halving.

  Args:
    curves: the rewards at the rungs.
    floor: the reward of a child that fails.
    strategy: the search strategy.
    shape: the way in which trials are halved.
    num_trials: the number of trials; see `Shape.num_trials`.
    costs: the costs of all entries, `[A, C]`, which decide together with the
      reward which children go on; none by default.

  Returns:
    A function `row -> entries int32[num_trials]`, in the order of finishing.
    The row has a `key` and optionally a `scale`, for `pure_search.scan`.
  """
  num_groups = num_trials // shape.batch_size

  def price(tokens):
    return jnp.asarray(costs)[tables.index(curves.cardinalities, tokens)]

  def search(row: Mapping[str, Any]) -> jax.Array:
    found = pure_search.scan(
      strategy,
      curves.look_up,
      row['key'],
      num_groups // shape.replicas_per_update,
      shape.batch_size,
      replicas=shape.replicas,
      replicas_per_update=shape.replicas_per_update,
      order=many_searches.draw_order(row['key'], num_groups, shape.replicas),
      schedule=shape.schedule,
      scale=row.get('scale'),
      floor=floor,
      costs=None if costs is None else price,
    )
    return tables.index(curves.cardinalities, found.tokens).reshape(-1)

  return search


class Outcome(NamedTuple):
  """What searches found, and at what cost.

  Attributes:
    rewards: the reward of each trial, `float64[S, R]`; minus infinity for a
      trial that was stopped at a rung.
    ends: the steps that a search has spent in total when it knows the reward of
      each trial, `int64[S, R]`.
  """

  rewards: np.ndarray
  ends: np.ndarray

  def after(self, first: np.ndarray, num_steps: int) -> Outcome:
    """Returns the outcome of searches that are preceded by full trainings.

    Args:
      first: the rewards of these trainings, `[S, N]`.
      num_steps: the number of steps of each training.
    """
    ends = num_steps * np.arange(1, 1 + first.shape[1])
    return Outcome(
      np.concatenate([first, self.rewards], axis=1),
      np.concatenate(
        [np.broadcast_to(ends, first.shape), ends[-1] + self.ends], axis=1
      ),
    )

  def num_trials(self, num_steps: int) -> np.ndarray:
    """Returns how many trials each search has had at a cost, `int[S]`."""
    return (self.ends <= num_steps).sum(axis=1)

  def best(self, costs: np.ndarray, nothing: float) -> np.ndarray:
    """Returns the best reward that each search has found at some costs.

    Args:
      costs: the costs in steps, in ascending order, `[C]`.
      nothing: the reward that counts before the first one is known.

    Returns:
      The best rewards, `float64[S, C]`.
    """
    best = np.maximum.accumulate(np.maximum(self.rewards, nothing), axis=1)
    best = np.pad(best, ((0, 0), (1, 0)), constant_values=nothing)
    places = np.stack(
      [np.searchsorted(ends, costs, side='right') for ends in self.ends]
    )
    return np.take_along_axis(best, places, axis=1)


def play_back(
  curves: tables.Curves,
  rewards: np.ndarray,
  shape: Shape,
  entries: np.ndarray,
  costs: np.ndarray | None = None,
) -> Outcome:
  """Returns the outcome of searches, from the entries that they tried.

  Args:
    curves: the rewards at the rungs.
    rewards: the rewards of all entries when trained fully, `float32[A]`.
    shape: the way in which trials were halved.
    entries: the entries, `int32[S, R]`, in the order of finishing.
    costs: the costs of all entries, `[A, C]`, if they decided too; none by
      default.
  """
  schedule = shape.schedule
  if shape.replicas > 1:
    arrivals = halving.init_arrivals(schedule, entries.shape[1])
    halve = jax.vmap(
      lambda curve: halving.halve_early(schedule, curve, arrivals)[0]
    )
    groups = entries
  else:
    halve = jax.vmap(jax.vmap(functools.partial(halving.halve, schedule)))
    groups = entries.reshape(len(entries), -1, shape.batch_size)
  given = [curves.rewards] if costs is None else [curves.rewards, costs]
  rungs = jax.jit(halve)(*(jnp.asarray(each)[groups] for each in given))
  rungs = np.asarray(rungs).reshape(entries.shape)
  if shape.replicas > 1:
    ends = np.cumsum(np.array(schedule.rungs)[rungs], axis=1)
  else:
    each = schedule.num_steps(shape.batch_size)
    number = 1 + np.arange(entries.shape[1]) // shape.batch_size
    ends = np.broadcast_to(each * number, entries.shape)
  is_full = rungs == schedule.num_rungs - 1
  return Outcome(
    np.where(is_full, rewards.astype(np.float64)[entries], -np.inf), ends
  )
