# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Runs a search from its start or resumption to its tables and files."""

from __future__ import annotations

import collections
from collections.abc import Callable, Mapping, Sequence
import dataclasses
import pathlib
import time
from typing import Any

import numpy as np

from jaxnas import retraining as retraining_lib
from jaxnas import search as search_lib
from jaxnas import statistics
from jaxnas.export import architecture as architecture_file
from jaxnas.records import checkpoints as checkpoints_lib
from jaxnas.records import trial_log, workdir
from jaxnas.types import Runner
from jaxnas.visualize import curves, progress


@dataclasses.dataclass(frozen=True)
class Experiment:
  """What an experiment hands to `run`.

  Attributes:
    config: the settings, complete: nothing is left for the machine to decide.
    search: what to search with.
    make_retraining: makes what is retrained after the search, of its log.
    num_retrainings: how many trainings that will be.
    runners: all that train children, for the account of time; may grow while
      contestants are made.
    estimate: measures a few steps and returns the seconds that so many search
      trials and retrainings will take.
    facts: what the manifest should say besides; `data_hash` among it.
    measure: what the children are compared by.
    search_metric: the metric of a search trial that its reward is made of.
    draw: writes the picture of an architecture.
    picture: the picture's file name.
    checkpoint_every: rounds between two checkpoints.
    unit: what the length of a training is counted in.
    describe: spells an architecture on a line, where that says something.
  """

  config: Mapping[str, Any]
  search: search_lib.Search
  make_retraining: Callable[[trial_log.TrialLog], retraining_lib.Retraining]
  num_retrainings: int
  runners: Sequence[Runner]
  estimate: Callable[[int, int], float]
  facts: Mapping[str, Any]
  measure: statistics.Measure
  search_metric: str
  draw: Callable[[pathlib.Path, Any, str], None]
  picture: str
  checkpoint_every: int = 4
  unit: str = 'steps'
  describe: Callable[[Any], str] | None = None


def run(experiment: Experiment, folder: str) -> None:
  """Runs, resumes or shows a search.

  Args:
    experiment: what to run.
    folder: the run's folder, its `--workdir`.
  """
  with workdir.lock(folder) as path:
    workdir.check_config(path, experiment.config)
    workdir.check_data(path, experiment.facts['data_hash'])
    checkpoints = checkpoints_lib.Checkpoints(path / 'checkpoints')
    log = trial_log.TrialLog(path / 'trials.jsonl')
    timings = trial_log.JsonLines(path / 'timings.jsonl')
    with checkpoints, log, timings:
      _run(experiment, path, checkpoints, log, timings)


def _run(experiment, path, checkpoints, log, timings):
  search = experiment.search
  num_searched = sum(trial.arm != search_lib.RETRAIN for trial in log.trials)
  search_left = search.num_trials - num_searched
  retraining = None
  left = experiment.num_retrainings
  if search_left <= 0:
    retraining = experiment.make_retraining(log)
    left = retraining_lib.num_left(retraining, log)
  if search_left <= 0 and not left:
    print(f'Found the finished run in {path}; nothing is left to train.')
  else:
    if log.trials:
      print(f'Resuming the run in {path} after {len(log.trials)} trials.')
    workdir.write_manifest(path, **experiment.facts)
    clock = _Clock(experiment.runners, timings)
    seconds = experiment.estimate(max(0, search_left), left)
    print(
      f'Estimated cost: {progress.duration(seconds)} for '
      f'{max(0, search_left)} search trials and {left} retrainings.',
      flush=True,
    )
    clock.lap('estimate')
    _search(experiment, checkpoints, log, clock)
    retraining = experiment.make_retraining(log)
    _retrain(retraining, log, clock)
    print(f'Real cost: {progress.duration(clock.total)}.')
  _write(experiment, path, log, retraining)
  _show(experiment, path, log, retraining)


