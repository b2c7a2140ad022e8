# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Runs a comparison of given architectures, without any search.

All of them are retrained: each is trained at every learning rate of a grid, its
rate is chosen by the validation split, and fresh trainings at that rate are
compared on the report split. The first architecture is compared with each of
the others.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
import dataclasses
import functools
import pathlib
from typing import Any

import numpy as np

from jaxnas import history, search, statistics
from jaxnas import retraining as retraining_lib
from jaxnas.records import fingerprint, heads, sinks, trial_log, workdir
from jaxnas.runs import (
  comparison,
  record_checks,
  scalars,
  search_report,
  stopwatch,
)
from jaxnas.training import text_task
from jaxnas.types import Trainer
from jaxnas.visualize import progress

BITS = statistics.Measure(
  'bits per character', is_higher_better=False, is_ratio=False, spec='.3f'
)
"""The measure of models of characters, the logarithm of the perplexity."""

RESULTS = 'comparison.json'


@dataclasses.dataclass(frozen=True, eq=False)
class Comparison:
  """Everything that `run` needs to know about a comparison.

  Attributes:
    settings: the settings that a resumption must share.
    free: the names of the settings that may change.
    defaults: the default values of the settings that an older version lacked.
    facts: further entries of the manifest, including `data_hash` and
      `seen_hash`; see `workdir.check_data`.
    retraining: the trainings; each contestant is a group of its own.
    estimate: a function `() -> seconds` that measures a few steps to predict
      the cost of all trainings.
    is_by_character: whether perplexities are per character; they are then
      reported in bits.
    same_task: whether the user asserts that a changed task gives the same
      results.
    redo_failed: whether trainings that failed are run again.
    log_to: the names of the sinks that scalars go to, see `records.sinks`.
  """

  settings: Mapping[str, Any]
  free: Collection[str]
  defaults: Mapping[str, Any]
  facts: Mapping[str, Any]
  retraining: retraining_lib.Retraining
  estimate: Callable[[], float]
  is_by_character: bool = False
  same_task: bool = False
  redo_failed: bool = False
  log_to: Sequence[str] = ()


def run(compared: Comparison, folder: str) -> None:
  """Trains and compares, or goes on, or shows what was found.

  Args:
    compared: the comparison.
    folder: the run's folder, its `--workdir`.

  Raises:
    ValueError: the folder holds another run, or `log_to` names a sink that is
      unknown or not installed.
    OSError: a file cannot be read or written.
  """
  sinks.check(compared.log_to)
  with workdir.lock(folder) as path:
    workdir.begin(path)
    workdir.check_config(
      path, compared.settings, compared.free, compared.defaults
    )
    facts = compared.facts
    workdir.check_data(path, facts['data_hash'], facts.get('seen_hash'))
    log = trial_log.TrialLog(path / 'trials.jsonl')
    timings = trial_log.JsonLines(path / 'timings.jsonl')

    def first_lines():
      return heads.of(timings) | heads.of_search(log.trials, [])

    with log, timings, heads.guard(path, first_lines):
      if compared.redo_failed:
        history.redo_failed(log)
        heads.note(path, first_lines)
      record_checks.check_trainings(compared.retraining.measure, log, timings)
      take = scalars.OfSearch(log).take
      with sinks.Sinks(path, compared.log_to, take) as outlets:
        _train(compared, path, log, timings, outlets.update)
      _report(compared, path, log)


def _train(compared, path, log, timings, publish) -> None:
  """Does the trainings that are left."""
  retraining = compared.retraining
  left = retraining_lib.num_left(retraining, log)
  fingerprint.check(
    path / 'trials.task.json',
    {
      'tasks': {
        name: getattr(trainer, 'task', trainer)
        for name, trainer in retraining.trainers.items()
      },
      'reward': retraining.reward,
    },
    compared.same_task or not (log.trials or log.earlier),
    compared.redo_failed,
    is_finished=not left,
  )
  if not left:
    print(f'Found the finished run in {path}; nothing is left to train.')
    return
  if log.trials:
    print(f'Resuming the run in {path} after {len(log.trials)} trainings.')
  workdir.write_manifest(path, **compared.facts)
  clock = stopwatch.Stopwatch(
    timings, functools.partial(_spent, retraining.trainers)
  )
  seconds = compared.estimate() * left / _num_trainings(retraining)
  print(
    f'Estimated cost: {progress.duration(seconds + clock.total)}, with '
    f'compiling, for {left} trainings.',
    flush=True,
  )
  clock.lap('estimate', trials=[])
  print('Training all to choose learning rates, then again with fresh seeds:')
  with progress.Progress(left, unit='training') as bar:
    done = 0
    bar.update(done)

    def on_trials(trials):
      nonlocal done
      done += len(trials)
      bar.update(done, None, trials[-1].settings['label'])
      clock.lap('retrain', trials=[trial.number for trial in trials])
      publish()

    retraining_lib.run(retraining, log, on_trials)
  print(f'Real cost: {progress.duration(clock.total)}.')


