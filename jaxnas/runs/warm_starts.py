# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Searches of Base2Bench that start from the best of a scored pool.

A pool of random cells is scored, and the cells with the best scores become the
first trials of a search, which would otherwise be random. The scores have a
cost too: a search of equal total cost has accordingly fewer trials.

Letters: `S` seeds, `A` cells, `F` first trials, `T` tokens, `R` trials.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import math
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnas import pure_search, statistics
from jaxnas.datasets import base2_bench
from jaxnas.datasets import reward_table as tables
from jaxnas.runs import many_searches, regret
from jaxnas.strategies import started
from jaxnas.types import Strategy
from jaxnas.visualize import progress

EARLY = 100
"""The number of trials after which regret is shown besides that at the end."""


def draw_first(
  table: base2_bench.Base2Bench,
  scores: np.ndarray,
  seeds: np.ndarray,
  pool_size: int,
  num_first: int,
) -> np.ndarray:
  """Returns the best of each seed's pool, `int32[S, F, T]`, the best last.

  A pool is drawn from all cells without replacement, and counts equal cells
  once. Cells with equal scores are in the pool's random order. Since the best
  cells come last, a population too small for all first trials keeps the best.

  Args:
    table: the table, which tells which cells are equal.
    scores: the score of every cell, `[A]`, without NaN.
    seeds: the seed of each pool, `[S]`.
    pool_size: the number of cells in a pool.
    num_first: the number of first trials, `F`.

  Raises:
    ValueError: a pool has fewer different cells than there are first trials.
  """
  chosen = []
  for seed in seeds:
    rng = np.random.default_rng([int(seed), 1])
    pool = rng.choice(len(scores), min(pool_size, len(scores)), replace=False)
    _, kept = np.unique(table.cell_of[pool], return_index=True)
    pool = pool[np.sort(kept)]
    if len(pool) < num_first:
      raise ValueError(
        f'A pool has {len(pool)} different cells, fewer than the {num_first} '
        'first trials; make it larger.'
      )
    order = np.argsort(-scores[pool], kind='stable')[:num_first]
    chosen.append(pool[order[::-1]])
  return base2_bench.tokens_of(np.array(chosen))


def make_search(
  table: tables.Table,
  strategy: Strategy,
  num_trials: int,
  batch_size: int,
) -> Callable[[tuple[jax.Array, jax.Array]], jax.Array]:
  """Makes a search that starts from given cells.

  Args:
    table: the table of rewards.
    strategy: the strategy.
    num_trials: the number of trials, a multiple of `batch_size`.
    batch_size: the number of trials between two updates of the strategy.

  Returns:
    A function `(key, first int32[F, T]) -> entries int32[R]`.
  """

  def search(row):
    key, first = row
    found = pure_search.scan(
      started.start_from(strategy, first),
      table.look_up,
      key,
      num_trials // batch_size,
      batch_size,
    )
    return tables.index(table.cardinalities, found.tokens).reshape(-1)

  return search


def pool_trials(
  core_seconds: float, pool_size: int, trial_seconds: float
) -> int:
  """Returns the cost of scoring a pool as a number of trials, rounded up.

  Args:
    core_seconds: the core-seconds that one score takes.
    pool_size: the number of cells in a pool.
    trial_seconds: the core-seconds that a whole training takes.
  """
  return math.ceil(core_seconds * pool_size / trial_seconds)


class Pool(NamedTuple):
  """The scores that pools are chosen by.

  Attributes:
    label: the scorer's name in tables.
    scores: the score of every cell, `[A]`, without NaN.
    seconds: the core-seconds that one score takes.
  """

  label: str
  scores: np.ndarray
  seconds: float


class WarmStart(NamedTuple):
  """Searches that start from scored pools.

  Attributes:
    label: the scorer's name.
    num_spent: the cost of scoring a pool, as a number of trials.
    early: the mean regret at the cost of `EARLY` trials, or `None` if scoring
      alone costs at least as much.
    final: the mean regret at the cost of all trials.
    against: the final regrets compared with those of random pools.
  """

  label: str
  num_spent: int
  early: statistics.Interval | None
  final: statistics.Interval
  against: regret.StrategyComparison


