# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The search strategies by name, and their settings."""

from __future__ import annotations

from collections.abc import Callable
import dataclasses

from experiments import bounds, launch
from jaxnas.strategies import evolution, ppo, random_search, reinforce
from jaxnas.types import Controller, Decision, Strategy

setting = launch.setting

NAMES = {
  'reinforce': 'REINFORCE',
  'ppo': 'PPO',
  'evolution': 'regularised evolution',
  'random': 'random search',
}
"""What people call the strategies."""

STRATEGIES = tuple(NAMES)

BASELINE = 'random'
"""The strategy that the others are compared with."""


@dataclasses.dataclass(frozen=True)
class StrategySettings(bounds.Bounded):
  """Settings of the strategies; the config of an experiment inherits them."""

  controller_learning_rate: float = setting(0.01, 'Of Adam.', above=0.0)
  controller_features: int = setting(
    35, 'Units of a controller layer.', low=1, high=bounds.MAX_FEATURES
  )
  controller_layers: int = setting(
    2, 'Layers of the controller.', low=1, high=bounds.MAX_LAYERS
  )
  baseline_decay: float = setting(
    0.9, 'Of the moving average of rewards.', low=0.0, below=1.0
  )
  entropy_weight: float = setting(0.0, 'Reward for entropy, per nat.', low=0.0)
  ppo_clip: float = setting(
    0.1, 'How far PPO moves a probability, relative.', above=0.0, below=1.0
  )
  ppo_epochs: int = setting(
    4, 'Steps of PPO on each batch.', low=1, high=bounds.MAX_ITEMS
  )
  population_size: int = setting(
    32, 'Of evolution.', low=1, high=bounds.MAX_ITEMS
  )
  sample_size: int = setting(
    8, 'Of a tournament of evolution.', low=1, high=bounds.MAX_ITEMS
  )


def make_strategy(
  name: str,
  settings: StrategySettings,
  decisions: tuple[Decision, ...],
  make_controller: Callable[[], Controller],
  num_trials: int | None = None,
) -> Strategy:
  """Makes a strategy.

  Args:
    name: one of `STRATEGIES`.
    settings: its settings, and those of the others.
    decisions: what to decide.
    make_controller: makes the policy of a strategy that trains one.
    num_trials: how many trials a search will have, where that is to be checked.

  Raises:
    ValueError: the name is not known, or a setting is out of range.
  """
  trained = {
    'learning_rate': settings.controller_learning_rate,
    'baseline_decay': settings.baseline_decay,
    'entropy_weight': settings.entropy_weight,
  }
  if name == 'random':
    return random_search.make_random_search(decisions)
  if name == 'evolution':
    return evolution.make_evolution(
      decisions,
      settings.population_size,
      settings.sample_size,
      num_trials=num_trials,
    )
  if name == 'ppo':
    return ppo.make_ppo(
      make_controller(),
      clip=settings.ppo_clip,
      num_epochs=settings.ppo_epochs,
      **trained,
    )
  if name == 'reinforce':
    return reinforce.make_reinforce(make_controller(), **trained)
  raise ValueError(
    f'Unknown strategy {name!r}; expected some of {", ".join(STRATEGIES)}.'
  )