def _num_trainings(retraining: retraining_lib.Retraining) -> int:
  num_selected = retraining.num_selection_seeds * sum(
    len(retraining.grid(each)) for each in retraining.contestants
  )
  return num_selected + len(retraining.contestants) * retraining.num_seeds


def _spent(trainers: Mapping[str, Trainer]) -> stopwatch.Spent:
  return stopwatch.Spent(
    sum(each.compile_seconds for each in trainers.values()),
    sum(each.run_seconds for each in trainers.values()),
  )


def _report(
  compared: Comparison, path: pathlib.Path, log: trial_log.TrialLog
) -> None:
  """Prints the table and the verdicts, and writes them."""
  retraining, measure = compared.retraining, compared.retraining.measure
  rows = retraining_lib.results(retraining, log)
  if compared.is_by_character:
    rows, measure = list(map(in_bits, rows)), BITS
  columns = search_report.measured_columns(measure) | {
    'units': lambda row: str(row.contestant.features),
    'parameters': lambda row: f'{row.contestant.num_params:,}',
    'learning rate': lambda row: f'{row.learning_rate:g}',
  }
  progress.table(
    f'Trained for {retraining.num_steps:,} steps: mean {measure.name} of '
    f'{retraining.num_seeds} fresh trainings and their standard deviation'
    + search_report.splits_note(),
    ['architecture', *columns],
    [
      [row.contestant.label, *(spell(row) for spell in columns.values())]
      for row in rows
    ],
    spare=('units', 'spread', 'learning rate', 'parameters'),
  )
  verdicts = comparison.verdicts(measure, _pairs(rows))
  for line in verdicts:
    print(line)
  for line in at_the_end_of_the_grid(retraining, rows):
    print(line)
  workdir.write_json(
    path / RESULTS,
    {
      'measure': measure.name,
      'num_steps': retraining.num_steps,
      'architectures': [_to_json(row) for row in rows],
      'verdicts': verdicts,
    },
    sealed=True,
  )
  search_report.show_time(path)
  progress.files(path, (RESULTS, 'trials.jsonl'))


def in_bits(row: retraining_lib.Result) -> retraining_lib.Result:
  """Returns a result with bits per character in place of perplexities.

  Args:
    row: the result; what failed is infinite in either.
  """

  def bits(values):
    return np.array([text_task.bits_of(value) for value in values])

  return row._replace(
    selection=bits(row.selection),
    validation=bits(row.validation),
    report=bits(row.report),
  )


def _pairs(
  rows: Sequence[retraining_lib.Result],
) -> list[tuple[comparison.Side, comparison.Side]]:
  """Returns the first architecture with each of the others."""
  first, *others = (
    comparison.Side(
      row.contestant.label,
      row.contestant.label,
      row.report,
      'training',
      search.Role.KNOWN,
      row.contestant.group,
    )
    for row in rows
  )
  return [(first, other) for other in others]


def at_the_end_of_the_grid(
  retraining: retraining_lib.Retraining, rows: Sequence[retraining_lib.Result]
) -> list[str]:
  """Returns a line if an architecture may want a rate beyond the grid.

  Args:
    retraining: the settings of the trainings.
    rows: their results.
  """
  grid = retraining.learning_rates
  ends = [
    f'{row.contestant.label} ({row.learning_rate:g})'
    for row in rows
    if row.learning_rate in (min(grid), max(grid))
  ]
  if not ends or len(grid) < 2:
    return []
  return [
    'Chosen at an end of the grid of learning rates, beyond which there may be '
    f'a better one: {", ".join(ends)}.'
  ]


def _to_json(row: retraining_lib.Result) -> dict[str, Any]:
  contestant = row.contestant
  architecture: Any = contestant.architecture
  return {
    'label': contestant.label,
    'architecture': None if architecture is None else architecture.to_json(),
    'features': contestant.features,
    'num_params': contestant.num_params,
    'learning_rate': row.learning_rate,
    'validation': row.validation,
    'report': row.report,
  }
