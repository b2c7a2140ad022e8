# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Limits and targets of costs in a search of your own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import math
from typing import Any

from jaxnas import arms as arms_lib
from jaxnas import rewards
from jaxnas.costs import extremes
from jaxnas.costs import limits as limits_lib
from jaxnas.strategies import redrawn
from jaxnas.types import Cost, Reward, SearchSpace


@dataclasses.dataclass(frozen=True)
class Weighing:
  """The limits, target and weight of costs; see `own_search.run`.

  Attributes:
    most: the limits, by the names of costs.
    max_redraws: the largest number of redraws of a proposal that exceeds a
      limit.
    target: the name of the cost that the reward weighs, and the target for it;
      `None` without one.
    kind: the formula by which the reward weighs the cost, one of
      `rewards.COST_WEIGHTS`.
    weight: the weight of the cost; that of the paper by default.
  """

  most: Mapping[str, float]
  max_redraws: int
  target: tuple[str, float] | None
  kind: str
  weight: float | None

  def __post_init__(self):
    for name, most in self.most.items():
      _check_number(f'The limit on {name!r}', most)
    if self.target is not None:
      _check_number(f'The target of {self.target[0]!r}', self.target[1])
    elif self.weight is not None or self.kind != 'absolute':
      raise ValueError(
        'cost_weight and cost_reward say how a cost is weighed against a '
        "target; give cost_target, such as ('num_params', 1000)."
      )

  @property
  def settings(self) -> dict[str, Any]:
    """The settings that a resumption must share; empty without costs."""
    found: dict[str, Any] = {}
    if self.most:
      found['limits'] = dict(self.most)
      found['max_redraws'] = self.max_redraws
    if self.target is not None:
      found['cost_target'] = [*self.target, self.kind, self.weight]
    return found

  def apply(
    self,
    space: SearchSpace,
    arms: Sequence[arms_lib.Arm],
    reward: Reward,
    costs: Mapping[str, Cost],
  ) -> tuple[tuple[arms_lib.Arm, ...], Reward, limits_lib.Limits | None]:
    """Returns the arms, the reward and the limits of a search with costs.

    Args:
      space: the search space.
      arms: the arms without costs.
      reward: the reward without costs.
      costs: the costs, by name.

    Raises:
      ValueError: there is no such cost, no architecture meets a limit or the
        target, or the reward cannot weigh the cost in this way.
    """
    names = [*self.most, *(self.target or ())[:1]]
    for name in names:
      if name not in costs:
        raise ValueError(
          f'There is a limit or a target on {name!r}, which is not a cost; the '
          f'costs are {", ".join(sorted(costs)) or "none"}.'
        )
    num_active = _num_active(arms)
    bounds = {
      name: extremes.find(space, costs[name], num_active=num_active)
      for name in dict.fromkeys(names)
    }
    for name, most in self.most.items():
      limits_lib.check_met(name, most, bounds[name])
    if self.target is not None:
      reward = self._weigh(reward, bounds[self.target[0]])
    if not self.most:
      return tuple(arms), reward, None
    limits = limits_lib.Limits(self.most, costs)
    is_allowed = limits.allows(space)
    return (
      tuple(self._redrawing(arm, is_allowed) for arm in arms),
      reward,
      limits,
    )

  def _weigh(self, reward: Reward, bounds: extremes.Extremes) -> Reward:
    assert self.target is not None
    name, target = self.target
    limits_lib.check_target(name, target, bounds)
    if self.kind == 'power':
      limits_lib.check_power(name, bounds, "cost_reward='power'")
    deviation = bounds.deviation(target)
    return rewards.make_cost_reward(
      reward, name, target, self.kind, self.weight, deviation
    )

  def _redrawing(
    self, arm: arms_lib.Arm, is_allowed: Callable[[Any], bool]
  ) -> arms_lib.Arm:
    # Known architectures are not drawn, so they cannot be drawn again.
    if arm.role is arms_lib.Role.KNOWN:
      return arm
    strategy = redrawn.make_redrawn(arm.strategy, is_allowed, self.max_redraws)
    return dataclasses.replace(arm, strategy=strategy)


def _num_active(arms: Sequence[arms_lib.Arm]) -> int | None:
  """Returns the fewest decisions that an arm begins with; `None` for all."""
  given = [arm.num_active(0) for arm in arms if arm.num_active is not None]
  return min(given, default=None)


def _check_number(what: str, value: Any) -> None:
  try:
    is_right = not isinstance(value, (str, bool)) and math.isfinite(value)
  except TypeError:
    is_right = False
  if not is_right or value <= 0:
    raise ValueError(f'{what} must be a positive number, got {value!r}.')
