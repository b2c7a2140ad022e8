# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Retrains winners and known architectures at equal cost, and compares them.

A search's best reward is flattered by luck. Here every contestant trains anew
with the same fresh seeds, the same number of steps and the same small grid of
learning rates, unless the learning rate is what was searched; it is chosen on
validation data, and what is compared is measured on data that no reward and no
choice came from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
import dataclasses
import itertools
from typing import Any, NamedTuple
import zlib

import jax
import numpy as np

from jaxnas import search as search_lib
from jaxnas import statistics
from jaxnas.evaluators import memory, rewards
from jaxnas.records import trial_log
from jaxnas.types import Architecture, Runner, Status


@dataclasses.dataclass(frozen=True)
class Trainer:
  """Trains contestants that share a program.

  Attributes:
    runner: runs the task, whose metrics have a validation and a report measure.
    assemble: makes a batch of programs of architectures; `None` where the
      runner's architecture is fixed.
  """

  runner: Runner
  assemble: Callable[[Sequence[Any]], Any] | None = None


@dataclasses.dataclass(frozen=True)
class Contestant:
  """An architecture that is retrained.

  Attributes:
    label: names the contestant in the log, as `'reinforce #12'`.
    group: the row of the table that it stands for, as `'reinforce'`; the best
      of a group by validation is shown.
    trainer: which trainer trains it.
    num_params: how many parameters it has.
    features: its hidden units, where that is a choice of the comparison.
    num_multiply_adds: of one example forward, where that is told.
    architecture: what the trainer's program is made of, if it is made of one.
    tokens: its tokens, if it comes from the search.
    learning_rates: its own grid, where the learning rate is part of what was
      found; that of the retraining by default.
  """

  label: str
  group: str
  trainer: str
  num_params: int
  features: int | None = None
  num_multiply_adds: int | None = None
  architecture: Architecture | None = None
  tokens: tuple[int, ...] | None = None
  learning_rates: tuple[float, ...] | None = None


@dataclasses.dataclass(frozen=True)
class Retraining:
  """What is retrained and how.

  Attributes:
    contestants: in the order of the table.
    trainers: by the name that contestants use.
    learning_rates: the grid of contestants that have none of their own.
    num_seeds: trainings of each contestant at each learning rate.
    num_steps: how long each trains.
    key: the run's random key.
    reward: what the log says each training was worth.
    measure: what they are compared by.
  """

  contestants: tuple[Contestant, ...]
  trainers: Mapping[str, Trainer]
  learning_rates: tuple[float, ...]
  num_seeds: int
  num_steps: int
  key: jax.Array
  reward: rewards.Reward
  measure: statistics.Measure = statistics.PERPLEXITY

  def __post_init__(self):
    for rates in {self.grid(each) for each in self.contestants} or {
      self.learning_rates
    }:
      if not rates or min(rates) <= 0:
        raise ValueError(
          f'Retraining needs positive learning rates, got {list(rates)}.'
        )
    if self.num_seeds < 2:
      raise ValueError(
        'Retraining needs at least 2 seeds to show a spread, got '
        f'{self.num_seeds}.'
      )

  def grid(self, contestant: Contestant) -> tuple[float, ...]:
    """Returns the learning rates at which a contestant is trained."""
    if contestant.learning_rates is None:
      return self.learning_rates
    return contestant.learning_rates


class _Job(NamedTuple):
  contestant: Contestant
  learning_rate: float
  seed: int

  @property
  def identity(self) -> tuple[Any, ...]:
    return (
      self.contestant.label,
      self.contestant.features,
      self.contestant.num_params,
      self.learning_rate,
      self.seed,
    )


def top(
  trials: Sequence[trial_log.Trial],
  arm: str,
  count: int,
  canonical: Callable[[np.ndarray], np.ndarray] = np.asarray,
) -> list[trial_log.Trial]:
  """Returns an arm's best distinct trials, over all its repeats.

  Args:
    trials: the log.
    arm: the arm's name.
    count: how many at most; trials that failed are not among them.
    canonical: makes the tokens of equal architectures equal; repeats of an arm
      may have found the same one.
  """
  best: dict[bytes, trial_log.Trial] = {}
  candidates = [
    trial
    for trial in trials
    if trial.arm == arm and trial.duplicate_of is None and trial.status == 'ok'
  ]
  for trial in sorted(candidates, key=lambda trial: -trial.reward):
    tokens = canonical(np.array(trial.tokens, np.int32))
    best.setdefault(tokens.tobytes(), trial)
  return list(best.values())[:count]


def num_left(retraining: Retraining, log: trial_log.TrialLog) -> int:
  """Returns how many trainings the log does not have yet."""
  return len(_jobs_left(retraining, log))


