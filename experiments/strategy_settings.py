# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The search strategies by name, and their settings."""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
from typing import Any

from experiments import settings
from jaxnas.strategies import evolution, policy, ppo, random_search, reinforce
from jaxnas.types import Controller, Decision, Strategy

NAMES = {
  'reinforce': 'REINFORCE',
  'ppo': 'PPO',
  'evolution': 'regularized evolution',
  'random': 'random search',
}
"""The strategies' names in tables and sentences."""

STRATEGIES = tuple(NAMES)

BASELINE = 'random'
"""The strategy that the others are compared with."""


@dataclasses.dataclass(frozen=True)
class ControllerSettings(settings.Bounded):
  """Settings of a recurrent controller and of its training."""

  controller_learning_rate: float = settings.strategy(
    0.01,
    'Learning rate of Adam, for the controller.',
    source=settings.MEASURED,
    above=0.0,
  )
  controller_features: int = settings.strategy(
    35,
    'Number of units of a controller layer.',
    source=settings.PAPER_IMAGES,
    low=1,
    high=settings.MAX_FEATURES,
  )
  controller_layers: int = settings.strategy(
    2,
    'Number of layers of the controller.',
    source=settings.PAPER_IMAGES,
    low=1,
    high=settings.MAX_RECURRENT_LAYERS,
  )
  baseline_decay: float = settings.strategy(
    0.9,
    'Fraction of the baseline, a moving average of rewards, that an update '
    'keeps.',
    source=settings.MEASURED,
    low=0.0,
    below=1.0,
  )


@dataclasses.dataclass(frozen=True)
class StrategySettings(ControllerSettings):
  """Settings of all strategies."""

  entropy_weight: float = settings.strategy(
    0.0,
    'Weight of the entropy in the loss of a controller, per nat.',
    source='the paper, section 3.2, which has no such term',
    low=0.0,
  )
  correction: str = settings.strategy(
    'none',
    'How REINFORCE learns from proposals made with earlier parameters, as in a '
    'search with replicas: by the gradient at those parameters (stale, as in '
    'the paper), or at the current ones, either weighted by how '
    'much less likely the proposal has become (truncated) or not (none).',
    source=settings.MEASURED,
    choices=policy.CORRECTIONS,
  )
  ppo_clip: float = settings.strategy(
    0.1,
    'Largest relative change of a probability that PPO follows.',
    source=settings.MEASURED,
    above=0.0,
    below=1.0,
  )
  ppo_epochs: int = settings.strategy(
    4,
    'Number of steps of PPO on each batch of trials.',
    source=settings.MEASURED,
    low=1,
    high=settings.MAX_ITEMS,
  )
  population_size: int = settings.strategy(
    32,
    'Size of the population of evolution.',
    source=settings.MEASURED,
    low=1,
    high=settings.MAX_ITEMS,
  )
  sample_size: int = settings.strategy(
    8,
    'Size of a tournament of evolution; with several objectives, where only '
    'the best survive, tournaments are half as large.',
    source=settings.MEASURED,
    low=1,
    high=settings.MAX_ITEMS,
  )


def front_sample_size(config: StrategySettings) -> int:
  """Returns the size of a tournament of evolution with several objectives.

  It is half that of regularized evolution, in which the best die too, but at
  least 2 if that one is.

  Args:
    config: the settings of all strategies.
  """
  return max(min(2, config.sample_size), config.sample_size // 2)


def make_strategy(
  name: str,
  config: StrategySettings,
  decisions: tuple[Decision, ...],
  make_controller: Callable[[], Controller],
  num_trials: int | None = None,
) -> Strategy:
  """Makes a strategy.

  Args:
    name: the strategy's name, one of `STRATEGIES`.
    config: the settings of all strategies.
    decisions: the decisions of the search space.
    make_controller: a function that makes the policy of a strategy that trains
      one.
    num_trials: the number of trials of a search, to be checked; `None` for no
      check.

  Raises:
    ValueError: the name is not known, or a setting is out of range.
  """
  trained: dict[str, Any] = {
    'learning_rate': config.controller_learning_rate,
    'baseline_decay': config.baseline_decay,
    'entropy_weight': config.entropy_weight,
  }
  if name == 'random':
    return random_search.make_random_search(decisions)
  if name == 'evolution':
    return evolution.make_evolution(
      decisions,
      config.population_size,
      config.sample_size,
      num_trials=num_trials,
    )
  if name == 'ppo':
    return ppo.make_ppo(
      make_controller(),
      clip=config.ppo_clip,
      num_epochs=config.ppo_epochs,
      **trained,
    )
  if name == 'reinforce':
    return reinforce.make_reinforce(
      make_controller(), correction=config.correction, **trained
    )
  raise ValueError(
    f'Unknown strategy {name!r}; expected some of {", ".join(STRATEGIES)}.'
  )
