# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Settings of every search, and the arms that they define."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
import dataclasses
from typing import Any

import jax
import numpy as np

from experiments import (
  halving_settings,
  machine_settings,
  settings,
  strategy_settings,
  worker_settings,
)
from jaxnas import contestants as contestants_lib
from jaxnas import retraining as retraining_lib
from jaxnas import search as search_lib
from jaxnas import statistics
from jaxnas.records import search_fronts, trial_log
from jaxnas.strategies import fixed
from jaxnas.types import Controller, Reward, SearchSpace, Strategy, Trainer

FREE = (
  'num_trials',
  'num_winners',
  'num_seeds',
  'checkpoint_every',
  'redo_failed',
  # The hash of the data is compared instead.
  'data_dir',
  'same_task',
  'log_to',
  *worker_settings.FREE,
  # The order of trials that are still to come.
  'replay',
)
"""Settings that may change when a search is resumed."""


FULL = 'random_full'
"""The arm of random search whose children all train to their end."""


@dataclasses.dataclass(frozen=True)
class Settings(
  strategy_settings.StrategySettings,
  halving_settings.HalvingSettings,
  machine_settings.Machine,
  machine_settings.LogTo,
  worker_settings.Workers,
):
  """Settings of every search: its arms, its retraining and its machine.

  The config of a search experiment inherits from this class.
  """

  num_trials: int = settings.search(
    512,
    'Number of proposals of all strategies together. With --halving, the '
    'number of full trainings whose steps are spent on more proposals.',
    is_common=True,
    low=1,
    high=settings.MAX_COUNT,
  )
  strategies: tuple[str, ...] = settings.strategy(
    ('reinforce', 'random'),
    'Strategies that share the trials evenly, out of '
    f'{",".join(strategy_settings.STRATEGIES)}.',
    is_common=True,
  )
  num_repeats: int = settings.search(
    1,
    'Number of searches of each strategy, which share its trials.',
    is_common=True,
    low=1,
    high=settings.MAX_ITEMS,
  )
  trials_per_update: int = settings.search(
    16,
    'Number of proposals of a search between two updates of its strategy.',
    low=1,
    high=settings.MAX_ITEMS,
  )
  replicas: int = settings.search(
    1,
    'Number of batches of --trials_per_update proposals that a search keeps in '
    'flight; above 1, rewards come late. 1.5 to 2 times the children in '
    'training, divided by --trials_per_update, keep workers busy.',
    low=1,
    high=settings.MAX_ITEMS,
  )
  replicas_per_update: int = settings.search(
    1,
    'Number of finished batches that a strategy learns from at a time.',
    low=1,
    high=settings.MAX_ITEMS,
  )
  replay: str = settings.machine(
    '',
    'Path of the trials.jsonl of a run with these settings, in whose order '
    'trials are recorded, so that an asynchronous run is repeated.',
  )
  reevaluate_duplicates: bool = settings.search(
    False,
    'Whether an architecture that is proposed again is trained again.',
  )
  compare_fidelity: bool = settings.search(
    False,
    'Whether random search runs once more without --halving, for comparison, '
    'with as many steps as each other search.',
  )
  redo_failed: bool = settings.search(
    False,
    'Whether a run that is resumed first repeats its trials that failed.',
  )
  num_winners: int = settings.retraining(
    3,
    'Number of the best architectures of each search that are retrained.',
    low=1,
    high=settings.MAX_ITEMS,
  )
  num_selection_seeds: int = settings.retraining(
    2,
    'Number of retrainings of each architecture at each learning rate, by '
    'which the winner is chosen.',
    low=1,
    high=settings.MAX_ITEMS,
  )
  num_seeds: int = settings.retraining(
    5,
    'Number of fresh retrainings of each winner, which are reported.',
    is_common=True,
    low=2,
    high=settings.MAX_ITEMS,
  )
  retrain_learning_rates: tuple[float, ...] = settings.retraining(
    (0.005, 0.01, 0.02),
    'Learning rates that every architecture is retrained at.',
    above=0.0,
  )
  retrain_steps: int = settings.retraining(
    0,
    'Number of steps of a retraining; 0: twice as many as in the search.',
    low=0,
    high=settings.MAX_COUNT,
  )
  block_size: int = settings.machine(
    0,
    'Number of children in one call; 0: chosen for the device.',
    low=0,
    high=settings.MAX_BLOCK,
  )
  checkpoint_every: int = settings.machine(
    4,
    'Number of rounds between two checkpoints.',
    low=1,
    high=settings.MAX_COUNT,
  )
  same_task: bool = settings.machine(
    False,
    'Whether to resume although the code that trains children has changed; '
    'set it where results stay the same.',
  )

  @property
  def round_size(self) -> int:
    """The number of architectures that all arms propose in a round."""
    return self.num_searches * self.trials_per_update

  @property
  def num_parts(self) -> int:
    """The number of winners of a search that are reported."""
    return 1

  @property
  def num_searches(self) -> int:
    """The number of searches."""
    return len(self.strategies) * self.num_repeats

  @property
  def shared_labels(self) -> Mapping[str, str]:
    """The labels of searches with shared weights, by their names."""
    return {}

  @property
  def num_full_searches(self) -> int:
    """The number of further searches, which train all children fully."""
    return self.num_repeats if self.compare_fidelity else 0

  def num_retrainings(
    self, num_known: int, num_rates_of_found: int | None = None
  ) -> int:
    """Returns the maximum number of retrainings.

    Args:
      num_known: the number of known architectures that take part.
      num_rates_of_found: the number of learning rates that found architectures
        are trained at; all of them by default.
    """
    num_searches = self.num_searches + self.num_full_searches
    num_searches += len(self.shared_labels) * self.num_repeats
    num_rates = len(self.retrain_learning_rates)
    if num_rates_of_found is None:
      num_rates_of_found = num_rates
    num_found = num_searches * (
      self.num_winners if self.num_parts == 1 else self.num_parts
    )
    num_choices = num_known * num_rates + num_found * num_rates_of_found
    num_entries = num_known + num_searches * self.num_parts
    return num_choices * self.num_selection_seeds + num_entries * self.num_seeds


