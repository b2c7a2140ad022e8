# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A comparison of strategies as one web page that stands alone: `report.html`.

The page depends on nothing but the run's folder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import math
import pathlib
from typing import Any

import numpy as np

from jaxnas.records import folder as folder_lib
from jaxnas.records import workdir
from jaxnas.runs import regret, regret_report
from jaxnas.visualize import (
  checklist,
  line_chart,
  markup,
  progress,
  report_tables,
  web_page,
)

FILES = ('results.json', 'searches')
"""The names in a folder that show it to be that of a comparison."""


@dataclasses.dataclass(frozen=True)
class _Strategy:
  """The results of one strategy, from `results.json`.

  Attributes:
    label: the strategy's name.
    mean: the mean regret after every trial, `[R]`.
    low: the lower ends of the intervals, `[R]`; NaN where there is none.
    high: the upper ends of the intervals, `[R]`; NaN where there is none.
    reach: the speed at which the best entries are found, by their fraction of
      the table.
    distinct: the fraction of trials that tried new entries.
    seconds: the duration of all searches, in seconds.
    is_compared: whether it is compared with a baseline.
  """

  label: str
  mean: np.ndarray
  low: np.ndarray
  high: np.ndarray
  reach: Mapping[float, regret.Reach]
  distinct: float
  seconds: float
  is_compared: bool


@dataclasses.dataclass(frozen=True)
class _Results:
  """The contents of `results.json`."""

  table: str
  size: int
  cardinalities: Sequence[int]
  best_reward: float
  levels: Mapping[float, float]
  description: Sequence[str]
  num_seeds: int
  num_trials: int
  headline: str
  verdicts: Sequence[str]
  strategies: Sequence[_Strategy]


def render(folder: pathlib.Path) -> str:
  """Returns the page of a comparison.

  Args:
    folder: the folder of the run, which may still be in progress.

  Raises:
    ValueError: a file of the run is damaged.
    OSError: a file cannot be read.
  """
  return web_page.render(_Page(folder))


def _read_results(path: pathlib.Path) -> _Results:
  """Returns the results; raises `ValueError` if they are of another version."""
  content = workdir.read_json(path)
  try:
    table = content['table']
    if not content['strategies']:
      raise ValueError('it has no strategy')
    return _Results(
      table=str(table['name']),
      size=int(table['size']),
      cardinalities=[int(each) for each in table['cardinalities']],
      best_reward=float(table['best_reward']),
      levels={float(p): float(at) for p, at in table['regret_of_top'].items()},
      description=list(map(str, table['description'])),
      num_seeds=int(content['num_seeds']),
      num_trials=int(content['num_trials']),
      headline=str(content['headline']),
      verdicts=list(map(str, content['verdicts'])),
      strategies=[_strategy(each) for each in content['strategies'].values()],
    )
  except (KeyError, TypeError, ValueError, AttributeError) as error:
    raise ValueError(
      f'{path} is of another version, or damaged ({error!r}); the command of '
      'the run writes it again.'
    ) from None


def _strategy(fields: Mapping[str, Any]) -> _Strategy:
  mean, low, high = (
    _numbers(fields['regret'][name]) for name in ('value', 'low', 'high')
  )
  if not np.isfinite(mean).all() or not len(mean) == len(low) == len(high) > 0:
    raise ValueError('a curve has no mean, or ends of other lengths')
  reach = {
    float(part): regret.Reach(
      math.inf if each['median'] is None else float(each['median']),
      float(each['reached']),
    )
    for part, each in fields['reach'].items()
  }
  return _Strategy(
    label=markup.shorten(str(fields['label'])),
    mean=mean,
    low=low,
    high=high,
    reach=reach,
    distinct=float(fields['distinct']),
    seconds=float(fields['seconds']),
    is_compared=fields['against_random'] is not None,
  )


def _numbers(values: Sequence[float | None]) -> np.ndarray:
  return np.array([np.nan if each is None else float(each) for each in values])


