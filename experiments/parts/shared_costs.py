# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""What a search with shared weights costs, so that others cost the same.

Everything is counted in steps of a child that is trained alone.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import math
import types
from typing import Any

from experiments import settings

NUM_JUDGED: Mapping[str, int] = types.MappingProxyType(
  {'reinforce': 64, 'gumbel': 8, 'straight_through': 8, 'darts': 1}
)
"""The default number of children, or draws, that a policy learns from.

A draw of a relaxation costs a pass forward and back, and DARTS's are equal."""

# Of a pass without gradients, relative to one with them: the reverse pass has
# about twice the multiply-adds of the forward pass.
_FORWARD = 1 / 3


@dataclasses.dataclass(frozen=True)
class Costs:
  """What the parts of a search with shared weights cost.

  Everything is counted in steps of an architecture that is trained alone.

  Attributes:
    config: the settings, complete but for `shared_steps` and `num_trials`.
    num_ranked_on: the number of minibatches that architectures are ranked on.
  """

  config: Any
  num_ranked_on: int

  @property
  def num_judged(self) -> int:
    """The number of architectures that the policy learns from in a step."""
    config = self.config
    return config.judged_cells or NUM_JUDGED[config.shared_estimator]

  @property
  def learning(self) -> float:
    """The cost of what the policy learns from in a step."""
    if self.config.is_relaxed:
      return float(self.num_judged)
    return self.num_judged * _FORWARD

  @property
  def ranking(self) -> float:
    """The cost of the ranking."""
    return self.config.num_drawn * self.num_ranked_on * _FORWARD

  def num_frozen(self, num_steps: int) -> int:
    """Returns the number of steps in which the policy is frozen."""
    return math.floor(num_steps * self.config.frozen_share)

  def steps(self, num_steps: int) -> float:
    """Returns the cost of steps of weights and policy."""
    num_learning = num_steps - self.num_frozen(num_steps)
    return num_steps * self.config.shared_cells + num_learning * self.learning

  def num_uniform_steps(self, num_steps: int) -> int:
    """Returns as many steps without a learning policy as cost the same."""
    return math.floor(self.steps(num_steps) / self.config.shared_cells)

  def total(self, num_steps: int) -> float:
    """Returns the cost of a search, its own trainings included."""
    alone = self.config.num_ranked * self.config.num_steps
    return self.steps(num_steps) + self.ranking + alone


def complete(config: Any, num_minibatches: int) -> Any:
  """Returns settings whose searches, with shared weights or not, cost the same.

  Args:
    config: the settings, whose `num_steps` is that of a training.
    num_minibatches: the number of minibatches of the validation data.

  Raises:
    ValueError: the trials of a search cost less than its shared weights, or
      there would be too many.
  """
  if not config.has_sharing:
    return config
  costs = of(config, num_minibatches)
  if config.shared_steps:
    batch = config.trials_per_update
    needed = costs.total(config.shared_steps) / config.num_steps
    num_trials = batch * math.ceil(needed / batch) * config.num_searches
    if num_trials > settings.MAX_COUNT:
      raise ValueError(
        f'--shared_steps={config.shared_steps} cost as much as {num_trials:,} '
        f'trials of the other searches; {settings.MAX_COUNT:,} are possible.'
      )
    return dataclasses.replace(config, num_trials=num_trials)
  num_trials = config.num_trials // config.num_searches
  left = num_trials * config.num_steps - costs.total(0)
  num_steps = math.floor(left / (costs.total(1_000) - costs.total(0)) * 1_000)
  while num_steps > 0 and costs.total(num_steps) > costs.total(0) + left:
    num_steps -= 1
  if num_steps < 1:
    raise ValueError(
      f'A search of {num_trials} trials of {config.num_steps} steps costs less '
      f'than what --sharing costs without any step of shared weights, '
      f'{costs.total(0):,.0f} steps: {config.num_ranked} trainings and the '
      f'ranking of {config.num_drawn:,}. Give more --num_trials, or '
      '--shared_steps.'
    )
  return dataclasses.replace(config, shared_steps=num_steps)


def of(config: Any, num_minibatches: int) -> Costs:
  """Returns what a search with shared weights costs.

  Args:
    config: the settings.
    num_minibatches: the number of minibatches of the validation data.
  """
  asked = config.ranked_minibatches or num_minibatches
  return Costs(config, min(asked, num_minibatches))


def describe(config: Any, num_minibatches: int) -> str:
  """Returns how the cost is counted, in words.

  Args:
    config: the complete settings.
    num_minibatches: the number of minibatches of the validation data.
  """
  costs = of(config, num_minibatches)
  num_steps, length = config.shared_steps, config.num_steps
  num_learning = num_steps - costs.num_frozen(num_steps)
  trained = num_steps * config.shared_cells
  what = 'draws, forward and back' if config.is_relaxed else 'children, forward'
  return (
    f'Equal cost, in steps of one child: {num_steps:,} steps of shared weights '
    f'train {config.shared_cells} children each ({trained:,}) and the policy '
    f'learns in {num_learning:,} of them from {costs.num_judged} {what} '
    f'({costs.steps(num_steps) - trained:,.0f}; a forward pass is a third); '
    f'{config.num_drawn:,} children are ranked on {costs.num_ranked_on} '
    f'minibatches ({costs.ranking:,.0f}), and {config.num_ranked} trained '
    f'alone ({config.num_ranked * length:,}). That is the cost of '
    f'{costs.total(num_steps) / length:,.1f} trials; each other search has '
    f'{config.num_trials // config.num_searches:,}. Random ranking trains its '
    f'weights for {costs.num_uniform_steps(num_steps):,} steps instead.'
  )
