# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""REINFORCE with a moving-average baseline: the paper's search strategy.

Section 3.2 of "Neural Architecture Search with Reinforcement Learning", Zoph
and Le, 2017 (https://arxiv.org/abs/1611.01578): the controller's parameters
climb

    1/N sum_k sum_t grad log P(a_t | a_(t-1):1) (R_k - b)

for `N` architectures with rewards `R_k` and a baseline `b`, an exponential
moving average of earlier rewards.
"""

from __future__ import annotations

import chex
import jax
import jax.numpy as jnp
import optax

from jaxnas.strategies import policy
from jaxnas.types import Controller, Strategy


def reinforce_loss(
  log_prob: jax.Array,
  advantage: jax.Array,
  entropy: jax.Array,
  entropy_weight: float = 0.0,
  importance: jax.Array | None = None,
) -> jax.Array:
  """Returns the loss whose gradient is the REINFORCE estimate.

  Section 3.2 of "Neural Architecture Search with Reinforcement Learning",
  Zoph and Le, 2017 (https://arxiv.org/abs/1611.01578).

  Its expected gradient is exactly that of `-(E[R] + entropy_weight * E[H])`,
  where `H` is `entropy`. The policy affects `E[H]` in two ways, and the loss
  accounts for both: through the distributions along a given architecture, and
  through the choice of architectures, for which `entropy_weight * H` is added
  to the advantage.

  `N` is the number of architectures.

  Args:
    log_prob: log-probability of each architecture, shape `[N]`, nats.
    advantage: reward less baseline, shape `[N]`. No gradient flows here.
    entropy: entropy of the policy at each architecture, shape `[N]`, nats: the
      sum of the entropies of the distributions that its decisions were drawn
      from.
    entropy_weight: the reward per nat of entropy; 0 gives the paper's loss.
    importance: the weight of each architecture, shape `[N]`, such as the ratio
      of its probability now to that when it was drawn; 1 by default. No
      gradient flows here.

  Returns:
    A scalar.
  """
  chex.assert_rank([log_prob, advantage, entropy], 1)
  chex.assert_equal_shape([log_prob, advantage, entropy])
  bonus = entropy_weight * entropy
  weight = jax.lax.stop_gradient(advantage + bonus)
  gain = log_prob * weight + bonus
  if importance is not None:
    chex.assert_equal_shape([importance, gain])
    gain = jax.lax.stop_gradient(importance) * gain
  return -jnp.mean(gain)


def make_reinforce(
  controller: Controller,
  learning_rate: float = 0.01,
  baseline_decay: float = 0.9,
  entropy_weight: float = 0.0,
  max_grad_norm: float | None = None,
  optimizer: optax.GradientTransformation | None = None,
  correction: str = 'none',
  skip_prior: policy.SkipPrior | None = None,
) -> Strategy:
  """Makes the strategy that trains a controller by REINFORCE.

  Baseline, state and metrics are those of `policy.make_policy_gradient`. With
  an `entropy_weight` of 0, as in the paper, and no skip prior, the return that
  the baseline averages is the reward. Keep the weight well below the reward
  divided by the entropy in nats, or the bonus drowns the reward.

  With replicas, a batch may come from earlier parameters. In the paper, a
  replica computes its gradient at the parameters that it proposed with, and the
  server applies it to newer ones: the correction `'stale'`. `'truncated'` takes
  the gradient at the current parameters and weights each architecture by
  `min(1, p / p_old)`, where `p` is its probability now and `p_old` that when it
  was proposed, as "IMPALA" does (Espeholt et al., 2018,
  https://arxiv.org/abs/1802.01561). `'none'` takes the same gradient without
  weights. Without replicas the three agree to the bit; with them, see
  `docs/results/staleness.md`.

  The defaults suit searches of about 500 trials, not the paper's 15,000; for
  measurements see `docs/results/strategies.md`.

  Args:
    controller: the policy.
    learning_rate: Adam's learning rate; unused if `optimizer` is given.
    baseline_decay: the share of the old baseline that stays, in `[0, 1)`.
    entropy_weight: the reward per nat of entropy.
    max_grad_norm: the bound on the gradient's global norm; `None` for no bound.
    optimizer: the optimizer to use in place of Adam.
    correction: the way to learn from proposals of earlier parameters, one of
      `policy.CORRECTIONS`.
    skip_prior: how often anchor points should choose a layer; `None` for no
      matter how often.

  Returns:
    A strategy whose state is a `policy.PolicyState`.

  Raises:
    ValueError: a number is out of range, the correction is unknown, or it or
      the controller does not go together with a skip prior. A number that is
      traced, as under `vmap` over settings, is not checked.
  """

  def loss(log_prob, proposed_log_prob, advantage, entropy, is_current=None):
    importance = None
    if is_current is not None:
      # Bounded before exp, which would overflow where a rare architecture has
      # become likely.
      importance = jnp.where(
        is_current,
        1.0,
        jnp.exp(jnp.minimum(0.0, log_prob - proposed_log_prob)),
      )
    return reinforce_loss(
      log_prob, advantage, entropy, entropy_weight, importance
    )

  return policy.make_policy_gradient(
    controller,
    loss,
    learning_rate=learning_rate,
    baseline_decay=baseline_decay,
    entropy_weight=entropy_weight,
    max_grad_norm=max_grad_norm,
    optimizer=optimizer,
    correction=correction,
    skip_prior=skip_prior,
  )
