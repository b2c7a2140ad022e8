# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""What every search is told: settings, and the arms that they make."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import dataclasses
from typing import Any

import jax
import numpy as np

from experiments import launch, strategy_settings
from jaxnas import search as search_lib
from jaxnas.strategies import fixed
from jaxnas.types import Controller, SearchSpace

setting = launch.setting


@dataclasses.dataclass(frozen=True)
class Settings(strategy_settings.StrategySettings):
  """Settings that every search has: its arms, its retraining, its machine.

  The config of a search experiment inherits from it.
  """

  strategies: tuple[str, ...] = setting(
    ('reinforce', 'random'),
    'The arms that share the trials, of '
    f'{",".join(strategy_settings.STRATEGIES)}.',
  )
  num_trials: int = setting(512, 'Proposals, all strategies together.')
  num_repeats: int = setting(1, 'Repeats of each arm; they share the trials.')
  trials_per_update: int = setting(16, 'Proposals of an arm in a round.')
  reevaluate_duplicates: bool = setting(False, 'Train repeated ones again.')
  num_winners: int = setting(3, 'Best of each arm that are retrained.')
  num_seeds: int = setting(3, 'Retrainings at each learning rate.')
  retrain_learning_rates: tuple[float, ...] = setting(
    (0.005, 0.01, 0.02), 'The grid, the same for all.'
  )
  retrain_steps: int = setting(0, '0: twice num_steps.')
  block_size: int = setting(0, 'Children in one call; 0: by the device.')
  num_host_devices: int | None = setting(None, 'Devices that a CPU is split in')
  checkpoint_every: int = setting(4, 'Rounds between two checkpoints.')
  seed: int = setting(0, 'Decides everything.')

  @property
  def round_size(self) -> int:
    """How many architectures all arms propose in a round."""
    return len(self.strategies) * self.num_repeats * self.trials_per_update

  @property
  def num_jobs(self) -> int:
    """How many retrainings a contestant has."""
    return len(self.retrain_learning_rates) * self.num_seeds


def check(settings: Settings, num_steps: int, learning_rate: float) -> None:
  """Checks what the nouns made of the settings do not.

  Args:
    settings: the settings.
    num_steps: of a child in the search.
    learning_rate: likewise.

  Raises:
    ValueError: a setting is out of range.
  """
  for name, value in (
    ('num_steps', num_steps),
    ('num_winners', settings.num_winners),
    ('num_repeats', settings.num_repeats),
    ('num_trials', settings.num_trials),
    ('trials_per_update', settings.trials_per_update),
    ('checkpoint_every', settings.checkpoint_every),
    ('ppo_epochs', settings.ppo_epochs),
  ):
    if value < 1:
      raise ValueError(f'{name} must be at least 1, got {value}.')
  if not 0 < settings.ppo_clip < 1:
    raise ValueError(
      f'ppo_clip must be greater than 0 and below 1, got {settings.ppo_clip}.'
    )
  if settings.retrain_steps < 0:
    raise ValueError(
      f'retrain_steps must be at least 0, got {settings.retrain_steps}.'
    )
  rates = settings.retrain_learning_rates
  if not rates or not min(learning_rate, *rates) > 0:
    raise ValueError(
      'learning_rate and retrain_learning_rates must be positive, and there '
      f'must be some; got {learning_rate} and {list(rates)}.'
    )
  if len(set(rates)) < len(rates):
    raise ValueError(f'retrain_learning_rates must differ, got {list(rates)}.')
  if settings.num_seeds < 2:
    raise ValueError(
      'num_seeds must be at least 2 to show a spread, got '
      f'{settings.num_seeds}.'
    )
  if not 0 <= settings.seed < 2**32:
    raise ValueError(f'seed must be from 0 to 2^32 - 1, got {settings.seed}.')


def choose_num_devices(settings: Settings) -> int:
  """Returns over how many local devices children are spread."""
  if settings.num_host_devices is None or jax.default_backend() != 'cpu':
    return jax.local_device_count()
  return settings.num_host_devices


def make_arms(
  config: Settings,
  space: SearchSpace,
  known: Sequence[Any],
  make_controller: Callable[[], Controller],
  num_active: Callable[[int], int] | None = None,
) -> tuple[search_lib.Arm, ...]:
  """Makes the arms of a search, which share its trials evenly.

  Args:
    config: the settings, checked.
    space: what is searched.
    known: architectures of the space, tried in an arm `'known'` of their own.
    make_controller: makes what REINFORCE and PPO train, one for each.
    num_active: how many decisions are made; see `search.Arm`.

  Raises:
    ValueError: the trials can not be shared evenly, or are too few for the
      population of evolution, or a name is not known.
  """
  if not config.strategies:
    raise ValueError('strategies is empty; name at least one.')
  if config.num_trials % config.round_size:
    raise ValueError(
      f'num_trials must be a multiple of {config.round_size} '
      f'({len(config.strategies)} strategies x {config.num_repeats} repeats x '
      f'{config.trials_per_update} trials_per_update), got '
      f'{config.num_trials}.'
    )
  arms = []
  if known:
    tokens = [np.asarray(space.encode(each)) for each in known]
    arms.append(
      search_lib.Arm(
        'known',
        fixed.make_fixed(tokens),
        len(known),
        len(known),
        role=search_lib.Role.KNOWN,
      )
    )
  num_arms = len(config.strategies) * config.num_repeats
  num_trials = config.num_trials // num_arms
  if 'evolution' in config.strategies and num_trials <= config.population_size:
    raise ValueError(
      f'evolution draws population_size ({config.population_size}) '
      f'architectures at random before it breeds, and has {num_trials} trials '
      'in each repeat; give more trials or a smaller population_size.'
    )
  for name in config.strategies:
    strategy = strategy_settings.make_strategy(
      name, config, space.decisions, make_controller
    )
    arms.extend(
      search_lib.Arm(
        name,
        strategy,
        num_trials,
        config.trials_per_update,
        repeat,
        num_active,
        search_lib.Role.BASELINE
        if name == strategy_settings.BASELINE
        else search_lib.Role.SEARCHED,
        strategy_settings.NAMES[name],
      )
      for repeat in range(config.num_repeats)
    )
  return tuple(arms)