class _Clock:
  """Writes what each stretch of work took, by compiling and by running."""

  def __init__(self, runners, timings: trial_log.JsonLines):
    self._runners = runners
    self._timings = timings
    self._started = self._last = time.perf_counter()
    self._compiled, self._ran = self._sums()

  @property
  def total(self) -> float:
    return time.perf_counter() - self._started

  def _sums(self) -> tuple[float, float]:
    return (
      sum(runner.compile_seconds for runner in self._runners),
      sum(runner.run_seconds for runner in self._runners),
    )

  def lap(self, phase: str, trials: Sequence[trial_log.Trial] = ()) -> None:
    compiled, ran = self._sums()
    now = time.perf_counter()
    self._timings.append(
      [
        {
          'phase': phase,
          'trials': [trial.number for trial in trials],
          'wall_seconds': now - self._last,
          'compile_seconds': compiled - self._compiled,
          'train_seconds': ran - self._ran,
        }
      ]
    )
    self._last, self._compiled, self._ran = now, compiled, ran


def _search(experiment, checkpoints, log, clock):
  search = experiment.search
  best: dict[str, float] = {}
  metric, measure = experiment.search_metric, experiment.measure
  note = metric.removeprefix('best_').replace('_', ' ')
  done = 0

  def add(trials):
    nonlocal done
    done += len(trials)
    for trial in trials:
      if trial.status == 'ok':
        best[trial.arm] = measure.best(
          [best.get(trial.arm, measure.worst), trial.metrics[metric]]
        )

  add([trial for trial in log.trials if trial.arm != search_lib.RETRAIN])
  if done >= search.num_trials:
    return
  with progress.Progress(search.num_trials) as bar:
    bar.update(done, best, note)

    def on_trials(trials):
      add(trials)
      bar.update(done, best, note)
      clock.lap('search', trials)

    search_lib.run(
      search, log, checkpoints, experiment.checkpoint_every, on_trials
    )


def _retrain(retraining, log, clock):
  left = retraining_lib.num_left(retraining, log)
  if not left:
    return
  print('Retraining the best of each arm and the baselines, fresh seeds:')
  with progress.Progress(left, unit='training') as bar:
    done = 0
    bar.update(done)

    def on_trials(trials):
      nonlocal done
      done += len(trials)
      bar.update(done, None, trials[-1].settings['label'])
      clock.lap('retrain', trials)

    retraining_lib.run(retraining, log, on_trials)


def _found(measure, rows: Sequence[retraining_lib.Result]):
  """Returns the best of what the search itself proposed."""
  found = [row for row in rows if row.contestant.tokens is not None]
  return measure.best(found, lambda row: row.validation.mean())


def _write(experiment, path, log, retraining):
  rows = retraining_lib.results(retraining, log)
  best = _found(experiment.measure, rows)
  if best is not None:
    contestant = best.contestant
    architecture_file.write_architecture(
      path / 'best.json',
      contestant.architecture,
      label=contestant.label,
      tokens=list(contestant.tokens),
      **_sizes(contestant),
      learning_rate=best.learning_rate,
      **{f'num_{experiment.unit}': retraining.num_steps},
      **{
        f'{split}_{experiment.measure.name}': values.tolist()
        for split, values in (
          ('validation', best.validation),
          ('report', best.report),
        )
      },
    )
    experiment.draw(
      path / experiment.picture, contestant.architecture, contestant.label
    )
  plotted = []
  for arm in experiment.search.arms:
    if arm.role is search_lib.Role.KNOWN:
      continue
    trials = [
      trial for trial in log.trials if (trial.arm, trial.repeat) == arm.identity
    ]
    plotted.append(
      curves.ArmCurve(
        arm.name if arm.repeat == 0 else f'{arm.name} {arm.repeat}',
        [trial.reward for trial in trials],
        [trial.duplicate_of is None for trial in trials],
        group=arm.name,
      )
    )
  curves.plot_search(path / 'curve.png', plotted)


def _show(experiment, path, log, retraining):
  _show_search(experiment, log)
  _show_known(experiment, log)
  _show_comparison(experiment, log, retraining)
  _show_time(path)
  print('Wrote:')
  for name in ('best.json', experiment.picture, 'curve.png', 'trials.jsonl'):
    if (path / name).exists():
      print(f'  {path / name}')


def _sizes(contestant):
  """Returns what is known of a contestant's size."""
  sizes = {
    name: getattr(contestant, name)
    for name in ('features', 'num_params', 'num_multiply_adds')
  }
  return {name: size for name, size in sizes.items() if size is not None}


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