def check(config: Settings, num_steps: int) -> None:
  """Checks what neither the settings' bounds nor the library checks.

  Args:
    config: the settings.
    num_steps: the length of a training in the search, in steps or epochs.

  Raises:
    ValueError: a setting is out of range.
  """
  if not config.strategies:
    raise ValueError('--strategies is empty; name at least one.')
  if config.compare_fidelity and not config.has_halving:
    raise ValueError(
      '--compare_fidelity compares with --halving, such as --halving=4.'
    )
  if not 1 <= num_steps <= settings.MAX_COUNT:
    raise ValueError(
      f'A child would be trained for {num_steps:,} steps; 1 to '
      f'{settings.MAX_COUNT:,} are possible.'
    )
  rates = config.retrain_learning_rates
  if not rates or len(set(rates)) < len(rates):
    raise ValueError(
      '--retrain_learning_rates must be at least one rate, all different; got '
      f'{list(rates)}.'
    )


def make_arms(
  config: Settings,
  space: SearchSpace,
  known: Sequence[Any],
  make_controller: Callable[[], Controller],
  num_active: Callable[[int], int] | None = None,
  adapt: Callable[[str, Strategy], Strategy] = lambda name, strategy: strategy,
  beside: Sequence[search_lib.Arm] = (),
) -> tuple[search_lib.Arm, ...]:
  """Makes the arms of a search, which share its trials evenly.

  Args:
    config: the settings, checked.
    space: the search space.
    known: the known architectures, tried in a separate arm `'known'`.
    make_controller: a function that makes a controller, called once for
      REINFORCE and once for PPO.
    num_active: the number of decisions to make; see `search.Arm`.
    adapt: `(name, strategy) -> strategy`, for each that searches, as for costs.
    beside: further arms, which have trials of their own.

  Raises:
    ValueError: the trials cannot be shared evenly, or are too few for the
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
    strategy = adapt(
      name,
      strategy_settings.make_strategy(
        name, config, space.decisions, make_controller, num_trials
      ),
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
        config.replicas,
        config.replicas_per_update,
      )
      for repeat in range(config.num_repeats)
    )
  arms.extend(
    search_lib.Arm(
      FULL,
      adapt(
        strategy_settings.BASELINE,
        strategy_settings.make_strategy(
          strategy_settings.BASELINE,
          config,
          space.decisions,
          make_controller,
          num_trials,
        ),
      ),
      num_trials,
      config.trials_per_update,
      repeat,
      num_active,
      label=f'{strategy_settings.NAMES[strategy_settings.BASELINE]}, no rungs',
      trains_fully=True,
    )
    for repeat in range(config.num_full_searches)
  )
  return (*arms, *beside)


def winners(
  config: Settings,
  trials: Sequence[trial_log.Trial],
  canonical: Callable[[np.ndarray], np.ndarray] = np.asarray,
  objectives: Sequence[str] = (),
) -> Iterator[tuple[dict[str, Any], trial_log.Trial]]:
  """Yields the best trials of every search, which are to be retrained.

  Args:
    config: the settings.
    trials: all trials of the log.
    canonical: a function that maps equal architectures to equal tokens.
    objectives: the objectives, by the names of metrics, if there are several;
      then the ends and the knee of each search's front are the best.

  Yields:
    The fields of a `contestants.Contestant` that the trial determines, and the
    trial.
  """
  full = (FULL,) if config.compare_fidelity else ()
  names = *config.strategies, *config.shared_labels
  for name in (*full, *reversed(names)):
    for repeat in range(config.num_repeats):
      for part, trial in _best(
        config, trials, canonical, objectives, name, repeat
      ):
        fields = {
          'label': f'{name} #{trial.number}',
          'group': name,
          'repeat': repeat,
          'part': part,
          'tokens': trial.tokens,
        }
        yield fields, trial


def _best(
  config, trials, canonical, objectives, name, repeat
) -> list[tuple[str, trial_log.Trial]]:
  """Returns the best trials of one search, with their parts of its front."""
  if objectives:
    front = search_fronts.front(trials, objectives, (name, repeat))
    return list(search_fronts.parts(front, objectives).items())
  best = contestants_lib.top(
    trials, name, config.num_winners, canonical, repeat
  )
  return [('', trial) for trial in best]


def of_run(
  config: Settings, num_steps: int, objectives: Sequence[str] = ()
) -> dict[str, Any]:
  """Returns the fields of an `Experiment` that depend only on settings.

  Args:
    config: the complete settings.
    num_steps: the length of a training in the search, as trainers count it.
    objectives: the names of several objectives, if there are; see `Experiment`.

  Raises:
    ValueError: the rungs are not those of such a training.
  """
  return {
    'plan': halving_settings.make_plan(config, num_steps, objectives[1:]),
    'objectives': objectives,
    'config': dataclasses.asdict(config),
    'defaults': dataclasses.asdict(type(config)()),
    'free': FREE,
    'same_task': config.same_task,
    'log_to': config.log_to,
    'checkpoint_every': config.checkpoint_every,
    'replay': config.replay,
  }


def make_retraining(
  config: Settings,
  contestants: Sequence[contestants_lib.Contestant],
  trainers: Mapping[str, Trainer],
  reward: Reward,
  measure: statistics.Measure,
) -> retraining_lib.Retraining:
  """Makes the retraining of contestants.

  Args:
    config: the complete settings.
    contestants: the contestants.
    trainers: the trainers of the contestants, by name.
    reward: the reward of the search.
    measure: the measure that contestants are compared by.
  """
  return retraining_lib.Retraining(
    contestants=tuple(contestants),
    trainers=trainers,
    learning_rates=config.retrain_learning_rates,
    num_selection_seeds=config.num_selection_seeds,
    num_seeds=config.num_seeds,
    num_steps=config.retrain_steps,
    key=jax.random.key(config.seed),
    reward=reward,
    measure=measure,
  )
