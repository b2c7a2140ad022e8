# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A reward of the user's own, named on the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
import difflib
import importlib
from typing import Any

from experiments import settings
from jaxnas import errors
from jaxnas import retraining as retraining_lib
from jaxnas.runs import own_checks
from jaxnas.types import Cost, Reward


@dataclasses.dataclass(frozen=True)
class OwnReward(settings.Bounded):
  """The setting that replaces the reward of an experiment."""

  reward: str = settings.search(
    '',
    'Reward of your own in place of the usual one: module:name of a function '
    '(architectures, metrics) -> rewards, or of a jaxnas.Reward.',
  )


def choose(config: OwnReward, usual: Reward) -> Reward:
  """Returns the reward that the settings name, or the usual one.

  Args:
    config: the settings.
    usual: the reward of the experiment.

  Raises:
    ValueError: there is no such module, or it has no such reward.
  """
  return _load(config.reward) if config.reward else usual


def _load(spelled: str) -> Reward:
  module_name, colon, name = spelled.partition(':')
  if not (module_name and colon and name):
    raise ValueError(
      '--reward must be module:name, such as my_rewards:by_size; got '
      f'{spelled!r}.'
    )
  with errors.calling(f'Importing {module_name!r}, which --reward names,'):
    module = importlib.import_module(module_name)
  found = getattr(module, name, None)
  if isinstance(found, Reward):
    return found
  if not callable(found):
    near = difflib.get_close_matches(name, vars(module), n=3, cutoff=0.5)
    hint = f'; did you mean {" or ".join(near)}?' if near else '.'
    raise ValueError(
      f'--reward names {name!r}, which {module_name} does not have as a '
      f'function or a jaxnas.Reward{hint}'
    )
  return Reward(found)


def check(
  config: OwnReward,
  reward: Reward,
  architectures: Sequence[Any],
  names: Sequence[str],
  costs: Mapping[str, Cost],
) -> None:
  """Tries a reward of the user's own before the first trial.

  Args:
    config: the settings; nothing is tried if they name no reward.
    reward: the reward.
    architectures: architectures of every kind that it will see, each tried by
      itself; `None` is a known one that the space does not have.
    names: the names of the metrics of a child.
    costs: the functions that give an architecture's costs, by name.

  Raises:
    ValueError: it failed, or does not return a number for each architecture.
  """
  for each in architectures if config.reward else ():
    found = {name: cost(each) for name, cost in costs.items()}
    try:
      own_checks.check_reward(reward, each, names, found)
    except ValueError as error:
      if each is not None:
        raise
      raise ValueError(
        f'{error} Its architecture was None, as for known cells outside the '
        'space; allow for that, or leave these out with --known_cells=.'
      ) from error


def choosing(
  config: OwnReward,
  retraining: retraining_lib.Retraining,
  costs: Mapping[str, Cost],
  is_weighed: bool = False,
) -> retraining_lib.Retraining:
  """Returns a retraining whose winners are chosen by the user's own reward.

  Args:
    config: the settings; without a reward the retraining stays as it is.
    retraining: the retraining.
    costs: the functions that give an architecture's costs, by name.
    is_weighed: whether the usual reward weighs a cost.
  """
  if not (config.reward or is_weighed):
    return dataclasses.replace(retraining, costs=costs) if costs else retraining
  return dataclasses.replace(retraining, costs=costs, choose_by_reward=True)
