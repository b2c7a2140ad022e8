# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A search in which all architectures share one set of weights.

Each step trains the weights on `M` architectures drawn from a policy, and then
the policy on architectures that are judged with these weights on one minibatch
of the validation split. For the first steps the policy is frozen and
architectures are drawn uniformly, so that it does not learn from weights that
say nothing yet; "Can Weight Sharing Outperform Random Architecture Search? An
Investigation With TuNAS", Bender et al., 2020
(https://arxiv.org/abs/2008.06120). At the end, architectures are drawn from the
policy, and the best by their shared rewards are what was found: a policy is
never read out by its most likely choices, which need not be good together.

Everything follows from a key and the numbers of steps, so a search that was
killed goes on from its newest checkpoint as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import dataclasses
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from jaxnas import evaluators
from jaxnas.records import checkpoints as checkpoints_lib
from jaxnas.strategies import random_search, sharing
from jaxnas.types import (
  Cost,
  Evaluation,
  Reward,
  SearchSpace,
  Status,
  Trained,
)


class Supernet(Protocol):
  """One set of weights for all architectures, and who trains it.

  `N` and `M` are numbers of architectures. Metrics are a dict of arrays `[N]`,
  named as those of a trainer, such as `'validation_perplexity'`;
  one that is not finite tells a dead child.
  """

  @property
  def num_minibatches(self) -> int:
    """The number of minibatches of the validation split."""

  def init(self, key: jax.Array, num_steps: int) -> Any:
    """Returns the untrained weights and all else that training changes.

    Args:
      key: a random key.
      num_steps: the length of the whole training, which a learning-rate
        schedule may depend on.
    """

  def train(self, state: Any, architectures: Sequence[Any]) -> Any:
    """Returns the state after one more step, on `M` architectures."""

  def judge(
    self, state: Any, architectures: Sequence[Any], minibatch: int
  ) -> Mapping[str, np.ndarray]:
    """Returns metrics of one validation minibatch."""

  def measure(
    self, state: Any, architectures: Sequence[Any]
  ) -> Mapping[str, np.ndarray]:
    """Returns metrics of what architectures are ranked by."""

  def slopes(
    self, state: Any, probabilities: Any, minibatch: int
  ) -> tuple[Any, Any]:
    """Returns values and slopes of mixtures, as in `sharing.Judge`."""

  def num_dropped(self, state: Any) -> int:
    """Returns how many gradients were dropped since a child was dead."""


@dataclasses.dataclass(frozen=True)
class SharedSearch:
  """The settings of a search with shared weights.

  Attributes:
    space: the search space.
    supernet: the shared weights.
    policy: the policy.
    reward: the reward of architectures and metrics.
    key: the random key that everything follows from.
    num_steps: the number of steps.
    num_frozen: the number of first steps in which the policy does not learn.
    num_trained: the number `M` of architectures that a step trains.
    costs: the costs of an architecture, by name, which the reward sees among
      the metrics.
  """

  space: SearchSpace
  supernet: Supernet
  policy: sharing.Policy
  reward: Reward
  key: jax.Array
  num_steps: int
  num_frozen: int
  num_trained: int
  costs: Mapping[str, Cost] = dataclasses.field(default_factory=dict)

  def __post_init__(self):
    if min(self.num_steps, self.num_trained) < 1:
      raise ValueError(
        'Weights need at least one step and one architecture a step, got '
        f'{self.num_steps} and {self.num_trained}.'
      )
    if not 0 <= self.num_frozen <= self.num_steps:
      raise ValueError(
        f'num_frozen must be from 0 to num_steps ({self.num_steps}), got '
        f'{self.num_frozen}.'
      )
    if self.policy.learn is None and self.num_frozen < self.num_steps:
      raise ValueError('A policy that never learns is frozen for all steps.')


class SharedSearchState(NamedTuple):
  """The state of a search after any of its steps, which a checkpoint stores.

  Attributes:
    weights: the supernet's state.
    policy: the policy's state.
    step: the number of steps taken, `int32[]`.
    mean_reward: the mean reward of what the policy learnt from last, a scalar.
  """

  weights: Any
  policy: Any
  step: np.ndarray
  mean_reward: np.ndarray


Follow = Callable[[int, float], None]
"""`(num_steps, mean_reward) -> None`, called as steps are taken; the mean is
NaN until the policy has learnt."""


def init(search: SharedSearch) -> SharedSearchState:
  """Returns the state before the first step."""
  return SharedSearchState(
    weights=search.supernet.init(_key(search, _WEIGHTS), search.num_steps),
    policy=search.policy.init(_key(search, _POLICY)),
    step=np.array(0, np.int32),
    mean_reward=np.array(np.nan, np.float32),
  )


def run(
  search: SharedSearch,
  checkpoints: checkpoints_lib.Checkpoints | None = None,
  checkpoint_every: int = 128,
  follow: Follow = lambda num_steps, mean_reward: None,
) -> SharedSearchState:
  """Takes all steps, or those that remain.

  Args:
    search: the settings.
    checkpoints: the store of states, if any.
    checkpoint_every: the number of steps between checkpoints; results do not
      depend on it.
    follow: the function that is told of the progress.

  Returns:
    The state after the last step.

  Raises:
    ValueError: a checkpoint holds a state of another search.
  """
  state = init(search)
  restored = checkpoints and checkpoints.restore_newest(state)
  if restored:
    state = restored[1]
  saved = int(state.step)
  uniform = random_search.make_random_search(search.space.decisions)
  follow(saved, float(state.mean_reward))
  while (step := int(state.step)) < search.num_steps:
    if step < search.num_frozen:
      state = _train_uniformly(search, uniform, state)
    else:
      state = _train_and_learn(search, state)
    step = int(state.step)
    follow(step, float(state.mean_reward))
    if checkpoints is not None and (
      step // checkpoint_every > saved // checkpoint_every
      or step == search.num_steps
    ):
      checkpoints.save(step, state)
      saved = step
  return state


def _train_uniformly(search, uniform, state) -> SharedSearchState:
  """Trains the weights on architectures drawn uniformly."""
  step = int(state.step)
  key = _step_key(search, step, _CELLS)
  tokens = uniform.ask(None, key, search.num_trained).tokens
  weights = search.supernet.train(state.weights, _decode(search, tokens))
  return state._replace(weights=weights, step=np.array(step + 1, np.int32))


def _train_and_learn(search, state) -> SharedSearchState:
  """Trains the weights on draws of the policy, and then the policy."""
  step, policy = int(state.step), search.policy
  tokens = policy.sample(
    state.policy, _step_key(search, step, _CELLS), search.num_trained
  )
  weights = search.supernet.train(state.weights, _decode(search, tokens))
  minibatch = step % search.supernet.num_minibatches

  def rewards(tokens):
    architectures = _decode(search, tokens)
    metrics = search.supernet.judge(weights, architectures, minibatch)
    return _evaluate(search, architectures, metrics).rewards

  def slopes(probabilities):
    return search.supernet.slopes(weights, probabilities, minibatch)

  learned, metrics = policy.learn(
    state.policy,
    _step_key(search, step, _JUDGED),
    sharing.Judge(rewards, slopes),
  )
  return SharedSearchState(
    weights=weights,
    policy=learned,
    step=np.array(step + 1, np.int32),
    mean_reward=np.array(metrics['mean_reward'], np.float32),
  )


class Ranking(NamedTuple):
  """Architectures drawn from a policy, the best by shared reward first.

  Attributes:
    tokens: the best architectures, `int32[K, T]`, all different.
    rewards: their shared rewards, `float32[K]`.
    num_distinct: the number of different architectures among all drawn.
    num_dead: the number of those that are dead; they come last.
  """

  tokens: np.ndarray
  rewards: np.ndarray
  num_distinct: int
  num_dead: int


def rank(
  search: SharedSearch,
  state: SharedSearchState,
  num_drawn: int,
  num_ranked: int,
) -> Ranking:
  """Draws architectures from the policy, and returns the best of them.

  Of architectures that are equal in canonical form the first counts.

  Args:
    search: the settings.
    state: the state after the last step.
    num_drawn: the number of draws.
    num_ranked: the largest number `K` of architectures to return.
  """
  drawn = search.policy.sample(state.policy, _key(search, _DRAWN), num_drawn)
  distinct: dict[bytes, np.ndarray] = {}
  for tokens in drawn:
    distinct.setdefault(
      np.asarray(search.space.canonical(tokens)).tobytes(), tokens
    )
  tokens = np.stack(list(distinct.values()))
  found = score(search, state, tokens)
  is_dead = found.status != Status.OK
  # Stable, so that of equals the first drawn comes first; a dead one may have
  # the reward of living ones.
  order = np.lexsort((-found.rewards, is_dead))[:num_ranked]
  return Ranking(
    tokens[order], found.rewards[order], len(tokens), int(is_dead.sum())
  )


def score(
  search: SharedSearch, state: SharedSearchState, tokens: np.ndarray
) -> Evaluation:
  """Judges architectures by the shared weights.

  Args:
    search: the settings.
    state: the state after the last step.
    tokens: the architectures, `int32[N, T]`.
  """
  architectures = _decode(search, tokens)
  metrics = search.supernet.measure(state.weights, architectures)
  return _evaluate(search, architectures, metrics)


def _evaluate(search, architectures, metrics) -> Evaluation:
  """Turns metrics with shared weights into rewards, as those of trainings."""
  is_alive = np.all([np.isfinite(each) for each in metrics.values()], axis=0)
  status = np.where(is_alive, Status.OK, Status.DIVERGED).astype(np.int32)
  trained = evaluators.add_costs(
    Trained(metrics, status), architectures, search.costs
  )
  return evaluators.judge(architectures, trained, search.reward)


def _decode(search, tokens) -> list[Any]:
  return [search.space.decode(row) for row in np.asarray(tokens, np.int32)]


# The keys of a search, none of which is that of a step.
_WEIGHTS, _POLICY, _DRAWN, _STEPS = range(4)
# The keys of a step.
_CELLS, _JUDGED = range(2)


def _key(search: SharedSearch, number: int) -> jax.Array:
  return jax.random.fold_in(search.key, number)


def _step_key(search: SharedSearch, step: int, number: int) -> jax.Array:
  key = jax.random.fold_in(_key(search, _STEPS), step)
  return jax.random.fold_in(key, number)
