# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""How the children of a search share steps: the rungs, and who finds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any, NamedTuple

import numpy as np

from jaxnas import arms as arms_lib
from jaxnas import errors, halving, rung_scale
from jaxnas.records import trial_log
from jaxnas.types import Evaluator


class Calibrating(NamedTuple):
  """The children that find the first rung; see `halving.calibrate`.

  Attributes:
    arm: the identity of the arm whose first proposals they are.
    num_trials: the number of these children, which fill whole batches.
    points: the numbers of steps at which they are measured; none of them stops.
  """

  arm: tuple[str, int]
  num_trials: int
  points: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Halving:
  """How the children of a search share steps.

  Attributes:
    schedule: the rungs. Each batch of each arm is halved by itself, but for
      those of arms that do not take part; see `arms.Arm.is_halved`.
    calibrating: the children that the rungs were found with, if any.
    costs: the metrics that are costs and decide beside the reward who goes on;
      see `halving.going_on`.
  """

  schedule: halving.Schedule
  calibrating: Calibrating | None = None
  costs: tuple[str, ...] = ()

  def is_calibrating(self, arm: arms_lib.Arm, group: int) -> bool:
    """Returns whether a batch of an arm is for the calibration."""
    return (
      self.calibrating is not None
      and self.calibrating.arm == arm.identity
      and group * arm.batch_size < self.calibrating.num_trials
    )

  def num_calibrating(self, arm: arms_lib.Arm) -> int:
    """Returns how many of an arm's first batches are for the calibration."""
    return sum(
      self.is_calibrating(arm, group) for group in range(arm.num_groups)
    )

  def num_trials(self, arm: arms_lib.Arm) -> int:
    """Returns how many proposals an arm makes at the steps of its budget.

    The budget is that of `arm.num_trials` full trainings, and a batch counts as
    if no child failed and none was a duplicate.

    Args:
      arm: the arm.
    """
    if not arm.is_halved:
      return arm.num_trials
    length, size = self.schedule.rungs[-1], arm.batch_size
    early = self.num_calibrating(arm)
    left = (arm.num_groups - early) * size * length
    return (early + self.schedule.num_batches(left, size)) * size

  def check(self, evaluator: Evaluator, arms: Sequence[arms_lib.Arm]) -> None:
    """Checks that a search can have these rungs.

    Args:
      evaluator: the search's evaluator.
      arms: the search's arms.

    Raises:
      ValueError: children cannot be trained on, the last rung is not their full
        training, or an arm has several batches in flight.
    """
    if evaluator.stages is None:
      raise ValueError(CANNOT_PAUSE)
    self.schedule.check_full(evaluator.stages.num_steps)
    for arm in arms:
      if arm.replicas > 1:
        raise ValueError(
          'A search with rungs compares the children of one batch, so replicas '
          f'must be 1; arm {arm.name!r} has {arm.replicas}.'
        )

  def check_log(self, trials: Sequence[trial_log.Trial]) -> None:
    """Checks that trials were stopped at these rungs.

    Args:
      trials: the trials in the log.

    Raises:
      ValueError: one of them was not.
    """
    rungs = self.schedule.rungs
    for trial in trials:
      if trial.steps is None or (
        trial.rung is not None and trial.steps not in rungs
      ):
        shown = 'was trained without rungs'
        if trial.steps is not None:
          shown = f'was stopped after {trial.steps} steps'
        raise ValueError(
          f'Trial {trial.number} of the log {shown}, which is none of the '
          f'rungs {", ".join(map(str, rungs))} of this search; resume it with '
          'those that it was started with.'
        )


def check_has_none(trials: Sequence[trial_log.Trial]) -> None:
  """Checks that trials are not of a search with rungs.

  Args:
    trials: the trials in the log.

  Raises:
    ValueError: one of them is.
  """
  if any(trial.steps is not None for trial in trials):
    raise ValueError(
      'The log is of a search with rungs; resume it with the rungs it was '
      'started with.'
    )


RULES: Mapping[str, Any] = {
  'rules of rungs': (halving.going_on, rung_scale.told_rewards)
}
"""What decides at rungs, beside the strategies; see `search.strategies`."""


CANNOT_PAUSE = (
  'Halving needs children that can be trained part of the way and then on, '
  'but a function trains to its end; leave halving out.'
)


def curves_in(
  trials: Sequence[trial_log.Trial | None],
  schedule: halving.Schedule,
  reevaluates: bool,
) -> np.ndarray:
  """Returns the rewards at all rungs of the children of a batch.

  Args:
    trials: the trials of the batch; `None` for those that are not known.
    schedule: the rungs.
    reevaluates: whether a duplicate has a child of its own.

  Returns:
    The rewards, `float32[N, K]`; NaN where they are not known, where a child
    was not trained to the rung or had failed, and for a duplicate without one.
  """
  curves = np.full((len(trials), schedule.num_rungs), np.nan, np.float32)
  for row, trial in enumerate(trials):
    if trial is None or (trial.duplicate_of is not None and not reevaluates):
      continue
    at = dict(trial.curve)
    curves[row] = [at.get(rung, np.nan) for rung in schedule.rungs]
  return curves


