# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The rungs of a run: given by hand, or found with its first trials.

The rungs are in the manifest before the first trial that uses them, and a
resumed run reads them there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import dataclasses
import pathlib
from typing import Any

import numpy as np

from jaxnas import halving, pure_search, rungs
from jaxnas import search as search_lib
from jaxnas.records import trial_log, workdir
from jaxnas.runs.experiment import Experiment

MANIFEST = 'rungs'
"""The name of the manifest's entry for the rungs; see `facts`."""


def check(plan: rungs.Plan, search: search_lib.Search) -> None:
  """Checks, before anything is trained, that a search can have rungs.

  Args:
    plan: the requested rungs.
    search: the search, whose budgets are those of full trainings.

  Raises:
    ValueError: the search cannot have these rungs.
  """
  calibrating = plan.calibrating(search.arms)
  plan.halving(None, calibrating).check(search.evaluator, search.arms)


def strategies(experiment: Experiment) -> dict[str, Any]:
  """Returns what proposes trials; the same before and after rungs are found.

  Args:
    experiment: the experiment, with or without its rungs.
  """
  rules = {} if experiment.plan is None else rungs.RULES
  return {**experiment.search.strategies, **rules}


def facts(
  schedule: halving.Schedule, calibration: halving.Calibration | None = None
) -> dict[str, Any]:
  """Returns the entries of the manifest that describe the rungs.

  Args:
    schedule: the rungs.
    calibration: the calibration that found the rungs; `None` if they are given.
  """
  found: dict[str, Any] = {MANIFEST: list(schedule.rungs)}
  if calibration is not None:
    found['rung_correlations'] = list(calibration.correlations)
    found['rung_children'] = calibration.num_children
  return found


def with_rungs(experiment: Experiment, folder: pathlib.Path) -> Experiment:
  """Returns an experiment with its rungs, or unchanged if they are not found.

  Args:
    experiment: the experiment, whose budgets are those of full trainings.
    folder: the run's folder.

  Raises:
    ValueError: the manifest is damaged.
  """
  plan, search = experiment.plan, experiment.search
  if plan is None:
    return experiment
  halved = _find(plan, search, folder)
  if halved is None:
    return experiment
  print(rungs.spell(halved.schedule))
  return _with(experiment, halved)


def calibrate(
  experiment: Experiment,
  folder: pathlib.Path,
  log: trial_log.TrialLog,
  search_on: Callable[[Experiment], None],
) -> Experiment:
  """Finds the rungs with the first trials; returns the experiment with them.

  Args:
    experiment: the experiment, whose budgets are those of full trainings.
    folder: the run's folder, whose manifest gets the rungs.
    log: the run's trial log.
    search_on: the function that runs the remaining trials of an experiment.

  Raises:
    ValueError: there are too few distinct children.
  """
  plan, search = experiment.plan, experiment.search
  assert plan is not None
  calibrating = plan.calibrating(search.arms)
  assert calibrating is not None
  _check_enough(search, calibrating)
  print(
    f'Finding the first rung with {calibrating.num_trials} random children, '
    'trained fully:'
  )
  part = first_part(search, plan.halving(None, calibrating))
  search_on(dataclasses.replace(experiment, search=part))
  curves = rungs.calibration_curves(log.trials, calibrating)
  calibration = halving.calibrate(curves)
  schedule = calibration.schedule(plan.points, plan.eta)
  manifest = workdir.read_manifest(folder)
  found = facts(schedule, calibration)
  workdir.write_json(
    folder / 'manifest.json', {**manifest, **found}, sealed=True
  )
  print(rungs.spell(schedule, calibration))
  return _with(experiment, plan.halving(schedule, calibrating))


def _check_enough(
  search: search_lib.Search, calibrating: rungs.Calibrating
) -> None:
  """Checks, before any training, that there are enough children to calibrate.

  The children are known in advance: an arm that learns nothing, such as random
  search, proposes them.
  """
  (arm,) = (each for each in search.arms if each.identity == calibrating.arm)
  key, space = search_lib.arm_key(search, arm), search.space
  state = arm.strategy.init(pure_search.init_key(key))
  screen = search.evaluator.screen
  rewards = np.full(arm.batch_size, search.evaluator.floor_reward, np.float32)
  found = set()
  for start in range(0, calibrating.num_trials, arm.batch_size):
    group_key = pure_search.round_key(key, start // arm.batch_size)
    proposals = arm.ask(state, group_key, start, space.num_tokens)
    for tokens in np.asarray(proposals.tokens, np.int32):
      if screen is None or screen(tokens) is None:
        found.add(np.asarray(space.canonical(tokens)).tobytes())
    state, _ = arm.strategy.tell(state, proposals, rewards)
  if len(found) < halving.MIN_CALIBRATION:
    raise ValueError(
      f'rungs=auto finds the first rung with {calibrating.num_trials} trials '
      f'of random search, but only {len(found)} of these are distinct '
      f'children within the limits; it needs {halving.MIN_CALIBRATION}. Give '
      f'rungs, as {rungs.by_hand()}.'
    )


def first_part(
  search: search_lib.Search, halved: rungs.Halving
) -> search_lib.Search:
  """Returns the part of a search that its rungs are found with.

  Args:
    search: the search, whose budgets are those of full trainings.
    halved: the description of the trials that find the rungs.
  """
  calibrating = halved.calibrating
  assert calibrating is not None
  num_trials = {calibrating.arm: calibrating.num_trials}
  return dataclasses.replace(
    search,
    rungs=halved,
    arms=tuple(
      dataclasses.replace(arm, num_trials=num_trials.get(arm.identity, 0))
      for arm in search.arms
    ),
  )


def num_left(experiment: Experiment, trials: Sequence[trial_log.Trial]) -> int:
  """Returns the remaining steps as a number of full trainings, rounded up.

  Args:
    experiment: the experiment, whose budgets are those of full trainings.
    trials: the trials in the log.
  """
  assert experiment.plan is not None
  length = experiment.plan.num_steps
  spent = sum(
    trial.steps or 0 for trial in trials if trial.duplicate_of is None
  )
  return max(0, -(-(experiment.search.num_trials * length - spent) // length))


def _find(
  plan: rungs.Plan, search: search_lib.Search, folder: pathlib.Path
) -> rungs.Halving | None:
  """Returns the rungs of a run; `None` if they have yet to be found."""
  calibrating = plan.calibrating(search.arms)
  if plan.rungs is not None:
    return plan.halving()
  path = folder / 'manifest.json'
  found = workdir.read_manifest(folder).get(MANIFEST) if path.exists() else None
  if found is None:
    return None
  if not isinstance(found, list):
    raise ValueError(
      f'{path} is damaged: its rungs are {found!r}; restore it from a copy.'
    )
  schedule = halving.Schedule(tuple(found), plan.eta)
  return plan.halving(schedule, calibrating)


def _with(experiment: Experiment, halved: rungs.Halving) -> Experiment:
  """Returns an experiment with rungs, on the same budgets of steps."""
  search = experiment.search
  given = {}
  if halved.calibrating is None:
    given = facts(halved.schedule)
  return dataclasses.replace(
    experiment,
    facts={**experiment.facts, **given},
    search=dataclasses.replace(
      search,
      rungs=halved,
      arms=tuple(
        dataclasses.replace(arm, num_trials=halved.num_trials(arm))
        for arm in search.arms
      ),
    ),
  )
