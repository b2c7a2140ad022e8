# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Finds errors in a search of your own before its first trial.

A search takes hours, and the retraining after it needs more than the search
does: a split to report on, a learning rate for every winner, a metric to
compare by. Here all of these needs are checked on a few architectures, none of
which is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
import os
from typing import Any

import numpy as np

from jaxnas import arms as arms_lib
from jaxnas import errors, evaluators, statistics
from jaxnas.types import Cost, Reward, SearchSpace, Trainer

SPLITS = ('validation', 'report')
# The errors that a reward may raise just because of the metrics' values.
_OF_VALUES = ValueError | ArithmeticError | AssertionError


def _is_whole(value: Any) -> bool:
  return isinstance(value, int | np.integer) and not isinstance(value, bool)


_KINDS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
  'folder': (
    lambda value: isinstance(value, str | os.PathLike),
    'the path of a folder',
  ),
  'space': (
    lambda value: isinstance(value, SearchSpace),
    'a SearchSpace, such as jaxnas.make_space(decisions)',
  ),
  'trainer': (
    lambda value: hasattr(value, 'run') and hasattr(value, 'block_size'),
    'a trainer, such as jaxnas.FlaxTrainer(...)',
  ),
  'reward': (
    lambda value: isinstance(value, Reward),
    'jaxnas.Reward(function, floor)',
  ),
  'measure': (
    lambda value: isinstance(value, statistics.Measure),
    'jaxnas.Measure(name, is_higher_better=..., is_ratio=...)',
  ),
  'known': (
    lambda value: value is None or isinstance(value, Mapping),
    'a mapping from names to architectures',
  ),
  'costs': (
    lambda value: value is None or isinstance(value, Mapping),
    'a mapping from names to functions of an architecture',
  ),
  'limits': (
    lambda value: value is None or isinstance(value, Mapping),
    'a mapping from names of costs to numbers',
  ),
  'cost_target': (
    lambda value: (
      value is None
      or (
        isinstance(value, (tuple, list))
        and len(value) == 2
        and isinstance(value[0], str)
      )
    ),
    "the name of a cost and a target, such as ('num_params', 1000)",
  ),
  'max_redraws': (_is_whole, 'a whole number'),
  'num_params': (
    lambda value: value is None or callable(value),
    'a function of an architecture',
  ),
  'seed': (_is_whole, 'a whole number'),
}


def check_kinds(arguments: Mapping[str, Any]) -> None:
  """Checks the types of arguments.

  Args:
    arguments: arguments of `own_search.run`, by name.

  Raises:
    ValueError: an argument has the wrong type; the message says which one it
      should have.
  """
  for name, value in arguments.items():
    is_right, wanted = _KINDS[name]
    if not is_right(value):
      raise _wrong(name, wanted, value)
  folder = arguments.get('folder', '')
  if os.path.exists(folder) and not os.path.isdir(folder):
    raise ValueError(f'{os.fspath(folder)} is a file; name a folder.')


def as_arms(arms: Any) -> tuple[arms_lib.Arm, ...]:
  """Returns the arms of a search.

  Args:
    arms: an arm or a sequence of them.

  Raises:
    ValueError: an entry is not an arm, or its strategy is not a `Strategy`.
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
  return tuple(arms)


def _wrong(name: str, wanted: str, value: Any) -> ValueError:
  shown = errors.in_one_line(value)
  return ValueError(f'{name} must be {wanted}; got {shown}.')


def check_counts(counts: Mapping[str, int]) -> None:
  """Checks that counts are whole numbers of at least 1.

  Args:
    counts: the counts by argument name.

  Raises:
    ValueError: a count is not a whole number, or less than 1.
  """
  for name, value in counts.items():
    if not _is_whole(value):
      raise _wrong(name, 'a whole number', value)
    if value < 1:
      raise ValueError(f'{name} must be at least 1, got {value}.')


def grid_of(
  learning_rates: float | Sequence[float] | Callable[[Any], float] | None,
) -> tuple[float, ...]:
  """Returns the grid of learning rates; empty if there is none.

  Args:
    learning_rates: a rate, a sequence of them, a function of an architecture,
      or `None`.

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
    raise ValueError('learning_rates must be at least one rate, or a function.')
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
  """Checks that a search and its retraining have what they need.

  Args:
    space: the search space.
    trainer: the trainer.
    reward: the reward.
    measure: the measure.
    learning_rates: the grid, a function of an architecture, or `None`.
    known: the known architectures.
    costs: the functions that give an architecture's costs, by name.
    num_params: the function that counts an architecture's parameters, if any.

  Raises:
    ValueError: something is missing, or a function of the user's failed; the
      message says which, and lists the known names where a name is unknown.
  """
  tried = [*known, *_corners(space)]
  if not tried:
    return
  if callable(learning_rates):
    for each in tried:
      evaluators.rate_of(learning_rates, each)
  values = {
    name: [evaluators.cost_of(name, cost, each) for each in tried]
    for name, cost in costs.items()
  }
  if num_params is not None:
    with errors.calling('num_params'):
      for each in tried:
        num_params(each)
  dry_run = getattr(trainer, 'dry_run', None)
  found = dry_run(tried, SPLITS) if dry_run is not None else None
  if found is None:
    return
  if learning_rates is None and found.uses_learning_rate:
    raise ValueError(evaluators.NEEDS_RATE)
  if measure.name not in found.measured:
    raise ValueError(
      f'The measure compares by {measure.name!r}, which children do not '
      f'measure; they measure {", ".join(found.measured) or "nothing"}.'
    )
  metrics = found.names('validation')
  evaluators.check_cost_names(costs, metrics)
  firsts = {name: float(of_all[0]) for name, of_all in values.items()}
  check_reward(reward, tried[0], metrics, firsts)


def check_reward(
  reward: Reward,
  architecture: Any,
  names: Sequence[str],
  costs: Mapping[str, float],
) -> None:
  """Checks that a reward can be called with the metrics and costs there are.

  Args:
    reward: the reward.
    architecture: the architecture to call it with.
    names: the names of the metrics, whose values are made up.
    costs: the costs of the architecture, by name.

  Raises:
    ValueError: the reward failed for another reason than the values of metrics,
      or does not return one number.
  """
  failures = []
  given = {name: np.array([value]) for name, value in costs.items()}
  # Values are made up, a fraction and a whole number, since a metric may be a
  # count that indexes something.
  for value in (0.5, 1):
    metrics = {name: np.full(1, value) for name in names} | given
    try:
      with np.errstate(all='ignore'):
        evaluators.call_reward(reward, [architecture], metrics)
      return
    except ValueError as error:
      if isinstance(error.__cause__, errors.UnknownNameError | None):
        raise
      # A reward may fail only because these metrics are made up.
      if isinstance(error.__cause__, _OF_VALUES):
        return
      failures.append(error)
  raise failures[0]


def _corners(space: SearchSpace) -> Iterator[Any]:
  """Yields architectures that together make every choice of every decision."""
  tokens = np.zeros(space.num_tokens, np.int32)
  place = 0
  for decision in space.decisions:
    for _ in range(decision.num_tokens):
      for token in range(1 if place else 0, decision.num_choices):
        changed = tokens.copy()
        changed[place] = token
        try:
          yield space.decode(changed)
        # A user's own space may not allow every combination.
        except ValueError:
          continue
      place += 1
