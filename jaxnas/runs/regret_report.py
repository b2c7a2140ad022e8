# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The report on searches of a table: numbers, a table and a figure."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import math
import pathlib
from typing import Any

from jaxnas import statistics
from jaxnas.datasets import named_tables
from jaxnas.records import workdir
from jaxnas.runs import many_searches, regret
from jaxnas.visualize import pictures, progress
from jaxnas.visualize import regret as regret_plot

FRACTIONS = (0.01, 0.001)
"""The fractions of best entries that searches are timed to reach."""


@dataclasses.dataclass(frozen=True)
class Result:
  """The result of one strategy's searches.

  Attributes:
    curve: the mean regret after every trial.
    reach: the speed at which the best entries are found, by their fraction of
      the table.
    distinct: the fraction of trials that tried new entries.
    seconds: the duration of all searches, in seconds.
    against_random: the final regrets compared with those of random search;
      `None` for random search itself, or if it is missing.
  """

  curve: statistics.Interval
  reach: Mapping[float, regret.Reach]
  distinct: float
  seconds: float
  against_random: regret.StrategyComparison | None

  def to_json(self) -> dict[str, Any]:
    """Returns the result as a dict; see `workdir.plain_json`."""
    against = self.against_random
    return {
      'regret': self.curve._asdict(),
      'reach': {part: each._asdict() for part, each in self.reach.items()},
      'distinct': self.distinct,
      'seconds': self.seconds,
      'against_random': against
      and {
        **against._asdict(),
        'difference': against.difference._asdict(),
        'is_better': against.is_better,
      },
    }


def spell_reach(reach: regret.Reach, num_trials: int) -> tuple[str, str]:
  """Returns the median trials to reach a reward, and the share that reach it.

  Args:
    reach: the speed at which the searches reach a reward.
    num_trials: the number of trials of a search.
  """
  median = reach.median
  return (
    f'> {num_trials}' if math.isinf(median) else f'{median:.0f}',
    # A tenth of a percent is less than one seed of 500.
    f'{reach.reached:.1%}',
  )


def _plotted(label: str, result: Result) -> regret_plot.RegretCurve:
  mean, low, high = (values.tolist() for values in result.curve)
  return regret_plot.RegretCurve(label, mean, low, high)


