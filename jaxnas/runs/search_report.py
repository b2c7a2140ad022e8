# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The report at the end of a search: its tables and verdicts."""

from __future__ import annotations

import collections
from collections.abc import Callable, Mapping, Sequence
import pathlib
from typing import Any

import numpy as np

from jaxnas import retraining as retraining_lib
from jaxnas import search as search_lib
from jaxnas import statistics
from jaxnas.records import steps, trial_log
from jaxnas.runs import best_file, comparison, repeat_report, shared_report
from jaxnas.runs.experiment import Experiment
from jaxnas.visualize import progress


def show(
  experiment: Experiment,
  path: pathlib.Path,
  log: trial_log.TrialLog,
  retraining: retraining_lib.Retraining,
) -> None:
  """Prints the tables and verdicts of a finished search.

  Args:
    experiment: the experiment.
    path: the run's folder.
    log: the log of all trials and retrainings.
    retraining: the retraining.
  """
  _show_search(experiment, log)
  _show_known(experiment, log)
  repeat_report.show(experiment, log, shows_reward(experiment, log))
  _show_comparison(experiment, log, retraining)
  for line in shared_report.verdicts(experiment, log):
    print(line)
  show_time(path)


def _show_search(experiment, log):
  metric, measure = experiment.search_metric, experiment.measure
  labels = {arm.name: arm.label for arm in experiment.search.arms}
  trials = {
    name: [trial for trial in log.trials if trial.arm == name]
    for name in labels
  }
  # Trials that stopped at a rung do not compete with those trained fully.
  finished = {
    name: [trial for trial in mine if trial.is_complete]
    for name, mine in trials.items()
  }
  median = repeat_report.median_name(max(map(len, finished.values())))
  has_rungs = steps.are_known(log.trials)
  columns = {
    'best': lambda mine: _best(measure, _values(mine, metric)),
    median: lambda mine: _median(measure, _values(mine, metric)),
  }
  shown = metric.replace('_', ' ')
  if shows_reward(experiment, log):
    reward, name = statistics.REWARD, measure.name
    columns = {
      'best reward': lambda mine: _best(reward, [t.reward for t in mine]),
      median: lambda mine: _median(reward, [t.reward for t in mine]),
      f'its {name}': lambda mine: _value_of_best(measure, metric, mine),
      f'best {name}': columns['best'],
    }
    shown = f'reward and {shown}'
  rows = []
  for name, label in labels.items():
    count, good = len(trials[name]), finished[name]
    new = sum(trial.duplicate_of is None for trial in trials[name])
    rows.append(
      [
        label,
        str(count),
        str(new),
        *(
          f'{n / count:.1%}' if count else '-'
          for n in (count - new, sum(t.has_failed for t in trials[name]))
        ),
        *([f'{steps.spent(trials[name]):,}'] if has_rungs else []),
        *([steps.spell(trials[name])] if has_rungs else []),
        *(spell(good) for spell in columns.values()),
      ]
    )
  searched = [t for t in log.trials if t.arm != search_lib.RETRAIN]
  trained = sum(
    trial.duplicate_of is None and trial.status != trial_log.INFEASIBLE
    for trial in searched
  )
  progress.table(
    f'Search: {len(searched)} proposals, {trained} of them trained '
    f'({shown}, one training each'
    + (', of those trained fully)' if has_rungs else ')'),
    [
      *('proposed by', 'proposals', 'distinct', 'duplicates', 'failed'),
      *(('steps', 'children ended') if has_rungs else ()),
      *columns,
    ],
    rows,
    spare=('duplicates', 'failed', 'children ended'),
  )
  for line in infeasible(experiment.search.arms, log.trials):
    print(line)
  for line in failures(experiment.search.arms, log.trials):
    print(line)


def shows_reward(experiment: Experiment, log: trial_log.TrialLog) -> bool:
  """Returns whether tables show rewards in addition to the measure.

  Tables show both if the reward is the user's own and differs from the measure.

  Args:
    experiment: the experiment.
    log: the log of its trials.
  """
  return experiment.own_reward and any(
    np.float32(trial.metrics[experiment.search_metric]) != trial.reward
    for trial in log.trials
    if trial.is_complete and trial.arm != search_lib.RETRAIN
  )


def _values(trials, metric):
  return [trial.metrics[metric] for trial in trials]


def _best(measure, values):
  return measure.text(measure.best(values)) if values else '-'


def _median(measure, values):
  return measure.text(repeat_report.median(values)) if values else '-'


def _value_of_best(measure, metric, trials):
  best = statistics.REWARD.best(trials, lambda trial: trial.reward)
  return '-' if best is None else measure.text(best.metrics[metric])


