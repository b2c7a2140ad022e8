# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Estimates of the gradient of the expected reward of a factorized policy.

The policy's logits `l` are to climb `E[R(a)]` for architectures `a` drawn from
it. There are two ways to estimate the gradient:

- *Score function*: rewards of architectures, `mean_i (R_i - b_i) grad log p
  (a_i)`: REINFORCE, whose mean is exact. The baseline `b_i` is a constant, or
  the mean reward of the other architectures (leave-one-out; Kool et al., 2019,
  "Buy 4 REINFORCE Samples, Get a Baseline for Free!").
- *Pathwise*: derivatives of a reward that takes probabilities in place of
  tokens, through a *relaxation*, which makes probabilities of logits and noise.
  There is less noise in it, and its mean is the gradient of something else.

The relaxations:

- `darts`: the probabilities themselves, without noise, as in "DARTS:
  Differentiable Architecture Search" (Liu et al., 2019,
  https://arxiv.org/abs/1806.09055), first order.
- `gumbel_softmax`: the softmax of logits plus Gumbel noise, divided by a
  temperature ("Categorical Reparameterization with Gumbel-Softmax", Jang et
  al., 2017, https://arxiv.org/abs/1611.01144; "The Concrete Distribution",
  Maddison et al., 2017, https://arxiv.org/abs/1611.00712). The coins of an
  anchor point get the sigmoid of logit plus logistic noise, the binary case.
- `straight_through`: the same, but the reward is that of the architecture that
  the noise draws, and only derivatives see the softmax (Jang et al., section
  2.2).

Shape letters here: `N` draws, `V` outcomes of all decisions, `T` tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import types
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.controllers import factorized
from jaxnas.strategies import reinforce


class Estimate(NamedTuple):
  """An estimate of the gradient of the expected reward.

  Attributes:
    gradient: the derivative by each logit, `[V]`; to be climbed.
    rewards: what the estimate was made of, `[N]`.
  """

  gradient: jax.Array
  rewards: jax.Array


Relaxation = Callable[
  [
    factorized.FactorizedPolicy,
    jax.Array,
    jax.Array,
    jax.typing.ArrayLike,
  ],
  jax.Array,
]
"""`(policy, logits [..., V], key, temperature) -> probabilities [..., V]`, with
derivatives by the logits; each row has noise of its own."""


def darts(
  policy: factorized.FactorizedPolicy,
  logits: jax.Array,
  key: jax.Array,
  temperature: jax.typing.ArrayLike = 1.0,
) -> jax.Array:
  """Returns the policy's probabilities; key and temperature are not used."""
  del key, temperature
  return policy.probabilities(logits)


def gumbel_softmax(
  policy: factorized.FactorizedPolicy,
  logits: jax.Array,
  key: jax.Array,
  temperature: jax.typing.ArrayLike = 1.0,
) -> jax.Array:
  """Returns a draw of the concrete distribution; nearly one-hot when cold.

  Args:
    policy: the policy.
    logits: its logits, `[..., V]`.
    key: a random key.
    temperature: a positive scalar.
  """
  return policy.probabilities(policy.perturb(logits, key), temperature)


def straight_through(
  policy: factorized.FactorizedPolicy,
  logits: jax.Array,
  key: jax.Array,
  temperature: jax.typing.ArrayLike = 1.0,
) -> jax.Array:
  """Returns exact draws with the derivatives of `gumbel_softmax`.

  Args:
    policy: the policy.
    logits: its logits, `[..., V]`.
    key: a random key.
    temperature: a positive scalar.

  Returns:
    1 for the outcomes that are drawn, 0 for others, `[..., V]`.
  """
  scores = policy.perturb(logits, key)
  soft = policy.probabilities(scores, temperature)
  # Zero as a number, so that what is drawn is exactly 0 or 1.
  return policy.harden(scores) + (soft - jax.lax.stop_gradient(soft))


RELAXATIONS: Mapping[str, Relaxation] = types.MappingProxyType(
  {
    'darts': darts,
    'gumbel': gumbel_softmax,
    'straight_through': straight_through,
  }
)
"""The relaxations by name."""


def pathwise(
  relaxation: Relaxation,
  policy: factorized.FactorizedPolicy,
  logits: jax.Array,
  key: jax.Array,
  objective: Callable[[jax.Array], jax.Array],
  num_draws: int = 1,
  temperature: jax.typing.ArrayLike = 1.0,
) -> Estimate:
  """Estimates the gradient through a relaxation.

  Args:
    relaxation: one of `RELAXATIONS`.
    policy: the policy.
    logits: its logits, `[V]`.
    key: a random key.
    objective: `probabilities [N, V] -> rewards [N]`, differentiable.
    num_draws: the number of draws, `N`; without noise all are the same.
    temperature: the temperature, a positive scalar.
  """
  chex.assert_shape(logits, (policy.num_outcomes,))

  def mean_reward(logits):
    rows = jnp.broadcast_to(logits, (num_draws, *logits.shape))
    rewards = objective(relaxation(policy, rows, key, temperature))
    chex.assert_shape(rewards, (num_draws,))
    return jnp.mean(rewards), rewards

  gradient, rewards = jax.grad(mean_reward, has_aux=True)(logits)
  return Estimate(gradient, rewards)


def score_function(
  policy: factorized.FactorizedPolicy,
  logits: jax.Array,
  key: jax.Array,
  objective: Callable[[jax.Array], jax.Array],
  num_draws: int = 1,
  baseline: jax.typing.ArrayLike | None = 0.0,
) -> Estimate:
  """Estimates the gradient by REINFORCE, `reinforce.reinforce_loss`.

  Its mean is exact, whatever the baseline.

  Args:
    policy: the policy.
    logits: its logits, `[V]`.
    key: a random key.
    objective: `tokens int32[N, T] -> rewards [N]`.
    num_draws: the number of draws, `N`.
    baseline: what rewards are compared with, a scalar; `None` for the mean
      reward of the others, see `leave_one_out`.
  """
  chex.assert_shape(logits, (policy.num_outcomes,))
  rows = jnp.broadcast_to(logits, (num_draws, *logits.shape))
  tokens = policy.sample(rows, key)
  rewards = objective(tokens)
  chex.assert_shape(rewards, (num_draws,))
  advantage = leave_one_out(rewards) if baseline is None else rewards - baseline

  def loss(logits):
    log_prob, entropy = policy.log_prob(logits, tokens)
    return reinforce.reinforce_loss(
      log_prob.sum(-1), advantage, entropy.sum(-1)
    )

  return Estimate(-jax.grad(loss)(logits), rewards)


def leave_one_out(rewards: jax.Array) -> jax.Array:
  """Returns each reward less the mean of the others, `[N]`.

  The mean of others does not depend on an architecture, so it biases nothing.

  Args:
    rewards: at least two rewards, `[N]`.

  Raises:
    ValueError: there is one reward alone.
  """
  chex.assert_rank(rewards, 1)
  count = rewards.shape[0]
  if count < 2:
    raise ValueError(
      f'A leave-one-out baseline needs at least 2 rewards, got {count}.'
    )
  # The deviation from the mean of all is smaller by one share of N.
  return (rewards - jnp.mean(rewards)) * (count / (count - 1))


def clip_draws(gradients: jax.Array) -> jax.Array:
  """Returns gradients of single draws, none longer than half of them are.

  Mixtures of cells multiply their states at every step of a sequence, so that
  few draws of a relaxation have gradients that are larger than all others by
  orders of magnitude. The bound is the median of the norms.

  Args:
    gradients: the gradient of each draw, `[N, V]`; a draw that is not finite
      stays, and does not count for the others.
  """
  chex.assert_rank(gradients, 2)
  is_finite = jnp.isfinite(gradients).all(-1)
  # Squares of what is large alone would overflow.
  largest = jnp.maximum(jnp.abs(gradients).max(-1), jnp.finfo(jnp.float32).tiny)
  norms = largest * jnp.linalg.norm(gradients / largest[:, None], axis=-1)
  bound = jnp.nanmedian(jnp.where(is_finite, norms, jnp.nan))
  scale = jnp.where(norms > bound, bound / norms, 1.0)
  return gradients * scale[:, None]


def expected_reward(
  policy: factorized.FactorizedPolicy,
  probabilities: jax.Array,
  rewards: jax.Array,
) -> jax.Array:
  """Returns the expected reward of a policy, a scalar, exactly.

  Args:
    policy: the policy.
    probabilities: the probabilities of all outcomes, `[V]`.
    rewards: the reward of every token sequence, as in a `reward_table.Table`.

  Raises:
    ValueError: the number of rewards is not that of token sequences.
  """
  distributions = policy.distributions(probabilities)
  size = int(np.prod([len(each) for each in distributions], dtype=object))
  if rewards.shape != (size,):
    raise ValueError(
      f'The policy has {size:,} token sequences, and as many rewards were '
      f'expected; got an array of shape {rewards.shape}.'
    )
  # One token after another, the first of them first, which is the most
  # significant digit of a sequence's place.
  for distribution in distributions:
    rewards = jnp.tensordot(
      distribution,
      rewards.reshape(len(distribution), -1),
      axes=1,
      precision=jax.lax.Precision.HIGHEST,
    )
  return rewards[0]


def exact(
  policy: factorized.FactorizedPolicy, logits: jax.Array, rewards: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """Returns the expected reward, a scalar, and its gradient, `[V]`.

  Args:
    policy: the policy.
    logits: its logits, `[V]`.
    rewards: the reward of every token sequence, as in a `reward_table.Table`.
  """

  def expected(logits):
    return expected_reward(policy, policy.probabilities(logits), rewards)

  return jax.value_and_grad(expected)(logits)