class Report:
  """A report on what starting from scored pools is worth to a search.

  Attributes:
    random: the mean regret of searches that start at random, after `EARLY`
      trials and at the end.
    results: the searches that start from the pools of each scorer.
  """

  def __init__(
    self,
    table: base2_bench.Base2Bench,
    strategy: Strategy,
    pools: Mapping[str, Pool],
    *,
    num_searches: int,
    num_trials: int,
    batch_size: int,
    num_first: int,
    pool_size: int,
    trial_seconds: float,
    block_size: int,
    seed: int,
  ):
    """Runs all searches, with one compiled program.

    Args:
      table: the table.
      strategy: the strategy that goes on from the first trials.
      pools: the scores that pools are chosen by. A scorer is left out if its
        cost leaves no trials after the first ones.
      num_searches: the number of searches with each scorer, `S`.
      num_trials: the number of trials of a search, at least `EARLY`.
      batch_size: the number of trials between two updates of the strategy.
      num_first: the number of first trials, a multiple of `batch_size`.
      pool_size: the number of cells in a pool.
      trial_seconds: the core-seconds that a trial takes.
      block_size: the number of searches in a call.
      seed: the seed of all draws; a search has the same pool and key with every
        scorer.
    """
    self._num_trials, self._num_searches = num_trials, num_searches
    self._num_first, self._pool_size = num_first, pool_size
    rewards = tables.Table(table.cardinalities, table.rewards())
    runner = many_searches.ManySearches(
      make_search(rewards, strategy, num_trials, batch_size), block_size
    )
    keys = many_searches.seed_keys(seed, num_searches)
    seeds = seed + np.arange(num_searches)

    def regrets(scores):
      first = draw_first(table, scores, seeds, pool_size, num_first)
      return regret.simple_regret(rewards.rewards, runner.run((keys, first)))

    spent = {
      name: pool_trials(pool.seconds, pool_size, trial_seconds)
      for name, pool in pools.items()
    }
    spent = {
      name: cost
      for name, cost in spent.items()
      if cost < num_trials - num_first
    }
    at_random = regrets(np.zeros(len(table.cell_of)))
    found = {name: regrets(pools[name].scores) for name in spent}
    against = regret.compare(
      {name: each[:, -1 - spent[name]] for name, each in found.items()},
      at_random[:, -1],
    )
    self.random = tuple(
      statistics.mean_interval(at_random[:, end - 1])
      for end in (EARLY, num_trials)
    )
    self.results = {
      name: WarmStart(
        pools[name].label,
        cost,
        statistics.mean_interval(found[name][:, EARLY - 1 - cost])
        if cost < EARLY
        else None,
        statistics.mean_interval(found[name][:, -1 - cost]),
        against[name],
      )
      for name, cost in spent.items()
    }

  def show(self) -> None:
    """Prints the table."""
    early, final = self.random
    progress.table(
      f'Regularized evolution at the cost of {self._num_trials} trainings, '
      f'whose first {self._num_first} trials are the best of a pool of '
      f'{self._pool_size:,} random cells by score: regret, over '
      f'{self._num_searches} searches each',
      [
        'scorer',
        'scoring in trials',
        f'at {EARLY} trials',
        f'at {self._num_trials}',
        '95 % interval',
        'less random start',
        'interval',
        'p',
        'better',
      ],
      [
        [
          'random start',
          '0',
          f'{early.value:.4f}',
          f'{final.value:.4f}',
          f'{final.low:.4f} to {final.high:.4f}',
          *'----',
        ],
        *(_row(result) for result in self.results.values()),
      ],
      spare=('interval', '95 % interval', 'scoring in trials'),
    )
    if len(self.results) > 1:
      print(
        'Differences are paired by search; their intervals (95 %) and p-values '
        f'are corrected for the {len(self.results)} comparisons (Holm).'
      )

  def to_json(self) -> dict[str, Any]:
    """Returns the results as a dict; see `workdir.plain_json`."""
    return {
      'num_searches': self._num_searches,
      'num_trials': self._num_trials,
      'num_first': self._num_first,
      'pool_size': self._pool_size,
      'random': [each._asdict() for each in self.random],
      'scorers': {
        name: {
          'label': result.label,
          'num_spent': result.num_spent,
          'early': result.early and result.early._asdict(),
          'final': result.final._asdict(),
          'difference': result.against.difference._asdict(),
        }
        for name, result in self.results.items()
      },
    }


def _row(result: WarmStart) -> list[str]:
  difference = result.against.difference
  verdict = {True: 'yes', False: 'no, worse', None: 'not distinguishable'}
  return [
    result.label,
    str(result.num_spent),
    f'{result.early.value:.4f}' if result.early else '-',
    f'{result.final.value:.4f}',
    f'{result.final.low:.4f} to {result.final.high:.4f}',
    f'{difference.value:+.4f}',
    f'{difference.low:+.4f} to {difference.high:+.4f}',
    statistics.p_text(difference.p_value).removeprefix('p ').removeprefix('= '),
    verdict[difference.is_better],
  ]
