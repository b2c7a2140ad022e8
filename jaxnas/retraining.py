# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Retrains winners and known architectures at equal cost, and compares them.

The best reward of a search owes something to luck, and so does the best of any
trainings that a choice was based on. Retraining therefore has two stages. In
the first, the selection, every contestant trains at every learning rate of a
small grid, unless the search found its learning rate. The mean validation
measure, or the mean reward where that is a user's own, then chooses one
contestant, at one rate, for each *entry*: the finds of one search, or one known
architecture. In the second stage only the chosen ones
train, with fresh seeds that took part in no choice. Only these trainings are
reported, measured on data that no reward and no choice came from.
"""

from __future__ import annotations

import collections
from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import functools
import itertools
from typing import Any, NamedTuple
import zlib

import jax
import numpy as np

from jaxnas import contestants as contestants_lib
from jaxnas import evaluators, statistics
from jaxnas import search as search_lib
from jaxnas.records import in_turn, trial_log, workdir
from jaxnas.trainers import local_queue
from jaxnas.types import Cost, Reward, Status, Trained, Trainer


@dataclasses.dataclass(frozen=True)
class Retraining:
  """The settings of a retraining.

  Attributes:
    contestants: the contestants, in the order of the table.
    trainers: the trainers, by the names that contestants use.
    learning_rates: the grid for contestants without one of their own.
    num_selection_seeds: the number of trainings of each contestant at each
      learning rate in the selection.
    num_seeds: the number of fresh, reported trainings of each chosen one.
    num_steps: the number of steps of each training.
    key: the run's random key.
    reward: the reward of each training in the log.
    measure: the measure by which contestants are compared.
    costs: the costs of an architecture, by name, added to the metrics.
    choose_by_reward: whether the reward chooses among contestants rather than
      the measure. The two agree where the reward is a function of the measure
      alone; a reward of a user's own may also look at sizes.
  """

  contestants: tuple[contestants_lib.Contestant, ...]
  trainers: Mapping[str, Trainer]
  learning_rates: tuple[float, ...]
  num_selection_seeds: int
  num_seeds: int
  num_steps: int
  key: jax.Array
  reward: Reward
  measure: statistics.Measure = statistics.PERPLEXITY
  costs: Mapping[str, Cost] = dataclasses.field(default_factory=dict)
  choose_by_reward: bool = False

  def __post_init__(self):
    for rates in {self.grid(each) for each in self.contestants} or {
      self.learning_rates
    }:
      if not rates or min(rates) <= 0:
        raise ValueError(
          f'Retraining needs positive learning rates, got {list(rates)}.'
        )
    if self.num_selection_seeds < 1:
      raise ValueError(
        'Retraining needs at least 1 seed to choose by, got '
        f'num_selection_seeds {self.num_selection_seeds}.'
      )
    if self.num_seeds < 2:
      raise ValueError(
        'Retraining needs at least 2 seeds to show a spread, got '
        f'{self.num_seeds}.'
      )

  @property
  def criterion(self) -> statistics.Measure:
    """The quantity that chooses among contestants."""
    return statistics.REWARD if self.choose_by_reward else self.measure

  def grid(self, contestant: contestants_lib.Contestant) -> tuple[float, ...]:
    """Returns the learning rates at which a contestant is trained."""
    if contestant.learning_rates is None:
      return self.learning_rates
    return contestant.learning_rates


_SELECTION, _REPORT = 'selection', 'report'


class _Job(NamedTuple):
  stage: str
  contestant: contestants_lib.Contestant
  learning_rate: float
  seed: int

  @property
  def identity(self) -> tuple[Any, ...]:
    return (
      self.stage,
      self.contestant.label,
      self.contestant.features,
      self.contestant.num_params,
      self.learning_rate,
      self.seed,
    )


def num_left(retraining: Retraining, log: trial_log.TrialLog) -> int:
  """Returns the number of trainings, of both stages, not yet in the log."""
  recorded = _recorded(retraining, log.trials)
  left = _left(_selection_jobs(retraining), recorded)
  if left:
    entries = {contestant.entry for contestant in retraining.contestants}
    return len(left) + len(entries) * retraining.num_seeds
  return len(_left(_report_jobs(retraining, recorded), recorded))


def run(
  retraining: Retraining,
  log: trial_log.TrialLog,
  on_trials: search_lib.Progress | None = None,
  replay: Sequence[trial_log.Trial] = (),
) -> None:
  """Runs the trainings that are not yet in the log.

  Blocks are trained side by side where a trainer has a queue, and recorded as
  they finish. The choice follows from the log alone, so a run that was killed
  continues where it was, in either stage.

  Args:
    retraining: the settings of the retraining.
    log: the run's trial log, which gets a trial of the arm `search.RETRAIN` for
      each training.
    on_trials: a callback that gets new trials as they are recorded.
    replay: the trials of another log of this run, in whose order trainings are
      recorded.
  """
  recorded = _recorded(retraining, log.trials)
  jobs = _left(_selection_jobs(retraining), recorded)
  _train(retraining, jobs, log, on_trials, replay)
  recorded = _recorded(retraining, log.trials)
  jobs = _report_jobs(retraining, recorded)
  _train(retraining, _left(jobs, recorded), log, on_trials, replay)


class Result(NamedTuple):
  """The results of an entry's chosen contestant.

  A training that failed has an infinitely bad measure, and reward.

  Attributes:
    contestant: the chosen contestant.
    learning_rate: the chosen learning rate.
    num_contestants: the number of contestants it was chosen from.
    selection: the criterion of each training that led to the choice, which
      flatters it: the validation measure, or the reward.
    validation: the validation measure of each fresh training.
    report: the report measure of each fresh training.
    rewards: the reward of each fresh training.
  """

  contestant: contestants_lib.Contestant
  learning_rate: float
  num_contestants: int
  selection: np.ndarray
  validation: np.ndarray
  report: np.ndarray
  rewards: np.ndarray


def results(retraining: Retraining, log: trial_log.TrialLog) -> list[Result]:
  """Returns the results of the chosen contestant of every entry.

  Args:
    retraining: the settings of the retraining.
    log: a trial log with all of its trainings.
  """
  recorded = _recorded(retraining, log.trials)
  num_contestants = collections.Counter(
    contestant.entry for contestant in retraining.contestants
  )

  def result(job):
    fresh = [
      recorded[job._replace(stage=_REPORT, seed=seed).identity]
      for seed in range(retraining.num_seeds)
    ]
    return Result(
      job.contestant,
      job.learning_rate,
      num_contestants[job.contestant.entry],
      _selection(retraining, recorded, job),
      np.array([_measured(retraining, each, 'validation') for each in fresh]),
      np.array([_measured(retraining, each, 'report') for each in fresh]),
      np.array([_rewarded(each) for each in fresh]),
    )

  return [result(job) for job in _chosen(retraining, recorded)]


def _selection_jobs(retraining: Retraining) -> list[_Job]:
  return _ordered(
    retraining,
    [
      _Job(_SELECTION, contestant, learning_rate, seed)
      for contestant in retraining.contestants
      for learning_rate in retraining.grid(contestant)
      for seed in range(retraining.num_selection_seeds)
    ],
  )


def _report_jobs(retraining: Retraining, recorded: _Recorded) -> list[_Job]:
  return _ordered(
    retraining,
    [
      job._replace(stage=_REPORT, seed=seed)
      for job in _chosen(retraining, recorded)
      for seed in range(retraining.num_seeds)
    ],
  )


def _ordered(retraining: Retraining, jobs: list[_Job]) -> list[_Job]:
  # One trainer after another, so that blocks are full; sorting is stable.
  names = list(retraining.trainers)
  return sorted(jobs, key=lambda job: names.index(job.contestant.trainer))


def has_report(retraining: Retraining, log: trial_log.TrialLog) -> bool:
  """Returns whether trainings were measured on the report split."""
  name = f'report_{retraining.measure.name}'
  return any(name in trial.metrics for trial in log.trials)


def _chosen(retraining: Retraining, recorded: _Recorded) -> list[_Job]:
  """Returns the best selection job of each entry."""
  entries: dict[tuple[str, int, str], list[_Job]] = {}
  for contestant in retraining.contestants:
    entries.setdefault(contestant.entry, []).extend(
      _Job(_SELECTION, contestant, learning_rate, 0)
      for learning_rate in retraining.grid(contestant)
    )

  def mean(job):
    return np.mean(_selection(retraining, recorded, job))

  return [retraining.criterion.best(jobs, mean) for jobs in entries.values()]


def _selection(
  retraining: Retraining, recorded: _Recorded, job: _Job
) -> np.ndarray:
  """Returns the criterion of each training of a selection job."""
  trials = [
    recorded[job._replace(seed=seed).identity]
    for seed in range(retraining.num_selection_seeds)
  ]
  return np.array(
    [
      _rewarded(trial)
      if retraining.choose_by_reward
      else _measured(retraining, trial, 'validation')
      for trial in trials
    ]
  )


def _rewarded(trial: trial_log.Trial) -> float:
  # The floor, which a failed trial is given, may be that of a good child.
  return trial.reward if trial.status == 'ok' else statistics.REWARD.worst


def _measured(
  retraining: Retraining, trial: trial_log.Trial, split: str
) -> float:
  if trial.status != 'ok':
    return retraining.measure.worst
  name = retraining.measure.name
  # A Python function may have nothing else to report than its reward.
  validation = trial.metrics[f'validation_{name}']
  return trial.metrics.get(f'{split}_{name}', validation)


_Recorded = Mapping[tuple[Any, ...], trial_log.Trial]


def _recorded(
  retraining: Retraining, trials: Sequence[trial_log.Trial]
) -> _Recorded:
  return {
    (
      # Older logs have no stage; their trainings can serve as a selection.
      trial.settings.get('stage', _SELECTION),
      trial.settings['label'],
      trial.settings['features'],
      trial.settings['num_params'],
      trial.settings['learning_rate'],
      trial.settings['seed'],
    ): trial
    for trial in trials
    if trial.arm == search_lib.RETRAIN
    and trial.settings['num_steps'] == retraining.num_steps
  }


def _left(jobs: list[_Job], recorded: _Recorded) -> list[_Job]:
  return [job for job in jobs if job.identity not in recorded]


def _train(retraining, jobs, log, on_trials, replay) -> None:
  """Trains in the order of jobs, and records in the order of finishing."""
  known = _earlier(retraining, jobs, log)
  identities = {job.identity for job in jobs}
  turns = [each for each in _recorded(retraining, replay) if each in identities]
  lines = in_turn.InTurn(log, turns, on_trials)
  opened = {
    name: local_queue.queue_of(retraining.trainers[name])
    for name in dict.fromkeys(job.contestant.trainer for job in jobs)
  }
  blocks = [
    (name, block)
    for name, group in itertools.groupby(
      jobs, key=lambda job: job.contestant.trainer
    )
    for block in _blocks(list(group), opened[name].block_size)
  ]

  def submit(queue, block):
    left = _left(block, known)
    if not left:
      return None
    return queue.submit(
      [job.contestant.architecture for job in left],
      _keys(retraining.key, left),
      [job.learning_rate for job in left],
      retraining.num_steps,
      # Both stages measure both splits, so that they share a program.
      splits=('validation', 'report'),
    )

  for block, trained in local_queue.finished(opened, blocks, submit):
    if trained is not None:
      left = _left(block, known)
      new = _to_trials(retraining, left, trained)
      known |= {job.identity: new[row] for row, job in enumerate(left)}
    lines.add({job.identity: known[job.identity] for job in block})
  lines.close()


def _earlier(retraining, jobs, log) -> dict[tuple[Any, ...], trial_log.Trial]:
  """Returns the successful trainings in an older log."""
  recorded = _recorded(
    retraining, [trial for trial in log.earlier if trial.status == 'ok']
  )
  return {
    job.identity: recorded[job.identity]
    for job in jobs
    if job.identity in recorded
    # The label holds a trial's number, which may have stood for another
    # architecture then.
    and recorded[job.identity].architecture
    == workdir.plain_json(_to_json(job.contestant))
  }


def _to_json(contestant: contestants_lib.Contestant) -> dict[str, Any]:
  if contestant.architecture is None:
    return {'name': contestant.label}
  return contestant.architecture.to_json()


def _keys(key: jax.Array, jobs: Sequence[_Job]) -> jax.Array:
  """Returns the random keys of trainings.

  Contestants of one repeat train with the same seeds, and known architectures
  with those of the first repeat. Repeats have seeds of their own: they are the
  units in a comparison of strategies, so they must be independent.
  """
  seeds = np.array([job.seed for job in jobs], np.uint32)
  # A block is of one stage.
  if jobs[0].stage == _SELECTION:
    return _fold_in(jax.random.fold_in(key, zlib.crc32(b'retrain')), seeds)
  repeats = np.array([job.contestant.repeat for job in jobs], np.uint32)
  key = jax.random.fold_in(key, zlib.crc32(b'report'))
  return _fold_in(key, repeats, seeds)


@jax.jit
def _fold_in(key: jax.Array, *numbers: jax.Array) -> jax.Array:
  def fold(*each):
    return functools.reduce(jax.random.fold_in, each, key)

  return jax.vmap(fold)(*numbers)


def _blocks(jobs: list[_Job], size: int) -> Iterator[list[_Job]]:
  for start in range(0, len(jobs), size):
    yield jobs[start : start + size]


def _to_trials(retraining, jobs, trained: Trained):
  architectures = [job.contestant.architecture for job in jobs]
  trained = evaluators.add_costs(trained, architectures, retraining.costs)
  evaluation = evaluators.judge(architectures, trained, retraining.reward)
  return [
    trial_log.Trial(
      number=row,
      arm=search_lib.RETRAIN,
      repeat=job.contestant.repeat,
      tokens=job.contestant.tokens,
      architecture=_to_json(job.contestant),
      reward=float(evaluation.rewards[row]),
      metrics={
        name: values[row].item() for name, values in evaluation.metrics.items()
      },
      status=Status(evaluation.status[row]).name.lower(),
      reason=evaluation.reasons[row] if evaluation.reasons else '',
      settings={
        'stage': job.stage,
        'label': job.contestant.label,
        'features': job.contestant.features,
        'num_params': job.contestant.num_params,
        'learning_rate': job.learning_rate,
        'seed': job.seed,
        'num_steps': retraining.num_steps,
      },
    )
    for row, job in enumerate(jobs)
  ]