class _Page:
  """The contents of a page; see `web_page.Page`.

  Attributes:
    title: the page's heading.
    charts: the page's charts.
    results: the results, if the run has any.
  """

  title = 'Comparison of strategies'

  def __init__(self, folder: pathlib.Path):
    path = folder / 'results.json'
    self.results = _read_results(path) if path.exists() else None
    self._found = sorted(each.stem for each in folder.glob('searches/*.npz'))
    timings, manifest = folder / 'timings.jsonl', folder / 'manifest.json'
    self._timings = folder_lib.read_timings(timings) if timings.exists() else []
    self._config = workdir.read_config(folder)
    self._manifest = workdir.read_json(manifest) if manifest.exists() else {}
    self.charts = web_page.Charts()

  @property
  def is_done(self) -> bool:
    return self.results is not None

  def lead(self) -> str:
    results = self.results
    started = str(self._manifest.get('time_started', ''))[:10]
    parts = [f'started {started}'] if started else []
    if results is not None:
      parts = [
        f'{len(results.strategies)} strategies on {results.table}',
        f'{results.num_seeds:,} searches of {results.num_trials:,} trials each',
        *parts,
      ]
    return ' · '.join(parts)

  def verdict(self) -> str:
    if self.results is not None:
      return self.results.headline
    there = ', '.join(self._found) or 'no strategy'
    return f'There is no verdict yet: the searches of {there} are done.'

  def sections(self) -> list[str]:
    results = self.results
    shown = []
    if results is not None:
      shown = [
        markup.section(
          'searched', 'What was searched', self._searched(results)
        ),
        markup.section('regret', 'Regret', self._regret(results)),
        markup.section('strategies', 'The strategies', _strategies(results)),
        markup.section(
          'comparisons',
          'Comparisons',
          markup.bullets(results.verdicts)
          if results.verdicts
          else markup.paragraphs(['There was nothing to compare.']),
        ),
      ]
    return [
      *shown,
      markup.section('cost', 'Cost', self._cost()),
      markup.section(
        'settings', 'Settings', report_tables.draw_settings(self._config)
      ),
      markup.section(
        'versions',
        'Versions and hardware',
        report_tables.draw_versions(self._manifest),
      ),
      markup.section(
        'checklist',
        'Checklist of an honest report',
        checklist.draw(list(self._points())),
      ),
    ]

  def _searched(self, results: _Results) -> str:
    wall = math.fsum(line['wall_seconds'] for line in self._timings)
    tiles = {
      'entries of the table': f'{results.size:,}',
      'decisions': f'{len(results.cardinalities):,}',
      'searches of each': f'{results.num_seeds:,}',
      'trials of a search': f'{results.num_trials:,}',
      'best reward': f'{results.best_reward:.4g}',
      'time': progress.duration(wall) if wall else '–',
    }
    return (
      web_page.draw_tiles(tiles)
      + markup.paragraphs(
        [
          'Regret is the best reward of the table less the best that a search '
          'has found so far: lower is better. All strategies search one table, '
          'with the same seeds.'
        ]
      )
      + markup.bullets(results.description)
    )

  def _regret(self, results: _Results) -> str:
    least = min(
      (
        float(each.mean[each.mean > 0].min())
        for each in results.strategies
        if (each.mean > 0).any()
      ),
      default=2.0,
    )
    # A regret of 0 has no logarithm.
    floor = math.log10(least / 2)

    def place(values: np.ndarray) -> np.ndarray:
      with np.errstate(all='ignore'):
        return np.fmax(
          np.log10(values), np.where(np.isnan(values), np.nan, floor)
        )

    def spell(value: float) -> str:
      return '0' if value <= floor else f'{10**value:.3g}'

    curves = [
      line_chart.Curve(
        each.label,
        color,
        np.arange(1.0, len(each.mean) + 1),
        place(each.mean),
        place(each.low),
        place(each.high),
      )
      for color, each in enumerate(results.strategies)
    ]
    chart = line_chart.Chart(
      'Mean regret',
      'trials of a search',
      'regret on a logarithmic scale, lower is better',
      curves,
      f'The mean over {results.num_seeds:,} searches, with its 95 % interval.'
      if results.num_seeds > 1
      else 'One search of each strategy has no interval.',
      spell,
    )
    levels = ', '.join(
      f'{at:.4g} for the best {100 * part:g} %'
      for part, at in results.levels.items()
    )
    return self.charts.draw(chart) + markup.paragraphs(
      [f'Regret of the worst of the best entries: {levels}.'], 'note'
    )

  def _cost(self) -> str:
    return report_tables.draw_cost(self._timings, 'searching')

  def _points(self) -> Iterator[checklist.Point]:
    answer, results = checklist.Answer, self.results
    strategies = results.strategies if results else []
    num_seeds = results.num_seeds if results else 0
    is_compared = any(each.is_compared for each in strategies)
    yield checklist.Point(
      'Random search at equal cost',
      answer.YES if is_compared and results else answer.NO,
      f'Every strategy has {results.num_trials:,} trials in each search.'
      if is_compared and results
      else 'No strategy is compared with random search.',
    )
    yield checklist.Point(
      'The same data, space and training for every method',
      answer.YES if len(strategies) > 1 else answer.NOT_APPLICABLE,
      'All strategies search one table, with the same seeds.'
      if len(strategies) > 1
      else 'The run has one method only.',
    )
    yield checklist.Point(
      'Several searches of each strategy, with their spread',
      answer.YES
      if num_seeds >= 3
      else answer.PARTLY
      if num_seeds == 2
      else answer.NO,
      f'{num_seeds:,} {"search" if num_seeds == 1 else "searches"} of each.',
    )
    yield checklist.Point(
      'Intervals, and a correction for several comparisons',
      answer.YES if is_compared and num_seeds > 1 else answer.NO,
      "Paired t-tests with Holm's correction; intervals of 95 %."
      if is_compared and num_seeds > 1
      else 'Nothing could be compared by a test.',
    )
    yield checklist.Point(
      'Performance over cost, not only at the end',
      answer.YES if results else answer.NO,
      'The curves show the regret after every trial.'
      if results
      else 'There are no results yet.',
    )
    yield checklist.Point(
      'Reported on data that no reward and no choice came from',
      answer.NOT_APPLICABLE,
      'Strategies are compared by how well they find the best of a table.',
    )
    yield checklist.Point(
      "How the method's own settings were chosen",
      answer.UNKNOWN,
      'A run does not know what was tried before it; tell it beside the '
      'results.',
    )
    yield from checklist.of_code(self._manifest)
    yield checklist.of_cost(self._timings)


