# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The arms of a search: strategies that share a run and nothing else."""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import enum

from jaxnas.types import Strategy


@dataclasses.dataclass(frozen=True)
class DepthSchedule:
  """The number of layers to search, which grows with the trials completed.

  Section 3.3 of "Neural Architecture Search with Reinforcement Learning", Zoph
  and Le, 2017 (https://arxiv.org/abs/1611.01578), where the depth starts at 6
  and grows by 2 every 1,600 trials.

  Attributes:
    first_depth: the number of layers at the beginning.
    growth: the number of layers added at a time.
    every: the number of trials between additions; 0 keeps the first depth.
    max_depth: the number of layers of the space, where growth stops.
    decisions_per_layer: the number of decisions per layer.
  """

  first_depth: int
  growth: int
  every: int
  max_depth: int
  decisions_per_layer: int

  def __post_init__(self):
    if not 1 <= self.first_depth <= self.max_depth:
      raise ValueError(
        f'The first depth must be from 1 to {self.max_depth}, the layers of '
        f'the space; got {self.first_depth}.'
      )
    if min(self.growth, self.every) < 0:
      raise ValueError(
        'The depth can only grow: its growth and the number of trials between '
        f'additions must not be negative; got {self.growth} every {self.every}.'
      )

  def depth(self, num_trials: int) -> int:
    """Returns the number of layers after `num_trials` trials."""
    grown = num_trials // self.every if self.every else 0
    return min(self.max_depth, self.first_depth + grown * self.growth)

  def __call__(self, num_trials: int) -> int:
    """Returns the number of active decisions after `num_trials` trials."""
    return self.depth(num_trials) * self.decisions_per_layer


class Role(enum.Enum):
  """The purpose of an arm.

  Attributes:
    SEARCHED: the run is about this arm's strategy.
    BASELINE: the others are compared with this arm, such as random search.
    KNOWN: the arm proposes architectures that were known before the search.
  """

  SEARCHED = 'searched'
  BASELINE = 'baseline'
  KNOWN = 'known'


@dataclasses.dataclass(frozen=True)
class Arm:
  """One strategy with its own state, budget and cache.

  Attributes:
    name: the arm's name in the log, such as `'reinforce'`.
    strategy: the strategy that proposes.
    num_trials: the budget, counted in proposals; a multiple of `batch_size`.
    batch_size: the number of architectures proposed before the strategy learns.
    repeat: a number that tells repeats of one arm apart.
    num_active: the number of decisions to make, as a function of the number of
      the arm's trials completed; logged with each trial. All by default.
    role: the purpose of the arm.
    label: the arm's name in tables, such as `'REINFORCE'`; `name` by default.
  """

  name: str
  strategy: Strategy
  num_trials: int
  batch_size: int
  repeat: int = 0
  num_active: Callable[[int], int] | None = None
  role: Role = Role.SEARCHED
  label: str = ''

  def __post_init__(self):
    if not self.label:
      object.__setattr__(self, 'label', self.name)
    for name in ('num_trials', 'batch_size'):
      value = getattr(self, name)
      if not hasattr(value, '__index__'):
        raise ValueError(
          f'{name} of arm {self.name!r} must be a whole number, got {value!r}.'
        )
    if self.batch_size < 1:
      raise ValueError(
        f'Arm {self.name!r} needs batch_size >= 1, got {self.batch_size}.'
      )
    if self.num_trials < 0 or self.num_trials % self.batch_size:
      raise ValueError(
        f'num_trials of arm {self.name!r} must be a multiple of its batch_size '
        f'({self.batch_size}), got {self.num_trials}.'
      )

  @property
  def identity(self) -> tuple[str, int]:
    """The name and repeat by which the log identifies the arm."""
    return self.name, self.repeat

  def settings(self, num_trials: int) -> dict[str, int]:
    """Returns the settings to log with a trial after `num_trials` others."""
    if self.num_active is None:
      return {}
    return {'num_active': self.num_active(num_trials)}
