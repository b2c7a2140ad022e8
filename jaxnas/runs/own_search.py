# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A whole run of your own search, like those of the experiments, in one call.

    own_search.run(
      'runs/mine', space, arms, trainer, reward, measure,
      learning_rates=lambda architecture: architecture['learning_rate'],
      num_steps=200, known={'usual': usual}, data=(inputs, targets),
    )

runs the search, retrains the best of each arm with fresh seeds alongside known
architectures, prints tables and comparisons, and writes `best.json`,
`curve.png` and the records of the run. Running the same program with the same
folder again resumes the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
import dataclasses
import hashlib
import os
from typing import Any, Literal

import jax
import numpy as np

from jaxnas import contestants as contestants_lib
from jaxnas import evaluators, statistics
from jaxnas import retraining as retraining_lib
from jaxnas import rungs as rungs_lib
from jaxnas import search as search_lib
from jaxnas.records import trial_log, workdir
from jaxnas.runs import own_checks, own_costs, search_report, search_run
from jaxnas.spaces import hyperparameters
from jaxnas.types import Cost, Reward, SearchSpace, Trainer

LearningRates = float | Sequence[float] | Callable[[Any], float]
"""A learning rate, a grid of them, or a function `architecture -> learning
rate` where the rate is part of the architecture."""


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
  limits: Mapping[str, float] | None = None,
  max_redraws: int = 16,
  cost_target: tuple[str, float] | None = None,
  cost_reward: str = 'absolute',
  cost_weight: float | None = None,
  same_task: bool = False,
  log_to: str | Sequence[str] = (),
  replay: str | os.PathLike[str] = '',
  halving: int = 0,
  rungs: Sequence[int] | Literal['auto'] = 'auto',
) -> None:
  """Runs, resumes or shows a search and the retraining that follows it.

  Args:
    folder: the run's folder, which is made if it is missing.
    space: the search space.
    arms: the strategies that propose architectures, one arm or several. If the
      role of an arm is `BASELINE`, the others are compared with it.
    trainer: the trainer of the space's architectures. It must measure the
      metric that `measure` names on the splits `'validation'` and `'report'`.
    reward: the worth of a training, from which strategies learn and by which
      winners are chosen.
    measure: the quantity by which tables compare architectures.
    learning_rates: the learning rates: a rate, a grid of them, or a function of
      an architecture. Each architecture is retrained at all rates of a grid,
      and the search trains at the first. `None` if the trainer does not use
      learning rates, as with a Python function.
    num_steps: the number of steps of each training in the search.
    retrain_steps: the number of steps of each retraining; twice `num_steps` by
      default.
    known: the architectures that people would use without a search, by name.
    data: all arrays that children see, as a pytree; a run can be resumed only
      with the same arrays.
    seed: the seed of everything random.
    num_winners: the number of the best architectures of each search that are
      retrained.
    num_selection_seeds: the number of retrainings of each winner at each
      learning rate. Their mean reward chooses one winner and its rate.
    num_seeds: the number of trainings, with fresh seeds, of each chosen
      architecture.
    num_params: a function that counts an architecture's parameters, for the
      table.
    redo_failed: whether failed trials and trainings are run again.
    max_failures: the number of first trials that stop the search if all of them
      fail for the same reason; 0 never stops it.
    costs: the functions that give an architecture's costs, by name; their
      values are among the metrics, so a reward can weigh them.
    limits: the most that an architecture may cost, by the names of costs. A
      proposal that exceeds a limit is drawn again, and is never trained.
    max_redraws: the largest number of redraws of one proposal, before it is
      recorded as `'infeasible'`.
    cost_target: the name of the cost that the reward weighs, and the target for
      it, such as `('num_params', 10_000)`.
    cost_reward: the formula by which the reward weighs the cost: `'absolute'`,
      `'power'` or `'hard'`; see `jaxnas.rewards.make_cost_reward`.
    cost_weight: the weight of the cost, negative; by default the paper's.
    same_task: whether to resume a run although the code of its trainer, reward
      or strategies has changed. Pass true only if you know that the change does
      not affect results.
    log_to: the programs for which scalars are written during the run, besides
      the records: any of `'tensorboard'`, `'wandb'` and `'csv'`, all in the
      run's folder. It may change when the run is resumed.
    replay: the path of the `trials.jsonl` of another run with these arguments.
      Trials are recorded in the order of that file, which repeats a search with
      replicas.
    halving: the factor of successive halving: of the children of a batch that
      are trained to a rung, one in this many goes on to the next; 0 trains all
      fully. With halving, an arm spends the steps of `num_trials` full
      trainings on more proposals. Trainers of Python functions do not support
      halving, since calls cannot be continued.
    rungs: the numbers of steps at which children are compared, the last of them
      `num_steps`; by default the first rung is found with the first trials of
      an arm whose role is `BASELINE`.

  Raises:
    ValueError: the folder holds another run, an argument is out of range, or a
      program of `log_to` is not installed.
    OSError: a file cannot be read or written.
  """
  own_checks.check_kinds(
    {
      **{'folder': folder, 'space': space, 'trainer': trainer, 'seed': seed},
      **{'reward': reward, 'measure': measure, 'known': known},
      **{'costs': costs, 'num_params': num_params, 'limits': limits},
      **{'cost_target': cost_target, 'max_redraws': max_redraws},
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
  plan = _plan(halving, rungs, num_steps)
  weighing = own_costs.Weighing(
    limits or {}, max_redraws, cost_target, cost_reward, cost_weight
  )
  arms, reward, most = weighing.apply(space, arms, reward, costs or {})
  grid = own_checks.grid_of(learning_rates)
  rate_of = learning_rates if callable(learning_rates) else None
  search = search_lib.Search(
    space,
    arms,
    evaluators.make_evaluator(
      *(space, trainer, reward, grid[0] if grid else rate_of, num_steps),
      costs=costs,
      limits=most,
    ),
    jax.random.key(seed),
    max_failures=max_failures,
  )
  contestants = _Contestants(search, rate_of, num_winners, known, num_params)
  # Errors in the arguments are found before the search, not after it.
  own_checks.check(
    *(space, trainer, reward, measure, rate_of or grid or None),
    *(list(contestants.known.values()), costs or {}, num_params),
  )
  retraining = _make_retraining(
    search, trainer, reward, measure, grid, counts, costs or {}, contestants
  )
  settings = {
    **counts,
    'learning_rates': list(grid) or None,
    'measure': measure.name,
    'seed': seed,
    'redo_failed': redo_failed,
    **_rung_settings(halving, rungs),
    **weighing.settings,
    **_search_settings(search, contestants.known),
  }
  search_run.run(
    search_run.Experiment(
      config=settings,
      search=search,
      make_retraining=retraining,
      num_retrainings=contestants.num_retrainings(counts, len(grid)),
      trainers=[trainer],
      same_task=same_task,
      free=_FREE,
      estimate=None,
      facts={'seed': seed, 'data_hash': hash_arrays(data)},
      measure=measure,
      search_metric=f'validation_{measure.name}',
      describe=search_report.describe_values,
      # A Python function usually decides by itself how long it trains.
      unit='steps' if num_steps > 1 else '',
      has_learning_rates=learning_rates is not None,
      own_reward=True,
      log_to=(log_to,) if isinstance(log_to, str) else tuple(log_to),
      replay=os.fspath(replay),
      plan=plan,
    ),
    os.fspath(folder),
  )


def _plan(
  halving: int, rungs: Sequence[int] | str, num_steps: int
) -> rungs_lib.Plan | None:
  """Returns the requested rungs, if any."""
  if not isinstance(rungs, str):
    try:
      rungs = tuple(rungs)
    except TypeError:
      rungs = ()
  if rungs != 'auto' and (isinstance(rungs, str) or not rungs or not halving):
    raise ValueError(
      "rungs must be 'auto' or numbers of steps such as (64, 128, 256), which "
      f'halving=4 compares children at; got {rungs!r} and halving={halving!r}.'
    )
  if not halving:
    return None
  given = None if rungs == 'auto' else rungs
  return rungs_lib.Plan(halving, num_steps, given)  # type: ignore[arg-type]


def _rung_settings(
  halving: int, rungs: Sequence[int] | str
) -> dict[str, int | str | list[int]]:
  """Returns the settings of halving; empty without it, as in older runs."""
  if not halving:
    return {}
  spelled = rungs if isinstance(rungs, str) else list(rungs)
  return {'halving': halving, 'rungs': spelled}


def _make_retraining(
  search, trainer, reward, measure, grid, counts, costs, contestants
) -> Callable[[trial_log.TrialLog], retraining_lib.Retraining]:
  """Makes the function that makes the retraining after the search."""
  without = retraining_lib.Retraining(
    contestants=(),
    trainers={_TRAINER: trainer},
    # Contestants with their own learning rates ignore these.
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
  return lambda log: dataclasses.replace(
    without, contestants=tuple(contestants.of(log.trials))
  )


def hash_arrays(arrays: Any) -> str:
  """Returns a SHA-256 hash of arrays, in hexadecimal; equal for equal arrays.

  Args:
    arrays: the arrays, as a pytree.
  """
  content = hashlib.sha256()
  for leaf in jax.tree.leaves(arrays):
    array = np.asarray(leaf)
    content.update(f'{array.dtype.str}{array.shape}'.encode())
    content.update(np.ascontiguousarray(array).tobytes())
  return content.hexdigest()


_TRAINER = 'own'
# The measure is free because no trial depends on it: the measure compares
# architectures, while rewards choose them.
_FREE = ('num_trials', 'num_winners', 'num_seeds', 'redo_failed', 'measure')


class _Contestants:
  """The architectures that are retrained.

  Attributes:
    known: the known architectures, by label.
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
          f'A known architecture has the name of an arm, {label!r}; give it '
          'another name.'
        )
    self.known = {
      label: _checked(search.space, label, architecture)
      for label, architecture in known.items()
    }

  def num_retrainings(self, counts: Mapping[str, int], num_rates: int) -> int:
    """Returns the largest number of retrainings.

    Args:
      counts: the numbers of seeds, by the names of arguments.
      num_rates: the number of learning rates of a grid; 0 without one.
    """
    num_found, num_known = len(self._searched), len(self.known)
    num_choices = num_known + num_found * self._num_winners
    num_choices *= max(1, num_rates) * counts['num_selection_seeds']
    return num_choices + (num_known + num_found) * counts['num_seeds']

  def of(
    self, trials: Sequence[trial_log.Trial]
  ) -> Iterator[contestants_lib.Contestant]:
    """Yields the known architectures and the best of each search."""
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
  """Returns an architecture, after checking that it is one of the space."""
  try:
    space.encode(architecture)
  except ValueError as error:
    raise ValueError(f'The known architecture {label!r}: {error}') from error
  if hasattr(architecture, 'to_json') or not isinstance(architecture, Mapping):
    return architecture
  return hyperparameters.Hyperparameters.from_json(architecture)


def _search_settings(search, known) -> dict[str, Any]:
  """Returns the parts of a search that must be the same when it is resumed."""
  return {
    'space': search.space.name,
    'decisions': [repr(decision) for decision in search.space.decisions],
    'arms': [
      [*arm.identity, arm.batch_size, *_window(arm)] for arm in search.arms
    ],
    'known': {
      label: workdir.plain_json(architecture.to_json())
      for label, architecture in known.items()
    },
  }


def _window(arm: search_lib.Arm) -> tuple[int, ...]:
  """Returns an arm's replicas and groups per update; empty if both are 1."""
  window = arm.replicas, arm.replicas_per_update
  return () if window == (1, 1) else window
