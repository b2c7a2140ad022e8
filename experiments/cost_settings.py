# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Settings of what architectures may cost, and of how costs are weighed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
import contextlib
import dataclasses
import math
import pathlib
from typing import Any

import numpy as np

from experiments import settings, strategy_settings
from jaxnas import rewards
from jaxnas.costs import extremes, latency
from jaxnas.costs import limits as limits_lib
from jaxnas.records import search_fronts
from jaxnas.strategies import pareto_evolution, redrawn
from jaxnas.types import Cost, Reward, SearchSpace, Strategy

METRICS: Mapping[str, str] = {
  'params': 'num_params',
  'multiply_adds': 'num_multiply_adds',
  'transcendentals': 'num_transcendentals',
  'latency': 'latency_ms',
}
"""The metrics of the costs, by the names that settings have for them."""

FILE = 'latencies.jsonl'
"""The file of a run that has its measured latencies."""

_MOST = 10**15
_NUM_MEASURED = 8


@dataclasses.dataclass(frozen=True)
class Costs(settings.Bounded):
  """What architectures may cost, and how a reward weighs it."""

  max_params: int = settings.search(
    0,
    'Maximum number of parameters of an architecture; 0: no limit. An '
    'architecture that exceeds a limit is not trained.',
    low=0,
    high=_MOST,
  )
  max_multiply_adds: int = settings.search(
    0,
    'Maximum number of multiply-adds of the forward pass of one image, or of '
    'one token; 0: no limit.',
    low=0,
    high=_MOST,
  )
  max_latency_ms: float = settings.search(
    0.0,
    'Maximum duration, in milliseconds on this machine, of the forward pass of '
    'one image, or of one text of --num_unrolled tokens: the median of 20 '
    'calls; 0: no limit.',
    low=0.0,
  )
  max_redraws: int = settings.search(
    16,
    'Maximum number of draws to replace a proposal that exceeds a limit, '
    'before it is recorded as infeasible.',
    low=0,
    high=settings.MAX_ITEMS,
  )
  cost: str = settings.search(
    'params',
    'Cost that --cost_target applies to. Only cells have a count of '
    'transcendental functions.',
    choices=tuple(METRICS),
  )
  cost_target: float = settings.search(
    0.0,
    'Target T of the cost C, which the reward Q then includes; 0: none.',
    low=0.0,
  )
  cost_reward: str = settings.search(
    'absolute',
    'How the reward weighs the cost: Q + beta |C/T - 1| (absolute), Q (C/T)^w '
    '(power), or Q min((C/T)^w, 1) (hard).',
    source='TuNAS (Bender et al., 2020) and MnasNet (Tan et al., 2019)',
    choices=tuple(rewards.COST_WEIGHTS),
  )
  cost_weight: float = settings.search(
    0.0,
    'Weight beta or w, below 0; 0: -0.1 for absolute, -0.07 for the others.',
    source='TuNAS (Bender et al., 2020) and MnasNet (Tan et al., 2019)',
    high=0.0,
  )

  objectives: tuple[str, ...] = settings.search(
    (),
    'Several objectives: reward, and one or two costs to keep small, such as '
    'reward,params. Evolution then ranks by all of them, the run keeps the '
    'front, and its ends and knee are retrained. Empty: the reward alone.',
  )

  @property
  def num_parts(self) -> int:
    """The number of winners of a search that are reported."""
    return len(search_fronts.PARTS) if self.objectives else 1

  @property
  def limits(self) -> dict[str, float]:
    """The limits that are set, by the names of metrics."""
    most: dict[str, float] = {
      'num_params': self.max_params,
      'num_multiply_adds': self.max_multiply_adds,
      'latency_ms': self.max_latency_ms,
    }
    return {name: each for name, each in most.items() if each}


