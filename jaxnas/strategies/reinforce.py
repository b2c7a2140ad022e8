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
) -> jax.Array:
  """Returns the loss whose gradient is the REINFORCE estimate.

  Section 3.2 of "Neural Architecture Search with Reinforcement Learning",
  Zoph and Le, 2017 (https://arxiv.org/abs/1611.01578).

  Its expected gradient is exactly that of `-(E[R] + entropy_weight * E[H])`,
  where `H` is `entropy`. The policy affects `E[H]` in two ways, and the loss
  has both: through the distributions along a given architecture, and through
  which architectures are drawn, for which `entropy_weight * H` is added to the
  advantage.

  `N` is the number of architectures.

  Args:
    log_prob: log-probability of each architecture, shape `[N]`, nats.
    advantage: reward less baseline, shape `[N]`. No gradient flows here.
    entropy: entropy of the policy at each architecture, shape `[N]`, nats: the
      sum of the entropies of the distributions that its decisions were drawn
      from.
    entropy_weight: the reward per nat of entropy; 0 gives the paper's loss.

  Returns:
    A scalar.
  """
  chex.assert_rank([log_prob, advantage, entropy], 1)
  chex.assert_equal_shape([log_prob, advantage, entropy])
  bonus = entropy_weight * entropy
  weight = jax.lax.stop_gradient(advantage + bonus)
  return -jnp.mean(log_prob * weight + bonus)


def make_reinforce(
  controller: Controller,
  learning_rate: float = 0.01,
  baseline_decay: float = 0.9,
  entropy_weight: float = 0.0,
  max_grad_norm: float | None = None,
  optimizer: optax.GradientTransformation | None = None,
) -> Strategy:
  """Makes the strategy that trains a controller by REINFORCE.

  Baseline, state and metrics are those of `policy.make_policy_gradient`. With
  an `entropy_weight` of 0, as in the paper, the return that the baseline
  averages is the reward. Keep the weight well below the reward divided by the
  entropy in nats, or the bonus drowns the reward.

  The defaults suit searches of about 500 trials, not the paper's 15,000; for
  measurements see `docs/results/strategies.md`.

  Args:
    controller: the policy.
    learning_rate: Adam's learning rate; unused if `optimizer` is given.
    baseline_decay: the share of the old baseline that stays, in `[0, 1)`.
    entropy_weight: the reward per nat of entropy.
    max_grad_norm: the bound on the gradient's global norm; `None` for no bound.
    optimizer: the optimizer to use in place of Adam.

  Returns:
    A strategy whose state is a `policy.PolicyState`.

  Raises:
    ValueError: a number is out of range; one that is traced, as under `vmap`
      over settings, is not checked.
  """

  def loss(log_prob, proposed_log_prob, advantage, entropy):
    del proposed_log_prob
    return reinforce_loss(log_prob, advantage, entropy, entropy_weight)

  return policy.make_policy_gradient(
    controller,
    loss,
    learning_rate=learning_rate,
    baseline_decay=baseline_decay,
    entropy_weight=entropy_weight,
    max_grad_norm=max_grad_norm,
    optimizer=optimizer,
  )