class Report:
  """A comparison of strategies on one table.

  Attributes:
    named: the table.
    num_seeds: the number of searches of each strategy.
    num_trials: the number of trials of each search.
    results: the results by strategy.
  """

  def __init__(
    self,
    named: named_tables.NamedTable,
    found: Mapping[str, many_searches.Searches],
    labels: Mapping[str, str],
    baseline: str,
  ):
    """Evaluates searches.

    Args:
      named: the table.
      found: the searches by strategy, with the same number of seeds and trials.
      labels: the label of each strategy in tables and the figure, by name.
      baseline: the name of the strategy that others are compared with, which
        may be missing from `found`.
    """
    self._labels, self._baseline = labels, baseline
    self.named = named
    self.num_seeds, self.num_trials = next(iter(found.values())).entries.shape
    rewards = named.table.rewards
    regrets = {
      name: regret.simple_regret(rewards, searches.entries)
      for name, searches in found.items()
    }
    against = {}
    if baseline in found:
      against = regret.compare(
        {
          name: each[:, -1]
          for name, each in regrets.items()
          if name != baseline
        },
        regrets[baseline][:, -1],
      )
    self.results = {
      name: Result(
        regret.mean_curve(regrets[name]),
        {
          part: regret.reach(
            rewards, searches.entries, regret.top_reward(rewards, part)
          )
          for part in FRACTIONS
        },
        regret.distinct_part(searches.entries),
        searches.seconds,
        against.get(name),
      )
      for name, searches in found.items()
    }

  def write(self, folder: pathlib.Path) -> None:
    """Writes `results.json`."""
    table = self.named.table
    workdir.write_json(
      folder / 'results.json',
      {
        'table': {
          'name': self.named.name,
          'size': table.size,
          'cardinalities': table.cardinalities,
          'fingerprint': self.named.fingerprint,
          'best_reward': float(table.rewards.max()),
          'regret_of_top': self._levels(),
          'description': self.named.description,
        },
        'num_seeds': self.num_seeds,
        'num_trials': self.num_trials,
        'headline': self.headline(),
        'verdicts': self.verdicts(),
        'strategies': {
          name: {'label': self._labels[name], **result.to_json()}
          for name, result in self.results.items()
        },
      },
      sealed=True,
    )

  def _levels(self) -> dict[float, float]:
    """Returns the regret of the worst entry in each fraction of the best."""
    rewards = self.named.table.rewards
    best = float(rewards.max())
    return {part: best - regret.top_reward(rewards, part) for part in FRACTIONS}

  def draw(self, folder: pathlib.Path) -> None:
    """Draws `regret.png`, and prints the names of the files."""
    pictures.draw(
      regret_plot.plot_regret,
      folder / 'regret.png',
      [
        _plotted(self._labels[name], result)
        for name, result in self.results.items()
      ],
      {f'best {100 * part:g} %': at for part, at in self._levels().items()},
      f'{self.named.name}: mean of {self.num_seeds} searches, 95 % intervals',
    )
    progress.files(folder, ('report.html', 'regret.png', 'results.json'))

  def show(self) -> None:
    """Prints the table and the verdicts."""
    tops = [f'top {100 * part:g} %' for part in FRACTIONS]
    progress.table(
      f'{self.named.name}, {self.num_seeds} searches of {self.num_trials} '
      'trials: regret (best reward of the table minus the best found) at the '
      'end, and median of the trials to reach the best entries',
      [
        'strategy',
        'regret',
        '95 % interval',
        *[text for top in tops for text in (f'to {top}', 'reached')],
        'distinct',
        'trials/s',
      ],
      [self._row(name, result) for name, result in self.results.items()],
      spare=('trials/s', 'distinct', 'reached'),
    )
    for line in (*self.verdicts(), *self.named.description):
      print(line)

  @property
  def _against(self) -> dict[str, regret.StrategyComparison]:
    return {
      name: result.against_random
      for name, result in self.results.items()
      if result.against_random is not None
    }

  def headline(self) -> str:
    """Returns which strategies are better than the baseline, in sentences."""
    finals = {
      name: float(result.curve.value[-1])
      for name, result in self.results.items()
    }
    best = min(finals, key=lambda name: finals[name])
    told = [
      f'Lowest mean regret after {self.num_trials} trials: '
      f'{self._labels[best]}, {finals[best]:.4g}.'
    ]
    if self._baseline not in self.results:
      told.append(
        f'Without {self._labels[self._baseline]}, nothing is compared.'
      )
    baseline, against = self._labels[self._baseline], self._against
    if against and self.num_seeds < 2:
      return f'{told[0]} One seed allows no comparison.'
    for is_better, verb in (
      (True, f'better than {baseline}'),
      (False, f'worse than {baseline}'),
      (None, f'not distinguishable from {baseline}'),
    ):
      names = [
        self._labels[name]
        for name, comparison in against.items()
        if comparison.is_better is is_better
      ]
      if names:
        *most, last = names
        subject = f'{", ".join(most)} and {last}' if most else last
        told.append(f'{subject} {"are" if most else "is"} {verb}.')
    return ' '.join(told)

  def verdicts(self) -> list[str]:
    """Returns a sentence on each comparison with the baseline, and a note."""
    against = self._against
    lines = [self._verdict(name, each) for name, each in against.items()]
    if len(against) > 1 and self.num_seeds > 1:
      lines.append(
        'Intervals (95 %) and p-values are over searches, and corrected for '
        f'the {len(against)} comparisons (Holm).'
      )
    return lines

  def _row(self, name: str, result: Result) -> list[str]:
    mean, low, high = (values[-1] for values in result.curve)
    reaches = [
      text
      for each in result.reach.values()
      for text in spell_reach(each, self.num_trials)
    ]
    return [
      self._labels[name],
      f'{mean:.4g}',
      f'{low:.4g} to {high:.4g}' if self.num_seeds > 1 else '-',
      *reaches,
      f'{result.distinct:.0%}',
      f'{self.num_seeds * self.num_trials / result.seconds:,.0f}',
    ]

  def _verdict(self, name: str, comparison: regret.StrategyComparison) -> str:
    first = self._labels[name]
    second = self._labels[self._baseline]
    if self.num_seeds < 2:
      return (
        f'{first} against {second}: one seed, so no comparison is possible.'
      )
    mean, low, high, p_value, _ = comparison.difference
    if math.isnan(p_value):
      return (
        f'{first} against {second}, paired by seed: the same difference, '
        f'{mean:+z.4g}, on every seed, so no comparison is possible.'
      )
    verdict = {
      True: f'{first} is better',
      False: f'{second} is better',
      None: 'no significant difference',
    }[comparison.is_better]
    return (
      f'{first} against {second}, paired by seed: regret {mean:+z.4g}, '
      f'interval {low:+z.4g} to {high:+z.4g}, {statistics.p_text(p_value)}; '
      f'lower on {comparison.better:.1%} of the seeds, equal on '
      f'{comparison.equal:.1%}: {verdict}.'
    )