def run(
  retraining: Retraining,
  log: trial_log.TrialLog,
  on_trials: search_lib.Progress | None = None,
) -> None:
  """Runs the trainings that the log does not have yet.

  Args:
    retraining: what is retrained and how.
    log: gets a trial of the arm `search.RETRAIN` for each training.
    on_trials: told of new trials as they are recorded.
  """
  left = _jobs_left(retraining, log)
  key = jax.random.fold_in(retraining.key, zlib.crc32(b'retrain'))
  for name, group in itertools.groupby(
    left, key=lambda job: job.contestant.trainer
  ):
    trainer = retraining.trainers[name]
    for block in _blocks(list(group), trainer.runner.block_size):
      programs = None
      if trainer.assemble is not None:
        programs = trainer.assemble(
          [job.contestant.architecture for job in block]
        )
      keys = jax.vmap(lambda seed: jax.random.fold_in(key, seed))(
        np.array([job.seed for job in block], np.uint32)
      )
      try:
        metrics = trainer.runner.run(
          keys,
          programs,
          [job.learning_rate for job in block],
          retraining.num_steps,
          splits=('validation', 'report'),
        )
      except Exception as error:
        # Where a trainer has one contestant, no other is to suffer from it.
        if trainer.assemble is not None or not memory.is_exhausted(error):
          raise
        metrics = {
          'is_alive': np.zeros(len(block), bool),
          rewards.OUT_OF_MEMORY: np.ones(len(block), bool),
        }
      trials = _to_trials(retraining, block, metrics, len(log.trials))
      log.append(trials)
      if on_trials is not None:
        on_trials(trials)


class Result(NamedTuple):
  """How a contestant did at its best learning rate.

  Attributes:
    contestant: who.
    learning_rate: the best by mean validation measure over the seeds.
    validation: the validation measure of each seed; infinitely bad where it
      failed.
    report: the report measure of each seed, likewise.
  """

  contestant: Contestant
  learning_rate: float
  validation: np.ndarray
  report: np.ndarray


def results(retraining: Retraining, log: trial_log.TrialLog) -> list[Result]:
  """Returns how every contestant did.

  Args:
    retraining: what was retrained.
    log: has all its trainings.
  """
  by_identity = _recorded(retraining, log)
  rows = []
  for contestant in retraining.contestants:
    options = []
    for learning_rate in retraining.grid(contestant):
      trials = [
        by_identity[_Job(contestant, learning_rate, seed).identity]
        for seed in range(retraining.num_seeds)
      ]
      validation, report = (
        np.array(
          [
            trial.metrics[f'{split}_{retraining.measure.name}']
            if trial.status == 'ok'
            else retraining.measure.worst
            for trial in trials
          ]
        )
        for split in ('validation', 'report')
      )
      options.append(Result(contestant, learning_rate, validation, report))
    rows.append(
      retraining.measure.best(options, lambda option: option.validation.mean())
    )
  return rows


def best_of_groups(
  rows: Sequence[Result], measure: statistics.Measure
) -> dict[str, Result]:
  """Returns the best contestant of each group by mean validation measure."""
  groups: dict[str, list[Result]] = {}
  for row in rows:
    groups.setdefault(row.contestant.group, []).append(row)
  return {
    group: measure.best(members, lambda row: row.validation.mean())
    for group, members in groups.items()
  }


def equal_features(
  count: Callable[[int], int], num_params: int, max_features: int = 4096
) -> int:
  """Returns the width at which a network has about so many parameters.

  Args:
    count: `features -> number of parameters`, growing.
    num_params: the number wanted.
    max_features: the largest width tried.
  """
  low, high = 1, max_features
  while low < high:
    middle = (low + high) // 2
    if count(middle) < num_params:
      low = middle + 1
    else:
      high = middle
  return min(
    (max(1, low - 1), low), key=lambda width: abs(count(width) - num_params)
  )


def _jobs(retraining: Retraining) -> list[_Job]:
  jobs = [
    _Job(contestant, learning_rate, seed)
    for contestant in retraining.contestants
    for learning_rate in retraining.grid(contestant)
    for seed in range(retraining.num_seeds)
  ]
  # One trainer after another, so that blocks are full; the order is kept.
  names = list(retraining.trainers)
  return sorted(jobs, key=lambda job: names.index(job.contestant.trainer))


def _recorded(retraining, log) -> dict[tuple[Any, ...], trial_log.Trial]:
  return {
    (
      trial.settings['label'],
      trial.settings['features'],
      trial.settings['num_params'],
      trial.settings['learning_rate'],
      trial.settings['seed'],
    ): trial
    for trial in log.trials
    if trial.arm == search_lib.RETRAIN
    and trial.settings['num_steps'] == retraining.num_steps
  }


def _jobs_left(retraining, log) -> list[_Job]:
  recorded = _recorded(retraining, log)
  return [job for job in _jobs(retraining) if job.identity not in recorded]


def _blocks(jobs: list[_Job], size: int) -> Iterator[list[_Job]]:
  for start in range(0, len(jobs), size):
    yield jobs[start : start + size]


def _to_trials(retraining, jobs, metrics, first_number):
  evaluation = rewards.judge(metrics, retraining.reward)
  return [
    trial_log.Trial(
      number=first_number + row,
      arm=search_lib.RETRAIN,
      repeat=0,
      tokens=job.contestant.tokens,
      architecture=(
        {'name': job.contestant.label}
        if job.contestant.architecture is None
        else job.contestant.architecture.to_json()
      ),
      reward=float(evaluation.rewards[row]),
      metrics={
        name: values[row].item() for name, values in evaluation.metrics.items()
      },
      status=Status(evaluation.status[row]).name.lower(),
      settings={
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
