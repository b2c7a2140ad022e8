# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The gradient of a policy's loss on a batch of architectures."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp


def make_gradient(controller, loss, correction, skip_prior):
  """Makes the function that computes the gradient of one batch's loss.

  Args:
    controller: the policy.
    loss: the loss, a `policy.PolicyLoss`.
    correction: how old proposals are treated, one of `policy.CORRECTIONS`.
    skip_prior: the `policy.SkipPrior`, or `None`.

  Returns:
    A function `(params, num_updates, proposals, advantage) -> (grads,
    measured)`: the parameters, the number of batches told before, `N`
    proposals, and their rewards less the baseline, `[N]`; the gradient, and the
    mean `entropy` and, with a skip prior, `skip_penalty`, both scalars.
  """

  @functools.partial(jax.grad, has_aux=True)
  def gradient_at(params, tokens, proposed_log_prob, advantage, *is_current):
    if skip_prior is None:
      values = controller.log_prob(params, tokens)
      return _apply(loss, values, proposed_log_prob, advantage, *is_current)
    *values, divergence = controller.log_prob_and_divergence(
      params, tokens, skip_prior.probability
    )
    # The first anchor point has nothing to choose.
    num_choosing = divergence.shape[-1] - 1
    penalty = skip_prior.weight * divergence.sum(axis=-1) / num_choosing
    mean_penalty = jnp.mean(penalty)
    # Like the entropy, it depends on the policy in two ways: by the
    # distributions along an architecture, and by which architecture it is.
    advantage -= jax.lax.stop_gradient(penalty)
    value, measured = _apply(
      loss, values, proposed_log_prob, advantage, *is_current
    )
    return value + mean_penalty, {**measured, 'skip_penalty': mean_penalty}

  def gradient(params, num_updates, proposals, advantage):
    rows = proposals.tokens, proposals.log_prob, advantage
    note = proposals.policy
    if note is None:
      return gradient_at(params, *rows)
    num_groups = len(jax.tree.leaves(note)[0])
    if correction == 'truncated':
      size = len(advantage) // num_groups
      return gradient_at(params, *rows, jnp.repeat(note == num_updates, size))
    groups = jax.tree.map(
      lambda leaf: leaf.reshape(num_groups, -1, *leaf.shape[1:]), rows
    )
    each = jax.vmap(gradient_at)(note, *groups)
    # All groups have one size, so the mean over groups is that over rows.
    return jax.tree.map(lambda leaf: jnp.mean(leaf, axis=0), each)

  return gradient


def _apply(loss, values, proposed_log_prob, advantage, *is_current):
  """Returns the loss of `Controller.log_prob`'s results, and `measured`."""
  log_prob, entropy = (jnp.sum(each, axis=-1) for each in values)
  value = loss(log_prob, proposed_log_prob, advantage, entropy, *is_current)
  return value, {'entropy': jnp.mean(entropy)}


def pull_back(loss, values, vjp, advantage):
  """Returns what `make_gradient`'s function does, of what a draw has kept.

  Args:
    loss: the loss, a `policy.PolicyLoss`.
    values: the log-probabilities and entropies of the draw, as
      `Controller.sample_and_vjp` returns them.
    vjp: the draw's own function from cotangents to those of the parameters.
    advantage: the rewards less the baseline, `[N]`.
  """
  proposed = jnp.sum(values[0], axis=-1)
  cotangents, measured = jax.grad(
    lambda values: _apply(loss, values, proposed, advantage), has_aux=True
  )(values)
  return vjp(cotangents), measured
