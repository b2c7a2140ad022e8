# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A whole run of a search of one's own: what the experiments do, by one call.

    own_search.run(
      'runs/mine', space, arms, trainer, reward, measure,
      learning_rates=lambda architecture: architecture['learning_rate'],
      num_steps=200, known={'usual': usual}, data=(inputs, targets),
    )

searches, trains the best of each search anew with fresh seeds beside what was
known before, prints the tables and the comparisons, and writes `best.json`,
`curve.png` and the records of the run. The same program with the same folder
resumes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
import dataclasses
import hashlib
import os
from typing import Any

import jax
import numpy as np

from jaxnas import contestants as contestants_lib
from jaxnas import evaluators, statistics
from jaxnas import retraining as retraining_lib
from jaxnas import search as search_lib
from jaxnas.records import trial_log, workdir
from jaxnas.runs import own_checks, search_report, search_run
from jaxnas.spaces import hyperparameters
from jaxnas.types import Cost, Reward, SearchSpace, Trainer

LearningRates = float | Sequence[float] | Callable[[Any], float]
"""One, a grid, or `architecture -> learning rate` where that is part of it."""


def run(
  folder: str | os.PathLike[str],
  space: SearchSpace,
  arms: search_lib.Arm | Sequence[search_lib.Arm],
  trainer: Trainer,
  reward: Reward,
  measure: statistics.Measure,
  *,
  learning_rates: LearningRates | None = None,
  num_steps: int = 1,
  retrain_steps: int | None = None,
  known: Mapping[str, Any] | None = None,
  data: Any = (),
  seed: int = 0,
  num_winners: int = 3,
  num_selection_seeds: int = 2,
  num_seeds: int = 5,
  num_params: Callable[[Any], int] | None = None,
  redo_failed: bool = False,
  max_failures: int = 8,
  costs: Mapping[str, Cost] | None = None,
  same_task: bool = False,
  log_to: str | Sequence[str] = (),
) -> None:
  """Runs, resumes or shows a search and what is trained anew after it.

  Args:
    folder: the run's folder, which is made where it is missing.
    space: what is searched.
    arms: who proposes, one or several. An arm of the role `BASELINE` is what
      the others are compared with.
    trainer: trains architectures of the space, and measures what `measure`
      names on the splits `'validation'` and `'report'`.
    reward: what a training is worth. It is what strategies learn from, and what
      winners are chosen by.
    measure: what architectures are compared by in the tables.
    learning_rates: the grid at which each architecture is trained anew; the
      search trains at its first. None where they are no business of the
      trainer, as with a Python function.
    num_steps: how long a child of the search trains.
    retrain_steps: how long the others train; twice as long by default.
    known: architectures that people would have taken, by what they are called.
    data: all arrays that children see, a pytree: a run goes on with the same
      ones only.
    seed: everything random follows from it.
    num_winners: how many of the best of each search are trained anew.
    num_selection_seeds: how often, to choose one of them and its learning rate.
    num_seeds: how often the one that was chosen is trained with fresh seeds.
    num_params: `architecture -> parameters`, for the table.
    redo_failed: whether trials and trainings that failed are run again.
    max_failures: the number of first trials that, if they all fail for the same
      reason, stop the search; 0 never stops it.
    costs: of an architecture, by name; they stand among the metrics, for the
      reward to see.
    same_task: whether the trainer and the reward give the same results as when
      the run was started, though they have changed.
    log_to: the programs that scalars are written for as they come, besides the
      records: some of `'tensorboard'`, `'wandb'` and `'csv'`, each in the run's
      folder. It may change when the run is resumed.

  Raises:
    ValueError: the folder holds another run, an argument is out of range, or a
      program of `log_to` is not installed.
    OSError: a file cannot be read or written.
  """
  own_checks.check_kinds(
    {
      **{'folder': folder, 'space': space, 'trainer': trainer, 'seed': seed},
      **{'reward': reward, 'measure': measure, 'known': known},
      **{'costs': costs, 'num_params': num_params},
    }
  )
  arms = own_checks.as_arms(arms)
  counts = {
    'num_steps': num_steps,
    'retrain_steps': 2 * num_steps if retrain_steps is None else retrain_steps,
    'num_winners': num_winners,
    'num_selection_seeds': num_selection_seeds,
    'num_seeds': num_seeds,
  }
  own_checks.check_counts(counts)
  grid = own_checks.grid_of(learning_rates)
  rate_of = learning_rates if callable(learning_rates) else None
  search = search_lib.Search(
    space,
    arms,
    evaluators.make_evaluator(
      space,
      trainer,
      reward,
      grid[0] if grid else rate_of,
      num_steps,
      costs=costs,
    ),
    jax.random.key(seed),
    max_failures=max_failures,
  )
  contestants = _Contestants(search, rate_of, num_winners, known, num_params)

  # What is wrong with any of it is said before the search, not after.
  labels = contestants.known
  own_checks.check(
    *(space, trainer, reward, measure, rate_of or grid or None),
    *(list(labels.values()), costs or {}, num_params),
  )
  retraining = _make_retraining(
    search, trainer, reward, measure, grid, counts, costs or {}
  )
  num_choices = contestants.max_count * max(1, len(grid)) * num_selection_seeds
  settings = {
    **counts,
    'learning_rates': list(grid) or None,
    'measure': measure.name,
    'seed': seed,
    'redo_failed': redo_failed,
  }
  search_run.run(
    search_run.Experiment(
      config=settings | _search_settings(search, labels),
      search=search,
      make_retraining=lambda log: dataclasses.replace(
        retraining, contestants=tuple(contestants.of(log.trials))
      ),
      num_retrainings=num_choices + contestants.num_entries * num_seeds,
      trainers=[trainer],
      same_task=same_task,
      free=_FREE,
      estimate=None,
      facts={'seed': seed, 'data_hash': hash_arrays(data)},
      measure=measure,
      search_metric=f'validation_{measure.name}',
      describe=search_report.describe_values,
      # The usual Python function trains as long as it likes.
      unit='steps' if num_steps > 1 else '',
      has_learning_rates=learning_rates is not None,
      own_reward=True,
      log_to=(log_to,) if isinstance(log_to, str) else tuple(log_to),
    ),
    os.fspath(folder),
  )


