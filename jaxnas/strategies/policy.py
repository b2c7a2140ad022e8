# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Trains a controller's policy by gradients: what such strategies share.

A strategy of this kind draws architectures from a controller, compares their
rewards with a baseline, and steps down the gradient of a loss. Which loss, and
how many steps a batch, is all that tells one from another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import functools
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax

from jaxnas.strategies import told
from jaxnas.types import Controller, Params, Proposals, Strategy

PolicyLoss = Callable[[jax.Array, jax.Array, jax.Array, jax.Array], jax.Array]
"""`(log_prob, proposed_log_prob, advantage, entropy) -> scalar`, of four `[N]`:
each architecture's log-probability now and when it was proposed, its reward
less the baseline, and the policy's entropy at it now, all in nats."""


class PolicyState(NamedTuple):
  """What a strategy that trains a controller remembers.

  Attributes:
    params: the controller's.
    opt_state: the optimizer's.
    baseline: moving average of the batches' mean returns, a scalar.
    num_updates: how many batches it was told, a scalar; the first of them sets
      the baseline, and the others also update the parameters.
  """

  params: Params
  opt_state: optax.OptState
  baseline: jax.Array
  num_updates: jax.Array


def make_policy_gradient(
  controller: Controller,
  loss: PolicyLoss,
  *,
  learning_rate: float,
  baseline_decay: float,
  entropy_weight: float,
  max_grad_norm: float | None,
  optimizer: optax.GradientTransformation | None,
  num_epochs: int = 1,
) -> Strategy:
  """Makes a strategy that trains a controller by the gradient of a loss.

  The baseline is used on a batch and only then takes in its mean:
  `b <- decay * b + (1 - decay) * mean`. The first batch sets it and changes
  nothing else, since there is no earlier reward to compare with. The baseline
  averages what the parameters climb, the return `R + entropy_weight * H`.

  `tell` reads from the tokens (-1) which decisions were not made. Its metrics
  are scalars: `baseline` (the one used on the batch), `mean_reward`, and of the
  policy that proposed `entropy` (mean of the architectures' `H`, nats) and
  `grad_norm` (before clipping). A reward that is not finite is a `ValueError`;
  where it is traced, nothing is learnt from its batch, see `told`.

  Args:
    controller: the policy.
    loss: what the parameters descend; its bonus for entropy, if it has one, has
      the weight `entropy_weight`.
    learning_rate: Adam's; not used where `optimizer` is given.
    baseline_decay: how much of the old baseline stays, in `[0, 1)`.
    entropy_weight: how much entropy is rewarded, per nat.
    max_grad_norm: clips the gradient's global norm; `None` does not.
    optimizer: used instead of Adam.
    num_epochs: how many steps are made on each batch.

  Returns:
    A strategy whose state is a `PolicyState`.

  Raises:
    ValueError: a number is out of its range. All but `num_epochs` may be
      traced, as under `vmap` over settings, and are not checked then.
  """
  _check_arguments(
    learning_rate, baseline_decay, entropy_weight, max_grad_norm, num_epochs
  )
  if optimizer is None:
    optimizer = optax.adam(learning_rate)
  if max_grad_norm is not None:
    optimizer = optax.chain(optax.clip_by_global_norm(max_grad_norm), optimizer)
  update = optimizer.update

  @jax.jit
  def init(key: jax.Array) -> PolicyState:
    params = controller.init(key)
    return PolicyState(
      params=params,
      opt_state=optimizer.init(params),
      baseline=jnp.zeros(()),
      num_updates=jnp.zeros((), jnp.int32),
    )

  @functools.partial(jax.jit, static_argnames='num_trials')
  def draw(params, key, num_active, num_trials) -> Proposals:
    keys = jax.random.split(key, num_trials)
    tokens, log_prob = jax.vmap(
      controller.sample_and_log_prob, in_axes=(None, 0, None)
    )(params, keys, num_active)
    return Proposals(tokens=tokens, log_prob=jnp.sum(log_prob, axis=-1))

  def ask(
    state: PolicyState,
    key: jax.Array,
    num_trials: int,
    num_active: jax.Array | int | None = None,
  ) -> Proposals:
    # One type for every depth, so that all of them share one program; no
    # controller has as many decisions as the number that stands for all.
    if num_active is None:
      num_active = jnp.iinfo(jnp.int32).max
    num_active = jnp.asarray(num_active, jnp.int32)
    return draw(state.params, key, num_active, num_trials)

  def improve(params, opt_state, proposals, advantage):
    """Makes the steps; returns also entropy and gradient before the first."""

    def loss_of(params):
      log_prob, entropy = controller.log_prob(params, proposals.tokens)
      log_prob, entropy = (jnp.sum(x, axis=-1) for x in (log_prob, entropy))
      value = loss(log_prob, proposals.log_prob, advantage, entropy)
      return value, jnp.mean(entropy)

    def step(carry, _):
      params, opt_state = carry
      grads, entropy = jax.grad(loss_of, has_aux=True)(params)
      updates, opt_state = update(grads, opt_state, params)
      params = optax.apply_updates(params, updates)
      return (params, opt_state), (entropy, optax.tree.norm(grads))

    after, measured = jax.lax.scan(step, (params, opt_state), length=num_epochs)
    return after, *(values[0] for values in measured)

  @jax.jit
  def learn(
    state: PolicyState, proposals: Proposals, rewards: jax.Array
  ) -> tuple[PolicyState, Mapping[str, jax.Array]]:
    chex.assert_equal_shape([proposals.log_prob, rewards])
    is_first = state.num_updates == 0
    before = state.params, state.opt_state
    after, entropy, grad_norm = improve(
      *before, proposals, rewards - state.baseline
    )
    params, opt_state = jax.tree.map(
      lambda new, old: jnp.where(is_first, old, new), after, before
    )
    mean_reward = jnp.mean(rewards)
    mean_return = mean_reward + entropy_weight * entropy
    decay = jnp.where(is_first, 0.0, baseline_decay)
    baseline = decay * state.baseline + (1 - decay) * mean_return
    metrics = {
      'baseline': jnp.where(is_first, baseline, state.baseline),
      'mean_reward': mean_reward,
      'entropy': entropy,
      'grad_norm': grad_norm,
    }
    num_updates = state.num_updates + 1
    learnt = PolicyState(params, opt_state, baseline, num_updates)
    return told.keep_where_finite(rewards, learnt, state), metrics

  def tell(state, proposals, rewards):
    told.check(rewards)
    return learn(state, proposals, rewards)

  return Strategy(init, ask, tell)


def is_violated(condition: jax.Array | bool) -> bool:
  """Returns whether a condition is known to be false: a traced one never is."""
  return not isinstance(condition, jax.core.Tracer) and not condition


def _check_arguments(
  learning_rate, baseline_decay, entropy_weight, max_grad_norm, num_epochs
) -> None:
  if is_violated(learning_rate > 0):
    raise ValueError(
      f'learning_rate must be greater than 0, got {learning_rate}.'
    )
  if is_violated((baseline_decay >= 0) & (baseline_decay < 1)):
    raise ValueError(f'baseline_decay must be in [0, 1), got {baseline_decay}.')
  if is_violated(entropy_weight >= 0):
    raise ValueError(
      f'entropy_weight must be at least 0, got {entropy_weight}.'
    )
  if max_grad_norm is not None and is_violated(max_grad_norm > 0):
    raise ValueError(
      f'max_grad_norm must be greater than 0 or None, got {max_grad_norm}.'
    )
  if num_epochs < 1:
    raise ValueError(f'num_epochs must be at least 1, got {num_epochs}.')
