# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The arms of a search: strategies that share a run and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
import dataclasses
import enum
from typing import Any

import jax
import numpy as np

from jaxnas import errors
from jaxnas.records import checkpoints
from jaxnas.types import Proposals, Strategy


@dataclasses.dataclass(frozen=True)
class DepthSchedule:
  """The number of layers to search, which grows with the trials completed.

  Section 3.3 of "Neural Architecture Search with Reinforcement Learning", Zoph
  and Le, 2017 (https://arxiv.org/abs/1611.01578), where the depth starts at 6
  and grows by 2 every 1,600 trials.

  Attributes:
    first_depth: the number of layers at the beginning.
    growth: the number of layers added at a time.
    every: the number of trials between additions; 0 keeps the first depth.
    max_depth: the number of layers of the space, where growth stops.
    decisions_per_layer: the number of decisions per layer.
  """

  first_depth: int
  growth: int
  every: int
  max_depth: int
  decisions_per_layer: int

  def __post_init__(self):
    if not 1 <= self.first_depth <= self.max_depth:
      raise ValueError(
        f'The first depth must be from 1 to {self.max_depth}, the layers of '
        f'the space; got {self.first_depth}.'
      )
    if min(self.growth, self.every) < 0:
      raise ValueError(
        'The depth can only grow: its growth and the number of trials between '
        f'additions must not be negative; got {self.growth} every {self.every}.'
      )

  def depth(self, num_trials: int) -> int:
    """Returns the number of layers after `num_trials` trials."""
    grown = num_trials // self.every if self.every else 0
    return min(self.max_depth, self.first_depth + grown * self.growth)

  def __call__(self, num_trials: int) -> int:
    """Returns the number of active decisions after `num_trials` trials."""
    return self.depth(num_trials) * self.decisions_per_layer


class Role(enum.Enum):
  """The purpose of an arm.

  Attributes:
    SEARCHED: the run is about this arm's strategy.
    BASELINE: the others are compared with this arm, such as random search.
    KNOWN: the arm proposes architectures that were known before the search.
  """

  SEARCHED = 'searched'
  BASELINE = 'baseline'
  KNOWN = 'known'


_COUNTS = 'num_trials', 'batch_size', 'replicas', 'replicas_per_update'


