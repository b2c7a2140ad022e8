# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Proximal policy optimisation: several careful steps on each batch.

Section 3 of "Proximal Policy Optimization Algorithms", Schulman et al., 2017
(https://arxiv.org/abs/1707.06347). An architecture drawn with probability `p`
that now has `p'` counts by its ratio `r = p' / p`, and no longer once the ratio
has gone as far as `epsilon` in the direction of its advantage `A`:

    1/N sum_k min(r_k A_k, clip(r_k, 1 - epsilon, 1 + epsilon) A_k)

"Learning Transferable Architectures for Scalable Image Recognition", Zoph et
al., 2018 (https://arxiv.org/abs/1707.07012), trained the controller of NASNet
so, in the place of REINFORCE.
"""

from __future__ import annotations

import chex
import jax
import jax.numpy as jnp
import optax

from jaxnas.strategies import policy
from jaxnas.types import Controller, Strategy

# Ratios are far from here unless a step was huge; then exp would overflow.
_MAX_LOG_RATIO = 20.0


def ppo_loss(
  log_prob: jax.Array,
  proposed_log_prob: jax.Array,
  advantage: jax.Array,
  entropy: jax.Array,
  clip: float = 0.1,
  entropy_weight: float = 0.0,
) -> jax.Array:
  """Returns the clipped surrogate, negated.

  Equation 7 of "Proximal Policy Optimization Algorithms", Schulman et al., 2017
  (https://arxiv.org/abs/1707.06347), of the return `R + entropy_weight * H`
  with `H` the `entropy`. That differs from the paper's equation 9, which adds
  the bonus behind: here, where all ratios are 1, the gradient is exactly that
  of `reinforce.reinforce_loss`.

  An architecture is one action: it has one reward, which says nothing of its
  single decisions, and the product of their ratios is the weight that makes
  architectures drawn by one policy speak for another.

  `N` is the number of architectures.

  Args:
    log_prob: log-probability of each architecture, shape `[N]`, nats.
    proposed_log_prob: what it was when they were drawn, shape `[N]`.
    advantage: reward less baseline, shape `[N]`.
    entropy: entropy of the policy at each architecture, shape `[N]`, nats.
    clip: how far a ratio is followed from 1, the paper's epsilon.
    entropy_weight: how much entropy is rewarded.

  Returns:
    A scalar.
  """
  chex.assert_rank([log_prob, proposed_log_prob, advantage, entropy], 1)
  chex.assert_equal_shape([log_prob, proposed_log_prob, advantage, entropy])
  change = log_prob - jax.lax.stop_gradient(proposed_log_prob)
  ratio = jnp.exp(jnp.clip(change, -_MAX_LOG_RATIO, _MAX_LOG_RATIO))
  gain = jax.lax.stop_gradient(advantage) + entropy_weight * entropy
  clipped = jnp.clip(ratio, 1 - clip, 1 + clip)
  return -jnp.mean(jnp.minimum(ratio * gain, clipped * gain))


def make_ppo(
  controller: Controller,
  learning_rate: float = 0.01,
  baseline_decay: float = 0.9,
  clip: float = 0.1,
  num_epochs: int = 4,
  entropy_weight: float = 0.0,
  max_grad_norm: float | None = None,
  optimizer: optax.GradientTransformation | None = None,
) -> Strategy:
  """Makes the strategy that trains a controller by clipped surrogates.

  Each epoch is a step on the whole batch. Baseline, state and metrics are those
  of `policy.make_policy_gradient`.

  The defaults are measured ones, for searches of about 500 trials: learning
  rate and decay are those of `reinforce.make_reinforce`; a clip of 0.1 and
  about as many epochs are what Schulman et al. took for Atari (table 5; 3).
  With 36,864 architectures of 10 decisions, whose rewards are random main
  effects and interactions of pairs, the best found was short of the optimum by

      trials                                    100    200    496
      random search                            1.12   0.94   0.71
      REINFORCE                                1.10   0.51   0.23
      PPO                                      0.86   0.36   0.24
      PPO, clip 0.2                            0.81   0.41   0.32
      PPO, clip 0.2, learning rate 0.005       0.92   0.35   0.21
      PPO as in NASNet, clip 0.2               1.17   0.93   0.60

  standard deviations of all rewards: means of 256 searches in batches of 16,
  whose standard error at the end is below 0.03 (fourth row: 64 and 0.05). So
  the steps make an early start, and a wide clip lets them go too far. NASNet's
  learning rate of 0.00035, entropy weight of 1e-5 and decay of 0.95 (appendix
  A of Zoph et al.) were for 20,000 trials. What weight is right depends on the
  rewards, so the default is none; in 64 searches 0.05 of their standard
  deviation a nat took the 0.23 of 496 trials to 0.11.

  Args:
    controller: the policy.
    learning_rate: Adam's; not used where `optimizer` is given.
    baseline_decay: how much of the old baseline stays, in `[0, 1)`.
    clip: how far a ratio is followed from 1, in `(0, 1)`.
    num_epochs: how many steps are made on each batch, all of it at a time.
    entropy_weight: how much entropy is rewarded, per nat.
    max_grad_norm: clips the gradient's global norm; `None` does not.
    optimizer: used instead of Adam.

  Returns:
    A strategy whose state is a `policy.PolicyState`.

  Raises:
    ValueError: a number is out of its range. All but `num_epochs` may be
      traced, as under `vmap` over settings, and are not checked then.
  """
  if policy.is_violated((clip > 0) & (clip < 1)):
    raise ValueError(f'clip must be greater than 0 and below 1, got {clip}.')

  def loss(log_prob, proposed_log_prob, advantage, entropy):
    return ppo_loss(
      log_prob, proposed_log_prob, advantage, entropy, clip, entropy_weight
    )

  return policy.make_policy_gradient(
    controller,
    loss,
    learning_rate=learning_rate,
    baseline_decay=baseline_decay,
    entropy_weight=entropy_weight,
    max_grad_norm=max_grad_norm,
    optimizer=optimizer,
    num_epochs=num_epochs,
  )
