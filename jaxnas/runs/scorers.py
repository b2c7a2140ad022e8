# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Scorers of cells: cheap ways to judge them, judged in turn on Base2Bench.

A *scorer* is a function `tokens [N, T] -> score [N]`, whose score is higher for
cells that it takes for better, with the cost of the scores. Base2Bench has the
reward of every cell after its whole training, so each scorer can be judged
exactly. `make_scorers` returns all scorers; a new one is added as an entry of a
further family.

Letters: `N` cells, `T` tokens of a cell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import functools
from typing import NamedTuple

import numpy as np

from jaxnas import statistics
from jaxnas.children import proxies
from jaxnas.costs import recurrent_cell as costs
from jaxnas.datasets import base2_bench
from jaxnas.spaces import recurrent_cell as spaces
from jaxnas.trainers import proxy_scorer, shared_scorer
from jaxnas.training import shared_text

NUM_TOP = 50
"""The number of best-scored cells whose best is compared with the optimum."""


class Scores(NamedTuple):
  """The scores of cells.

  Attributes:
    values: the scores, `float64[N]`: negative infinity where a child is dead,
      or its score is not finite for another reason; NaN where there is none.
    core_seconds: the core-seconds that the scores took or would have taken.
  """

  values: np.ndarray
  core_seconds: float


class Scorer(NamedTuple):
  """A way to judge cells.

  Attributes:
    label: the scorer's name in tables.
    kind: `'training'`, `'proxy'`, `'shared'` or `'cost'`.
    score: a function `(tokens int32[N, T], follow) -> Scores`. A scorer that
      takes long calls `follow` with the number of cells done so far.
    is_lasting: whether scoring takes long enough to show and save its progress.
    group: the name of the scorers that differ in their seeds alone and stand in
      one row of tables; `''` for one that stands alone.
  """

  label: str
  kind: str
  score: Callable[[np.ndarray, Callable[[int], None]], Scores]
  is_lasting: bool = False
  group: str = ''


class Bench(NamedTuple):
  """The parts that scorers are made from.

  Attributes:
    table: the table of trainings.
    proxies: the scorer of the table's own children by proxies.
    model: the language model that a cell is part of, for its costs.
    text_hash: the hash of the text that the proxies see.
    shared: the scorer by shared weights, if cells are scored by them.
    num_seeds: the number of times that shared weights are trained.
  """

  table: base2_bench.Base2Bench
  proxies: proxy_scorer.ProxyScorer
  model: costs.Model
  text_hash: str = ''
  shared: shared_scorer.SharedScorer | None = None
  num_seeds: int = 1


class Judgement(NamedTuple):
  """How well scores rank cells; equal scores are in random order.

  Attributes:
    num_cells: the number of cells that have a score.
    num_dead: the number of these cells that rank last, at negative infinity.
    correlation: the rank correlation with the rewards.
    best_correlation: the rank correlation within the tenth of the cells with
      the best rewards.
    overlap: the expected share of the best 1 % by reward among the best 1 % by
      score.
    regret: the best reward less the expected best reward of the `NUM_TOP` cells
      with the best scores.
  """

  num_cells: int
  num_dead: int
  correlation: float
  best_correlation: float
  overlap: float
  regret: float


