# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tunes the long training of a found architecture on a grid of settings.

Zoph and Le, 2017 (https://arxiv.org/abs/1611.01578, sections 4.1 and 4.2), tune
the training of the best architecture with a small grid search before they look
at the test data. Here the points of the grid are trained in random order, the
usual settings first, each in its own folder under `trainings/`. A run that is
stopped early is thus a random search, and one that is killed loses no more than
a long training does. If there are workers, each trains one point at a time.
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
from jaxnas.evaluators import queues
from jaxnas.records import heads, sinks, summary, trial_log, workdir
from jaxnas.runs import (
  long_training,
  point_trainer,
  run_page,
  scalars,
  training_terms,
  tuning_page,
)
from jaxnas.spaces import hyperparameters
from jaxnas.strategies import fixed
from jaxnas.types import (
  Evaluation,
  Evaluator,
  Reward,
  SearchSpace,
  Status,
  Trained,
  Trainer,
)
from jaxnas.visualize import progress, web_page

_ARM = 'grid'
_MAX_POINTS = 100_000
_NUM_SHOWN = 10


@dataclasses.dataclass(frozen=True, eq=False)
class Tuning:
  """Everything that `run` needs to know about a tuning.

  Attributes:
    grid: the values of each tuned setting, by name.
    usual: the usual value of each tuned setting, by name; the point with these
      values is tried first if it is on the grid.
    num_trials: the number of points to train; the whole grid if it has fewer.
    seed: the seed of the order of points.
    settings: the settings that a resumption must share.
    free: the names of the settings that may change.
    make_training: the function that makes the training of a point, which is a
      mapping `{name: value}`.
    reward: the reward for the validation measure.
    write_settings: the function `(path, point, **facts)` that writes all
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


def run(
  tuning: Tuning,
  folder: str,
  wrap: Callable[[Trainer], Trainer] = lambda trainer: trainer,
) -> None:
  """Tunes, resumes or shows a tuning.

  Args:
    tuning: the tuning to run.
    folder: the run's folder, its `--workdir`.
    wrap: a function `trainer -> trainer`, whose result may train elsewhere.

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
      _check_covered(path, log.trials, len(points))
      described = _describe(tuning, space, training.terms, len(points))
      if len(log.trials) < len(points):
        workdir.write_manifest(path, **training.facts)
        summary.write(path, described)
      else:
        print(f'Found the finished tuning in {path}; nothing is left to train.')
      trainings = _Trainings(
        tuning,
        space,
        wrap(point_trainer.PointTrainer(tuning.make_training)),
        path,
        training.terms,
        (len(points), len(log.trials)),
      )
      # Nothing is learnt from a training, so no point waits for another; older
      # versions proposed one at a time.
      is_old = any(trial.version for trial in log.trials)
      batch_size = 1 if is_old else len(points)
      strategy = fixed.make_fixed(ordered)
      search = search_lib.Search(
        space,
        (search_lib.Arm(_ARM, strategy, len(points), batch_size),),
        trainings.evaluator,
        jax.random.key(tuning.seed),
        # One point that diverges says nothing about the others.
        max_failures=0,
      )
      take = scalars.OfSearch(log).take
      with sinks.Sinks(path, training.log_to, take) as outlets:
        search_lib.run(search, log, on_trials=lambda _: outlets.update())
      results = _results(tuning, training.terms, log.trials)
      summary.write(path, dataclasses.replace(described, results=results))
      run_page.draw(path)
      _show(tuning, training.terms, results, log.trials, path)


def _check_covered(
  path: pathlib.Path, trials: Sequence[trial_log.Trial], num_points: int
) -> None:
  """Checks that all points that have been trained are still to be trained."""
  # With workers, a later point may be finished before an earlier one.
  places = [
    number if trial.proposal is None else trial.proposal
    for number, trial in enumerate(trials)
  ]
  needed = max(places, default=-1) + 1
  if needed > num_points:
    shown = f'trained {len(trials)}'
    if needed > len(trials):
      shown = f'{shown}, one of them point {needed} of its order'
    raise ValueError(
      f'num_trials is {num_points}, but {path} has already {shown}; give '
      f'--num_trials={needed} or more, or another --workdir.'
    )


def _describe(tuning, space, terms, num_points) -> summary.Summary:
  """Returns the summary of a tuning, without results so far."""
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
      f'{_spell_result(terms, done[0].metrics)}.'
    )
    usual = [each for each in done if tuning_page.is_at(each, tuning.usual)]
    if usual and usual[0] is not done[0]:
      told = _spell_result(terms, usual[0].metrics)
      verdicts.append(f'The usual settings: {told}.')
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
    (each for each in tuning_page.in_order(trials) if each.status == 'ok'),
    key=lambda trial: trial.metrics[field],
    reverse=terms.measure.is_higher_better,
  )


def make_space(grid: Mapping[str, Sequence[Any]]) -> SearchSpace:
  """Makes the space of the points of a grid.

  Args:
    grid: the values of each setting, by name.

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
    seed: the seed of the order.
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
  """Evaluates the points of a grid, and prints each result.

  Attributes:
    evaluator: the evaluator.
  """

  def __init__(self, tuning, space, trainer, path, terms, counts):
    self._tuning, self._space, self._terms = tuning, space, terms
    self._trainer, self._path = trainer, path
    self._num_points, self._num_begun = counts
    has_queue = hasattr(trainer, 'queue')
    if has_queue:
      # Workers may have another working directory.
      self._path = path.absolute()
    self.evaluator = Evaluator(
      self._evaluate,
      1,
      tuning.reward.floor,
      _ARM,
      self._open_queue if has_queue else None,
    )

  def _open_queue(self) -> queues.OfTrainer:
    return queues.OfTrainer(self._trainer.queue, self._prepare, self._judge)

  def _evaluate(self, keys: jax.Array, tokens: np.ndarray) -> Evaluation:
    """Trains one point; see `types.Evaluator`."""
    block = self._prepare(tokens)
    trained = self._trainer.run(
      block.architectures, keys, block.learning_rates, block.num_steps
    )
    return self._judge(block.architectures, trained)

  def _prepare(self, tokens: np.ndarray) -> queues.Block:
    (row,) = tokens
    values = _values(self._space, row)
    self._num_begun += 1
    spelled = tuning_page.spell(values)
    print(f'\nTraining {self._num_begun} of {self._num_points}: {spelled}')
    point = point_trainer.Point(str(self._path), values)
    # The training has its own settings, so these values are placeholders.
    return queues.Block([point], [1.0], 1, None)

  def _judge(
    self, points: Sequence[point_trainer.Point], trained: Trained
  ) -> Evaluation:
    reward = self._tuning.reward
    rewards = np.array([reward.floor], np.float32)
    (status,), values = trained.status, points[0].values
    if status == Status.OK:
      rewards = np.asarray(
        reward.function([values], trained.metrics), np.float32
      )
      metrics = {name: each[0] for name, each in trained.metrics.items()}
      outcome = f'{_spell_result(self._terms, metrics)}.'
    else:
      (outcome,) = trained.reasons
    print(f'{tuning_page.spell(values)}: {outcome}')
    return Evaluation(
      rewards,
      trained.metrics,
      np.asarray(trained.status, np.int32),
      tuple(trained.reasons),
    )


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


def _spell_result(
  terms: training_terms.Terms, metrics: Mapping[str, Any]
) -> str:
  splits = ['validation'] + ['report'] * terms.has_report
  told = (
    f'{terms.spell(metrics[terms.field(split)])} on {split}' for split in splits
  )
  return f'{terms.measure.name} {" and ".join(told)}'
