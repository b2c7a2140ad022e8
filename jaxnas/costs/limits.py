# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Limits on costs, which are checked before anything is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
import dataclasses
from typing import Any

from absl import logging
import numpy as np

from jaxnas import errors
from jaxnas.costs import extremes
from jaxnas.types import Cost, Evaluation, SearchSpace, Status


@dataclasses.dataclass(frozen=True)
class Limits:
  """Upper limits on the costs of an architecture.

  Attributes:
    most: the limits, by the names of costs.
    costs: the costs of an architecture by name, including those without a
      limit; they are the metrics of an infeasible trial.
  """

  most: Mapping[str, float]
  costs: Mapping[str, Cost]

  def __post_init__(self):
    for name, most in self.most.items():
      if name not in self.costs:
        raise ValueError(
          f'There is a limit on {name!r}, which is not a cost; the costs are '
          f'{", ".join(sorted(self.costs)) or "none"}.'
        )
      if not most > 0:
        raise ValueError(f'The limit on {name!r} must be positive, got {most}.')

  def exceeded(self, architecture: Any) -> str:
    """Returns which limits an architecture exceeds, in words; empty if none.

    Args:
      architecture: the architecture.
    """
    found = []
    for name, most in self.most.items():
      with errors.calling(f'The cost {name!r}'):
        value = self.costs[name](architecture)
      # A cost that is not a number is within no limit.
      if not value <= most:
        found.append(
          f'{name} is {spell(value)}, above the limit of {spell(most)}'
        )
    return '; '.join(found)

  def allows(self, space: SearchSpace) -> Callable[[np.ndarray], bool]:
    """Returns the function that tells whether tokens are within the limits.

    Args:
      space: the search space, which decodes tokens.
    """

    def is_allowed(tokens: np.ndarray) -> bool:
      return not self.exceeded(space.decode(tokens))

    return is_allowed

  def screen(
    self, space: SearchSpace, floor: float
  ) -> Callable[[np.ndarray], Evaluation | None]:
    """Returns the `screen` of an evaluator.

    Args:
      space: the search space, which decodes tokens.
      floor: the reward of what exceeds a limit.
    """

    def screen(tokens: np.ndarray) -> Evaluation | None:
      architecture = space.decode(tokens)
      reason = self.exceeded(architecture)
      if not reason:
        return None
      return Evaluation(
        rewards=np.array([floor], np.float32),
        metrics={
          name: np.array([cost(architecture)])
          for name, cost in self.costs.items()
        },
        status=np.array([Status.INFEASIBLE], np.int32),
        reasons=(reason,),
      )

    return screen


def spell(cost: float) -> str:
  """Returns a cost in words: a count with all its digits.

  Args:
    cost: the cost.
  """
  return f'{cost:,.0f}' if float(cost).is_integer() else f'{cost:,.6g}'


def check_met(
  name: str, most: float, least: extremes.Extremes, spelled: str = ''
) -> None:
  """Checks before a search that an architecture meets a limit.

  If the bound does not hold for all architectures, a warning replaces the
  error.

  Args:
    name: the name of the cost.
    most: the limit.
    least: the bounds of the cost in the space.
    spelled: the user's setting as text, such as `'--max_params=10'`.

  Raises:
    ValueError: even the cheapest architecture exceeds the limit.
  """
  if least.low <= most:
    return
  spelled = spelled or f'{name} <= {spell(most)}'
  found = f'the least {name} is {spell(least.low)}, {least.low_how}.'
  _refuse(
    least.low_how,
    f'No architecture of the space meets {spelled}: {found}',
  )


def check_target(
  name: str, target: float, bounds: extremes.Extremes, spelled: str = ''
) -> None:
  """Checks before a search that a target lies between the costs of a space.

  Args:
    name: the name of the cost.
    target: the target.
    bounds: the bounds of the cost in the space.
    spelled: the user's setting as text, such as `'--cost_target=10'`.

  Raises:
    ValueError: all architectures cost more, or less, or the same.
  """
  spelled = spelled or f'the target {name} = {spell(target)}'
  if bounds.low == bounds.high:
    raise ValueError(
      f'All architectures of the space have {name} {spell(bounds.low)}, so '
      f'{spelled} has nothing to choose from; take another cost.'
    )
  for is_missed, word, value, how in (
    (bounds.low > target, 'least', bounds.low, bounds.low_how),
    (bounds.high < target, 'greatest', bounds.high, bounds.high_how),
  ):
    if is_missed:
      _refuse(
        how,
        f'No architecture of the space meets {spelled}: the {word} {name} is '
        f'{spell(value)}, {how}.',
      )


def check_power(name: str, bounds: extremes.Extremes, spelled: str) -> None:
  """Checks before a search that a reward can divide by a cost.

  Args:
    name: the name of the cost.
    bounds: the bounds of the cost in the space.
    spelled: the user's setting as text, such as `'--cost_reward=power'`.

  Raises:
    ValueError: an architecture costs nothing.
  """
  if bounds.low <= 0:
    raise ValueError(
      f'{spelled} divides by {name}, and an architecture of the space has '
      f'{bounds.low:g}; take absolute or hard.'
    )


def _refuse(how: str, message: str) -> None:
  """Raises an error if a bound is exact; else only warns."""
  if extremes.is_exact(how):
    raise ValueError(message)
  logging.warning('%s There may be others.', message)