class Prices:
  """What the architectures of an experiment cost.

  Attributes:
    costs: the costs that trials are told with, by name: all of them as soon as
      one matters.
    limits: the limits, if there are any.
    is_weighed: whether the reward weighs a cost.
    objectives: the objectives by the names of metrics, if there are several.
    facts: entries of the manifest.
  """

  def __init__(
    self,
    config: Costs,
    space: SearchSpace,
    exact: Mapping[str, Cost],
    make_program: Callable[[Any], latency.Program],
    fewest: Mapping[str, Callable[[], float | None]] | None = None,
    num_active: int | None = None,
    wanted: bool = False,
    part_of: Callable[[Any], Any] = lambda architecture: architecture,
  ):
    """Checks the limits and the target; what is measured is checked later.

    Args:
      config: the settings.
      space: the search space.
      exact: the costs that are counted, by the names of metrics.
      make_program: the function that makes the program whose latency counts.
      fewest: functions that count the least cost of the space exactly, by name;
        one may return `None`.
      num_active: the number of decisions that a search begins with; all by
        default.
      wanted: whether trials are told with their costs in any case.
      part_of: the function that gives the part of an architecture on which its
        latency depends.

    Raises:
      ValueError: no architecture meets a limit or the target, or there is no
        such cost, or it says how a cost is weighed where none is.
    """
    _check_weighing(config)
    self._config, self._space, self._exact = config, space, exact
    self._fewest, self._num_active = fewest or {}, num_active
    self._latency = latency.Latency(make_program, part_of)
    self._floor = 0.0
    name = METRICS[config.cost]
    self._target = name if config.cost_target else ''
    self.objectives = _objectives(config)
    self.facts: dict[str, Any] = {}
    if self.objectives:
      self.facts['objectives'] = list(self.objectives)
    self._check_names()
    self.is_weighed = bool(self._target)
    is_used = wanted or bool(self._used)
    known: dict[str, Cost] = dict(exact) if is_used else {}
    if 'latency_ms' in self._used:
      known['latency_ms'] = self._latency
    # A known architecture may be outside of the space, and is `None` then.
    self.costs = {name: _or_nan(cost) for name, cost in known.items()}
    self.limits = (
      limits_lib.Limits(config.limits, self.costs) if config.limits else None
    )
    self._bounds: dict[str, extremes.Extremes] = {}
    self._check([name for name in self._used if name != 'latency_ms'])

  def reward(self, reward: Reward) -> Reward:
    """Returns a reward that weighs the cost as well, if it has a target.

    It is that of the search whose strategies `adapt` changes.

    Args:
      reward: the reward without.

    Raises:
      ValueError: rewards may be negative, and the cost would multiply them.
    """
    config = self._config
    self._floor = reward.floor
    if not self._target:
      return reward
    # The bounds of a latency are not known before it is measured; without them
    # the floor may be too high, which only causes a warning.
    deviation = 1.0
    if self._target in self._bounds:
      deviation = self._bounds[self._target].deviation(config.cost_target)
    weighed = rewards.make_cost_reward(
      reward,
      self._target,
      config.cost_target,
      config.cost_reward,
      config.cost_weight or None,
      deviation,
    )
    self._floor = weighed.floor
    return weighed

  def adapt(self, name: str, strategy: Strategy) -> Strategy:
    """Returns a strategy that knows of costs.

    Evolution ranks by all objectives if there are several, and every strategy
    draws again what exceeds a limit.

    Args:
      name: the strategy's name.
      strategy: the strategy as it is without costs.
    """
    if self.objectives and name == 'evolution':
      config: Any = self._config
      strategy = pareto_evolution.make_pareto_evolution(
        self._space.decisions,
        self._costs_of,
        len(self.objectives) - 1,
        config.population_size,
        strategy_settings.front_sample_size(config),
        floor=self._floor,
      )
    if self.limits is None:
      return strategy
    return redrawn.make_redrawn(
      strategy, self.limits.allows(self._space), self._config.max_redraws
    )

  def _costs_of(self, tokens: Any) -> np.ndarray:
    """Returns the costs among the objectives, `float32[N, C]`."""
    architectures = [self._space.decode(row) for row in np.asarray(tokens)]
    return np.array(
      [
        [self.costs[name](each) for name in self.objectives[1:]]
        for each in architectures
      ],
      np.float32,
    )

  @contextlib.contextmanager
  def opened(self, folder: pathlib.Path) -> Iterator[None]:
    """Keeps measured latencies in a run's folder, and checks them.

    Also prints how many random architectures meet the limits.

    Args:
      folder: the run's folder.

    Raises:
      ValueError: no architecture that was measured meets a limit or the target,
        or the file is damaged.
    """
    if told := self._told():
      print(told)
    if 'latency_ms' not in self.costs:
      yield
      return
    with self._latency.kept(folder / FILE):
      self._check(['latency_ms'])
      yield

  def _told(self) -> str:
    """Returns how many random architectures meet the limits; '' if unknown."""
    if self.limits is None or 'latency_ms' in self.limits.most:
      return ''
    share = extremes.share_within(
      self._space, self.limits.allows(self._space), self._num_active
    )
    return f'Limits: {share:.1%} of 1,000 random architectures meet them.'

  @property
  def _used(self) -> list[str]:
    names = filter(
      None, [*self._config.limits, self._target, *self.objectives[1:]]
    )
    return list(dict.fromkeys(names))

  def _check_names(self) -> None:
    for name in self._used:
      if name not in (*self._exact, 'latency_ms'):
        have = [kind for kind, each in METRICS.items() if each in self._exact]
        raise ValueError(
          f'Architectures of this space have no cost {name}; they have '
          f'{", ".join(have)} and latency.'
        )

  def _check(self, names: list[str]) -> None:
    config = self._config
    for name in names:
      bounds = self._bounds[name] = self._find(name)
      if name in config.limits:
        flag = 'max_' + name.removeprefix('num_')
        most = config.limits[name]
        limits_lib.check_met(name, most, bounds, f'--{flag}={_plain(most)}')
      if name == self._target:
        limits_lib.check_target(
          name,
          config.cost_target,
          bounds,
          f'--cost_target={_plain(config.cost_target)}',
        )
        if config.cost_reward == 'power':
          limits_lib.check_power(name, bounds, '--cost_reward=power')
      if name in self.objectives and bounds.low == bounds.high:
        raise ValueError(
          f'All architectures of the space have {name} '
          f'{limits_lib.spell(bounds.low)}, so it cannot be one of '
          '--objectives; take another cost.'
        )

  def _find(self, name: str) -> extremes.Extremes:
    """Returns the bounds of a cost in the space."""
    if name == 'latency_ms':
      return extremes.find(
        self._space,
        self._latency,
        num_active=self._num_active,
        num_drawn=_NUM_MEASURED,
        climbs=False,
      )
    bounds = extremes.find(
      self._space, self._exact[name], num_active=self._num_active
    )
    least = self._fewest.get(name)
    return bounds if least is None else bounds.with_low(least())


def _check_weighing(config: Costs) -> None:
  """Checks that no setting about the weight of a cost goes unused."""
  if config.cost_target:
    return
  for name in ('cost', 'cost_reward', 'cost_weight'):
    if (value := getattr(config, name)) != getattr(Costs, name):
      raise ValueError(
        f'--{name}={value} has no effect without a target of the cost; give '
        '--cost_target.'
      )


def _objectives(config: Costs) -> tuple[str, ...]:
  given = config.objectives
  if not given:
    return ()
  if (
    given[0] != search_fronts.REWARD
    or len(given) not in (2, 3)
    or len(set(given)) < len(given)
    or not set(given[1:]) <= set(METRICS)
  ):
    raise ValueError(
      '--objectives must be reward and one or two costs of '
      f'{", ".join(METRICS)}, such as reward,params; got {",".join(given)}.'
    )
  return given[0], *(METRICS[name] for name in given[1:])


def _plain(value: float) -> str:
  """Returns a number as it may be given on a command line."""
  return str(int(value)) if float(value).is_integer() else repr(value)


def _or_nan(cost: Cost) -> Cost:
  def priced(architecture: Any) -> float:
    return math.nan if architecture is None else cost(architecture)

  return priced