def judge(values: np.ndarray, rewards: np.ndarray) -> Judgement:
  """Judges scores by the rewards after whole trainings.

  Args:
    values: the scores, `[N]`; cells whose score is NaN are left out.
    rewards: the rewards, `[N]`.

  Raises:
    ValueError: fewer than two cells have a score.
  """
  has_score = ~np.isnan(values)
  values, rewards = values[has_score], rewards[has_score].astype(np.float64)
  num_cells = len(values)
  if num_cells < 2:
    raise ValueError(f'Judging scores needs two cells, got {num_cells}.')
  order = np.argsort(-rewards, kind='stable')
  best = order[: max(2, num_cells // 10)]
  num_top = max(1, num_cells // 100)
  is_top = np.zeros(num_cells)
  is_top[order[:num_top]] = 1
  return Judgement(
    num_cells,
    int(np.isneginf(values).sum()),
    statistics.rank_correlation(values, rewards),
    statistics.rank_correlation(values[best], rewards[best]),
    expected_overlap(values, is_top, num_top),
    float(rewards.max() - expected_best(values, rewards, NUM_TOP)),
  )


def expected_overlap(
  values: np.ndarray, is_top: np.ndarray, count: int
) -> float:
  """Returns the expected share of top cells among the best-scored.

  Args:
    values: the scores, `[N]`; cells with equal scores are in random order.
    is_top: 1 for a top cell, 0 for any other, `[N]`.
    count: the number of best-scored cells.
  """
  is_sure, is_tied = _split(values, count)
  left = count - is_sure.sum()
  return float(is_top[is_sure].sum() + left * is_top[is_tied].mean()) / count


def expected_best(values: np.ndarray, rewards: np.ndarray, count: int) -> float:
  """Returns the expected best reward among the best-scored cells.

  Args:
    values: the scores, `[N]`; cells with equal scores are in random order.
    rewards: the rewards, `[N]`.
    count: the number of best-scored cells; all if there are fewer.
  """
  count = min(count, len(values))
  is_sure, is_tied = _split(values, count)
  sure = rewards[is_sure].max(initial=-np.inf)
  tied = np.sort(rewards[is_tied])[::-1]
  num_tied, num_drawn = len(tied), count - int(is_sure.sum())
  # The best cell drawn is the i-th best of the tied cells if that cell is drawn
  # and no better one is.
  expected, none_better = 0.0, 1.0
  for i, reward in enumerate(tied[: num_tied - num_drawn + 1]):
    drawn = num_drawn / (num_tied - i)
    expected += none_better * drawn * max(sure, reward)
    none_better *= 1 - drawn
  return expected


def _split(values: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
  """Returns which cells are surely among the best, and which are tied."""
  threshold = np.sort(values)[-count]
  return values > threshold, values == threshold


def make_scorers(bench: Bench) -> dict[str, Scorer]:
  """Returns all scorers by name.

  Args:
    bench: the parts that scorers are made from.
  """
  return {
    name: scorer
    for family in FAMILIES
    for name, scorer in family(bench).items()
  }


def step_seconds(table: base2_bench.Base2Bench) -> float:
  """Returns the core-seconds that a step took, including measurements.

  Args:
    table: the table.
  """
  num_steps = table.num_trainings * table.points[-1]
  return 3600 * table.facts['core_hours'] / num_steps


def make_trainings(bench: Bench) -> dict[str, Scorer]:
  """Returns the scorers that train: for fewer steps, and with another seed.

  Their costs are those of the table's trainings per step, including
  measurements, on the machine that made the table.

  Args:
    bench: the parts that scorers are made from, of which the table is used.
  """
  table = bench.table
  num_steps = table.points[-1]

  def score(point, seed, tokens, follow):
    del follow
    places = table.cell_of[base2_bench.ranks_of(tokens)]
    perplexity = table.validation[places, seed, point].astype(np.float64)
    # Not the reward, which may vanish in single precision.
    values = np.where(np.isfinite(perplexity), -perplexity, -np.inf)
    is_trained = table.num_trained[places, seed] >= 0
    return Scores(
      np.where(is_trained, values, np.nan),
      float(is_trained.sum()) * step_seconds(table) * table.points[point],
    )

  scorers = {
    f'steps_{steps}': Scorer(
      f'{steps} steps', 'training', functools.partial(score, point, 0)
    )
    for point, steps in enumerate(table.points[:-1])
  }
  if table.num_seeds > 1:
    scorers['other_seed'] = Scorer(
      f'{num_steps} steps, another seed',
      'training',
      functools.partial(score, len(table.points) - 1, 1),
    )
  return scorers


def make_proxies(bench: Bench) -> dict[str, Scorer]:
  """Returns the training-free proxies of `children.proxies`.

  Args:
    bench: the parts that scorers are made from, of which the proxies are used.
  """

  def score(name, tokens, follow):
    found = bench.proxies.score(name, tokens, follow=follow)
    values = found.scores.astype(np.float64)
    return Scores(
      np.where(np.isfinite(values), values, -np.inf), found.core_seconds
    )

  labels = {'snip': 'SNIP', 'jacobian_covariance': 'Jacobian covariance'}
  return {
    name: Scorer(
      labels.get(name, name.replace('_', ' ')),
      'proxy',
      functools.partial(score, name),
      is_lasting=True,
    )
    for name in proxies.PROXIES
  }


def make_costs(bench: Bench) -> dict[str, Scorer]:
  """Returns the costs of a cell's network as scorers: the larger, the better.

  Args:
    bench: the parts that scorers are made from, of which the model is used.
  """
  space = spaces.make_space(2)

  def score(cost, tokens, follow):
    del follow
    values = [float(cost(space.decode(row))) for row in tokens]
    return Scores(np.array(values), 0.0)

  labels = {
    'num_params': 'parameters',
    'num_multiply_adds': 'multiply-adds',
    'num_transcendentals': 'transcendental functions',
  }
  return {
    name: Scorer(labels[name], 'cost', functools.partial(score, cost))
    for name, cost in bench.model.costs().items()
  }


NUM_CHILDREN = (1, 8, 32)
"""The numbers of cells that a step trains shared weights on."""


def make_shared(bench: Bench) -> dict[str, Scorer]:
  """Returns the losses with one set of weights for all cells as scorers.

  Args:
    bench: the parts that scorers are made from, of which `shared` and
      `num_seeds` are used.
  """
  if bench.shared is None:
    return {}
  score_by = bench.shared.score

  def score(sharing, num_children, seed, tokens, follow):
    found = score_by(sharing, num_children, tokens, seed, follow)
    losses = found.scores.astype(np.float64)
    return Scores(
      np.where(np.isfinite(losses), -losses, -np.inf), found.core_seconds
    )

  return {
    f'{group}_seed{seed}': Scorer(
      f'shared by {sharing}, M = {num_children}',
      'shared',
      functools.partial(score, sharing, num_children, seed),
      is_lasting=True,
      group=group,
    )
    for sharing in shared_text.SHARINGS
    for num_children in NUM_CHILDREN
    for group in [f'shared_{sharing}_{num_children}']
    for seed in range(bench.num_seeds)
  }


FAMILIES: tuple[Callable[[Bench], Mapping[str, Scorer]], ...] = (
  make_trainings,
  make_proxies,
  make_shared,
  make_costs,
)
"""The functions that make the scorers of each kind, in the order of tables."""
