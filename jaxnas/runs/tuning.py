# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tunes the long training of a found architecture on a grid of settings.

Zoph and Le, 2017 (https://arxiv.org/abs/1611.01578, sections 4.1 and 4.2), tune
the training of the best architecture with a small grid search before they look
at the test data. Here the points of the grid are trained in random order, the
usual settings first, each in its own folder under `trainings/`. A run that is
stopped early is thus a random search, and one that is killed loses no more than
a long training does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
import dataclasses
import math
import pathlib
import re
import shlex
from typing import Any

import jax
import numpy as np

from jaxnas import search as search_lib
from jaxnas.records import heads, sinks, trial_log, workdir
from jaxnas.runs import (
  long_training,
  scalars,
  training_run,
  training_terms,
)
from jaxnas.spaces import hyperparameters
from jaxnas.strategies import fixed
from jaxnas.trainers import memory
from jaxnas.types import Evaluation, Evaluator, Reward, SearchSpace, Status
from jaxnas.visualize import progress

_ARM = 'grid'
_MAX_POINTS = 100_000
_NUM_SHOWN = 10


@dataclasses.dataclass(frozen=True, eq=False)
class Tuning:
  """Everything that `run` needs to know about a tuning.

  Attributes:
    grid: the values of each tuned setting, by name.
    usual: the usual value of each tuned setting, by name; the point that they
      make is tried first if it is on the grid.
    num_trials: the number of points to train; the whole grid if it has fewer.
    seed: the number that decides the order.
    settings: the settings that a resumption must share.
    free: the names of the settings that may change.
    make_training: `point -> training`, where a point is `{name: value}`.
    reward: the reward for the validation measure.
    write_settings: `(path, point, **facts)`, a function that writes all
      settings of a point for a long training to read.
    experiment: the name of the experiment that reads these settings.
  """

  grid: Mapping[str, Sequence[Any]]
  usual: Mapping[str, Any]
  num_trials: int
  seed: int
  settings: Mapping[str, Any]
  free: Collection[str]
  make_training: Callable[[Mapping[str, Any]], long_training.Training]
  reward: Reward
  write_settings: Callable[..., None]
  experiment: str


def run(tuning: Tuning, folder: str) -> None:
  """Tunes, resumes or shows a tuning.

  Args:
    tuning: the tuning to run.
    folder: the run's folder, its `--workdir`.

  Raises:
    ValueError: the grid is empty or too large, the folder holds another run, or
      every training failed.
    OSError: a file cannot be read or written.
  """
  space = make_space(tuning.grid)
  # The strategy has the whole grid, so that more of it may be tried later.
  ordered = order(space, tuning.usual, tuning.seed)
  points = ordered[: tuning.num_trials]
  # Errors in the settings are found before the first training.
  training = tuning.make_training(_values(space, points[0]))
  sinks.check(training.log_to)
  with workdir.lock(folder) as path:
    workdir.check_config(path, tuning.settings, tuning.free, {})
    with (
      trial_log.TrialLog(path / 'trials.jsonl') as log,
      heads.guard(path, lambda: heads.of_search(log.trials, [])),
    ):
      if len(log.trials) > len(points):
        raise ValueError(
          f'num_trials is {len(points)}, but {path} has already trained '
          f'{len(log.trials)}; give --num_trials={len(log.trials)} or more, or '
          'another --workdir.'
        )
      if len(log.trials) < len(points):
        workdir.write_manifest(path, **training.facts)
      else:
        print(f'Found the finished tuning in {path}; nothing is left to train.')
      trainings = _Trainings(tuning, space, path, len(points), len(log.trials))
      search = search_lib.Search(
        space,
        (search_lib.Arm(_ARM, fixed.make_fixed(ordered), len(points), 1),),
        Evaluator(trainings.evaluate, 1, tuning.reward.floor, _ARM),
        jax.random.key(tuning.seed),
      )
      take = scalars.OfSearch(log).take
      with sinks.Sinks(path, training.log_to, take) as outlets:
        search_lib.run(search, log, on_trials=lambda _: outlets.update())
      _show(tuning, training.terms, log.trials, path)


def make_space(grid: Mapping[str, Sequence[Any]]) -> SearchSpace:
  """Makes the space of the points of a grid.

  Args:
    grid: the values by name.

  Raises:
    ValueError: a name has no value, or there are more than 100,000 points.
  """
  for name, values in grid.items():
    if not values:
      raise ValueError(f'Give at least one value of {name}.')
  size = math.prod(len(values) for values in grid.values())
  if size > _MAX_POINTS:
    raise ValueError(
      f'The grid has {size:,} points, but at most {_MAX_POINTS:,} are allowed; '
      'give fewer values.'
    )
  return hyperparameters.make_space(
    {
      name: hyperparameters.Choice(tuple(values), name)
      for name, values in grid.items()
    }
  )


def order(
  space: SearchSpace, usual: Mapping[str, Any], seed: int
) -> np.ndarray:
  """Returns the points of a grid in random order, `int32[M, T]`.

  Args:
    space: a space from `make_space`.
    usual: the values of the first point, if it is on the grid.
    seed: the number that decides the order.
  """
  sizes = [decision.num_choices for decision in space.decisions]
  ranks = np.random.default_rng(seed).permutation(space.size)
  tokens = np.stack(np.unravel_index(ranks, sizes), 1).astype(np.int32)
  try:
    first = space.encode(usual)
  except ValueError:
    return tokens
  is_first = (tokens == first).all(1)
  return np.concatenate([tokens[is_first], tokens[~is_first]])


def _values(space: SearchSpace, tokens: np.ndarray) -> dict[str, Any]:
  point: Any = space.decode(tokens)
  return dict(point)


class _Trainings:
  """Trains the points of a grid, one after another."""

  def __init__(self, tuning, space, path, num_points, num_done):
    self._tuning, self._space, self._path = tuning, space, path
    self._num_points, self._num_done = num_points, num_done

  def evaluate(self, keys: jax.Array, tokens: np.ndarray) -> Evaluation:
    """Trains one point; see `types.Evaluator`."""
    del keys  # Every training uses the seed in the settings.
    (row,) = tokens
    point = _values(self._space, row)
    self._num_done += 1
    print(f'\nTraining {self._num_done} of {self._num_points}: {_spell(point)}')
    training = self._tuning.make_training(point)
    folder = self._path / 'trainings' / _name(point)
    reward = self._tuning.reward
    rewards = np.array([reward.floor], np.float32)
    metrics: dict[str, np.ndarray] = {}
    status, reason = Status.OK, ''
    try:
      result = training_run.run(training, str(folder), is_shown=False)
      metrics = {
        name: np.array([value])
        for name, value in result.items()
        if isinstance(value, float) or name == 'epoch'
      }
      rewards = np.asarray(reward.function([point], metrics), np.float32)
    except training_run.DivergedError as error:
      status, reason = Status.DIVERGED, error.what
    except memory.NotEnoughMemoryError as error:
      status, reason = Status.OUT_OF_MEMORY, str(error)
    if reason:
      print(reason)
    return Evaluation(rewards, metrics, np.array([status], np.int32), (reason,))


def _show(
  tuning: Tuning,
  terms: training_terms.Terms,
  trials: Sequence[trial_log.Trial],
  path: pathlib.Path,
) -> None:
  """Prints the best points, and writes the settings of the best one."""
  field = terms.field('validation')
  done = [trial for trial in trials if trial.status == 'ok']
  if not done:
    raise ValueError(
      f'All {len(trials)} trainings failed; try other values, above all '
      f'smaller --learning_rates. The first one: {trials[0].reason}'
    )
  done.sort(
    key=lambda trial: trial.metrics[field],
    reverse=terms.measure.is_higher_better,
  )
  best = done[0]
  _show_table(tuning, terms, done, len(trials))
  spelled = _spell_result(terms, best)
  print(
    f'Best of {len(trials)} by validation, which flatters it: '
    f'{_spell(best.architecture)}: {spelled}.'
  )
  usual = [trial for trial in done if _is_at(trial, tuning.usual)]
  if usual and usual[0] is not best:
    print(f'The usual settings: {_spell_result(terms, usual[0])}.')
  if len(done) < len(trials):
    print(f'{len(trials) - len(done)} of {len(trials)} trainings failed.')
  file = path / 'best_settings.json'
  tuning.write_settings(
    file, best.architecture, num_trials=len(trials), metrics=dict(best.metrics)
  )
  weights = path / 'trainings' / _name(best.architecture) / 'weights.npz'
  print(
    f'Wrote {file}; its model is {weights}. To train with these settings:\n\n'
    f'python -m experiments.{tuning.experiment} '
    f'--settings={shlex.quote(str(file))} --workdir=...'
  )


def _show_table(tuning, terms, done, num_trials) -> None:
  names, shown = list(tuning.grid), done[:_NUM_SHOWN]
  title = f'Settings by validation {terms.measure.name}'
  if len(shown) < num_trials:
    title = f'{title}: the best {len(shown)} of {num_trials}'
  progress.table(
    title,
    [terms.measure.name, 'best epoch', *names],
    [
      [
        terms.spell(trial.metrics[terms.field('validation')]),
        f'{trial.metrics["epoch"]:.0f}',
        *(str(trial.architecture[name]) for name in names),
      ]
      for trial in shown
    ],
    spare=('best epoch',),
  )


def _is_at(trial: trial_log.Trial, point: Mapping[str, Any]) -> bool:
  return all(trial.architecture[name] == point[name] for name in point)


def _spell_result(terms: training_terms.Terms, trial: trial_log.Trial) -> str:
  splits = ['validation'] + ['report'] * terms.has_report
  told = (
    f'{terms.spell(trial.metrics[terms.field(split)])} on {split}'
    for split in splits
  )
  return f'{terms.measure.name} {" and ".join(told)}'


def _spell(point: Mapping[str, Any]) -> str:
  return ', '.join(f'{name} {value}' for name, value in point.items())


def _name(point: Mapping[str, Any]) -> str:
  """Returns the name of a point's folder."""
  parts = (f'{name}_{value}' for name, value in point.items())
  return re.sub(r'[^\w.+-]', '_', '-'.join(parts))
