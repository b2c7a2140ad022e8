# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Proximal policy optimization: several cautious steps on each batch.

Section 3 of "Proximal Policy Optimization Algorithms", Schulman et al., 2017
(https://arxiv.org/abs/1707.06347). An architecture that was drawn with
probability `p` and now has `p'` is weighted by the ratio `r = p' / p`, until
the ratio has moved by `epsilon` in the direction of the advantage `A`; the
parameters climb

    1/N sum_k min(r_k A_k, clip(r_k, 1 - epsilon, 1 + epsilon) A_k)

"Learning Transferable Architectures for Scalable Image Recognition", Zoph et
al., 2018 (https://arxiv.org/abs/1707.07012), trained NASNet's controller this
way instead of by REINFORCE.
"""

from __future__ import annotations

import chex
import jax
import jax.numpy as jnp
import optax

from jaxnas.strategies import policy
from jaxnas.types import Controller, Strategy

# The bound keeps exp from overflowing after a huge step; usual ratios lie far
# below it.
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
  (https://arxiv.org/abs/1707.06347), for the return `R + entropy_weight * H`,
  where `H` is `entropy`. The paper's equation 9 adds the entropy bonus outside
  the minimum instead. With the bonus inside, the gradient where all ratios are
  1 is exactly that of `reinforce.reinforce_loss`.

  A whole architecture is one action. It has a single reward, which says nothing
  about its separate decisions, and the product of their ratios is the
  importance weight of an architecture drawn by an earlier policy.

  `N` is the number of architectures.

  Args:
    log_prob: log-probability of each architecture, shape `[N]`, nats.
    proposed_log_prob: log-probability of each architecture when it was drawn,
      shape `[N]`, nats.
    advantage: reward less baseline, shape `[N]`. No gradient flows here.
    entropy: entropy of the policy at each architecture, shape `[N]`, nats.
    clip: the distance from 1 at which a ratio is clipped, the paper's epsilon.
    entropy_weight: the reward per nat of entropy.

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
  """Makes the strategy that trains a controller by the clipped surrogate.

  Baseline, state and metrics are those of `policy.make_policy_gradient`. The
  defaults suit searches of about 500 trials; for measurements see
  `docs/results/strategies.md`.

  Args:
    controller: the policy.
    learning_rate: Adam's learning rate; unused if `optimizer` is given.
    baseline_decay: the share of the old baseline that stays, in `[0, 1)`.
    clip: the distance from 1 at which a ratio is clipped, in `(0, 1)`.
    num_epochs: the number of steps per batch, each on the whole batch.
    entropy_weight: the reward per nat of entropy.
    max_grad_norm: the bound on the gradient's global norm; `None` for no bound.
    optimizer: the optimizer to use in place of Adam.

  Returns:
    A strategy whose state is a `policy.PolicyState`.

  Raises:
    ValueError: a number is out of range. All numbers except `num_epochs` may be
      traced, as under `vmap` over settings, and are then not checked.
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
