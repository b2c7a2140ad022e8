# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A succession of controllers as one web page that stands alone: `report.html`.

The page depends on nothing but the run's folder.
"""

from __future__ import annotations

from collections.abc import Iterator
import math
import pathlib
from typing import Any

import numpy as np

from jaxnas import generations as generations_lib
from jaxnas import statistics
from jaxnas.records import summary as summary_lib
from jaxnas.runs import succession_records, succession_report
from jaxnas.spaces import recurrent_cell as spaces
from jaxnas.visualize import (
  checklist,
  dot_rows,
  gallery,
  line_chart,
  markup,
  progress,
  report_tables,
  web_page,
)

CONTROL, SUCCESSION = generations_lib.CONTROL, generations_lib.SUCCESSION

_MAX_ROWS = 200
_LABELS = {
  SUCCESSION: 'succession: the best cell of the generation before',
  CONTROL: 'control: always an LSTM',
}


def render(folder: pathlib.Path) -> str:
  """Returns the page of a succession.

  Args:
    folder: the folder of the run, which may still be in progress.

  Raises:
    ValueError: a file of the run is damaged.
    OSError: a file cannot be read.
  """
  return web_page.render(_Page(folder))


class _Page:
  """The contents of a page; see `web_page.Page`.

  Attributes:
    title: the page's heading.
    charts: the page's charts.
    is_done: whether all generations are finished.
  """

  title = 'Succession of controllers'

  def __init__(self, folder: pathlib.Path):
    records = succession_records.read(folder)
    self._records = records
    numbers = {
      name: _whole(folder, records.config, name)
      for name in ('base', 'num_generations', 'num_trials', 'num_seeds')
    }
    self._numbers = numbers
    self._space = spaces.make_space(numbers['base'])
    places = {(each.branch, each.number) for each in records.generations}
    # A generation of the succession is shown only once its control is there.
    self._all = [
      each for each in records.generations if (CONTROL, each.number) in places
    ]
    self._last = succession_report.in_order(self._all)[-_MAX_ROWS:]
    self._num_wanted = 2 * numbers['num_generations'] - 1
    self.is_done = len(self._all) == self._num_wanted
    trained = {tuple(line['tokens']) for line in records.retrainings}
    is_trained = all(
      cell in trained for each in self._all for cell in each.found
    )
    self._retrained = records.retrainings if is_trained else []
    self.charts = web_page.Charts()

  def lead(self) -> str:
    started = str(self._records.manifest.get('time_started', ''))[:10]
    evaluator = self._records.config.get('evaluator')
    return ' · '.join(
      (
        *(
          [succession_report.title(self._numbers['num_trials'], self._all)]
          if self._all
          else []
        ),
        'rewards from the table of all cells'
        if evaluator == 'table'
        else 'rewards from trainings',
        *([f'started {started}'] if started else []),
      )
    )

  def verdict(self) -> str:
    if self.is_done:
      lines = succession_report.verdicts(self._all, self._retrained)
      return ' '.join(lines)
    return (
      f'There is no verdict yet: {len(self._all):,} of {self._num_wanted:,} '
      'generations are done, those of the control included.'
    )

  def sections(self) -> list[str]:
    records = self._records
    return [
      markup.section('searched', 'What was searched', self._searched()),
      markup.section('generations', 'The generations', self._generations()),
      markup.section('curves', 'From generation to generation', self._curves()),
      markup.section('found', 'What was found', self._found()),
      markup.section('best', 'The cell found most often', self._best()),
      markup.section('retrained', 'Retraining', self._draw_retrained()),
      markup.section('failures', 'Failures', self._failures()),
      markup.section('cost', 'Cost', self._cost()),
      markup.section(
        'settings', 'Settings', report_tables.draw_settings(records.config)
      ),
      markup.section(
        'versions',
        'Versions and hardware',
        report_tables.draw_versions(records.manifest),
      ),
      markup.section(
        'checklist',
        'Checklist of an honest report',
        checklist.draw(list(self._points())),
      ),
    ]

  def _searched(self) -> str:
    wall = math.fsum(line['wall_seconds'] for line in self._records.timings)
    size = checklist.spell_size(summary_lib.spell_size(self._space.size))
    lineages = len(self._all[0].rewards) if self._all else 0
    tiles = {
      'possible cells': size,
      'lineages': f'{lineages:,}' if lineages else '–',
      'generations': f'{self._numbers["num_generations"]:,}',
      'trials of a search': f'{self._numbers["num_trials"]:,}',
      'time': progress.duration(wall) if wall else '–',
    }
    return web_page.draw_tiles(tiles) + markup.paragraphs(
      [
        'Generation 0 of a lineage searches for a recurrent cell with an LSTM '
        'as its controller; every later one with the best cell that the one '
        'before it found. A control searches as often, with the same keys, '
        'and always with the LSTM.'
      ]
    )

  def _generations(self) -> str:
    if not self._all:
      return markup.paragraphs(['No generation is finished.'])
    rows: list[markup.Row] = [
      [row[0], *map(_cell, row[1:])]
      for row in succession_report.rows(self._all, self._retrained)[-_MAX_ROWS:]
    ]
    text = 'Means over lineages; of perplexities, the median.'
    if len(rows) < len(self._all):
      text += f' Of {len(self._all):,} rows, the last {len(rows):,}.'
    return (
      markup.paragraphs([text])
      + markup.table(succession_report.COLUMNS, rows, 'Generations')
      + markup.bullets(
        f'{name}: {text}.' for name, text in succession_report.LEGEND.items()
      )
    )

  def _curves(self) -> str:
    if not self._all:
      return markup.paragraphs(['No generation is finished.'])
    charts = (
      self._chart('rewards', 'Best reward', 'best reward of a search'),
      self._chart('areas', 'Anytime area', 'mean of the best reward so far'),
    )
    return f'<div class="charts">{"".join(charts)}</div>'

  def _chart(self, field: str, title: str, y_label: str) -> str:
    curves = []
    for color, branch in enumerate((SUCCESSION, CONTROL)):
      mine = sorted(
        (
          each for each in self._all if each.branch == branch or not each.number
        ),
        key=lambda each: each.number,
      )
      values = np.array([getattr(each, field) for each in mine], np.float64)
      mean, low, high = statistics.mean_interval(values.T)
      curves.append(
        line_chart.Curve(
          _LABELS[branch],
          color,
          np.array([each.number for each in mine], np.float64),
          mean,
          low,
          high,
          list(values.T) if values.shape[1] > 1 else (),
        )
      )
    several = any(curve.has_interval for curve in curves)
    note = (
      'Thick: the mean over lineages, with its 95 % interval, cut at the edge. '
      'Thin: each lineage.'
      if several
      else 'A single lineage has no interval.'
    )
    chart = line_chart.Chart(
      title, 'generation', f'{y_label}, higher is better', curves, note
    )
    return self.charts.draw(chart)

  def _found(self) -> str:
    if not self._all:
      return markup.paragraphs(['Nothing was found.'])
    rows: list[markup.Row] = [
      [name, cell, markup.Cell(f'{count:,}', count)]
      for name, cell, count in succession_report.most_found_cells(
        self._space, self._last
      )
    ]
    return markup.paragraphs(
      ['The cell that most lineages of a generation found; of ties, the best.']
    ) + markup.table(['generation', 'cell', 'lineages'], rows, 'Found')

  def _best(self) -> str:
    if not any(each.branch == SUCCESSION for each in self._all):
      return markup.paragraphs(['Nothing was found.'])
    last, tokens, count = succession_report.last_found(self._all)
    cell: Any = self._space.decode(np.array(tokens))
    architecture = cell.to_json()
    heading, formula = gallery.formulas(architecture) or ('', '')
    picture = gallery.Gallery(()).picture(architecture, None)
    return markup.paragraphs(
      [f'Of generation {last.number}: {count} of {len(last.found)} lineages.']
    ) + (
      f'<div class="best"><div>{picture}</div><div><h3>{heading}</h3>'
      f'<pre class="scroll" tabindex="0">{markup.escape(formula)}</pre></div>'
      '</div>'
    )

  def _draw_retrained(self) -> str:
    if not self._records.retrainings:
      return markup.paragraphs(['Nothing has been retrained.'])
    if not self._retrained:
      return markup.paragraphs(
        [
          'The retraining is not finished; '
          f'{len(self._records.retrainings):,} trainings are done.'
        ]
      )
    perplexities = succession_report.report_perplexities(self._retrained)
    rows = []
    for generation in self._last:
      values = np.array([perplexities[cell] for cell in generation.found])
      rows.append(
        dot_rows.Row(
          succession_report.name_of(generation),
          values[np.isfinite(values)],
          generation.branch == SUCCESSION,
        )
      )
    seeds = self._numbers['num_seeds']
    text = (
      'Report perplexity of the cell that each lineage found, trained with '
      f'{seeds} fresh {"seed" if seeds == 1 else "seeds"}: the geometric mean. '
      'No reward and no choice depends on the report data.'
    )
    return markup.paragraphs([text]) + dot_rows.draw(
      statistics.PERPLEXITY, rows, 'cells of lineages', has_intervals=False
    )

  def _failures(self) -> str:
    replaced = sum(sum(each.num_replaced) for each in self._all)
    lost = sum(each.is_finite.count(False) for each in self._all)
    failed = sum(line['report'] is None for line in self._records.retrainings)
    lines = [
      f'{replaced:,} best cells were passed over, since their controller '
      'diverged.',
      f'{lost:,} lineages were lost, since no cell was left to replace theirs.',
    ]
    if self._records.retrainings:
      lines.append(
        f'{failed:,} of {len(self._records.retrainings):,} retrainings '
        'diverged.'
      )
    return markup.bullets(lines)

  def _cost(self) -> str:
    note = (
      'Compiling and training are those of cells; controllers are the rest.'
    )
    return report_tables.draw_cost(
      self._records.timings, 'training cells'
    ) + markup.paragraphs([note], 'note')

  def _points(self) -> Iterator[checklist.Point]:
    answer = checklist.Answer
    lineages = len(self._all[0].rewards) if self._all else 0
    yield checklist.Point(
      'A control at equal cost',
      answer.YES,
      'The control searches as often, with the LSTM and the same keys.',
    )
    yield checklist.Point(
      'Several searches of each kind, with their spread',
      answer.YES
      if lineages >= 3
      else answer.PARTLY
      if lineages == 2
      else answer.NO,
      f'{lineages:,} lineages in either branch.',
    )
    yield checklist.Point(
      'Intervals, and a correction for several comparisons',
      answer.YES if lineages > 1 else answer.NO,
      "Paired t-tests with Holm's correction; intervals of 95 %."
      if lineages > 1
      else 'A single lineage has no interval.',
    )
    seeds = self._numbers['num_seeds'] if self._retrained else 0
    yield checklist.Point(
      'Winners retrained with fresh seeds, and their spread',
      answer.YES if seeds >= 3 else answer.PARTLY if seeds else answer.NO,
      f'{seeds:,} fresh trainings of every cell that a lineage found.',
    )
    yield checklist.Point(
      'Reported on data that no reward and no choice came from',
      answer.YES if seeds else answer.NO,
      'The retrained cells are measured on the report split.'
      if seeds
      else 'No cell is retrained, and rewards come from validation data.',
    )
    yield checklist.Point(
      'Test data untouched',
      answer.YES,
      'A succession cannot open the test split.',
    )
    size = summary_lib.spell_size(self._space.size)
    yield checklist.Point(
      'The size of the search space',
      answer.YES,
      f'{checklist.spell_size(size)} sequences of tokens.',
    )
    yield from checklist.of_code(self._records.manifest)
    yield checklist.of_cost(self._records.timings)


def _whole(folder: pathlib.Path, config: Any, name: str) -> int:
  """Returns a setting that is a whole number."""
  value = config.get(name)
  if type(value) is not int:
    raise ValueError(
      f'{folder / "config.json"}: {name} must be a whole number, got {value!r}.'
    )
  return value


def _cell(text: str) -> markup.Cell:
  """Returns a table cell that is sorted by the number that it begins with."""
  try:
    return markup.Cell(text, float(text.split(' ')[0]))
  except ValueError:
    return markup.Cell(text or '–')
