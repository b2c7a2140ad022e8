# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The report on halving: searches of a table with and without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import csv
import io
import pathlib
from typing import NamedTuple

import numpy as np

from jaxnas import files, halving, statistics
from jaxnas.runs import halved_searches, regret
from jaxnas.visualize import pictures, progress
from jaxnas.visualize import regret as regret_plot

FILE = 'halving.csv'
"""The name of the file that `Report.write` writes."""

PICTURE = 'halving.png'
"""The name of the file that `Report.draw` draws."""


class Variant(NamedTuple):
  """A search that is compared with others.

  Attributes:
    strategy: the strategy's name.
    batch_size: the number of trials that are halved together; 0 without
      halving.
    replicas: the number of groups in flight; with several, no child waits for
      others.
  """

  strategy: str
  batch_size: int = 0
  replicas: int = 1

  @property
  def is_halved(self) -> bool:
    """Whether children are stopped early."""
    return self.batch_size > 0

  @property
  def halving(self) -> str:
    """How the search is halved, in words."""
    if not self.is_halved:
      return '-'
    if self.replicas > 1:
      return f'early, {self.replicas} x {self.batch_size} in flight'
    return f'batches of {self.batch_size:,}'


class Found(NamedTuple):
  """What the searches of a variant found.

  Attributes:
    best: the best reward found at each cost, `[S, C]`.
    num_trials: the number of trials of each search, `[S]`.
  """

  best: np.ndarray
  num_trials: np.ndarray


class Row(NamedTuple):
  """The results of one variant's searches.

  Attributes:
    variant: the variant.
    num_trials: the number of trials of a search, on average.
    curve: the mean regret at each cost, `[C]`.
    against_full: the final regret compared with that of the same strategy
      without halving; `None` for the strategy without halving itself.
  """

  variant: Variant
  num_trials: float
  curve: statistics.Interval
  against_full: regret.StrategyComparison | None

  @property
  def final(self) -> statistics.Interval:
    """The mean regret at the end."""
    return statistics.Interval(*(float(ends[-1]) for ends in self.curve))


class Report:
  """What halving is worth to each strategy on one table.

  Attributes:
    rows: one per variant, in the given order.
  """

  def __init__(
    self,
    name: str,
    best_reward: float,
    found: Mapping[Variant, Found],
    parts: Sequence[halved_searches.Part],
    calibrations: halved_searches.Calibrations | None,
    labels: Mapping[str, str],
  ):
    """Evaluates searches.

    Args:
      name: the table's name.
      best_reward: the best reward of the table.
      found: the results of each variant, with the same seeds, at the costs of
        1, 2, ... full trainings. A variant with halving is compared with the
        one of the same strategy without halving.
      parts: the schedules, each with its seeds.
      calibrations: the calibrations that the schedules follow from, if the
        schedules were measured.
      labels: the label of each strategy, by its name.
    """
    self._name, self._labels = name, labels
    self._parts, self._calibrations = parts, calibrations
    regrets = {key: best_reward - each.best for key, each in found.items()}
    self._shape = next(iter(regrets.values())).shape
    halved = [variant for variant in found if variant.is_halved]
    differences = regret.compare_pairs(
      [
        (regrets[each][:, -1], regrets[Variant(each.strategy)][:, -1])
        for each in halved
      ]
    )
    against = dict(zip(halved, differences, strict=True))
    self.rows = [
      Row(
        variant,
        float(each.num_trials.mean()),
        regret.mean_curve(regrets[variant]),
        against.get(variant),
      )
      for variant, each in found.items()
    ]

  def show(self) -> None:
    """Prints the table, and the rungs."""
    num_seeds, cost = self._shape
    progress.table(
      f'{self._name}, {num_seeds} searches at the steps of {cost} full '
      'trainings each: regret (best reward of the table minus the best that '
      'was trained fully) at the end, with and without halving; difference: to '
      'the same strategy without, paired by seed',
      [
        'strategy',
        'halving',
        'trials',
        'regret',
        '95 % interval',
        'difference',
        'its interval',
        'p',
        'lower',
      ],
      [self._row(row) for row in self.rows],
    )
    for line in self.rungs():
      print(line)
    print(
      'Intervals (95 %) of differences and p-values are over searches, and '
      'corrected for all comparisons of the table (Holm); lower: the share of '
      'seeds with a lower regret.'
    )

  def rungs(self) -> list[str]:
    """Returns sentences on the rungs."""
    num_seeds = self._shape[0]
    if self._calibrations is None:
      (part,) = self._parts
      rungs = ', '.join(map(str, part.schedule.rungs))
      return [f'One in {part.schedule.eta} goes on at rungs {rungs}.']
    points = max((part.schedule.rungs for part in self._parts), key=len)
    count = {part.schedule.rungs[0]: len(part.seeds) for part in self._parts}
    shares = [
      f'{steps} steps in {number / num_seeds:.1%}'
      + (' (no halving)' if steps == points[-1] else '')
      for steps, number in count.items()
    ]
    found = self._calibrations.found
    correlations = np.array([each.correlations for each in found])
    means = ', '.join(f'{each:.2f}' for each in np.nanmean(correlations, 0))
    return [
      f'One in {self._parts[0].schedule.eta} goes on. First rung, measured for '
      f'each search with {found[0].num_children} children of random search '
      f'(within the best half a rank correlation of {halving.MIN_CORRELATION} '
      f'with the end): {", ".join(shares)}. Mean correlations at the points '
      f'before the end: {means}.',
      'These children are the first trials of random search with halving, and '
      'cost the other strategies nothing.',
    ]

  def write(self, folder: pathlib.Path) -> None:
    """Writes the table as `halving.csv`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    ends = ['difference', 'difference_low', 'difference_high', 'p', 'lower']
    writer.writerow(
      [*Variant._fields, 'trials', 'regret', 'low', 'high', *ends]
    )
    for row in self.rows:
      against = row.against_full
      writer.writerow(
        [*row.variant, row.num_trials, *row.final]
        + ([*against.difference[:4], against.better] if against else [''] * 5)
      )
    with files.replacing(folder / FILE) as file:
      file.write(text.getvalue().encode())

  def draw(self, folder: pathlib.Path) -> None:
    """Draws `halving.png`, and prints the names of the files."""
    strategies = list(dict.fromkeys(row.variant.strategy for row in self.rows))
    num_seeds, _ = self._shape
    pictures.draw(
      regret_plot.plot_regret,
      folder / PICTURE,
      [
        regret_plot.RegretCurve(
          self._label(row.variant),
          row.curve.value.tolist(),
          row.curve.low.tolist(),
          row.curve.high.tolist(),
          color=strategies.index(row.variant.strategy),
          is_dashed=not row.variant.is_halved,
        )
        for row in self.rows
      ],
      {},
      f'{self._name}: mean of {num_seeds} searches, 95 % intervals; dashed '
      'without halving',
      'steps, in full trainings',
    )
    progress.files(folder, (PICTURE, FILE))

  def _label(self, variant: Variant) -> str:
    label = self._labels[variant.strategy]
    return f'{label}, {variant.halving}' if variant.is_halved else label

  def _row(self, row: Row) -> list[str]:
    value, low, high = row.final
    against = row.against_full
    return [
      self._labels[row.variant.strategy],
      row.variant.halving,
      f'{row.num_trials:,.0f}',
      f'{value:.4f}',
      '-' if np.isnan(low) else f'{low:.4f} to {high:.4f}',
      *regret.spell_difference(against and against.difference),
      f'{against.better:.0%}' if against else '-',
    ]
