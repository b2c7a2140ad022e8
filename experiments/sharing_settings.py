# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Settings of searches in which architectures share weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
import dataclasses
import types
from typing import Any, ClassVar
import zlib

import jax
import numpy as np

from experiments import settings, strategy_settings
from experiments.parts import shared_costs
from jaxnas import folding, shared_search
from jaxnas import search as search_lib
from jaxnas.runs import shared_phases
from jaxnas.strategies import (
  estimators,
  fixed,
  random_search,
  reinforce,
  relaxations,
  sharing,
)
from jaxnas.strategies import policy as policy_lib
from jaxnas.types import Controller, Cost, Reward, SearchSpace

NONE = 'none'
RANDOM = 'shared_random'
"""The search that ranks architectures drawn uniformly."""

LABELS: Mapping[str, str] = types.MappingProxyType(
  {
    'reinforce': 'shared weights, REINFORCE',
    'gumbel': 'shared weights, Gumbel-softmax',
    'straight_through': 'shared weights, straight-through',
    'darts': 'shared weights, DARTS',
  }
)
"""The searches' names in tables and sentences, by their estimators."""

_ENAS = 'ENAS (Pham et al., 2018)'
_TUNAS = 'TuNAS (Bender et al., 2020)'
_LEARNING_RATES = {'reinforce': 0.001}
_RELAXED_LEARNING_RATE = 0.003


@dataclasses.dataclass(frozen=True)
class Sharing(settings.Bounded):
  """How architectures share weights; to be inherited before `Settings`.

  An experiment inherits from `CellSharing` or `NetSharing`, which add the
  setting `sharing`.
  """

  sharing_example: ClassVar[str] = '--sharing'
  """The flag by which architectures share weights."""

  estimator: str = settings.search(
    '',
    'How the policy of --sharing learns: '
    f'{", ".join(LABELS)}; empty: reinforce. All but reinforce follow '
    'gradients of the loss through mixtures of operations, which recurrent '
    'cells have.',
  )
  shared_steps: int = settings.search(
    0,
    'Number of steps of the shared weights; 0: as many as cost what a search '
    'of --num_trials costs. If given, the other searches have the number of '
    'trials that costs as much, and --num_trials is not used.',
    low=0,
    high=settings.MAX_COUNT,
  )
  shared_cells: int = settings.search(
    8,
    'Number of architectures that a step of the shared weights trains.',
    low=1,
    high=settings.MAX_BLOCK,
  )
  judged_cells: int = settings.search(
    0,
    'Number of architectures, or of draws of a relaxation, that the policy '
    'learns from in a step; 0: 64 for reinforce, 8 for gumbel and '
    'straight_through, 1 for darts, whose draws are all the same.',
    low=0,
    high=settings.MAX_BLOCK,
  )
  frozen_share: float = settings.search(
    0.25,
    'Part of the steps, the first ones, in which architectures are drawn '
    'uniformly and the policy is frozen.',
    source=_TUNAS,
    low=0.0,
    below=1.0,
  )
  policy_learning_rate: float = settings.search(
    0.0,
    "Learning rate of Adam, for the policy of --sharing; 0: ENAS's 0.001 for "
    'reinforce, which makes so many updates that at the 0.01 of '
    '--controller_learning_rate a few architectures are left, and '
    "DARTS's 0.003 for the others.",
    source=f'{_ENAS}; DARTS (Liu et al., 2019)',
    low=0.0,
  )
  num_drawn: int = settings.search(
    1000,
    'Number of architectures that are drawn from the policy in the end and '
    'ranked by shared reward.',
    low=1,
    high=settings.MAX_ITEMS,
  )
  num_ranked: int = settings.search(
    50,
    'Number of the best of them that are trained alone.',
    low=1,
    high=settings.MAX_ITEMS,
  )
  ranked_minibatches: int = settings.search(
    4,
    'Number of minibatches of the validation data that they are ranked on; 0: '
    'all.',
    low=0,
    high=settings.MAX_COUNT,
  )

  @property
  def has_sharing(self) -> bool:
    """Whether architectures share weights."""
    return getattr(self, 'sharing', NONE) not in (NONE, False)

  @property
  def known_estimators(self) -> tuple[str, ...]:
    """The ways in which the policy can learn."""
    return tuple(LABELS)

  @property
  def shared_estimator(self) -> str:
    """How the policy learns."""
    return self.estimator or 'reinforce'

  @property
  def is_relaxed(self) -> bool:
    """Whether the policy learns by gradients through mixtures."""
    return self.has_sharing and self.shared_estimator != 'reinforce'

  @property
  def prior(self) -> policy_lib.SkipPrior | None:
    """How often the policy's anchor points should choose a layer."""
    return None

  @property
  def not_shared(self) -> Mapping[str, bool]:
    """What the experiment cannot do with shared weights: if it is asked to."""
    return {}

  @property
  def shared_labels(self) -> Mapping[str, str]:
    """The labels of the searches with shared weights, by their names."""
    if not self.has_sharing:
      return {}
    name = self.shared_estimator
    return {
      f'shared_{name}': LABELS[name],
      RANDOM: 'shared weights, random ranking',
    }


