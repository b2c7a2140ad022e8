# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Policies that learn from architectures with shared weights.

As in "Efficient Neural Architecture Search via Parameter Sharing", Pham et al.,
2018 (https://arxiv.org/abs/1802.03268): a reward costs a forward pass in place
of a training, so a policy learns at every step of the training of one set of
weights. All architectures of a step are judged on the same minibatch, and each
is compared with the others rather than with earlier ones, whose minibatches and
weights were different.

`N` is the number of architectures that a policy learns from at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnas.strategies import estimators, relaxations
from jaxnas.types import Strategy


class Judge(NamedTuple):
  """How architectures do with the weights of one step, on one minibatch.

  Attributes:
    rewards: `tokens int32[N, T] -> float32[N]`, always finite.
    slopes: `probabilities float[N, V] -> (values [N], slopes [N, V])`: what
      mixtures of architectures are worth, to be climbed, and its derivatives by
      the probabilities. These values may have another scale than rewards.
  """

  rewards: Callable[[np.ndarray], np.ndarray]
  slopes: Callable[[Any], tuple[Any, Any]]


class Policy(NamedTuple):
  """A distribution over architectures that share weights.

  Attributes:
    init: `key -> state`, a pytree of arrays whose shapes and dtypes stay fixed.
    sample: `(state, key, count) -> tokens int32[count, T]`.
    learn: `(state, key, judge) -> (state, metrics)`, where metrics is a dict of
      scalars with `mean_reward`; `None` for a policy that never learns.
  """

  init: Callable[[jax.Array], Any]
  sample: Callable[[Any, jax.Array, int], np.ndarray]
  learn: (
    Callable[[Any, jax.Array, Judge], tuple[Any, Mapping[str, Any]]] | None
  ) = None


def of_strategy(strategy: Strategy, num_judged: int) -> Policy:
  """Makes a policy of a strategy, which is told advantages as rewards.

  The advantage of an architecture is its reward less the mean of the others;
  see `estimators.leave_one_out`. Their mean is 0, so that a moving baseline of
  the strategy stays 0, but for its entropy bonus and a skip prior.

  Args:
    strategy: the strategy, such as REINFORCE.
    num_judged: the number `N` of architectures that it learns from at a time.

  Raises:
    ValueError: there is nothing to compare an architecture with.
  """
  if num_judged < 2:
    raise ValueError(
      'An architecture is compared with the others of its step, so at least 2 '
      f'must be judged; got {num_judged}.'
    )

  def learn(state, key, judge):
    proposals = strategy.ask(state, key, num_judged)
    rewards = judge.rewards(np.asarray(proposals.tokens, np.int32))
    advantages = estimators.leave_one_out(jax.numpy.asarray(rewards))
    state, metrics = strategy.tell(state, proposals, advantages)
    return state, {**metrics, 'mean_reward': np.mean(rewards)}

  return Policy(strategy.init, _sampling(strategy.ask), learn)


def of_relaxation(relaxed: relaxations.RelaxedPolicy) -> Policy:
  """Returns a relaxed policy as one that learns from shared weights."""

  def learn(state, key, judge):
    values, slopes = judge.slopes(relaxed.ask(state, key))
    return relaxed.tell(state, key, values, slopes)

  return Policy(relaxed.init, _sampling(relaxed.sample), learn)


def never_learning(strategy: Strategy) -> Policy:
  """Makes a policy of a strategy that is never told anything.

  Args:
    strategy: the strategy, such as random search.
  """
  return Policy(strategy.init, _sampling(strategy.ask))


def _sampling(ask) -> Callable[[Any, jax.Array, int], np.ndarray]:
  def sample(state, key, count):
    return np.asarray(ask(state, key, count).tokens, np.int32)

  return sample
