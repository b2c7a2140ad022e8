# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tables of rewards, by name or file."""

from __future__ import annotations

import hashlib
import pathlib
from typing import NamedTuple

import numpy as np

from jaxnas.datasets import base2_bench
from jaxnas.datasets import reward_table as tables

BASE2 = 'base2'


class NamedTable(NamedTuple):
  """A table and what is known about it.

  Attributes:
    table: the rewards.
    name: the table's name in titles and results.
    description: lines to print below results.
    curves: the rewards at several points of the training, if they are known;
      its last point is the full training, whose rewards are the table's.
  """

  table: tables.Table
  name: str
  description: tuple[str, ...]
  curves: tables.Curves | None = None

  @property
  def fingerprint(self) -> str:
    """A hash of the table's content."""
    content = hashlib.sha256(repr(self.table.cardinalities).encode())
    content.update(self.table.rewards.tobytes())
    return content.hexdigest()[:16]


def load(name_or_path: str) -> NamedTable:
  """Loads a table.

  Args:
    name_or_path: `'base2'` for `datasets.base2_bench`, or the path of an NPZ
      file for `reward_table.load`.

  Raises:
    OSError: the file cannot be read.
    ValueError: the file holds no table.
  """
  if name_or_path == BASE2:
    return _load_base2()
  table = tables.load(name_or_path)
  description = (
    f'{table.size:,} entries of {len(table.cardinalities)} decisions; the best '
    f'reward is {table.rewards.max():.4g}, the median '
    f'{np.median(table.rewards):.4g}.',
  )
  curves = tables.load_curves(name_or_path)
  if curves is not None:
    _check_last(name_or_path, table, curves)
  return NamedTable(table, pathlib.Path(name_or_path).stem, description, curves)


def _load_base2() -> NamedTable:
  bench = base2_bench.load()
  table = tables.Table(bench.cardinalities, bench.rewards())
  best = float(table.rewards.max())
  description = [
    f'Base2Bench: {table.size:,} recurrent cells of base 2 in '
    f'{bench.num_cells:,} classes up to swaps, {bench.num_trainings:,} '
    'trainings; the reward is 80 / perplexity^2 on validation text, of one '
    f'training each, {best:.4g} for the best.'
  ]
  noise = bench.noise()
  if np.isfinite(noise.reward_deviation[-1]):
    description.append(
      f'Its noise, over {noise.num_cells:,} cells of {bench.num_seeds} seeds: '
      f'two seeds rank all cells with a correlation of '
      f'{noise.rank_correlation[-1]:.3f} and the best tenth with '
      f'{noise.best_rank_correlation[-1]:.3f}, whose rewards have a standard '
      f'deviation of {noise.reward_deviation[-1]:.2g} between seeds. Regrets '
      'below that tell how well this table was searched, not how good the '
      'cells are.'
    )
  curves = tables.Curves(bench.cardinalities, bench.points, bench.curves())
  return NamedTable(table, 'Base2Bench', tuple(description), curves)


def _check_last(path: str, table: tables.Table, curves: tables.Curves) -> None:
  """Checks that the last point of curves is what the table has."""
  last = curves.rewards[:, -1]
  is_other = np.isfinite(last) & (last != table.rewards)
  if is_other.any():
    place = int(is_other.argmax())
    raise ValueError(
      f'Table {path}: the last column of curves must be the rewards, got '
      f'{last[place]} and {table.rewards[place]} at place {place}.'
    )
