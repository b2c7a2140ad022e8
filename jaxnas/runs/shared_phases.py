# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The phases of a run in which architectures share weights.

Each ends with architectures that an arm of the search trains one by one. They
are in the run's folder before the first of these trainings, and a resumed run
reads them there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import math
import pathlib
from typing import Any

import numpy as np

from jaxnas import pure_search, shared_search
from jaxnas import search as search_lib
from jaxnas.records import checkpoints as checkpoints_lib
from jaxnas.records import fingerprint, workdir
from jaxnas.strategies import fixed
from jaxnas.visualize import progress

NUM_RANDOM = 32
"""The most random architectures that are judged by shared weights too."""

Identity = tuple[str, int]


@dataclasses.dataclass(frozen=True)
class Phase:
  """A search with shared weights, and the arm that trains what it finds.

  Attributes:
    arm: the identity of the arm, whose number of trials is that of the
      architectures that it trains.
    search: the search with shared weights.
    num_drawn: the number of architectures that are drawn at its end, and
      ranked.
    baseline: the identity of an arm of random search, whose first proposals are
      judged by the shared weights too, for a comparison with their trainings.
    cost: the cost of the phase, in trials of the search.
  """

  arm: Identity
  search: shared_search.SharedSearch
  num_drawn: int
  baseline: Identity
  cost: float = 0.0

  @property
  def name(self) -> str:
    """The name of the phase's files."""
    name, repeat = self.arm
    return f'{name}-{repeat}'


@dataclasses.dataclass(frozen=True)
class Found:
  """What a phase found.

  Attributes:
    tokens: the best architectures by shared reward, the best first.
    rewards: their shared rewards.
    random_tokens: the first proposals of the baseline.
    random_rewards: their shared rewards.
    num_drawn: the number of architectures drawn at the end.
    num_distinct: the number of different ones among them.
    num_dead: the number of those that were dead.
    num_gradients: the number of gradients that the weights were trained by.
    num_dropped: the number of those that were dropped for dead architectures.
  """

  tokens: tuple[tuple[int, ...], ...]
  rewards: tuple[float, ...]
  random_tokens: tuple[tuple[int, ...], ...]
  random_rewards: tuple[float, ...]
  num_drawn: int
  num_distinct: int
  num_dead: int
  num_gradients: int
  num_dropped: int


def is_finished(phases: Sequence[Phase], folder: pathlib.Path) -> bool:
  """Returns whether no phase is left to run."""
  return all(_path(phase, folder).exists() for phase in phases)


def complete(
  search: search_lib.Search,
  phases: Sequence[Phase],
  folder: pathlib.Path,
  *,
  checkpoint_every: int,
  same_task: bool = False,
  lap: Callable[[str], None] = lambda name: None,
) -> tuple[search_lib.Search, dict[Identity, Found]]:
  """Runs all phases, or those that remain.

  Args:
    search: the search, with the arms of the phases but not what they propose.
    phases: the phases.
    folder: the run's folder.
    checkpoint_every: the number of steps between checkpoints.
    same_task: whether the user asserts that changed code gives the same
      results.
    lap: the function that is called with the name of each phase that was run.

  Returns:
    The search, and what each phase found, by the identity of its arm.

  Raises:
    ValueError: a file is damaged or of another phase, or what decides the
      results of an unfinished phase has changed.
  """
  found = {}
  for phase in phases:
    path = _path(phase, folder)
    if not path.exists():
      (arm,) = (each for each in search.arms if each.identity == phase.arm)
      beside = _first_proposals(search, phase.baseline)
      result = _run(phase, arm, beside, path, checkpoint_every, same_task)
      workdir.write_json(path, dataclasses.asdict(result), sealed=True)
      lap(phase.name)
    found[phase.arm] = _read(path, search)
  arms = tuple(
    dataclasses.replace(
      arm, strategy=fixed.make_fixed(np.array(found[arm.identity].tokens))
    )
    if arm.identity in found
    else arm
    for arm in search.arms
  )
  return dataclasses.replace(search, arms=arms), found


