# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The tables of a report: retraining, searches, cost, settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
import itertools
import math
import pathlib
import shlex
from typing import Any

import numpy as np

from jaxnas import statistics
from jaxnas.records import folder as folder_lib
from jaxnas.records import steps, trial_log
from jaxnas.records import summary as summary_lib
from jaxnas.visualize import dot_rows, markup, progress

Cell = markup.Cell

_NONE = '–'


def draw_retraining(summary: summary_lib.Summary) -> str:
  """Returns what was trained anew, as a picture and as a table.

  Args:
    summary: the run's summary, with results.
  """
  results, measure = summary.results, summary.measure
  assert results is not None
  rows = [_retrained_row(summary, results, row) for row in results.rows]
  split = 'report' if results.has_report else 'validation'
  text = (
    f'Mean {measure.name} of the fresh trainings'
    + (f' ({results.length} each)' if results.length else '')
    + ', with the 95 % interval of the '
    + ('geometric mean. ' if measure.is_ratio else 'mean. ')
    + (
      'No reward and no choice depends on the report data.'
      if results.has_report
      else 'There is no report data, so everything is measured on the '
      'validation data, from which the rewards came.'
    )
  )
  return (
    markup.paragraphs([text])
    + dot_rows.draw(
      measure,
      [
        dot_rows.Row(row.name, _finite(getattr(row, split)), row.is_found)
        for row in results.rows
      ],
    )
    + markup.table(list(rows[0]), [list(row.values()) for row in rows], text)
    if rows
    else markup.paragraphs(['Nothing was retrained.'])
  )


def _retrained_row(
  summary: summary_lib.Summary,
  results: summary_lib.Results,
  row: summary_lib.Row,
) -> dict[str, Cell | str]:
  measure = summary.measure
  cells: dict[str, Cell | str] = {'architecture': row.name}
  splits = {'report': row.report, 'validation': row.validation}
  if not results.has_report:
    del splits['report']
  for split, values in splits.items():
    cells[f'{split} {measure.name}'] = _mean(measure, values)
    cells[f'{split} 95 % interval'] = _interval(measure, values)
  if summary.own_reward:
    cells['reward'] = _mean(statistics.REWARD, row.rewards)
  for name, value in (
    ('parameters', row.num_params),
    ('multiply-adds', row.num_multiply_adds),
  ):
    if any(getattr(each, _FIELDS[name]) is not None for each in results.rows):
      cells[name] = Cell(_NONE if value is None else f'{value:,}', value)
  if any(each.learning_rate is not None for each in results.rows):
    rate = row.learning_rate
    cells['learning rate'] = Cell(_NONE if rate is None else f'{rate:g}', rate)
  return cells


_FIELDS = {'parameters': 'num_params', 'multiply-adds': 'num_multiply_adds'}


def _finite(values: Iterable[float | None]) -> np.ndarray:
  return np.array([each for each in values if each is not None], np.float64)


def _mean(measure: statistics.Measure, values: Sequence[float | None]) -> Cell:
  finite = _finite(values)
  if len(finite) < len(values):
    return Cell(f'{len(values) - len(finite)} of {len(values)} failed')
  if not len(values):
    return Cell(_NONE)
  return Cell(measure.text(finite.mean()), float(finite.mean()))


def _interval(
  measure: statistics.Measure, values: Sequence[float | None]
) -> Cell:
  finite = _finite(values)
  if len(finite) < max(2, len(values)):
    return Cell(_NONE)
  _, low, high = dot_rows.mean_interval(measure, finite)
  first = measure.text(low).removesuffix(f' {measure.unit}')
  return Cell(f'{first} to {measure.text(high)}', high - low)