def _make_retraining(
  search, trainer, reward, measure, grid, counts, costs
) -> retraining_lib.Retraining:
  """Makes the retraining that follows the search, still without contestants."""
  return retraining_lib.Retraining(
    contestants=(),
    trainers={_TRAINER: trainer},
    # Contestants with rates of their own do not look at it.
    learning_rates=grid or (1.0,),
    num_selection_seeds=counts['num_selection_seeds'],
    num_seeds=counts['num_seeds'],
    num_steps=counts['retrain_steps'],
    key=search.key,
    reward=reward,
    measure=measure,
    costs=costs,
    choose_by_reward=True,
  )


def hash_arrays(arrays: Any) -> str:
  """Returns a SHA-256 of arrays, in hexadecimal: equal for equal ones.

  Args:
    arrays: a pytree.
  """
  content = hashlib.sha256()
  for leaf in jax.tree.leaves(arrays):
    array = np.asarray(leaf)
    content.update(f'{array.dtype.str}{array.shape}'.encode())
    content.update(np.ascontiguousarray(array).tobytes())
  return content.hexdigest()


_TRAINER = 'own'
# No trial depends on the measure: rewards choose, and it only compares.
_FREE = ('num_trials', 'num_winners', 'num_seeds', 'redo_failed', 'measure')


class _Contestants:
  """Who is trained anew.

  Attributes:
    known: architectures that people would have taken, by their labels.
  """

  def __init__(self, search, rate_of, num_winners, known, num_params):
    self._search, self._rate_of = search, rate_of
    self._num_winners, self._num_params = num_winners, num_params
    self._searched = [
      arm for arm in search.arms if arm.role is not search_lib.Role.KNOWN
    ]
    taken = {arm.name for arm in search.arms}
    known = known or {}
    for label in known:
      if label in taken:
        raise ValueError(
          f'A known architecture is called {label!r}, as an arm is; give it '
          'another name.'
        )
    self.known = {
      label: _checked(search.space, label, architecture)
      for label, architecture in known.items()
    }

  @property
  def num_entries(self) -> int:
    """Of how many there is one row in the table: searches, and known ones."""
    return len(self.known) + len(self._searched)

  @property
  def max_count(self) -> int:
    """How many are trained anew, at most."""
    return len(self.known) + len(self._searched) * self._num_winners

  def of(
    self, trials: Sequence[trial_log.Trial]
  ) -> Iterator[contestants_lib.Contestant]:
    """Yields the known ones, and the best of each search."""
    for label, architecture in self.known.items():
      yield self._make(architecture, label=label, group=label)
    space = self._search.space
    for arm in self._searched:
      for trial in contestants_lib.top(
        trials, arm.name, self._num_winners, space.canonical, arm.repeat
      ):
        yield self._make(
          space.decode(np.array(trial.tokens, np.int32)),
          label=f'{arm.name} #{trial.number}',
          group=arm.name,
          repeat=arm.repeat,
          tokens=trial.tokens,
        )

  def _make(self, architecture, **fields) -> contestants_lib.Contestant:
    rate_of, count = self._rate_of, self._num_params
    return contestants_lib.Contestant(
      trainer=_TRAINER,
      architecture=architecture,
      num_params=None if count is None else count(architecture),
      learning_rates=None if rate_of is None else (rate_of(architecture),),
      **fields,
    )


def _checked(space: SearchSpace, label: str, architecture: Any) -> Any:
  """Returns an architecture of the space as it was given, not the nearest."""
  try:
    space.encode(architecture)
  except ValueError as error:
    raise ValueError(f'The known architecture {label!r}: {error}') from error
  if hasattr(architecture, 'to_json') or not isinstance(architecture, Mapping):
    return architecture
  return hyperparameters.Hyperparameters.from_json(architecture)


def _search_settings(search, known) -> dict[str, Any]:
  """Returns what of a search may not change when it is resumed."""
  return {
    'space': search.space.name,
    'decisions': [repr(decision) for decision in search.space.decisions],
    'arms': [[*arm.identity, arm.batch_size] for arm in search.arms],
    'known': {
      label: workdir.plain_json(architecture.to_json())
      for label, architecture in known.items()
    },
  }