def infeasible(
  arms: Sequence[search_lib.Arm], trials: Sequence[trial_log.Trial]
) -> list[str]:
  """Returns one line per strategy whose proposals exceeded a limit.

  Args:
    arms: the arms of the search, including every repeat of each.
    trials: all trials of the log.
  """
  lines = []
  for name, label in {arm.name: arm.label for arm in arms}.items():
    mine = [trial for trial in trials if trial.arm == name]
    over = [t for t in mine if t.status == trial_log.INFEASIBLE]
    if over:
      rest = ', so nothing can be retrained' if len(over) == len(mine) else ''
      lines.append(
        f'{len(over)} of {len(mine)} proposals of {label} exceed a limit '
        f'(infeasible) and were not trained{rest}; the last: '
        f'{over[-1].reason}.'
      )
  return lines


def failures(
  arms: Sequence[search_lib.Arm], trials: Sequence[trial_log.Trial]
) -> list[str]:
  """Returns one line per strategy whose trials have all failed.

  Args:
    arms: the arms of the search, including every repeat of each.
    trials: all trials of the log.
  """
  lines = []
  labels = {
    arm.name: arm.label for arm in arms if arm.role is not search_lib.Role.KNOWN
  }
  for name, label in labels.items():
    mine = [trial for trial in trials if trial.arm == name]
    if mine and all(trial.has_failed for trial in mine):
      counts = collections.Counter(trial.status for trial in mine)
      reasons = ', '.join(
        f'{count} {status.replace("_", " ")}'
        for status, count in counts.most_common()
      )
      lines.append(
        f'All {len(mine)} trials of {label} failed ({reasons}), so none can '
        'be retrained.'
      )
  if lines and len(lines) == len(labels):
    lines.append('Nothing was found: every trial of the search failed.')
  return lines


def _trials_of(arms, role, log):
  """Returns the trials of all arms of a role."""
  identities = {arm.identity for arm in arms if arm.role is role}
  return [t for t in log.trials if (t.arm, t.repeat) in identities]


def _show_known(experiment, log):
  metric = experiment.search_metric
  arms = experiment.search.arms
  known = _trials_of(arms, search_lib.Role.KNOWN, log)
  rewards = [
    trial.reward
    for trial in _trials_of(arms, search_lib.Role.BASELINE, log)
    if trial.duplicate_of is None
  ]
  for name, trial in zip(experiment.known, known, strict=False):
    rank = f'{np.mean(np.array(rewards) < trial.reward):.0%}' if rewards else ''
    if trial.status != 'ok':
      why = 'its training failed'
      if trial.status == trial_log.INFEASIBLE:
        why = f'not trained, for {trial.reason}'
      print(f'Known architecture {name}: {why}.')
      continue
    print(
      f'Known architecture {name}: {metric.replace("_", " ")} '
      f'{experiment.measure.text(trial.metrics[metric])} in the same short '
      'training'
      + (
        f', better than {rank} of {len(rewards)} random ones.' if rank else '.'
      )
    )


def _show_comparison(experiment, log, retraining):
  measure = experiment.measure
  results = retraining_lib.results(retraining, log)
  arms = experiment.search.arms
  names = [row_name(arms, row) for row in results]
  rewarded = shows_reward(experiment, log)
  has_report = experiment.has_report and retraining_lib.has_report(
    retraining, log
  )
  columns = measured_columns(measure, has_report)
  if rewarded:
    columns['reward'] = lambda row: _mean(statistics.REWARD, row.rewards)
  if all(row.contestant.num_params is not None for row in results):
    columns['parameters'] = lambda row: f'{row.contestant.num_params:,}'
  if all(row.contestant.num_multiply_adds is not None for row in results):
    columns['multiply-adds'] = lambda row: (
      f'{row.contestant.num_multiply_adds:,}'
    )
  if experiment.has_learning_rates:
    columns['learning rate'] = lambda row: f'{row.learning_rate:g}'
  unit = experiment.unit
  length = f', {retraining.num_steps} {unit}' if unit else ''
  progress.table(
    f'Retrained{length}: mean {measure.name} '
    f'of {retraining.num_seeds} fresh trainings and their standard deviation'
    + splits_note(has_report)
    + ('; the reward chose the best' if rewarded else ''),
    ['architecture', *columns],
    [
      [name, *(spell(row) for spell in columns.values())]
      for name, row in zip(names, results, strict=True)
    ],
    spare=('learning rate', 'multiply-adds', 'spread', 'parameters'),
  )
  if note := choice_note(arms, retraining.criterion, results):
    print(note)
  if experiment.describe is not None:
    for name, row in zip(names, results, strict=True):
      print(f'{name}: {experiment.describe(row.contestant.architecture)}.')
  sides = comparison.sides(measure, results, arms)
  searched = [side for side in sides if side.unit == 'search']
  if searched:
    name = f'{"report" if has_report else "validation"} {measure.name}'
    progress.table(
      f'Over searches: mean {name} of the best of each, and its standard '
      'deviation from search to search',
      ['strategy', 'searches', name, '+-'],
      [
        [
          side.name,
          str(len(side.values)),
          _mean(measure, side.values),
          _spread(measure, side.values),
        ]
        for side in searched
      ],
    )
  for line in comparison.lines(measure, sides):
    print(line)