def _strategies(results: _Results) -> str:
  """Returns the table of the strategies."""
  rows = []
  for each in results.strategies:
    interval = markup.Cell('–')
    low, high = float(each.low[-1]), float(each.high[-1])
    if math.isfinite(low):
      interval = markup.Cell(f'{low:.4g} to {high:.4g}', high - low)
    cells: list[markup.Cell | str] = [
      each.label,
      markup.Cell(f'{each.mean[-1]:.4g}', float(each.mean[-1])),
      interval,
    ]
    for reach in each.reach.values():
      median, share = regret_report.spell_reach(reach, results.num_trials)
      most = min(reach.median, results.num_trials + 1.0)
      cells += [markup.Cell(median, most), markup.Cell(share, reach.reached)]
    speed = results.num_seeds * results.num_trials / max(each.seconds, 1e-9)
    cells += [
      markup.Cell(f'{each.distinct:.0%}', each.distinct),
      markup.Cell(f'{speed:,.0f}', speed),
    ]
    rows.append(cells)
  tops = [f'top {100 * part:g} %' for part in results.strategies[0].reach]
  columns = [
    'strategy',
    'regret at the end',
    '95 % interval',
    *[text for top in tops for text in (f'trials to {top}', f'reached {top}')],
    'distinct',
    'trials/s',
  ]
  return markup.paragraphs(
    [
      'Trials to the best entries are the median over all searches; distinct '
      'is the share of trials that tried new entries.'
    ]
  ) + markup.table(columns, rows, 'Strategies')
