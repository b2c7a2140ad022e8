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
import shlex
from typing import Any

import jax
import numpy as np

from jaxnas import search as search_lib
from jaxnas.records import heads, sinks, summary, trial_log, workdir
from jaxnas.runs import (
  long_training,
  run_page,
  scalars,
  training_run,
  training_terms,
  tuning_page,
)
from jaxnas.spaces import hyperparameters
from jaxnas.strategies import fixed
from jaxnas.trainers import memory
from jaxnas.types import Evaluation, Evaluator, Reward, SearchSpace, Status
from jaxnas.visualize import progress, web_page

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
      described = _describe(tuning, space, training.terms, len(points))
      if len(log.trials) < len(points):
        workdir.write_manifest(path, **training.facts)
        summary.write(path, described)
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
      results = _results(tuning, training.terms, log.trials)
      summary.write(path, dataclasses.replace(described, results=results))
      run_page.draw(path)
      _show(tuning, training.terms, results, log.trials, path)


def _describe(tuning, space, terms, num_points) -> summary.Summary:
  """Returns the summary of a tuning, as yet without results."""
  return summary.Summary(
    space=f'{tuning_page.SPACE}{tuning.experiment}',
    space_size=summary.spell_size(space.size),
    decisions=tuple(map(summary.Options.of, space.decisions)),
    arms=(summary.Arm(_ARM, 0, _ARM, 'searched', num_points, 1),),
    known=(),
    measure=terms.measure,
    search_metric=terms.field('validation'),
    own_reward=False,
  )


def _results(tuning, terms, trials) -> summary.Results:
  """Returns what a finished tuning found, in sentences."""
  done = _sorted(terms, trials)
  headline, verdicts = f'All {len(trials)} trainings failed.', []
  if done:
    headline = (
      f'Best of {len(trials)} by validation, which flatters it: '
      f'{tuning_page.spell(done[0].architecture)}: '
      f'{_spell_result(terms, done[0])}.'
    )
    usual = [each for each in done if tuning_page.is_at(each, tuning.usual)]
    if usual and usual[0] is not done[0]:
      verdicts.append(f'The usual settings: {_spell_result(terms, usual[0])}.')
    if len(done) < len(trials):
      verdicts.append(
        f'{len(trials) - len(done)} of {len(trials)} trainings failed.'
      )
  return summary.Results(
    headline, tuple(verdicts), (), None, '', terms.has_report
  )


def _sorted(terms, trials) -> list[trial_log.Trial]:
  """Returns the trainings that succeeded, the best ones first."""
  field = terms.field('validation')
  return sorted(
    (trial for trial in trials if trial.status == 'ok'),
    key=lambda trial: trial.metrics[field],
    reverse=terms.measure.is_higher_better,
  )


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
    spelled = tuning_page.spell(point)
    print(f'\nTraining {self._num_done} of {self._num_points}: {spelled}')
    training = self._tuning.make_training(point)
    folder = tuning_page.training_folder(self._path, point)
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
  results: summary.Results,
  trials: Sequence[trial_log.Trial],
  path: pathlib.Path,
) -> None:
  """Prints the best points, and writes the settings of the best one."""
  done = _sorted(terms, trials)
  if not done:
    raise ValueError(
      f'{results.headline.rstrip(".")}; try other values, above all smaller '
      f'--learning_rates. The first one: {trials[0].reason}'
    )
  best = done[0]
  _show_table(tuning, terms, done, len(trials))
  for line in (results.headline, *results.verdicts):
    print(line)
  file = path / 'best_settings.json'
  tuning.write_settings(
    file, best.architecture, num_trials=len(trials), metrics=dict(best.metrics)
  )
  folder = tuning_page.training_folder(path, best.architecture)
  progress.files(path, (file.name, web_page.FILE))
  print(
    f'Its model is {folder / "weights.npz"}. To train with these settings:\n\n'
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


def _spell_result(terms: training_terms.Terms, trial: trial_log.Trial) -> str:
  splits = ['validation'] + ['report'] * terms.has_report
  told = (
    f'{terms.spell(trial.metrics[terms.field(split)])} on {split}'
    for split in splits
  )
  return f'{terms.measure.name} {" and ".join(told)}'
