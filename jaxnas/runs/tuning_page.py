# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A tuning as one web page that stands alone: `report.html`.

The page depends on nothing but the run's folder.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
import math
import os
import pathlib
import re
from typing import Any

import numpy as np

from jaxnas.records import folder as folder_lib
from jaxnas.records import summary as summary_lib
from jaxnas.records import trial_log
from jaxnas.visualize import (
  checklist,
  line_chart,
  markup,
  progress,
  report_failures,
  report_summary,
  report_tables,
  setting_rows,
  web_page,
)

SPACE = 'tuning of '
"""The beginning of the name of a tuning's space; the experiment follows."""

_MAX_ROWS = 500
_MAX_PHASES = 40
_NUM_CURVES = 6


def training_folder(
  folder: str | os.PathLike[str], point: Mapping[str, Any]
) -> pathlib.Path:
  """Returns the folder of the training of a point.

  Args:
    folder: the folder of the tuning.
    point: the value of each tuned setting, by name.
  """
  parts = (f'{name}_{value}' for name, value in point.items())
  name = re.sub(r'[^\w.+-]', '_', '-'.join(parts))
  return pathlib.Path(folder, 'trainings', name)


def spell(point: Mapping[str, Any]) -> str:
  """Returns a point as text."""
  return ', '.join(f'{name} {value}' for name, value in point.items())


def in_order(trials: Iterable[trial_log.Trial]) -> list[trial_log.Trial]:
  """Returns trials in the order of proposal, regardless of which ended first.

  Args:
    trials: the trials of a tuning, in the order of its log.
  """
  return sorted(
    trials,
    key=lambda each: each.number if each.proposal is None else each.proposal,
  )


def is_at(trial: trial_log.Trial, point: Mapping[str, Any]) -> bool:
  """Returns whether a trial is the training of a point."""
  return all(trial.architecture.get(name) == point[name] for name in point)


def render(run: folder_lib.Run) -> str:
  """Returns the page of a tuning.

  Args:
    run: the run, which has a summary.

  Raises:
    ValueError: a file of a training is damaged.
    OSError: a file of a training cannot be read.
  """
  return web_page.render(_Page(run, report_summary.of_run(run)))