def costs_in(
  trials: Sequence[trial_log.Trial | None], names: Sequence[str]
) -> np.ndarray:
  """Returns the costs of the children of a batch.

  Args:
    trials: the trials of the batch; `None` for those that are not known.
    names: the names of the costs.

  Returns:
    The costs, `float32[N, C]`; NaN where they are not known.
  """
  costs = [
    [
      np.nan if trial is None else trial.metrics.get(name, np.nan)
      for name in names
    ]
    for trial in trials
  ]
  return np.array(costs, np.float32).reshape(len(trials), len(names))


def calibration_curves(
  trials: Sequence[trial_log.Trial], calibrating: Calibrating
) -> np.ndarray:
  """Returns the curves of the children that calibrate, for `calibrate`.

  Args:
    trials: all trials of the log.
    calibrating: the children.

  Returns:
    The rewards at all points of each distinct child, `float64[N, P]`; NaN from
    the point on before which it failed.
  """
  mine = sorted(
    (
      trial
      for trial in trials
      if (trial.arm, trial.repeat) == calibrating.arm
      and trial.duplicate_of is None
      # What must not be trained calibrates nothing.
      and trial.steps
      and trial.proposal is not None
      and trial.proposal < calibrating.num_trials
    ),
    key=lambda trial: trial.proposal or 0,
  )
  curves = [
    [dict(trial.curve).get(point, np.nan) for point in calibrating.points]
    for trial in mine
  ]
  return np.array(curves, np.float64).reshape(-1, len(calibrating.points))


NUM_CALIBRATING = 32
"""The number of random children that find the first rung."""


@dataclasses.dataclass(frozen=True)
class Plan:
  """What a run is asked for: rungs by hand, or by calibration.

  Attributes:
    eta: the ratio of children at a rung to those of them that go on.
    num_steps: the number of steps of a full training.
    rungs: the rungs; `None` to find the first of them by a calibration.
    costs: the metrics that are costs and decide who goes on; see `Halving`.
  """

  eta: int
  num_steps: int
  rungs: tuple[int, ...] | None = None
  costs: tuple[str, ...] = ()

  def __post_init__(self):
    schedule = self.schedule
    schedule.check_full(self.num_steps)
    if schedule.num_rungs < 2:
      raise ValueError(
        f'Halving needs a rung before the end of a training; one of '
        f'{self.num_steps} steps has none.'
      )

  @property
  def schedule(self) -> halving.Schedule:
    """The rungs, or where the children that find them are measured."""
    return halving.Schedule(
      self.points if self.rungs is None else self.rungs, self.eta
    )

  def halving(
    self,
    schedule: halving.Schedule | None = None,
    calibrating: Calibrating | None = None,
  ) -> Halving:
    """Returns how the children of a search share steps.

    Args:
      schedule: the rungs; those of the plan by default.
      calibrating: the children that they were found with, if any.
    """
    return Halving(schedule or self.schedule, calibrating, self.costs)

  @property
  def points(self) -> tuple[int, ...]:
    """The numbers of steps at which a first rung may lie: eighths and so on."""
    parts = {max(1, round(self.num_steps / 2**power)) for power in range(4)}
    return tuple(sorted(parts))

  def calibrating(self, arms: Sequence[arms_lib.Arm]) -> Calibrating | None:
    """Returns the children that find the rungs, if they are to be found.

    Args:
      arms: the arms of the search, with their budgets.

    Raises:
      ValueError: no arm proposes at random, or too few architectures.
    """
    if self.rungs is not None:
      return None
    drawn = [
      arm
      for arm in arms
      if arm.role is arms_lib.Role.BASELINE and arm.is_halved
    ]
    remedy = f'or give rungs, as {by_hand()}'
    if not drawn:
      raise ValueError(
        'rungs=auto finds the first rung with the first trials of random '
        f'search; let random search ride along, {remedy}.'
      )
    arm = drawn[0]
    num_trials = -(-NUM_CALIBRATING // arm.batch_size) * arm.batch_size
    if arm.num_trials < num_trials:
      raise ValueError(
        f'rungs=auto finds the first rung with {num_trials} trials of random '
        f'search, which has only {arm.num_trials}; take more trials, {remedy}.'
      )
    return Calibrating(arm.identity, num_trials, self.points)


def by_hand() -> str:
  """Returns how a user gives rungs."""
  return errors.choose('--rungs=64,128,256', 'rungs=(64, 128, 256)')


def spell(
  schedule: halving.Schedule, calibration: halving.Calibration | None = None
) -> str:
  """Returns the rungs in a sentence.

  Args:
    schedule: the rungs.
    calibration: the calibration that found them, if one did.
  """
  *early, full = schedule.rungs
  line = (
    f'Rungs: {", ".join(map(str, early))} and {full} steps; one child in '
    f'{schedule.eta} goes on.'
    if early
    else f'No rungs: all children train {full} steps.'
  )
  if calibration is None:
    return line
  told = ', '.join(f'{each:.2f}' for each in calibration.correlations)
  return (
    f'{line} Rank correlation with the end, within the best half of '
    f'{calibration.num_children} random children: {told} from the first point '
    f'on; {halving.MIN_CORRELATION:g} makes a rung.'
  )