@dataclasses.dataclass(frozen=True)
class Arm:
  """One strategy with its own state, budget and cache.

  Attributes:
    name: the arm's name in the log, such as `'reinforce'`.
    strategy: the strategy that proposes.
    num_trials: the budget, counted in proposals; a multiple of `batch_size`.
    batch_size: the number of architectures proposed before the strategy learns.
    repeat: a number that tells repeats of one arm apart.
    num_active: the number of decisions to make, as a function of the number of
      the arm's earlier proposals; logged with each trial. All by default.
    role: the purpose of the arm.
    label: the arm's name in tables, such as `'REINFORCE'`; `name` by default.
    replicas: the number of batches in flight at a time; see `versions`. One is
      the synchronous search: propose, evaluate, learn.
    replicas_per_update: the number of finished batches that the strategy is
      told at a time.
    trains_fully: whether children are trained to their end even in a search
      with rungs. Those of known architectures always are.
  """

  name: str
  strategy: Strategy
  num_trials: int
  batch_size: int
  repeat: int = 0
  num_active: Callable[[int], int] | None = None
  role: Role = Role.SEARCHED
  label: str = ''
  replicas: int = 1
  replicas_per_update: int = 1
  trains_fully: bool = False

  def __post_init__(self):
    if not self.label:
      object.__setattr__(self, 'label', self.name)
    for name in _COUNTS:
      value = getattr(self, name)
      if not hasattr(value, '__index__'):
        raise ValueError(
          f'{name} of arm {self.name!r} must be a whole number, got {value!r}.'
        )
    for name in _COUNTS[1:]:
      if getattr(self, name) < 1:
        raise ValueError(
          f'Arm {self.name!r} needs {name} >= 1, got {getattr(self, name)}.'
        )
    if self.num_trials < 0 or self.num_trials % self.batch_size:
      raise ValueError(
        f'num_trials of arm {self.name!r} must be a multiple of its batch_size '
        f'({self.batch_size}), got {self.num_trials}.'
      )

  @property
  def identity(self) -> tuple[str, int]:
    """The name and repeat by which the log identifies the arm."""
    return self.name, self.repeat

  @property
  def is_halved(self) -> bool:
    """Whether children may stop at rungs, where a search has some."""
    return not self.trains_fully and self.role is not Role.KNOWN

  @property
  def num_groups(self) -> int:
    """The number of batches that spend the budget."""
    return self.num_trials // self.batch_size

  def settings(self, num_trials: int) -> dict[str, int]:
    """Returns the settings to log with a proposal after `num_trials` others."""
    if self.num_active is None:
      return {}
    return {'num_active': self.num_active(num_trials)}

  def ask(
    self, state: Any, key: jax.Array, num_done: int, num_tokens: int
  ) -> Proposals:
    """Returns the batch that the strategy proposes.

    Args:
      state: the strategy's state.
      key: the random key of the round.
      num_done: the number of the arm's earlier proposals.
      num_tokens: the length `T` of an architecture's tokens.

    Raises:
      ValueError: the strategy returns anything but `batch_size` architectures
        of `num_tokens` integers.
    """
    proposals = self.strategy.ask(
      state, key, self.batch_size, **self.settings(num_done)
    )
    ask = f'The ask of arm {self.name!r}'
    if not hasattr(proposals, 'tokens'):
      raise ValueError(
        f'{ask} must return jaxnas.Proposals(tokens, log_prob), got '
        f'{errors.in_one_line(proposals)}.'
      )
    wanted = f'integer tokens of the shape [{self.batch_size}, {num_tokens}]'
    try:
      tokens = np.asarray(proposals.tokens)
    except (TypeError, ValueError) as error:
      raise ValueError(
        f'{ask} must return {wanted}, got '
        f'{errors.in_one_line(proposals.tokens)}.'
      ) from error
    if tokens.ndim == 2 and len(tokens) != self.batch_size:
      raise ValueError(
        f'{ask} was asked for {self.batch_size} proposals and returned '
        f'{len(tokens)}; return exactly num_trials of them.'
      )
    shape = self.batch_size, num_tokens
    if tokens.dtype.kind not in 'iu' or tokens.shape != shape:
      raise ValueError(
        f'{ask} must return {wanted}, got {tokens.dtype}{[*tokens.shape]}.'
      )
    # What is in flight goes into checkpoints, and may be told with others.
    for leaf in jax.tree.leaves(proposals):
      if not hasattr(leaf, 'dtype') and (
        self.replicas_per_update > 1 or np.asarray(leaf).dtype.kind == 'O'
      ):
        raise ValueError(
          f'{ask} must return jaxnas.Proposals of arrays, got '
          f'{errors.in_one_line(leaf)} among them.'
        )
    return proposals

  def check_like(self, first: Proposals, proposals: Proposals) -> None:
    """Checks that a batch can take another's place in a checkpoint.

    Args:
      first: an earlier batch.
      proposals: the batch.

    Raises:
      ValueError: their structures, shapes or dtypes differ.
    """
    before, after = map(checkpoints.types_of, (first, proposals))
    for name in (*before, *after):
      if before.get(name) != after.get(name):
        raise ValueError(
          f'The ask of arm {self.name!r} changed '
          f'{name.replace("state", "proposals", 1)} from '
          f'{before.get(name, "nothing")} to {after.get(name, "nothing")}; '
          'proposals must keep the structure, shapes and dtypes of the first.'
        )

  def tell(
    self, state: Any, proposals: Proposals, rewards: np.ndarray
  ) -> tuple[Any, dict[str, float]]:
    """Returns the strategy's state after a batch, and its metrics.

    Args:
      state: the state before the batch.
      proposals: the batch, as `ask` returned it; if `replicas_per_update` is
        above one, several batches along their first axes, in the order in which
        they finished.
      rewards: the rewards of the batch, `[N]`.

    Raises:
      ValueError: the strategy returns anything but a state of the same
        structure, shapes and dtypes, and a mapping of scalars.
    """
    before = checkpoints.types_of(state)
    told = self.strategy.tell(state, proposals, rewards)
    tell = f'The tell of arm {self.name!r}'
    if (
      not isinstance(told, tuple)
      or len(told) != 2
      or not isinstance(told[1], Mapping)
    ):
      raise ValueError(
        f'{tell} must return (state, metrics), where metrics is a mapping of '
        "scalars, such as {'mean_reward': 0.5}, or empty; got "
        f'{errors.in_one_line(told)}.'
      )
    state, metrics = told
    after = checkpoints.types_of(state)
    for name in (*before, *after):
      if before.get(name) != after.get(name):
        raise ValueError(
          f'{tell} changed {name} from {before.get(name, "nothing")} to '
          f'{after.get(name, "nothing")}; a state must keep the structure, '
          'shapes and dtypes that init gave it.'
        )
    return state, {
      name: _scalar(f'{tell} must return scalars as metrics', name, value)
      for name, value in metrics.items()
    }

  def probabilities(
    self, state: Any, key: jax.Array, num_done: int, num_outcomes: int
  ) -> np.ndarray | None:
    """Returns how likely the policy is to choose each outcome, `[V]`.

    Args:
      state: the strategy's state.
      key: the random key of the estimate.
      num_done: the number of the arm's earlier proposals.
      num_outcomes: the number of outcomes of all decisions, `V`.

    Returns:
      The probabilities, -1 where a decision is not made; `None` if the strategy
      has no policy.

    Raises:
      ValueError: the strategy returns anything but `V` such numbers.
    """
    # A strategy of a user's own may be any object with the functions.
    function = getattr(self.strategy, 'probabilities', None)
    if function is None:
      return None
    found = function(state, key, **self.settings(num_done))
    try:
      probabilities = np.asarray(found, np.float64)
    except (TypeError, ValueError):
      probabilities = np.zeros(())
    is_wrong = (probabilities < 0) & (probabilities != -1)
    is_wrong |= probabilities > 1 + 1e-3
    if probabilities.shape != (num_outcomes,) or is_wrong.any():
      raise ValueError(
        f'The probabilities of arm {self.name!r} must be {num_outcomes} '
        'numbers from 0 to 1, one for each outcome of every decision, or -1 '
        f'where a decision is not made; got {errors.in_one_line(found)}.'
      )
    return probabilities


def _scalar(rule: str, name: str, value: Any) -> float:
  """Returns a metric as a number; `rule` begins the error if it is none."""
  try:
    if np.shape(value) == ():
      return float(value)
  except (TypeError, ValueError):
    pass
  raise ValueError(f'{rule}, got {errors.in_one_line(value)} as {name!r}.')