class _Page:
  """The contents of a page; see `web_page.Page`.

  Attributes:
    title: the page's heading.
    charts: the page's charts.
  """

  title = 'Tuning of a long training'

  def __init__(self, run: folder_lib.Run, summary: summary_lib.Summary):
    self._run, self._summary = run, summary
    names = [options.name for options in summary.decisions]
    self._usual = {
      name: run.config[name] for name in names if name in run.config
    }
    self._timings = list(_read_timings(run))
    measure = summary.measure
    self._done = sorted(
      (
        each
        for each in in_order(run.trials)
        if math.isfinite(self._value(each))
      ),
      key=self._value,
      reverse=measure.is_higher_better,
    )
    self.charts = web_page.Charts()

  @property
  def is_done(self) -> bool:
    return self._summary.results is not None

  def _value(self, trial: trial_log.Trial) -> float:
    """Returns the measure of a training; NaN if it failed."""
    if trial.status != 'ok':
      return math.nan
    return trial.metrics.get(self._summary.search_metric, math.nan)

  def _report(self, trial: trial_log.Trial) -> float:
    return trial.metrics.get(f'report_{self._summary.measure.name}', math.nan)

  @property
  def _has_report(self) -> bool:
    results = self._summary.results
    return results is not None and results.has_report

  @property
  def _num_points(self) -> int:
    return sum(arm.num_trials for arm in self._summary.arms)

  def lead(self) -> str:
    started = str(self._run.manifest.get('time_started', ''))[:10]
    parts = [
      f'{len(self._run.trials):,} of {self._summary.space_size} points of a '
      'grid',
      self._summary.space.removeprefix(SPACE),
      *([f'started {started}'] if started else []),
    ]
    return ' · '.join(parts)

  def verdict(self) -> str:
    results = self._summary.results
    if results is not None:
      return ' '.join((results.headline, *results.verdicts))
    return (
      f'There is no verdict yet: {len(self._run.trials):,} of '
      f'{self._num_points:,} trainings are done.'
    )

  def sections(self) -> list[str]:
    run = self._run
    failures = report_failures.draw(run.trials)
    return [
      markup.section('tried', 'What was tried', self._tried()),
      markup.section('trainings', 'The trainings', self._trainings()),
      markup.section('curves', 'Progress', self._curves()),
      markup.section('effects', 'Each setting', self._effects()),
      markup.section('failures', 'Failures', failures),
      markup.section('cost', 'Cost', report_tables.draw_cost(self._timings)),
      markup.section(
        'settings', 'Settings', report_tables.draw_settings(run.config)
      ),
      markup.section(
        'versions',
        'Versions and hardware',
        report_tables.draw_versions(run.manifest),
      ),
      markup.section(
        'checklist',
        'Checklist of an honest report',
        checklist.draw(list(self._points())),
      ),
    ]

  def _tried(self) -> str:
    run, summary = self._run, self._summary
    wall = sum(line['wall_seconds'] for line in self._timings)
    tiles = {
      'points of the grid': summary.space_size,
      'trainings': f'{len(run.trials):,} of {self._num_points:,}',
      'failed': f'{len(run.trials) - len(self._done):,}',
      'time': progress.duration(wall) if self._timings else '–',
    }
    measure = summary.measure
    better = 'higher' if measure.is_higher_better else 'lower'
    told = (
      f'Points are compared by {measure.name} on the validation split after '
      f'the best epoch: {better} is better. The usual settings come first, and '
      'the others in random order, so that a tuning that ends early is a '
      'random search.'
    )
    rows: list[markup.Row] = [
      [
        options.name,
        markup.spell(', '.join(options.labels)),
        markup.spell(self._usual.get(options.name)),
      ]
      for options in summary.decisions
    ]
    return (
      web_page.draw_tiles(tiles)
      + markup.paragraphs([told])
      + markup.table(['setting', 'values', 'usual'], rows, 'The grid')
    )

  def _trainings(self) -> str:
    if not self._run.trials:
      return markup.paragraphs(['No training is finished.'])
    failed = [each for each in self._run.trials if each not in self._done]
    shown = [*self._done, *failed][:_MAX_ROWS]
    measure = self._summary.measure
    names = [options.name for options in self._summary.decisions]
    columns = [
      'training',
      f'validation {measure.name}',
      *([f'report {measure.name}'] if self._has_report else []),
      'best epoch',
      *names,
    ]
    rows = [self._row(trial, names) for trial in shown]
    lines = ['The best are first. One training of each point, all of one seed.']
    if len(rows) < len(self._run.trials):
      lines.append(f'Of {len(self._run.trials):,}, {len(rows):,} are shown.')
    return markup.paragraphs([' '.join(lines)]) + markup.table(
      columns, rows, 'Trainings'
    )

  def _row(self, trial: trial_log.Trial, names: Sequence[str]) -> markup.Row:
    note = ' (usual)' if is_at(trial, self._usual) else ''
    epoch = trial.metrics.get('epoch', math.nan)
    values = [self._value(trial)]
    if self._has_report:
      values.append(self._report(trial))
    return [
      markup.Cell(f'#{trial.number}{note}', trial.number),
      *(self._cell(trial, value) for value in values),
      markup.Cell(f'{epoch:.0f}', epoch)
      if math.isfinite(epoch)
      else markup.Cell('–'),
      *(_setting(trial.architecture.get(name)) for name in names),
    ]

  def _cell(self, trial: trial_log.Trial, value: float) -> markup.Cell:
    if math.isfinite(value):
      return markup.Cell(self._summary.measure.text(value), value)
    words = trial.status.replace('_', ' ')
    return markup.Cell('–' if trial.status == 'ok' else words)

  def _curves(self) -> str:
    if not self._done:
      return markup.paragraphs(['No training has succeeded.'])
    return (
      '<div class="charts">'
      + self.charts.draw(self._best_so_far())
      + self.charts.draw(self._by_epoch())
      + '</div>'
    )

  def _axis(self) -> str:
    measure = self._summary.measure
    better = 'higher' if measure.is_higher_better else 'lower'
    return f'validation {measure.name}, {better} is better'

  def _best_so_far(self) -> line_chart.Chart:
    measure = self._summary.measure
    follow = np.fmax if measure.is_higher_better else np.fmin
    values = follow.accumulate(
      np.array(list(map(self._value, self._run.trials)))
    )
    curve = _curve('best so far', 0, values, is_stepped=True)
    return line_chart.Chart(
      f'Best validation {measure.name} so far',
      'trainings',
      self._axis(),
      [curve],
      'The best of many trainings on validation data is better than it will be '
      'on other data.',
      measure.text,
    )

  def _by_epoch(self) -> line_chart.Chart:
    """Returns the chart of the best trainings and the usual one."""
    shown = self._done[:_NUM_CURVES]
    usual = [each for each in self._done if is_at(each, self._usual)]
    if usual and usual[0] not in shown:
      shown = [*shown[:-1], usual[0]]
    names = [o.name for o in self._summary.decisions if len(o.labels) > 1]
    curves = []
    for color, trial in enumerate(shown):
      point = {
        name: value
        for name, value in trial.architecture.items()
        if name in names
      }
      note = ' (usual)' if trial in usual else ''
      name = f'#{trial.number}{note}: {markup.shorten(spell(point))}'
      values = self._read_epochs(trial)
      if len(values):
        curves.append(_curve(name, color, values))
    measure = self._summary.measure
    return line_chart.Chart(
      'The best trainings, epoch by epoch',
      'epochs',
      self._axis(),
      curves,
      'The model of the best epoch is the one that is measured and kept.',
      measure.text,
    )

  def _read_epochs(self, trial: trial_log.Trial) -> np.ndarray:
    """Returns the validation measure after each epoch of a training."""
    folder = training_folder(_path(self._run), trial.architecture)
    path, metric = folder / 'epochs.jsonl', self._summary.search_metric
    if not path.exists():
      return np.array([])
    lines = trial_log.read_json_lines(path)
    trial_log.check_fields(path, lines, **{metric: float})
    return np.array([line[metric] for line in lines], np.float64)

  def _effects(self) -> str:
    summary = self._summary
    points = [(each.architecture, self._value(each)) for each in self._done]
    return setting_rows.draw(
      summary.measure, summary.decisions, points, self._usual
    )

  def _points(self) -> Iterator[checklist.Point]:
    Answer, trials = checklist.Answer, self._run.trials
    has_usual = any(is_at(each, self._usual) for each in trials)
    yield checklist.Point(
      'The usual settings beside the others',
      Answer.YES if has_usual else Answer.NO,
      'They are a point of the grid, and are trained first.'
      if has_usual
      else 'They are not on the grid, or not trained yet.',
    )
    is_whole = str(len(trials)) == self._summary.space_size
    yield checklist.Point(
      'Best of n, with n',
      Answer.YES,
      f'{len(trials):,} of {self._summary.space_size} points: '
      + ('the whole grid.' if is_whole else 'a random part of the grid.'),
    )
    yield checklist.Point(
      'Several seeds of each setting, with their spread',
      Answer.NO,
      'Each point is trained once, so small differences may be chance.',
    )
    yield checklist.Point(
      'Reported on data that no choice came from',
      Answer.YES if self._has_report else Answer.NO,
      'The best epoch and the best point come from validation data alone.'
      if self._has_report
      else 'There is no report split, or no result yet: validation data chose.',
    )
    yield checklist.Point(
      'Test data untouched',
      Answer.YES,
      'A tuning cannot open the test split; a long training opens it once.',
    )
    yield from checklist.of_code(self._run.manifest)
    yield checklist.of_cost(self._timings)


def _path(run: folder_lib.Run) -> pathlib.Path:
  return pathlib.Path(run.folder).expanduser()


def _read_timings(run: folder_lib.Run) -> Iterator[dict[str, Any]]:
  """Yields the timings of all trainings, each as a phase of its own."""
  is_short = len(run.trials) <= _MAX_PHASES
  for trial in run.trials:
    path = training_folder(_path(run), trial.architecture) / 'timings.jsonl'
    if path.exists():
      phase = f'training #{trial.number}' if is_short else 'trainings'
      for line in folder_lib.read_timings(path):
        yield {**line, 'phase': phase}


def _setting(value: Any) -> markup.Cell:
  is_number = isinstance(value, int | float) and not isinstance(value, bool)
  return markup.Cell(markup.spell(value), value if is_number else None)


def _curve(
  name: str, color: int, values: np.ndarray, is_stepped: bool = False
) -> line_chart.Curve:
  nothing = np.full(len(values), np.nan)
  return line_chart.Curve(
    name,
    color,
    np.arange(1.0, len(values) + 1),
    values,
    nothing,
    nothing,
    is_stepped=is_stepped,
  )
