# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""What can be wrong with a search of one's own, found before its first trial.

A search takes hours, and what comes after it asks for more: a split to report
on, a learning rate for every winner, a metric to compare by. Here all of it is
tried on a few architectures without training any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from jaxnas import arms as arms_lib
from jaxnas import errors, evaluators, statistics
from jaxnas.types import Cost, Reward, SearchSpace, Trainer

SPLITS = ('validation', 'report')


def check_kinds(
  space: Any, arms: Any, trainer: Any, reward: Any, measure: Any, known: Any
) -> tuple[arms_lib.Arm, ...]:
  """Checks that arguments are what they should be.

  Args:
    space: the search space.
    arms: one arm, or several.
    trainer: the trainer.
    reward: the reward.
    measure: the measure.
    known: the known architectures by label, or `None`.

  Returns:
    The arms.

  Raises:
    ValueError: one is something else; the message says what it should be.
  """
  arms = (arms,) if isinstance(arms, arms_lib.Arm) else arms
  if not isinstance(arms, Sequence) or not all(
    isinstance(each, arms_lib.Arm) for each in arms
  ):
    raise _wrong('arms', 'jaxnas.Arm, one or a sequence of them', arms)
  for arm in arms:
    if not (hasattr(arm.strategy, 'ask') and hasattr(arm.strategy, 'tell')):
      raise _wrong(
        f'The strategy of arm {arm.name!r}',
        'a strategy, such as jaxnas.make_random_search(space.decisions)',
        arm.strategy,
      )
  for name, value, is_right, wanted in (
    (
      'space',
      space,
      isinstance(space, SearchSpace),
      'a SearchSpace, such as jaxnas.make_space(decisions)',
    ),
    (
      'trainer',
      trainer,
      hasattr(trainer, 'run') and hasattr(trainer, 'block_size'),
      'a trainer, such as jaxnas.FlaxTrainer(...)',
    ),
    (
      'reward',
      reward,
      isinstance(reward, Reward),
      'jaxnas.Reward(function, floor)',
    ),
    (
      'measure',
      measure,
      isinstance(measure, statistics.Measure),
      'jaxnas.Measure(name, is_higher_better=..., is_ratio=...)',
    ),
    (
      'known',
      known,
      known is None or isinstance(known, Mapping),
      'a mapping from names to architectures',
    ),
  ):
    if not is_right:
      raise _wrong(name, wanted, value)
  return tuple(arms)


def _wrong(name: str, wanted: str, value: Any) -> ValueError:
  shown = errors.shorten(' '.join(repr(value).split()))
  return ValueError(f'{name} must be {wanted}; got {shown}.')


def check_counts(counts: Mapping[str, int]) -> None:
  """Checks that counts are whole numbers of at least 1.

  Args:
    counts: the counts by the names of their arguments.

  Raises:
    ValueError: one is not.
  """
  for name, value in counts.items():
    is_whole = isinstance(value, int | np.integer)
    if not is_whole or isinstance(value, bool) or value < 1:
      raise ValueError(f'{name} must be at least 1, got {value!r}.')


def grid_of(
  learning_rates: float | Sequence[float] | Callable[[Any], float] | None,
) -> tuple[float, ...]:
  """Returns the grid of learning rates; empty where there is none.

  Args:
    learning_rates: one, several, a function of an architecture, or `None`.

  Raises:
    ValueError: there are no rates, or one is not a positive number.
  """
  if learning_rates is None or callable(learning_rates):
    return ()
  given = np.ndim(learning_rates) == 0 and not isinstance(learning_rates, str)
  rates: Any = (learning_rates,) if given else learning_rates
  grid = tuple(
    each.item() if isinstance(each, np.generic) else each for each in rates
  )
  if not grid:
    raise ValueError('learning_rates must be at least one, or a function.')
  for each in grid:
    evaluators.check_rate(each)
  return grid


def check(
  space: SearchSpace,
  trainer: Trainer,
  reward: Reward,
  measure: statistics.Measure,
  learning_rates: Sequence[float] | Callable[[Any], float] | None,
  known: Sequence[Any],
  costs: Mapping[str, Cost],
  num_params: Callable[[Any], int] | None,
) -> None:
  """Checks that a search and all that follows it have what they need.

  Args:
    space: the search space.
    trainer: the trainer.
    reward: the reward.
    measure: the measure.
    learning_rates: the grid, a function of an architecture, or `None`.
    known: the known architectures.
    costs: the costs of an architecture, by name.
    num_params: the number of parameters of an architecture, for tables.

  Raises:
    ValueError: something is missing, or a function of the user failed; the
      message says which and, of names, which there are.
  """
  tried = [*known, *_corners(space)]
  if not tried:
    return
  if callable(learning_rates):
    for each in tried:
      evaluators.rate_of(learning_rates, each)
  values = {}
  for name, cost in costs.items():
    with errors.calling(f'The cost {name!r}'):
      values[name] = np.array([cost(tried[0])])
  if num_params is not None:
    with errors.calling('num_params'):
      num_params(tried[0])
  dry_run = getattr(trainer, 'dry_run', None)
  found = dry_run(tried, SPLITS) if dry_run is not None else None
  if found is None:
    return
  if learning_rates is None and found.uses_learning_rate:
    raise ValueError(evaluators.NEEDS_RATE)
  if measure.name not in found.measured:
    raise ValueError(
      f'The measure compares by {measure.name!r}, which children do not have; '
      f'they have {", ".join(found.measured) or "none"}.'
    )
  _check_reward(reward, tried[0], found.names('validation'), values)


def _check_reward(reward, architecture, names, costs) -> None:
  """Checks that the reward asks for metrics that there are."""
  metrics = {name: np.full(1, 0.5) for name in names} | costs
  try:
    with np.errstate(all='ignore'):
      reward.function([architecture], errors.Named('metric', metrics))
  except errors.UnknownNameError as error:
    raise ValueError(
      f'The reward asks for what is not there: {error}'
    ) from error
  # Metrics that nobody measured may be more than a reward can stand.
  except Exception:
    return


def _corners(space: SearchSpace) -> Iterator[Any]:
  """Yields architectures that have every choice of every decision once."""
  tokens = np.zeros(space.num_tokens, np.int32)
  place = 0
  for decision in space.decisions:
    for _ in range(decision.num_tokens):
      for token in range(1 if place else 0, decision.num_choices):
        changed = tokens.copy()
        changed[place] = token
        try:
          yield space.decode(changed)
        # A space of a user's own may not have all combinations.
        except ValueError:
          continue
      place += 1
