# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Runs a search from its start or resumption to its tables and files."""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import functools
import pathlib
from typing import Any

from jaxnas import history, statistics
from jaxnas import retraining as retraining_lib
from jaxnas import search as search_lib
from jaxnas.records import checkpoints as checkpoints_lib
from jaxnas.records import (
  heads,
  round_log,
  sinks,
  summary,
  trial_log,
  workdir,
)
from jaxnas.runs import (
  best_file,
  front_report,
  record_checks,
  run_page,
  run_summary,
  rung_choice,
  scalars,
  search_report,
  shared_phases,
  stopwatch,
)
from jaxnas.runs.experiment import Experiment
from jaxnas.types import Trainer
from jaxnas.visualize import curves, pictures, progress, web_page


def run(experiment: Experiment, folder: str) -> None:
  """Runs, resumes or shows a search.

  Args:
    experiment: the experiment.
    folder: the run's folder, its `--workdir`.

  Raises:
    ValueError: the folder holds another run, or `log_to` names a sink that is
      unknown or not installed.
    OSError: a file cannot be read or written.
  """
  sinks.check(experiment.log_to)
  if experiment.plan is not None:
    rung_choice.check(experiment.plan, experiment.search)
  replay = _read_replay(experiment.replay)
  with workdir.lock(folder) as path:
    workdir.begin(path)
    workdir.check_config(
      path, experiment.config, experiment.free, experiment.defaults
    )
    facts = experiment.facts
    workdir.check_data(path, facts['data_hash'], facts.get('seen_hash'))
    checkpoints = checkpoints_lib.Checkpoints(path / 'checkpoints')
    log = trial_log.TrialLog(path / 'trials.jsonl')
    timings = trial_log.JsonLines(path / 'timings.jsonl')
    rounds = round_log.RoundLog(path / 'rounds.jsonl')

    def first_lines():
      return heads.of(timings) | heads.of_search(log.trials, rounds.rounds)

    with checkpoints, log, timings, rounds, heads.guard(path, first_lines):
      if experiment.config.get('redo_failed'):
        history.redo_failed(log, checkpoints, rounds)
        heads.note(path, first_lines)
      record_checks.check_records(experiment, log, timings)
      take = scalars.OfSearch(log, rounds).take
      with (
        experiment.opened(path),
        sinks.Sinks(path, experiment.log_to, take) as outlets,
      ):
        has_begun = not shared_phases.is_finished(experiment.phases, path)
        if has_begun:
          _begin(experiment, path)
        _run(
          _share(experiment, path, timings),
          path,
          checkpoints,
          log,
          timings,
          rounds,
          outlets.update,
          replay,
          has_begun,
        )


def _read_replay(path: str) -> list[trial_log.Trial]:
  """Returns the trials to replay, if any."""
  if not path:
    return []
  if not pathlib.Path(path).is_file():
    raise ValueError(
      f'replay names {path}, which is no file; name the trials.jsonl of a run.'
    )
  return trial_log.read_trials(path)


def _begin(experiment: Experiment, path: pathlib.Path) -> None:
  """Records that a run is started or resumed."""
  workdir.write_manifest(path, **experiment.facts, known=list(experiment.known))
  summary.write(path, run_summary.describe(experiment))


def _share(
  experiment: Experiment, path: pathlib.Path, timings: trial_log.JsonLines
) -> Experiment:
  """Runs the phases with shared weights, if there are any."""
  if not experiment.phases:
    return experiment
  if not shared_phases.is_finished(experiment.phases, path):
    print(experiment.counted)
  clock = stopwatch.Stopwatch(
    timings, functools.partial(_spent, experiment.trainers)
  )
  search, found = shared_phases.complete(
    experiment.search,
    experiment.phases,
    path,
    checkpoint_every=_SHARED_STEPS * experiment.checkpoint_every,
    same_task=experiment.same_task,
    lap=lambda name: clock.lap('shared', name=name, trials=[]),
  )
  return dataclasses.replace(experiment, search=search, found=found)


# A round of a search is the training of a batch, which takes about as long.
_SHARED_STEPS = 32


