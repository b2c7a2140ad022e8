# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The settings of successive halving."""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
from typing import Literal

from experiments import settings
from jaxnas import halving
from jaxnas import rungs as rungs_lib

AUTO = 'auto'


@dataclasses.dataclass(frozen=True)
class HalvingSettings(settings.Bounded):
  """How children are stopped early."""

  halving: int = settings.search(
    0,
    'Successive halving: of the children of a batch that are trained to a '
    'rung, one in this many goes on to the next; 0: all are trained fully.',
    is_common=True,
    low=0,
    high=settings.MAX_ITEMS,
  )
  rungs: tuple[str, ...] = settings.search(
    (AUTO,),
    'Rungs of --halving: the numbers of steps at which children are compared, '
    'such as 64,128,256, the last of which is the full training; auto: the '
    'first rung is measured with children that are trained fully.',
  )

  @property
  def has_halving(self) -> bool:
    """Whether children are stopped early."""
    return self.halving > 0

  @property
  def has_measured_rungs(self) -> bool:
    """Whether the first rung is measured."""
    return self.has_halving and self.rungs == (AUTO,)

  @property
  def given_rungs(self) -> tuple[int, ...] | Literal['auto']:
    """The rungs as `jaxnas.run` takes them; raises `ValueError` if none are."""
    if self.rungs == (AUTO,):
      return 'auto'
    if not self.rungs or not all(
      rung.strip().isdecimal() for rung in self.rungs
    ):
      raise ValueError(
        '--rungs must be auto or numbers of steps, such as 64,128,256, got '
        f'{",".join(self.rungs) or "none"}.'
      )
    return tuple(map(int, self.rungs))


def make_schedule(
  config: HalvingSettings, num_steps: int
) -> halving.Schedule | None:
  """Makes the schedule whose rungs are given.

  Args:
    config: the settings.
    num_steps: the number of steps of the full training.

  Returns:
    The schedule; `None` without halving, or if its first rung is measured.

  Raises:
    ValueError: rungs are given without halving, are not `auto` or numbers, or
      the schedule is not valid.
  """
  if not config.has_halving:
    if config.rungs != (AUTO,):
      raise ValueError(
        f'--rungs={",".join(config.rungs)} needs --halving, such as '
        '--halving=4.'
      )
    return None
  if config.has_measured_rungs:
    # Settings are checked before anything is measured.
    halving.Schedule((num_steps,), config.halving)
    return None
  rungs = config.given_rungs
  assert rungs != 'auto'
  schedule = halving.Schedule(rungs, config.halving)
  schedule.check_full(num_steps)
  return schedule


def make_plan(
  config: HalvingSettings, num_steps: int, costs: Sequence[str] = ()
) -> rungs_lib.Plan | None:
  """Makes the plan of a search that trains its children.

  Args:
    config: the settings.
    num_steps: the number of steps of the full training.
    costs: the metrics that are costs and decide beside the reward who goes on.

  Returns:
    The plan; `None` without halving.

  Raises:
    ValueError: as `make_schedule`, or a training has no step before its last.
  """
  schedule = make_schedule(config, num_steps)
  if not config.has_halving:
    return None
  return rungs_lib.Plan(
    config.halving,
    num_steps,
    None if schedule is None else schedule.rungs,
    tuple(costs),
  )