def _path(phase: Phase, folder: pathlib.Path) -> pathlib.Path:
  return folder / workdir.SHARED / f'{phase.name}.json'


def _run(phase, arm, beside, path, checkpoint_every, same_task) -> Found:
  """Runs one phase, from its start or its newest checkpoint."""
  search = phase.search
  repeat = f', search {arm.repeat + 1}' if arm.repeat else ''
  label = f'{arm.label[:1].upper()}{arm.label[1:]}'
  print(f'{label}{repeat}: training weights and policy first.', flush=True)
  with checkpoints_lib.Checkpoints(path.with_suffix('')) as checkpoints:
    _check_task(phase, path, same_task)
    with progress.Progress(search.num_steps, unit='step') as bar:

      def follow(num_steps, mean_reward):
        note = ''
        if not math.isnan(mean_reward):
          note = f'mean shared reward {mean_reward:.4g}'
        bar.update(num_steps, None, note)

      state = shared_search.run(search, checkpoints, checkpoint_every, follow)
    ranking = shared_search.rank(search, state, phase.num_drawn, arm.num_trials)
    of_random = shared_search.score(search, state, beside)
  return Found(
    tokens=_rows(ranking.tokens),
    rewards=tuple(ranking.rewards.tolist()),
    random_tokens=_rows(beside),
    random_rewards=tuple(of_random.rewards.tolist()),
    num_drawn=phase.num_drawn,
    num_distinct=ranking.num_distinct,
    num_dead=ranking.num_dead,
    num_gradients=search.num_steps * search.num_trained,
    num_dropped=search.supernet.num_dropped(state.weights),
  )


def _check_task(phase, path, same_task) -> None:
  """Checks that an unfinished phase is that which began in the folder."""
  search = phase.search
  fingerprint.check(
    path.with_suffix('.task.json'),
    {
      'supernet': getattr(search.supernet, 'task', search.supernet),
      'policy': search.policy,
      'reward': search.reward,
      'costs': search.costs,
      'numbers': (
        *(search.num_steps, search.num_frozen, search.num_trained),
        phase.num_drawn,
      ),
    },
    same_task,
    what='What trains and judges with shared weights',
  )


def _first_proposals(
  search: search_lib.Search, identity: Identity
) -> np.ndarray:
  """Returns the first proposals of an arm that learns nothing."""
  (arm,) = (each for each in search.arms if each.identity == identity)
  key = search_lib.arm_key(search, arm)
  state = arm.strategy.init(pure_search.init_key(key))
  wanted = min(NUM_RANDOM, arm.num_trials)
  groups = [
    arm.ask(
      state,
      pure_search.round_key(key, group),
      group * arm.batch_size,
      search.space.num_tokens,
    ).tokens
    for group in range(-(-wanted // arm.batch_size))
  ]
  return np.concatenate(groups).astype(np.int32)[:wanted]


def _rows(tokens: np.ndarray) -> tuple[tuple[int, ...], ...]:
  return tuple(tuple(row) for row in np.asarray(tokens).tolist())


def _read(path: pathlib.Path, search: search_lib.Search) -> Found:
  """Returns what a phase found; raises `ValueError` if a file is damaged."""
  fields: Mapping[str, Any] = workdir.read_json(path)
  try:
    found = Found(
      **{
        **fields,
        'tokens': _rows(np.array(fields['tokens'], np.int32)),
        'rewards': tuple(map(float, fields['rewards'])),
        'random_tokens': _rows(np.array(fields['random_tokens'], np.int32)),
        'random_rewards': tuple(map(float, fields['random_rewards'])),
      }
    )
    for tokens in (*found.tokens, *found.random_tokens):
      search.space.decode(np.array(tokens, np.int32))
    if not found.tokens or len(found.tokens) != len(found.rewards):
      raise ValueError('its rewards are not those of its architectures')
  except (KeyError, TypeError, ValueError) as error:
    raise ValueError(
      f'{path} is damaged ({error}); restore it from a copy, or delete it to '
      'have the phase run again.'
    ) from None
  return found