@dataclasses.dataclass(frozen=True)
class CellSharing(Sharing):
  """How recurrent cells share weights."""

  sharing: str = settings.search(
    NONE,
    'Weights that architectures share in searches beside --strategies: leaf, '
    'one set for all; operation, one for each combiner and activation of a '
    'leaf.',
    is_common=True,
    choices=(NONE, 'leaf', 'operation'),
  )
  sharing_example: ClassVar[str] = '--sharing=leaf'


@dataclasses.dataclass(frozen=True)
class NetSharing(Sharing):
  """How convolutional networks share weights."""

  sharing: bool = settings.search(
    False,
    'Whether to search beside --strategies with one set of weights for all '
    'architectures: a filter is the middle of the largest one.',
    is_common=True,
  )
  shared_learning_rate: float = settings.search(
    1.0,
    'Learning rate of the shared weights, before --schedule lowers it.',
    source=settings.MEASURED,
    above=0.0,
  )
  judged_cells: int = settings.changed(
    Sharing,
    'judged_cells',
    16,
    help='Number of networks that the policy of --sharing learns from at once.',
    bounds=settings.Bounds(low=2, high=settings.MAX_BLOCK),
  )
  num_drawn: int = settings.changed(Sharing, 'num_drawn', 256)
  num_ranked: int = settings.changed(Sharing, 'num_ranked', 16)
  skip_prior: float = settings.search(
    policy_lib.SkipPrior().probability,
    'Probability with which the policy of --sharing should choose each earlier '
    'layer as an input.',
    source=_ENAS,
    above=0.0,
    below=1.0,
  )
  skip_weight: float = settings.search(
    policy_lib.SkipPrior().weight,
    'Reward that the policy of --sharing loses per nat of the divergence of '
    'its probabilities from --skip_prior; 0: none.',
    source=_ENAS,
    low=0.0,
  )

  @property
  def known_estimators(self) -> tuple[str, ...]:
    """The ways in which the policy can learn."""
    return ('reinforce',)

  @property
  def prior(self) -> policy_lib.SkipPrior | None:
    """How often the policy's anchor points should choose a layer."""
    config: Any = self
    if config.num_layers < 2 or not self.skip_weight:
      return None
    return policy_lib.SkipPrior(self.skip_prior, self.skip_weight)

  @property
  def not_shared(self) -> Mapping[str, bool]:
    """What the experiment cannot do with shared weights: if it is asked to."""
    config: Any = self
    return {
      '--strides other than 1': config.strides != (1,),
      '--pool_after': bool(config.pool_after),
      '--first_depth below --num_layers': (
        0 < config.first_depth < config.num_layers
      ),
    }


def check(config: Any) -> None:
  """Checks that the settings go together.

  Args:
    config: the settings of a search.

  Raises:
    ValueError: they do not.
  """
  if not config.has_sharing:
    return _check_unused(config)
  if config.shared_estimator not in LABELS:
    raise ValueError(
      f'--estimator must be one of {", ".join(LABELS)}, got '
      f'{config.estimator!r}.'
    )
  if config.shared_estimator not in config.known_estimators:
    raise ValueError(
      f'--estimator={config.estimator} follows gradients through mixtures of '
      'operations, which only recurrent cells have; use reinforce.'
    )
  if strategy_settings.BASELINE not in config.strategies:
    raise ValueError(
      '--sharing is compared with random search at equal cost; name random '
      f'among --strategies, got {",".join(config.strategies)}.'
    )
  unfit = {
    '--halving': config.halving,
    '--objectives': config.objectives,
    '--max_params and other limits': config.limits,
    '--workers': config.workers != 'local',
    '--pod': config.pod,
    **config.not_shared,
  }
  for name, is_given in unfit.items():
    if is_given:
      raise ValueError(f'--sharing does not go together with {name}.')
  if config.is_relaxed and (config.reward or config.cost_target):
    name = '--reward' if config.reward else '--cost_target'
    raise ValueError(
      f'--estimator={config.shared_estimator} descends the loss and not a '
      f'reward, so it does not go together with {name}; use reinforce.'
    )
  if config.shared_estimator == 'reinforce' and config.judged_cells == 1:
    raise ValueError(
      '--judged_cells=1 leaves REINFORCE nothing to compare a child with; give '
      'at least 2.'
    )
  if config.shared_estimator == 'darts' and config.judged_cells > 1:
    raise ValueError(
      f'--judged_cells={config.judged_cells} draws of darts would all be the '
      'same; give 1.'
    )