def draw_progress(retrained: Sequence[trial_log.Trial]) -> str:
  """Returns the trainings of a run that has not come to its results.

  Args:
    retrained: the trainings so far.
  """
  groups: dict[tuple[str, str], list[trial_log.Trial]] = {}
  for trial in retrained:
    stage = str(trial.settings.get('stage', _NONE))
    label = str(trial.settings.get('label', _NONE))
    groups.setdefault((label, stage), []).append(trial)
  names = list(dict.fromkeys(n for each in retrained for n in each.metrics))
  rows: list[markup.Row] = [
    [
      label,
      stage,
      Cell(f'{len(trials):,}', len(trials)),
      *(_mean_metric(trials, name) for name in names),
    ]
    for (label, stage), trials in groups.items()
  ]
  columns = ['architecture', 'stage', 'trainings', *map(_words, names)]
  return markup.table(columns, rows, 'Trainings so far')


def _mean_metric(trials: Sequence[trial_log.Trial], name: str) -> Cell:
  values = [trial.metrics.get(name, math.nan) for trial in trials]
  finite = [each for each in values if math.isfinite(each)]
  if not finite:
    return Cell(_NONE)
  mean = math.fsum(finite) / len(finite)
  return Cell(f'{mean:.5g}', mean)


def _words(name: str) -> str:
  return name.replace('_', ' ')


def draw_searches(run: folder_lib.Run, summary: summary_lib.Summary) -> str:
  """Returns how much each arm proposed, and how much of it was new.

  Args:
    run: the run.
    summary: the run's summary.
  """
  rows: list[markup.Row] = []
  has_rungs = steps.are_known(run.searched)
  for arm in summary.arms:
    mine = [
      trial
      for trial in run.searched
      if (trial.arm, trial.repeat) == (arm.name, arm.repeat)
    ]
    distinct = sum(trial.duplicate_of is None for trial in mine)
    failed = sum(trial.has_failed for trial in mine)
    good = [trial.reward for trial in mine if trial.is_complete]
    several = sum(each.name == arm.name for each in summary.arms) > 1
    spent = steps.spent(mine)
    rows.append(
      [
        arm.label + (f', search {arm.repeat + 1}' if several else ''),
        Cell(f'{len(mine):,} of {arm.num_trials:,}', len(mine)),
        Cell(f'{distinct:,}', distinct),
        _share(len(mine) - distinct, len(mine)),
        _share(failed, len(mine)),
        *([Cell(f'{spent:,}', spent)] if has_rungs else []),
        *([steps.spell(mine)] if has_rungs else []),
        Cell(f'{max(good):.5g}', max(good)) if good else Cell(_NONE),
      ]
    )
  columns = [
    'proposed by',
    'proposals',
    'distinct',
    'duplicates',
    'failed',
    *(('steps', 'children ended') if has_rungs else ()),
    'best reward',
  ]
  return markup.table(columns, rows, 'Proposals')


def _share(count: int, total: int) -> Cell:
  if not total:
    return Cell(_NONE)
  return Cell(f'{count:,} ({count / total:.1%})', count)


def draw_cost(
  timings: Sequence[Mapping[str, Any]], work: str = 'training'
) -> str:
  """Returns where the time went: a bar and a table by phase.

  Args:
    timings: the lines of `timings.jsonl`.
    work: what is done in the time that is counted as training.
  """
  if not timings:
    return markup.paragraphs(['The run has no timings.'])
  phases: dict[str, list[float]] = {}
  for line in timings:
    spent = phases.setdefault(str(line.get('phase', _NONE)), [0.0, 0.0, 0.0])
    for place, name in enumerate(('wall', 'compile', 'train')):
      spent[place] += line[f'{name}_seconds']
  total = [math.fsum(each) for each in zip(*phases.values(), strict=True)]
  rows: list[markup.Row] = [
    [name, *map(_seconds, _parts(*spent))]
    for name, spent in [*phases.items(), ('all', total)]
  ]
  wall, compiling, training, idle = _parts(*total)
  scale = max(wall, compiling + training) or 1.0
  bars = ''.join(
    f'<i class="{kind}" style="width:{100 * part / scale:.2f}%"></i>'
    for kind, part in (
      ('compile', compiling),
      ('train', training),
      ('idle', idle),
    )
  )
  keys = ''.join(
    f'<li><i class="{kind}"></i>{name} {markup.escape(_duration(part))}</li>'
    for kind, name, part in (
      ('compile', 'compiling', compiling),
      ('train', work, training),
      ('idle', 'idle and the rest', idle),
    )
  )
  note = f'{_duration(wall)} in all.'
  if compiling + training > wall:
    note += ' Work ran side by side, so the parts add up to more.'
  return (
    markup.paragraphs([note])
    + f'<div class="bar" aria-hidden="true">{bars}</div>'
    + f'<ul class="legend">{keys}</ul>'
    + markup.table(
      ['phase', 'wall time', 'compiling', work, 'idle and the rest'],
      rows,
      'Time by phase',
    )
  )