def _run(
  experiment,
  path,
  checkpoints,
  log,
  timings,
  rounds,
  publish,
  replay,
  has_begun,
):
  asked, experiment = experiment, rung_choice.with_rungs(experiment, path)
  search = experiment.search
  num_searched = sum(trial.arm != search_lib.RETRAIN for trial in log.trials)
  search_left = search.num_trials - num_searched
  retraining: Any = None
  left = experiment.num_retrainings
  has_rungs = asked.plan is None or experiment is not asked
  if search_left <= 0 and has_rungs:
    retraining = experiment.make_retraining(log)
    left = retraining_lib.num_left(retraining, log)
  is_finished = search_left <= 0 and has_rungs and not left
  redo_failed = bool(experiment.config.get('redo_failed'))
  history.check_task(
    search.evaluator, log, experiment.same_task, redo_failed, is_finished
  )
  history.check_strategies(
    rung_choice.strategies(experiment), log, experiment.same_task, is_finished
  )
  if is_finished:
    print(f'Found the finished run in {path}; nothing is left to train.')
  else:
    if log.trials:
      print(f'Resuming the run in {path} after {len(log.trials)} trials.')
    if not has_begun:
      _begin(experiment, path)
    clock = stopwatch.Stopwatch(
      timings, functools.partial(_spent, experiment.trainers)
    )
    if experiment.estimate is not None:
      trials = 'search trials'
      if asked.plan is not None:
        search_left = rung_choice.num_left(asked, log.trials)
        trials = 'full search trials, or their steps,'
      seconds = experiment.estimate(max(0, search_left), left)
      # The measurement compiled the programs that most children share.
      print(
        f'Estimated cost: {progress.duration(seconds + clock.total)}, with '
        f'compiling, for {max(0, search_left)} {trials} and {left} '
        'retrainings.',
        flush=True,
      )
    clock.lap('estimate', trials=[])

    def search_on(experiment):
      _search(experiment, checkpoints, log, rounds, clock, publish, replay)

    if not has_rungs:
      experiment = rung_choice.calibrate(experiment, path, log, search_on)
      summary.write(path, run_summary.describe(experiment))
    search_on(experiment)
    retraining = experiment.make_retraining(log)
    _retrain(retraining, log, clock, publish, replay)
    if experiment.estimate is not None:
      print(f'Real cost: {progress.duration(clock.total)}.')
  _write(experiment, path, log, retraining, is_finished)
  search_report.show(experiment, path, log, retraining)
  of_front = front_report.write(experiment, path, log)
  _draw(experiment, path, log, retraining)
  run_page.draw(path)
  names = (
    *(best_file.FILE, experiment.picture, 'curve.png', web_page.FILE),
    *of_front,
  )
  progress.files(path, [*filter(None, names), 'trials.jsonl'])


def _spent(trainers: Sequence[Trainer]) -> stopwatch.Spent:
  """Returns the time that all trainers have spent so far."""
  return stopwatch.Spent(
    sum(each.compile_seconds for each in trainers),
    sum(each.run_seconds for each in trainers),
  )


def _numbers(trials: Sequence[trial_log.Trial]) -> list[int]:
  return [trial.number for trial in trials]


def _search(experiment, checkpoints, log, rounds, clock, publish, replay):
  search = experiment.search
  best: dict[str, float] = {}
  metric, measure = experiment.search_metric, experiment.measure
  if experiment.own_reward:
    metric, measure = 'reward', statistics.REWARD
  note = metric.removeprefix('best_').replace('_', ' ')
  done = 0

  def add(trials):
    nonlocal done
    done += len(trials)
    record_checks.check_measure(experiment.search_metric, trials)
    for trial in trials:
      if trial.is_complete:
        best[trial.arm] = measure.best(
          [
            best.get(trial.arm, measure.worst),
            trial.reward if experiment.own_reward else trial.metrics[metric],
          ]
        )

  add([trial for trial in log.trials if trial.arm != search_lib.RETRAIN])
  if done >= search.num_trials and all(
    identity in rounds for identity in search_lib.expected_rounds(search)
  ):
    return
  # A log may have more trials than are requested now.
  with progress.Progress(max(search.num_trials, done)) as bar:
    bar.update(done, best, note)

    def on_trials(trials):
      add(trials)
      bar.update(done, best, note)
      clock.lap('search', trials=_numbers(trials))
      publish()

    search_lib.run(
      search,
      log,
      checkpoints,
      experiment.checkpoint_every,
      on_trials,
      rounds,
      replay=replay,
    )
  # The strategies' metrics of the last round.
  publish()


def _retrain(retraining, log, clock, publish, replay):
  left = retraining_lib.num_left(retraining, log)
  if not left:
    return
  known = any(each.tokens is None for each in retraining.contestants)
  print(
    'Retraining the best of each search'
    + (' and the known architectures' if known else '')
    + ': first to choose, then again, with fresh seeds, those chosen:'
  )
  with progress.Progress(left, unit='training') as bar:
    done = 0
    bar.update(done)

    def on_trials(trials):
      nonlocal done
      done += len(trials)
      bar.update(done, None, trials[-1].settings['label'])
      clock.lap('retrain', trials=_numbers(trials))
      publish()

    retraining_lib.run(retraining, log, on_trials, replay)


def _write(experiment, path, log, retraining, was_finished):
  rows = retraining_lib.results(retraining, log)
  best = best_file.found(retraining.criterion, rows)
  results = run_summary.find_results(experiment, log, retraining, best)
  description = run_summary.describe(experiment)
  summary.write(path, dataclasses.replace(description, results=results))
  best_file.write(experiment, path, retraining, best, was_finished)


def _draw(experiment, path, log, retraining):
  rows = retraining_lib.results(retraining, log)
  best = best_file.found(retraining.criterion, rows)
  if best is not None and experiment.draw is not None:
    contestant = best.contestant
    pictures.draw(
      experiment.draw,
      path / experiment.picture,
      contestant.architecture,
      contestant.label,
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
        f'{arm.label}, search {arm.repeat + 1}',
        [trial.reward for trial in trials],
        [trial.duplicate_of is None for trial in trials],
        group=arm.label,
        is_stopped=[trial.is_stopped for trial in trials],
      )
    )
  pictures.draw(curves.plot_search, path / 'curve.png', plotted)
