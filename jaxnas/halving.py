# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Successive halving: who is trained on, and where children are compared.

"Non-stochastic Best Arm Identification and Hyperparameter Optimization",
Jamieson and Talwalkar, 2016 (https://arxiv.org/abs/1502.07943). A batch of
children is trained to the first *rung*, a number of steps; the best part of
them is trained on to the next, and so on. What stops keeps its reward at the
rung where it stopped.

- `Schedule` has the rungs, and says how many children are trained to each and
  at what cost; one with a single rung trains every child fully.
- `going_on` decides at one rung, `halve` at all rungs where rewards are known,
  and `goes_on_early` without waiting for the rest of a batch (ASHA).
  `surely_lost` says early who cannot go on.
- `calibrate` finds the first rung that tells good children apart, since with
  one that is too early halving is worse than random search.

`rung_scale` says what a strategy is told of a child that was stopped.

With costs beside the reward, the best are those that the fewest dominate.

Letters: `N` children, `K` rungs, `P` points at which rewards were measured, `C`
costs.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import itertools
import math
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jaxnas import nondominated, statistics

MIN_CORRELATION = 0.5
"""The rank correlation that makes a point a rung; see `calibrate`."""

MIN_CALIBRATION = 8
"""The fewest children that a calibration takes."""


@dataclasses.dataclass(frozen=True)
class Schedule:
  """The rungs of successive halving.

  Attributes:
    rungs: the numbers of steps at which children are compared, `K` of them,
      growing; the last is the full training. Only one means no halving.
    eta: of those trained to a rung, one in `eta` goes on to the next.
  """

  rungs: tuple[int, ...]
  eta: int = 4

  def __post_init__(self):
    rungs = tuple(self.rungs)
    if not rungs or any(
      isinstance(rung, bool) or not isinstance(rung, (int, np.integer))
      for rung in rungs
    ):
      raise ValueError(
        f'rungs must be at least one whole number of steps, got {rungs}.'
      )
    if rungs[0] < 1 or any(
      after <= before for before, after in itertools.pairwise(rungs)
    ):
      raise ValueError(
        'rungs must grow, from 1 step or more, got '
        f'{", ".join(map(str, rungs))}.'
      )
    if isinstance(self.eta, bool) or not isinstance(
      self.eta, (int, np.integer)
    ):
      raise ValueError(f'eta must be a whole number, got {self.eta!r}.')
    if self.eta < 2:
      raise ValueError(
        f'eta must be at least 2, or all would go on; got {self.eta}.'
      )
    object.__setattr__(self, 'rungs', tuple(int(rung) for rung in rungs))
    object.__setattr__(self, 'eta', int(self.eta))

  def check_full(self, num_steps: int) -> None:
    """Checks that those who go on to the end are trained fully.

    Args:
      num_steps: the number of steps of a full training.

    Raises:
      ValueError: the last rung is not the full training.
    """
    if self.rungs[-1] != num_steps:
      raise ValueError(
        f'The last rung must be the full training of {num_steps} steps, got '
        f'{", ".join(map(str, self.rungs))}.'
      )

  @property
  def num_rungs(self) -> int:
    """The number of rungs, `K`."""
    return len(self.rungs)

  def num_started(self, batch_size: int) -> tuple[int, ...]:
    """Returns how many of a batch are trained to each rung, `K` numbers.

    They are fewer if fewer are alive.

    Args:
      batch_size: the number of children of the batch, `N`.

    Raises:
      ValueError: there is no child.
    """
    if batch_size < 1:
      raise ValueError(f'batch_size must be at least 1, got {batch_size}.')
    started = [batch_size]
    while len(started) < self.num_rungs:
      started.append(max(1, started[-1] // self.eta))
    return tuple(started)

  def num_steps(self, batch_size: int) -> int:
    """Returns the steps of a batch, those of children that fail included.

    Args:
      batch_size: the number of children of the batch, `N`.
    """
    added = np.diff(self.rungs, prepend=0).tolist()
    started = self.num_started(batch_size)
    return sum(n * steps for n, steps in zip(started, added, strict=True))

  def num_batches(self, num_steps: int, batch_size: int) -> int:
    """Returns how many batches can be trained at a cost.

    Args:
      num_steps: the number of steps to spend.
      batch_size: the number of children of a batch, `N`.
    """
    return num_steps // self.num_steps(batch_size)


def going_on(
  rewards: jax.Array,
  is_alive: jax.Array,
  num_started: int,
  costs: jax.Array | None = None,
) -> jax.Array:
  """Returns which of a batch go on to the next rung; pure.

  They are the best by their rewards at this rung, of equals those proposed
  earlier. A child that failed, or whose reward is not finite, never goes on, so
  they may be fewer than planned.

  With costs, which are known from the start and are to be small, they are the
  best by the ranking of NSGA-II; see `nondominated`. "Multi-objective
  Asynchronous Successive Halving", Schmucker et al., 2021
  (https://arxiv.org/abs/2106.12639), halves by non-dominated rank, too, and
  spreads what is left of a rank by an epsilon-net in place of the crowding
  distance, which here is also what evolution ranks by.

  Args:
    rewards: the rewards at this rung, `[N]`, in the order of proposal; those of
      children that are not alive mean nothing.
    is_alive: which children were trained to this rung and have not failed,
      `bool[N]`.
    num_started: how many go on at most; see `Schedule.num_started`.
    costs: the costs of the children, `[N, C]`; none by default. A child without
      a finite cost does not go on.

  Returns:
    Who goes on, `bool[N]`.
  """
  rewards, is_alive, values = _values(rewards, is_alive, costs)
  if costs is None:
    order = jnp.argsort(jnp.where(is_alive, -rewards, jnp.inf), stable=True)
  else:
    order = nondominated.order(values, is_alive)
  ranks = (
    jnp.zeros(len(order), jnp.int32)
    .at[order]
    .set(jnp.arange(len(order), dtype=jnp.int32))
  )
  return is_alive & (ranks < num_started)


def surely_lost(
  rewards: jax.Array,
  is_alive: jax.Array,
  num_started: int,
  costs: jax.Array | None = None,
) -> jax.Array:
  """Returns which of a batch cannot go on, whoever comes to the rung yet; pure.

  A child is dominated by as many as may go on, or surpassed by as many if there
  are no costs; nobody who comes later changes that.

  Args:
    rewards: the rewards at this rung of those that have come to it, `[N]`.
    is_alive: which children have come to it and have not failed, `bool[N]`.
    num_started: how many go on at most.
    costs: the costs of the children, `[N, C]`; none by default.

  Returns:
    Who has come and will not go on, `bool[N]`.
  """
  if costs is None:
    goes_on = going_on(rewards, is_alive, num_started)
    return jnp.asarray(is_alive, bool) & ~goes_on
  _, counts, values = _values(rewards, is_alive, costs)
  dominates = nondominated.dominates(values) & counts[:, None]
  num_better = jnp.sum(dominates, axis=0)
  return jnp.asarray(is_alive, bool) & (~counts | (num_better >= num_started))


def _values(
  rewards: jax.Array, is_alive: jax.Array, costs: jax.Array | None
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Returns the rewards, who may go on, and all objectives, `[N, 1 + C]`."""
  rewards = jnp.asarray(rewards, jnp.float32)
  is_alive = jnp.asarray(is_alive, bool) & jnp.isfinite(rewards)
  chex.assert_rank([rewards, is_alive], 1)
  values = rewards[:, None]
  if costs is not None:
    costs = jnp.asarray(costs, jnp.float32)
    chex.assert_shape(costs, (len(rewards), None))
    is_alive &= jnp.isfinite(costs).all(axis=1)
    values = jnp.column_stack([rewards, -costs])
    # What is not alive must not spoil the distances of the others.
    values = jnp.where(is_alive[:, None], values, 0.0)
  return rewards, is_alive, values


def halve(
  schedule: Schedule, curves: jax.Array, costs: jax.Array | None = None
) -> jax.Array:
  """Returns how far each child of a batch is trained; pure.

  Args:
    schedule: the schedule.
    curves: the rewards of the batch at all rungs, `[N, K]`, in the order of
      proposal; NaN from the rung on before which a child fails.
    costs: the costs of the children, `[N, C]`; none by default.

  Returns:
    The index of the last rung that each child is trained to, `int32[N]`. A
    child that fails before a rung ends there.
  """
  chex.assert_shape(curves, (None, schedule.num_rungs))
  started = schedule.num_started(len(curves))
  stays = jnp.ones(len(curves), bool)
  last = jnp.zeros(len(curves), jnp.int32)
  for rung in range(schedule.num_rungs - 1):
    stays = going_on(curves[:, rung], stays, started[rung + 1], costs)
    last += stays
  return last


def goes_on_early(reward: jax.Array, earlier: jax.Array, eta: int) -> jax.Array:
  """Returns whether a child goes on without waiting for others; pure.

  The stopping form of "A System for Massively Parallel Hyperparameter Tuning",
  Li et al., 2020 (https://arxiv.org/abs/1810.05934), ASHA: a child goes on if
  it is among the best `1 / eta` of those that came to the rung before it, and
  itself; the first always. Who came before is a matter of the log's order, so
  that the same log makes the same decisions.

  Args:
    reward: the child's reward at the rung, a scalar. A child that failed, whose
      reward is not finite, never goes on.
    earlier: the rewards of those that came to the rung before it in the log's
      order, `[M]`; NaN for places that are not filled yet, and minus infinity
      for children that failed.
    eta: one in `eta` goes on.
  """
  earlier = jnp.asarray(earlier)
  num_before = jnp.sum(~jnp.isnan(earlier))
  num_better = jnp.sum(earlier >= reward)
  limit = jnp.maximum(1, (num_before + 1) // eta)
  return jnp.isfinite(reward) & (num_better < limit)


class Arrivals(NamedTuple):
  """Who has come to each rung but the last so far, a pytree.

  Attributes:
    rewards: the rewards in the order of the log, `float32[K - 1, M]`; minus
      infinity for children that failed, and NaN for places not filled yet.
    num_arrived: how many have come to each rung, `int32[K - 1]`.
  """

  rewards: jax.Array
  num_arrived: jax.Array


def init_arrivals(schedule: Schedule, num_children: int) -> Arrivals:
  """Returns the state in which nobody has come to a rung.

  Args:
    schedule: the schedule.
    num_children: the number of children there will be in all, `M`.
  """
  num_rungs = schedule.num_rungs - 1
  return Arrivals(
    jnp.full((num_rungs, num_children), jnp.nan, jnp.float32),
    jnp.zeros(num_rungs, jnp.int32),
  )


def halve_early(
  schedule: Schedule, curves: jax.Array, arrivals: Arrivals
) -> tuple[jax.Array, Arrivals]:
  """Returns how far children are trained who wait for nobody (ASHA); pure.

  Args:
    schedule: the schedule.
    curves: the rewards of the children at all rungs, `[N, K]`, in the log's
      order; NaN from the rung on before which a child fails.
    arrivals: who came to the rungs before them.

  Returns:
    The index of the last rung that each child is trained to, `int32[N]`, and
    the arrivals with these children.
  """
  chex.assert_shape(curves, (None, schedule.num_rungs))

  def climb(arrivals, curve):
    rewards, num_arrived = arrivals
    is_here, last = jnp.bool_(True), jnp.int32(0)
    for rung in range(schedule.num_rungs - 1):
      reward = curve[rung]
      goes_on = goes_on_early(reward, rewards[rung], schedule.eta)
      arrival = jnp.where(jnp.isfinite(reward), reward, -jnp.inf)
      place = rung, num_arrived[rung]
      rewards = rewards.at[place].set(
        jnp.where(is_here, arrival, rewards[place])
      )
      num_arrived = num_arrived.at[rung].add(is_here)
      is_here &= goes_on
      last += is_here
    return Arrivals(rewards, num_arrived), last

  arrivals, last = jax.lax.scan(climb, arrivals, curves)
  return last, arrivals


class Calibration(NamedTuple):
  """Which point of a training can be the first rung.

  Attributes:
    first: the index of the point; that of the last, which means no halving, if
      no other tells good children apart.
    correlations: the rank correlation of each point but the last with the last,
      within the best half; NaN where it is not defined.
    num_children: how many children it is measured with.
  """

  first: int
  correlations: tuple[float, ...]
  num_children: int

  def schedule(self, points: Sequence[int], eta: int) -> Schedule:
    """Returns the schedule of the first rung and all points after it.

    Args:
      points: the numbers of steps of the points, `P`.
      eta: one in `eta` goes on.
    """
    chex.assert_equal(len(points), len(self.correlations) + 1)
    return Schedule(tuple(points)[self.first :], eta)


def calibrate(
  curves: np.ndarray, min_correlation: float = MIN_CORRELATION
) -> Calibration:
  """Finds the first point of a training that tells good children apart.

  Halving chooses among the best, so what counts is Spearman's rank correlation
  of a point with the end *within the best half* by the end. Over all children
  it is high very early, when all that can be told is who will fail.

  Args:
    curves: the rewards of children drawn at random and trained fully, at every
      point, `[N, P]`; NaN from the point on before which a child failed.
    min_correlation: the rank correlation that is enough.

  Raises:
    ValueError: there are too few children, or no point.
  """
  curves = np.asarray(curves, np.float64)
  if curves.ndim != 2 or not curves.shape[1]:
    raise ValueError(
      'curves must have one row for each child and one column for each point, '
      f'got the shape {curves.shape}.'
    )
  num_children, num_points = curves.shape
  if num_children < MIN_CALIBRATION:
    raise ValueError(
      f'A calibration needs at least {MIN_CALIBRATION} children, got '
      f'{num_children}.'
    )
  curves = np.where(np.isfinite(curves), curves, -np.inf)
  end = curves[:, -1]
  best = np.argsort(-end, kind='stable')[: num_children // 2]
  best = best[np.isfinite(end[best])]
  correlations = tuple(
    # Two children correlate perfectly, either way.
    statistics.rank_correlation(curves[best, point], end[best])
    if len(best) > 2
    else math.nan
    for point in range(num_points - 1)
  )
  first = next(
    (
      point
      for point, correlation in enumerate(correlations)
      if correlation >= min_correlation
    ),
    num_points - 1,
  )
  return Calibration(first, correlations, num_children)
