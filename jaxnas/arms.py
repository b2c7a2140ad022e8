# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The arms of a search: strategies that share nothing but the run."""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import enum

from jaxnas.types import Strategy


@dataclasses.dataclass(frozen=True)
class DepthSchedule:
  """How many layers are searched, growing with the trials that are done.

  Section 3.3 of "Neural Architecture Search with Reinforcement Learning", Zoph
  and Le, 2017 (https://arxiv.org/abs/1611.01578), where the depth starts at 6
  and grows by 2 every 1,600 trials.

  Attributes:
    first_depth: layers at the beginning.
    growth: how many layers are added at a time.
    every: how many trials lie between; 0 keeps the first depth.
    max_depth: the layers that the space has; no more are added.
    decisions_per_layer: how many decisions a layer takes.
  """

  first_depth: int
  growth: int
  every: int
  max_depth: int
  decisions_per_layer: int

  def __post_init__(self):
    if not 1 <= self.first_depth <= self.max_depth:
      raise ValueError(
        f'The depth must start from 1 to {self.max_depth}, the layers of the '
        f'space; got {self.first_depth}.'
      )
    if min(self.growth, self.every) < 0:
      raise ValueError(
        'The depth can only grow, and after a positive number of trials; got '
        f'growth {self.growth} every {self.every}.'
      )

  def depth(self, num_trials: int) -> int:
    """Returns the number of layers once so many trials are done."""
    grown = num_trials // self.every if self.every else 0
    return min(self.max_depth, self.first_depth + grown * self.growth)

  def __call__(self, num_trials: int) -> int:
    """Returns the number of active decisions once so many trials are done."""
    return self.depth(num_trials) * self.decisions_per_layer


class Role(enum.Enum):
  """What an arm is for.

  Attributes:
    SEARCHED: its strategy is what the run is about.
    BASELINE: what the others are compared with, as random search is.
    KNOWN: architectures that were known before the search.
  """

  SEARCHED = 'searched'
  BASELINE = 'baseline'
  KNOWN = 'known'


@dataclasses.dataclass(frozen=True)
class Arm:
  """One strategy with its own state, budget and cache.

  Attributes:
    name: what the log calls it, as `'reinforce'`.
    strategy: who proposes.
    num_trials: the budget, counted in proposals; a multiple of `batch_size`.
    batch_size: how many architectures are proposed before the strategy learns.
    repeat: tells repeats of one arm apart.
    num_active: how many decisions are made, by how many of the arm's trials are
      done; the log tells it of each trial. All of them by default.
    role: what the arm is for.
    label: what people call it, as `'REINFORCE'`; the name by default.
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
    """What the log calls the arm."""
    return self.name, self.repeat

  def settings(self, num_trials: int) -> dict[str, int]:
    """Returns what the log tells of a trial, once so many were done before."""
    if self.num_active is None:
      return {}
    return {'num_active': self.num_active(num_trials)}