def _check_unused(config: Any) -> None:
  """Checks that nothing is said about weights that are not shared."""
  kind = NetSharing if isinstance(config, NetSharing) else CellSharing
  for field in dataclasses.fields(kind):
    if (value := getattr(config, field.name)) != field.default:
      raise ValueError(
        f'--{field.name}={value} needs {config.sharing_example}.'
      )


def make_arms(config: Any, space: SearchSpace) -> list[search_lib.Arm]:
  """Makes the arms that train what is found with shared weights.

  What they propose is known once their phases have been run.

  Args:
    config: the complete settings.
    space: the search space.
  """
  blank = fixed.make_fixed(np.zeros((1, space.num_tokens), np.int32))
  return [
    search_lib.Arm(
      name, blank, config.num_ranked, config.num_ranked, repeat, label=label
    )
    for name, label in config.shared_labels.items()
    for repeat in range(config.num_repeats)
  ]


def of_run(
  config: Any,
  space: SearchSpace,
  supernet: shared_search.Supernet | None,
  reward: Reward,
  costs: Mapping[str, Cost],
  make_controller: Callable[[], Controller],
) -> dict[str, Any]:
  """Returns the fields of an `Experiment` about shared weights, if any.

  Args:
    config: the complete settings.
    space: the search space.
    supernet: the shared weights; `None` without.
    reward: the reward of the search.
    costs: the costs that it sees among the metrics, by name.
    make_controller: a function that makes REINFORCE's policy.
  """
  if supernet is None:
    return {}
  return {
    'phases': make_phases(
      config, space, supernet, reward, costs, make_controller
    ),
    'counted': shared_costs.describe(config, supernet.num_minibatches),
  }


def make_phases(
  config: Any,
  space: SearchSpace,
  supernet: shared_search.Supernet,
  reward: Reward,
  costs: Mapping[str, Cost],
  make_controller: Callable[[], Controller],
) -> list[shared_phases.Phase]:
  """Makes the phases with shared weights.

  Args:
    config: the complete settings.
    space: the search space.
    supernet: the shared weights.
    reward: the reward of the search.
    costs: the costs that it sees among the metrics, by name.
    make_controller: a function that makes REINFORCE's policy.
  """
  counted = shared_costs.of(config, supernet.num_minibatches)
  uniform = sharing.never_learning(
    random_search.make_random_search(space.decisions)
  )
  num_steps = config.shared_steps
  num_frozen = counted.num_frozen(num_steps)
  policy = _make_policy(
    config, space, counted, num_steps - num_frozen, make_controller
  )
  num_uniform = counted.num_uniform_steps(num_steps)
  return [
    shared_phases.Phase(
      arm=arm.identity,
      search=shared_search.SharedSearch(
        space=space,
        supernet=supernet,
        policy=uniform if arm.name == RANDOM else policy,
        reward=reward,
        key=_key(config, arm),
        num_steps=num_uniform if arm.name == RANDOM else num_steps,
        num_frozen=num_uniform if arm.name == RANDOM else num_frozen,
        num_trained=config.shared_cells,
        costs=costs,
      ),
      num_drawn=config.num_drawn,
      baseline=(strategy_settings.BASELINE, arm.repeat),
      cost=counted.total(num_steps) / config.num_steps - config.num_ranked,
    )
    for arm in make_arms(config, space)
  ]


def _key(config: Any, arm: search_lib.Arm) -> jax.Array:
  """Returns the key of a phase, which is none of those of its arm's search."""
  key = folding.arm_key(jax.random.key(config.seed), arm)
  return jax.random.fold_in(key, zlib.crc32(b'shared'))


def _make_policy(
  config, space, counted, num_updates, make_controller
) -> sharing.Policy:
  estimator = config.shared_estimator
  rate = config.policy_learning_rate or _LEARNING_RATES.get(
    estimator, _RELAXED_LEARNING_RATE
  )
  if estimator not in estimators.RELAXATIONS:
    strategy = reinforce.make_reinforce(
      make_controller(),
      learning_rate=rate,
      baseline_decay=config.baseline_decay,
      entropy_weight=config.entropy_weight,
      skip_prior=config.prior,
    )
    return sharing.of_strategy(strategy, counted.num_judged)
  relaxed = relaxations.make_relaxed_policy(
    space.decisions,
    estimator,
    counted.num_judged,
    relaxations.anneal(num_updates),
    relaxations.make_optimizer(rate),
  )
  return sharing.of_relaxation(relaxed)
