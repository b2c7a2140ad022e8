# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""What a search says at its end: its tables, and what they tell."""

from __future__ import annotations

import collections
import pathlib
import typing

import numpy as np

from jaxnas import retraining as retraining_lib
from jaxnas import search as search_lib
from jaxnas import statistics
from jaxnas.records import trial_log
from jaxnas.visualize import progress

if typing.TYPE_CHECKING:
  from jaxnas.runs import search_run


def show(
  experiment: search_run.Experiment,
  path: pathlib.Path,
  log: trial_log.TrialLog,
  retraining: retraining_lib.Retraining,
) -> None:
  """Prints what a finished search found, by whom, and what that tells.

  Args:
    experiment: what was run.
    path: the run's folder.
    log: has all trials and trainings.
    retraining: what was trained anew.
  """
  _show_search(experiment, log)
  _show_known(experiment, log)
  _show_comparison(experiment, log, retraining)
  _show_time(path)
  print('Wrote:')
  for name in ('best.json', experiment.picture, 'curve.png', 'trials.jsonl'):
    if (path / name).exists():
      print(f'  {path / name}')


def _show_search(experiment, log):
  metric, measure = experiment.search_metric, experiment.measure
  rows = []
  for name in dict.fromkeys(arm.name for arm in experiment.search.arms):
    trials = [trial for trial in log.trials if trial.arm == name]
    new = [trial for trial in trials if trial.duplicate_of is None]
    finished = [trial for trial in trials if trial.status == 'ok']
    values = [trial.metrics[metric] for trial in finished]
    best = measure.best(values)
    rows.append(
      [
        name,
        str(len(trials)),
        str(len(new)),
        f'{1 - len(new) / len(trials):.1%}',
        f'{1 - len(finished) / len(trials):.1%}',
        _value(measure, np.nan if best is None else best),
        _value(measure, np.median(values[-64:]) if values else np.nan),
      ]
    )
  searched = [t for t in log.trials if t.arm != search_lib.RETRAIN]
  distinct = sum(trial.duplicate_of is None for trial in searched)
  progress.table(
    f'Search: {len(searched)} proposals, {distinct} distinct ones trained '
    f'({metric.replace("_", " ")}, one training each)',
    [
      'arm',
      'proposals',
      'distinct',
      'duplicates',
      'failed',
      'best',
      'median of last 64',
    ],
    rows,
  )


def _trials_of(arms, role, log):
  """Returns the trials of all arms of a role."""
  identities = {arm.identity for arm in arms if arm.role is role}
  return [t for t in log.trials if (t.arm, t.repeat) in identities]


def _value(measure, value):
  """Spells a value of the measure: accuracies in per cent."""
  return f'{value:.2f}' if measure.is_ratio else f'{100 * value:.2f} %'


def _show_known(experiment, log):
  metric = experiment.search_metric
  arms = experiment.search.arms
  known = _trials_of(arms, search_lib.Role.KNOWN, log)
  rewards = [
    trial.reward
    for trial in _trials_of(arms, search_lib.Role.BASELINE, log)
    if trial.duplicate_of is None
  ]
  names = experiment.facts.get('known', ())
  for name, trial in zip(names, known, strict=False):
    rank = f'{np.mean(np.array(rewards) < trial.reward):.0%}' if rewards else ''
    print(
      f'Known architecture {name}: {metric.replace("_", " ")} '
      f'{_value(experiment.measure, trial.metrics.get(metric, np.nan))} in '
      'the same short training'
      + (
        f', better than {rank} of {len(rewards)} random ones.' if rank else '.'
      )
    )


def _show_comparison(experiment, log, retraining):
  measure = experiment.measure
  results = retraining_lib.results(retraining, log)
  best = retraining_lib.best_of_groups(results, measure)
  arms = {arm.name: arm for arm in experiment.search.arms}
  labels = {
    group: arms[group].label if group in arms else group for group in best
  }
  counts = collections.Counter(row.contestant.group for row in results)
  columns = {
    'architecture': lambda group, row: _row_name(
      labels[group], counts[group], row.contestant
    ),
    f'report {measure.name}': lambda _, row: _value(measure, row.report.mean()),
    '+-': lambda _, row: _spread(measure, row.report),
    f'validation {measure.name}': lambda _, row: _value(
      measure, row.validation.mean()
    ),
    'spread': lambda _, row: _spread(measure, row.validation),
    'parameters': lambda _, row: f'{row.contestant.num_params:,}',
  }
  if all(row.contestant.num_multiply_adds is not None for row in results):
    columns['multiply-adds'] = lambda _, row: (
      f'{row.contestant.num_multiply_adds:,}'
    )
  columns['learning rate'] = lambda _, row: f'{row.learning_rate:g}'
  progress.table(
    f'Retrained, {retraining.num_steps} {experiment.unit}: {measure.name} on '
    'the report split and on the validation split, each with the standard '
    f'deviation over {retraining.num_seeds} fresh seeds',
    list(columns),
    [
      [spell(group, row) for spell in columns.values()]
      for group, row in best.items()
    ],
  )
  if experiment.describe is not None:
    for group, row in best.items():
      name = _row_name(labels[group], counts[group], row.contestant)
      architecture = experiment.describe(row.contestant.architecture)
      print(f'{name}: {architecture}.')
  found = [name for name in best if best[name].contestant.tokens is not None]
  baselines = [
    name for name in found if arms[name].role is search_lib.Role.BASELINE
  ]
  pairs = [
    (name, other)
    for other in baselines
    for name in best
    if name not in baselines
  ]
  # What was found is also compared with what people would have taken.
  pairs += [
    (name, other)
    for name in found
    for other in best
    if other not in found and name not in baselines
  ]
  for name, other in pairs:
    print(
      _verdict(measure, labels[name], best[name], labels[other], best[other])
    )


def _spread(measure, values):
  if not np.isfinite(values).all():
    return 'nan'
  return _value(measure, values.std(ddof=1))


def _row_name(label, count, contestant):
  if contestant.tokens is None:
    return label
  number = contestant.label.split()[-1]
  return f'best by {label} ({number}, of {count} retrained)'


def _verdict(measure, name, row, other_name, other):
  comparison = statistics.compare(measure, [(row.report, other.report)])[0]
  heading = f'{name} against {other_name}: '
  if np.isnan(comparison.value):
    return f'{heading}a seed failed, no comparison.'
  if np.isnan(comparison.low):
    return f'{heading}no spread over the seeds, so nothing can be told.'
  verdict = 'no difference can be told'
  if comparison.is_better is not None:
    verdict = f'{name if comparison.is_better else other_name} is better'
  if measure.is_ratio:
    value, low, high = (f'{x:.3f}' for x in comparison[:3])
    kind = f'{measure.name} ratio'
  else:
    value, low, high = (f'{100 * x:+.2f}' for x in comparison[:3])
    kind = f'{measure.name} difference in percentage points'
  return f'{heading}{kind} {value}, 95 % interval {low} to {high}: {verdict}.'


def _show_time(path):
  lines = trial_log.read_json_lines(path / 'timings.jsonl')
  wall, compiling, training = (
    sum(line[f'{name}_seconds'] for line in lines)
    for name in ('wall', 'compile', 'train')
  )
  rest = wall - compiling - training
  print(
    f'Time: {progress.duration(wall)} in all, of which compiling '
    f'{compiling:.1f} s, training {training:.1f} s, '
    + (f'the rest {rest:.1f} s.' if rest >= 0 else 'partly side by side.')
  )
