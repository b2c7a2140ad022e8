# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""What every search is told: settings, and the arms that they make."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import dataclasses
from typing import Any

import jax
import numpy as np

from experiments import bounds, launch, strategy_settings
from jaxnas import contestants as contestants_lib
from jaxnas import search as search_lib
from jaxnas.records import trial_log
from jaxnas.strategies import fixed
from jaxnas.types import Controller, SearchSpace

setting = launch.setting

FREE = (
  'num_trials',
  'num_winners',
  'num_seeds',
  'checkpoint_every',
  'redo_failed',
  # The hash of the data decides.
  'data_dir',
  'same_task',
)
"""Settings that may change when a search is resumed."""


@dataclasses.dataclass(frozen=True)
class Settings(strategy_settings.StrategySettings):
  """Settings that every search has: its arms, its retraining, its machine.

  The config of a search experiment inherits from it.
  """

  strategies: tuple[str, ...] = setting(
    ('reinforce', 'random'),
    'What searches, each with its share of the trials, of '
    f'{",".join(strategy_settings.STRATEGIES)}.',
  )
  num_trials: int = setting(
    512, 'Proposals, all strategies together.', low=1, high=bounds.MAX_COUNT
  )
  num_repeats: int = setting(
    1,
    'Searches of each strategy; they share the trials.',
    low=1,
    high=bounds.MAX_ITEMS,
  )
  trials_per_update: int = setting(
    16, 'Proposals of a search before it learns.', low=1, high=bounds.MAX_ITEMS
  )
  reevaluate_duplicates: bool = setting(False, 'Train repeated ones again.')
  redo_failed: bool = setting(
    False, 'Resume with the trials that failed run again.'
  )
  num_winners: int = setting(
    3, 'Best of each search that are retrained.', low=1, high=bounds.MAX_ITEMS
  )
  num_selection_seeds: int = setting(
    2,
    'Retrainings of each at each learning rate, which choose.',
    low=1,
    high=bounds.MAX_ITEMS,
  )
  num_seeds: int = setting(
    5,
    'Fresh ones of the chosen, which are reported.',
    low=2,
    high=bounds.MAX_ITEMS,
  )
  retrain_learning_rates: tuple[float, ...] = setting(
    (0.005, 0.01, 0.02), 'The grid, the same for all.', above=0.0
  )
  retrain_steps: int = setting(
    0, '0: twice num_steps.', low=0, high=bounds.MAX_COUNT
  )
  block_size: int = setting(
    0, 'Children in one call; 0: by the device.', low=0, high=bounds.MAX_ITEMS
  )
  num_host_devices: int | None = setting(
    None, 'Devices that a CPU is split in', low=1, high=bounds.MAX_DEVICES
  )
  checkpoint_every: int = setting(
    4, 'Rounds between two checkpoints.', low=1, high=bounds.MAX_COUNT
  )
  same_task: bool = setting(
    False, 'Go on though the code that trains has changed since the start.'
  )
  seed: int = setting(0, launch.SEED_HELP, low=0, high=bounds.MAX_SEED)

  @property
  def round_size(self) -> int:
    """How many architectures all arms propose in a round."""
    return self.num_searches * self.trials_per_update

  @property
  def num_searches(self) -> int:
    """How many searches there are."""
    return len(self.strategies) * self.num_repeats

  def num_retrainings(
    self, num_known: int, num_rates_of_found: int | None = None
  ) -> int:
    """Returns how many retrainings there are at most.

    Args:
      num_known: how many known architectures take part.
      num_rates_of_found: at how many learning rates what was found is trained;
        at all by default.
    """
    num_rates = len(self.retrain_learning_rates)
    if num_rates_of_found is None:
      num_rates_of_found = num_rates
    num_found = self.num_searches * self.num_winners
    num_choices = num_known * num_rates + num_found * num_rates_of_found
    num_entries = num_known + self.num_searches
    return num_choices * self.num_selection_seeds + num_entries * self.num_seeds


def check(settings: Settings, num_steps: int) -> None:
  """Checks what neither a setting's bounds nor the nouns do.

  Args:
    settings: the settings.
    num_steps: of a child in the search, or epochs.

  Raises:
    ValueError: a setting is out of range.
  """
  if not settings.strategies:
    raise ValueError('--strategies is empty; name at least one.')
  if not 1 <= num_steps <= bounds.MAX_COUNT:
    raise ValueError(
      f'A child would be trained for {num_steps:,} steps; 1 to '
      f'{bounds.MAX_COUNT:,} are possible.'
    )
  rates = settings.retrain_learning_rates
  if not rates or len(set(rates)) < len(rates):
    raise ValueError(
      '--retrain_learning_rates must be some, all different; got '
      f'{list(rates)}.'
    )


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
        label='known architectures',
      )
    )
  num_trials = config.num_trials // config.num_searches
  for name in config.strategies:
    strategy = strategy_settings.make_strategy(
      name, config, space.decisions, make_controller, num_trials
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


def winners(
  config: Settings,
  trials: Sequence[trial_log.Trial],
  canonical: Callable[[np.ndarray], np.ndarray] = np.asarray,
) -> Iterator[tuple[dict[str, Any], trial_log.Trial]]:
  """Yields the best trials of every search, which are retrained.

  Args:
    config: the settings.
    trials: the log.
    canonical: makes the tokens of equal architectures equal.

  Yields:
    What the trial decides of a `contestants.Contestant`, and the trial.
  """
  for name in reversed(config.strategies):
    for repeat in range(config.num_repeats):
      for trial in contestants_lib.top(
        trials, name, config.num_winners, canonical, repeat
      ):
        fields = {
          'label': f'{name} #{trial.number}',
          'group': name,
          'repeat': repeat,
          'tokens': trial.tokens,
        }
        yield fields, trial