def _parts(wall: float, compiling: float, training: float) -> list[float]:
  return [wall, compiling, training, max(0.0, wall - compiling - training)]


def _seconds(value: float) -> Cell:
  return Cell(_duration(value), value)


def _duration(seconds: float) -> str:
  return progress.duration(max(0.0, seconds))


def draw_settings(config: Mapping[str, Any]) -> str:
  """Returns the settings of a run.

  Args:
    config: the settings by name.
  """
  if not config:
    return markup.paragraphs(['The run has no settings.'])
  return markup.facts({name: config[name] for name in config})


def draw_versions(manifest: Mapping[str, Any]) -> str:
  """Returns where and by what a run was done.

  Args:
    manifest: the run's manifest.
  """
  if not manifest:
    return markup.paragraphs(['The run has no manifest.'])
  facts: dict[str, Any] = {}
  details: dict[str, Any] = {}
  for name, value in manifest.items():
    if name in ('command', 'resumed', 'known'):
      continue
    if name == 'jax_settings' and isinstance(value, Mapping):
      details |= value
    elif name == 'xla_flags':
      details[name] = value
    elif name == 'time_started':
      # Fractions of a second say nothing.
      facts[name] = str(value)[:19].replace('T', ' ')
    elif isinstance(value, Mapping):
      prefix = '' if name == 'versions' else f'{name} '
      facts |= {f'{prefix}{part}': each for part, each in value.items()}
    else:
      facts[name] = value
  resumed = manifest.get('resumed')
  facts['resumed'] = f'{len(resumed) if isinstance(resumed, list) else 0} times'
  command = spell_command(manifest.get('command'))
  shown = (
    f'<pre class="scroll" tabindex="0">{markup.escape(command)}</pre>'
    if command
    else ''
  )
  folded = markup.unfold('Settings of jax', markup.facts(details))
  return (
    shown
    + markup.facts({_words(name): value for name, value in facts.items()})
    + (folded if details else '')
  )


def spell_command(command: Any) -> str:
  """Returns the command of a run without the paths of one machine.

  A folder that only that machine has becomes one of the same name in `runs/`.

  Args:
    command: the command line in the manifest; that of a program of one's own,
      which is a path, is left out.
  """
  try:
    words = shlex.split(command) if isinstance(command, str) else []
  except ValueError:
    return ''
  if '-m' not in words:
    return ''
  kept: list[str] = []
  words = words[words.index('-m') :]
  for before, word in itertools.pairwise(('', *words)):
    flag, equals, value = word.partition('=')
    if before == '--workdir':
      kept[-1] += f'={_spell_folder(word)}'
    elif flag == '--workdir' and equals:
      kept.append(f'{flag}={_spell_folder(value)}')
    else:
      kept.append(word)
  # The module stands on the first line, and each flag on one of its own.
  lines = [shlex.join(['python', *kept[:2]]), *map(shlex.quote, kept[2:])]
  return ' \\\n  '.join(lines)


def _spell_folder(path: str) -> str:
  folder = pathlib.PurePath(path)
  if folder.is_absolute() or path.startswith(('~', '..')):
    return f'runs/{folder.name or "mine"}'
  return path
