# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Base2Bench: a table of all recurrent cells of base 2, trained.

The grammar of `spaces.recurrent_cell` has 36,864 cells of base 2, in 18,688
classes up to swaps of a node's operands. One cell of each class was trained as
a small language model on the English of `pydoc_data.topics`, a random tenth of
them with three seeds, and its perplexity was measured on validation and report
text at several points of the training. A search strategy can therefore be run
in milliseconds, hundreds of times, on the rewards of real trainings.

A cell is identified by its *rank*: the mixed-radix number whose digits are its
tokens, most significant first. Letters: `A` cells, `C` classes, `S` seeds, `P`
points.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import errno
import itertools
import json
import math
import os
import pathlib
from typing import Any, NamedTuple

import numpy as np
import scipy

from jaxnas import npz

CARDINALITIES = (2, 4, 2, 4, 2, 4, 2, 4, 3, 3)
"""The number of choices of each token of a cell."""

_ARRAYS = ('cell_of', 'validation', 'report', 'num_trained')

# From the paper, section 4.2.
_SCALE = 80.0

PATH = pathlib.Path(__file__).with_name('base2_bench.npz')


class Noise(NamedTuple):
  """How well a table distinguishes cells, at each of its points, `[P]`.

  Attributes:
    num_cells: the number of classes measured: those trained with every seed,
      with finite results up to the last point.
    seed_deviation: the standard deviation of the log-perplexity between seeds;
      the median over cells, since a few cells that diverge with only one of the
      seeds would dominate a mean.
    cell_deviation: the standard deviation, between cells, of the mean over
      seeds of the log-perplexity.
    rank_correlation: Spearman's rank correlation between two seeds, averaged
      over pairs of seeds.
    best_rank_correlation: the same within the best tenth of the cells by mean
      log-perplexity over seeds; biased slightly low, since the same seeds
      selected these cells.
    reward_deviation: the standard deviation of the reward between seeds within
      the best tenth: the root of the mean over cells of the unbiased variance.
  """

  num_cells: int
  seed_deviation: np.ndarray
  cell_deviation: np.ndarray
  rank_correlation: np.ndarray
  best_rank_correlation: np.ndarray
  reward_deviation: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Base2Bench:
  """The perplexities of all cells.

  Attributes:
    cell_of: the class of every cell, by rank, `int32[A]`.
    validation: the perplexity of the validation text, `float32[C, S, P]`; NaN
      where there was no training or it failed.
    report: the perplexity of the report text, `float32[C, S, P]`; NaN in the
      same cases.
    num_trained: the number of steps before a training ended or failed,
      `int32[C, S]`; -1 where there was none.
    points: the steps at which perplexities were measured, `P` of them.
    facts: how the table was made: text, sizes, settings, versions, hours spent.
  """

  cell_of: np.ndarray
  validation: np.ndarray
  report: np.ndarray
  num_trained: np.ndarray
  points: tuple[int, ...]
  facts: Mapping[str, Any]

  def __post_init__(self):
    num_cells = math.prod(CARDINALITIES)
    shape = (*self.num_trained.shape, len(self.points))
    if (
      self.cell_of.shape != (num_cells,)
      or self.num_trained.ndim != 2
      or self.validation.shape != shape
      or self.report.shape != shape
    ):
      raise ValueError(
        f'A table has cell_of [{num_cells}], num_trained [C, S], validation '
        f'and report [C, S, {len(self.points)}]; got {self.cell_of.shape}, '
        f'{self.num_trained.shape}, {self.validation.shape} and '
        f'{self.report.shape}.'
      )

  @property
  def cardinalities(self) -> tuple[int, ...]:
    """The number of choices of each token of a cell."""
    return CARDINALITIES

  @property
  def num_cells(self) -> int:
    """The number of classes of equal cells that have been trained."""
    return int((self.num_trained[:, 0] >= 0).sum())

  @property
  def num_seeds(self) -> int:
    """The number of trainings of a repeated cell."""
    return self.num_trained.shape[1]

  @property
  def num_trainings(self) -> int:
    """The number of trainings in all."""
    return int((self.num_trained >= 0).sum())

  @property
  def num_params(self) -> int:
    """The number of parameters, which is the same for every child."""
    return self.facts['num_params']

  def rewards(
    self,
    split: str = 'validation',
    point: int = -1,
    seed: int = 0,
    scale: float = _SCALE,
  ) -> np.ndarray:
    """Returns the reward of every cell, `scale / perplexity^2`.

    Section 4.2 of "Neural Architecture Search with Reinforcement Learning",
    Zoph and Le, 2017 (https://arxiv.org/abs/1611.01578).

    Args:
      split: `'validation'` or `'report'`.
      point: the index of the point in the training.
      seed: the seed of the training; only seed 0 has all cells.
      scale: the constant of the reward.

    Returns:
      `float32[A]`, by rank; 0 where the training failed.

    Raises:
      ValueError: there is no such split, point or seed, or not all cells were
        trained with it.
    """
    if split not in ('validation', 'report'):
      raise ValueError(f'split must be validation or report, got {split!r}.')
    num_points = len(self.points)
    if not -num_points <= point < num_points or not 0 <= seed < self.num_seeds:
      raise ValueError(
        f'The table has {num_points} points and {self.num_seeds} seeds, got '
        f'point {point} and seed {seed}.'
      )
    num_missing = int((self.num_trained[:, seed] < 0).sum())
    if num_missing:
      raise ValueError(
        f'{num_missing} cells have no training with seed {seed}; only a '
        'complete table gives rewards.'
      )
    perplexity = getattr(self, split)[:, seed, point].astype(np.float64)
    rewards = np.where(
      np.isfinite(perplexity), scale / np.square(perplexity), 0.0
    )
    return rewards.astype(np.float32)[self.cell_of]

  def curves(
    self, split: str = 'validation', seed: int = 0, scale: float = _SCALE
  ) -> np.ndarray:
    """Returns the reward of every cell at every point; see `rewards`.

    Args:
      split: `'validation'` or `'report'`.
      seed: the seed of the training; only seed 0 has all cells.
      scale: the constant of the reward.

    Returns:
      `float32[A, P]`, by rank; NaN where the perplexity is not finite.

    Raises:
      ValueError: as for `rewards`.
    """
    rewards = np.stack(
      [
        self.rewards(split, point, seed, scale)
        for point in range(len(self.points))
      ],
      axis=1,
    )
    perplexity = getattr(self, split)[:, seed][self.cell_of]
    rewards[~np.isfinite(perplexity)] = np.nan
    return rewards

  def failed_part(self, point: int) -> float:
    """Returns the fraction of trainings with seed 0 that failed by a point."""
    is_trained = self.num_trained[:, 0] >= 0
    perplexity = self.validation[is_trained, 0, point]
    return float(np.mean(~np.isfinite(perplexity))) if perplexity.size else 0.0

  def noise(self) -> Noise:
    """Returns how much validation perplexities vary between seeds.

    Cells that differ by less cannot be distinguished. All values are NaN if
    fewer than two cells were trained with every seed.
    """
    values = self.validation[np.isfinite(self.validation).all((1, 2))]
    num_points = len(self.points)
    if len(values) < 2 or self.num_seeds < 2:
      nothing = np.full(num_points, np.nan)
      return Noise(len(values), *[nothing] * (len(Noise._fields) - 1))
    logs = np.log(values.astype(np.float64))
    means = logs.mean(1)
    num_best = max(2, len(logs) // 10)
    best = np.take_along_axis(
      logs, np.argsort(means, 0)[:num_best, None], axis=0
    )
    rewards = _SCALE * np.exp(-2 * best)
    return Noise(
      num_cells=len(values),
      seed_deviation=np.median(logs.std(1, ddof=1), 0),
      cell_deviation=means.std(0, ddof=1),
      rank_correlation=_rank_correlation(logs),
      best_rank_correlation=_rank_correlation(best),
      reward_deviation=np.sqrt(rewards.var(1, ddof=1).mean(0)),
    )


def _rank_correlation(values: np.ndarray) -> np.ndarray:
  """Returns the mean rank correlation of pairs of seeds, `[C, S, P] -> [P]`."""
  pairs = itertools.combinations(range(values.shape[1]), 2)
  return np.mean(
    [
      [
        scipy.stats.spearmanr(
          values[:, i, point], values[:, j, point]
        ).statistic
        for point in range(values.shape[2])
      ]
      for i, j in pairs
    ],
    axis=0,
  )


def load(path: str | os.PathLike[str] | None = None) -> Base2Bench:
  """Returns the table.

  Args:
    path: a file that `save` wrote; the package's own table by default.

  Raises:
    ValueError: the file is damaged, or does not hold a table.
    OSError: the file cannot be read.
  """
  path = pathlib.Path(path or PATH)
  try:
    arrays = npz.read(path, (*_ARRAYS, 'points', 'facts'))
    return Base2Bench(
      points=tuple(arrays['points'].tolist()),
      facts=json.loads(str(arrays['facts'])),
      **{name: arrays[name] for name in _ARRAYS},
    )
  except FileNotFoundError:
    raise FileNotFoundError(
      errno.ENOENT,
      'There is no such table; `make base2-table` makes it in runs/base2_table',
      path,
    ) from None
  except (RecursionError, ValueError, TypeError) as error:
    reason = getattr(error, 'reason', error)
    raise ValueError(
      f'{path} holds no table of Base2Bench ({reason}).'
    ) from None


def save(table: Base2Bench, path: str | os.PathLike[str]) -> None:
  """Writes a table, compressed.

  Args:
    table: the table to write.
    path: the `.npz` file to write.
  """
  npz.write(
    path,
    {
      **{name: getattr(table, name) for name in _ARRAYS},
      'points': np.array(table.points, np.int32),
      'facts': np.array(json.dumps(dict(table.facts))),
    },
    compressed=True,
  )


def tokens_of(ranks: np.ndarray) -> np.ndarray:
  """Returns the tokens of cells, `int32[N, T]`, by their ranks `[N]`."""
  digits = np.unravel_index(np.asarray(ranks), CARDINALITIES)
  return np.stack(digits, -1).astype(np.int32)


def ranks_of(tokens: np.ndarray) -> np.ndarray:
  """Returns the ranks of cells, `int64[N]`, by their tokens `[N, T]`.

  Raises:
    ValueError: a token is out of range.
  """
  return np.ravel_multi_index(tuple(np.moveaxis(tokens, -1, 0)), CARDINALITIES)