def measured_columns(
  measure: statistics.Measure, has_report: bool = True
) -> dict[str, Callable[[retraining_lib.Result], str]]:
  """Returns what spells the measures of fresh trainings, by column.

  Args:
    measure: the measure.
    has_report: whether the report split differs from the validation split.
  """
  validation = lambda row: _mean(measure, row.validation)  # noqa: E731
  spread = lambda row: _spread(measure, row.validation)  # noqa: E731
  if not has_report:
    return {f'validation {measure.name}': validation, '+-': spread}
  return {
    f'report {measure.name}': lambda row: _mean(measure, row.report),
    '+-': lambda row: _spread(measure, row.report),
    f'validation {measure.name}': validation,
    'spread': spread,
  }


def splits_note(has_report: bool = True) -> str:
  """Returns what the title of a table says of the splits.

  Args:
    has_report: whether the report split differs from the validation split.
  """
  if has_report:
    return (
      ', on report data, which no reward or choice is based on, and on '
      'validation data'
    )
  return (
    '; there is no report data, so everything is measured on the validation '
    'data, which the rewards are based on'
  )


def _mean(measure, values):
  failed = int((~np.isfinite(values)).sum())
  if failed:
    return f'{failed} of {len(values)} failed'
  return measure.text(values.mean())


def _spread(measure, values):
  if not np.isfinite(values).all():
    return '-'
  return measure.text(values.std(ddof=1))


def row_name(arms: Sequence[search_lib.Arm], row: retraining_lib.Result) -> str:
  """Returns the name of a retrained architecture, with its strategy.

  Args:
    arms: the arms of the search, every repeat of each.
    row: the architecture's result.
  """
  contestant = row.contestant
  searches = [arm for arm in arms if arm.name == contestant.group]
  if not searches:
    return contestant.group
  number = contestant.label.split()[-1]
  which = f', search {contestant.repeat + 1}' if len(searches) > 1 else ''
  what = f'best of {row.num_contestants}'
  if contestant.part:
    what = f'{contestant.part} of the front'
  return f'{number} by {searches[0].label}{which} ({what})'


def choice_note(
  arms: Sequence[search_lib.Arm],
  criterion: statistics.Measure,
  rows: Sequence[retraining_lib.Result],
) -> str:
  """Returns why `best.json` does not hold the best of the fresh trainings.

  Args:
    arms: the arms of the search.
    criterion: the quantity by which the architecture was chosen.
    rows: the results of the retraining.

  Returns:
    One line; empty if the file holds the best of the fresh trainings, or no
    architecture.
  """
  chosen = best_file.found(criterion, rows)
  by_reward = criterion is statistics.REWARD
  fresh = best_file.found(
    criterion,
    [
      row._replace(selection=row.rewards if by_reward else row.validation)
      for row in rows
    ],
  )
  if chosen is None or fresh is None or chosen.contestant is fresh.contestant:
    return ''
  (other,) = (row for row in rows if row.contestant is fresh.contestant)
  values = [_mean(criterion, row.selection) for row in (chosen, other)]
  quantity = 'reward' if by_reward else f'validation {criterion.name}'
  return (
    f'{best_file.FILE} holds {row_name(arms, chosen)}. In the trainings that '
    f'chose it, its mean {quantity} was {values[0]}, and that of '
    f'{row_name(arms, other)} {values[1]}; the fresh ones choose nothing.'
  )


def show_time(path: pathlib.Path) -> None:
  """Prints the time that a run took.

  Args:
    path: the folder of the run.
  """
  lines = trial_log.read_json_lines(path / 'timings.jsonl')
  wall, compiling, training = (
    sum(line[f'{name}_seconds'] for line in lines)
    for name in ('wall', 'compile', 'train')
  )
  rest = wall - compiling - training
  print(
    f'Time: {progress.duration(wall)} in total, of which compiling '
    f'{compiling:.1f} s, training {training:.1f} s, '
    + (f'the rest {rest:.1f} s.' if rest >= 0 else 'partly in parallel.')
  )


def describe_values(architecture: Any) -> str:
  """Returns an architecture as one line of text.

  Args:
    architecture: a mapping from names to values, or anything that `str`
      accepts.
  """
  if not isinstance(architecture, Mapping):
    return str(architecture)
  return ', '.join(
    f'{name} {value:.3g}' if isinstance(value, float) else f'{name} {value}'
    for name, value in architecture.items()
  )
