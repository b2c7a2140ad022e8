# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The report on the cost of staleness: searches of a table with replicas."""

from __future__ import annotations

from collections.abc import Mapping
import csv
import io
import pathlib
from typing import NamedTuple

import numpy as np

from jaxnas import files, statistics
from jaxnas.runs import many_searches, regret
from jaxnas.visualize import progress

FILE = 'staleness.csv'
"""The name of the file that `Report.write` writes."""


class Variant(NamedTuple):
  """A search that is compared with others.

  Attributes:
    strategy: the strategy's name.
    replicas: the number of groups in flight; 1 is the search in lock step.
    correction: the correction of REINFORCE; empty if none applies.
  """

  strategy: str
  replicas: int = 1
  correction: str = ''


class Row(NamedTuple):
  """The results of one variant's searches.

  Attributes:
    variant: the variant.
    lag: the number of versions by which a proposal is older than its update, on
      average.
    regret: the mean regret at the end.
    against_lock_step: the regret less that of the same strategy without
      replicas, by paired differences; `None` for that strategy itself.
    against_none: the regret less that of the correction `'none'`, by paired
      differences; `None` if there is no such pair.
  """

  variant: Variant
  lag: float
  regret: statistics.Interval
  against_lock_step: statistics.Comparison | None
  against_none: statistics.Comparison | None


class Report:
  """What staleness costs each strategy and correction on one table.

  Attributes:
    rows: one per variant, in the given order.
  """

  def __init__(
    self,
    name: str,
    rewards: np.ndarray,
    found: Mapping[Variant, many_searches.Searches],
    lags: Mapping[int, float],
    labels: Mapping[str, str],
  ):
    """Evaluates searches.

    Args:
      name: the name of the table.
      rewards: the reward of every entry of the table.
      found: the searches, with the same seeds and number of trials.
      lags: the mean lag, by the number of replicas.
      labels: the labels of the strategies in tables, by name.
    """
    self._name, self._labels = name, labels
    self._shape = next(iter(found.values())).entries.shape
    finals = {
      variant: regret.simple_regret(rewards, searches.entries)[:, -1]
      for variant, searches in found.items()
    }
    lock_step = _compare(finals, lambda variant: Variant(variant.strategy))
    none = _compare(
      finals,
      lambda variant: variant._replace(
        correction='none' if variant.correction else ''
      ),
    )
    self.rows = [
      Row(
        variant,
        lags[variant.replicas],
        statistics.Interval(
          *(float(end) for end in statistics.mean_interval(each))
        ),
        lock_step.get(variant),
        none.get(variant),
      )
      for variant, each in finals.items()
    ]

  def show(self) -> None:
    """Prints the table, and a table of corrections if there are several."""
    num_seeds, num_trials = self._shape
    progress.table(
      f'{self._name}, {num_seeds} searches of {num_trials} trials: regret '
      '(best reward of the table minus the best found) at the end, by the '
      'number of groups in flight; lag: by how many updates a proposal is old, '
      'on average; difference to one group in flight, paired by seed',
      [
        'strategy',
        'correction',
        'replicas',
        'lag',
        'regret',
        '95 % interval',
        'difference',
        'its interval',
        'p',
      ],
      [
        [
          self._labels[row.variant.strategy],
          row.variant.correction or '-',
          f'{row.variant.replicas}',
          f'{row.lag:.2f}',
          f'{row.regret.value:.4f}',
          _interval(row.regret.low, row.regret.high),
          *regret.spell_difference(row.against_lock_step),
        ]
        for row in self.rows
      ],
    )
    corrected = [row for row in self.rows if row.against_none is not None]
    if corrected:
      progress.table(
        "The same searches against the correction 'none', paired by seed",
        [
          'strategy',
          'correction',
          'replicas',
          'difference',
          'its interval',
          'p',
        ],
        [
          [
            self._labels[row.variant.strategy],
            row.variant.correction,
            f'{row.variant.replicas}',
            *regret.spell_difference(row.against_none),
          ]
          for row in corrected
        ],
      )
    print(
      'Intervals (95 %) of differences and p-values are over searches, and '
      'corrected for all comparisons of their table (Holm).'
    )

  def write(self, folder: pathlib.Path) -> None:
    """Writes the table as `staleness.csv`, and prints its name."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(
      ['strategy', 'correction', 'replicas', 'lag', 'regret', 'low', 'high']
      + [
        f'{name}_{against}'
        for against in ('lock_step', 'none')
        for name in ('difference', 'low', 'high', 'p')
      ]
    )
    for row in self.rows:
      writer.writerow(
        [
          row.variant.strategy,
          row.variant.correction,
          row.variant.replicas,
          row.lag,
          *row.regret,
          *_numbers(row.against_lock_step),
          *_numbers(row.against_none),
        ]
      )
    with files.replacing(folder / FILE) as file:
      file.write(text.getvalue().encode())
    progress.files(folder, (FILE,))


def _compare(finals, other_of) -> dict[Variant, statistics.Comparison]:
  """Compares each variant with its counterpart, if that was run."""
  pairs = {
    variant: (each, finals[other_of(variant)])
    for variant, each in finals.items()
    if other_of(variant) in finals and other_of(variant) != variant
  }
  results = statistics.compare(
    regret.MEASURE, list(pairs.values()), is_paired=True
  )
  return dict(zip(pairs, results, strict=True))


def _interval(low: float, high: float) -> str:
  return '-' if np.isnan(low) else f'{low:.4f} to {high:.4f}'


def _numbers(comparison: statistics.Comparison | None) -> list[float | str]:
  if comparison is None:
    return [''] * 4
  return [comparison.value, comparison.low, comparison.high, comparison.p_value]
