# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The softmaxes that choose: one of its own for every decision of one token.

The letters are those of `layout`: `C` softmaxes of at most `K` choices, which
read hidden states of `D` features. What is before the softmax's bias and its
mask is called a product here: `hidden @ kernel`, `[C, D] -> [C, K]`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxnas.controllers import layout as layouts
from jaxnas.types import Params

# Finite, so that neither a probability of zero times its logarithm nor a
# gradient through it is NaN.
_MASKED_LOGIT = -1e9


def make_noise(
  layout: layouts.Layout, params: Params, noise: jax.Array
) -> jax.Array:
  """Makes what is added to the products to draw choices by an argmax.

  Args:
    layout: the layout of the decisions.
    params: the controller's parameters.
    noise: Gumbel noise for all choices of all softmaxes, `[C * K]`. It stays in
      one row, since a CPU takes several times as long for rows of `K`.

  Returns:
    The noise with the biases, and minus infinity where there is no choice, `[C
    * K]`.
  """
  # Noise and mask are in one array, to leave the loop an argmax of a sum. The
  # mask is infinite, since a cell may grow logits below any finite one.
  biased = params['bias'].ravel() + noise
  return jnp.where(layout.is_choice.ravel(), biased, -jnp.inf)


def log_probs(
  layout: layouts.Layout,
  params: Params,
  hidden: jax.Array,
  products: jax.Array | None = None,
) -> jax.Array:
  """Returns the log-probabilities of all choices, in nats.

  Args:
    layout: the layout of the decisions.
    params: the controller's parameters.
    hidden: the hidden states, `[..., C, D]`.
    products: the products of these states if they are known, `[..., C, K]`;
      only gradients are then computed from the states.

  Returns:
    `[..., C, K]`.
  """
  if products is None:
    products = _multiply(hidden, params['kernel'])
  else:
    products = _recall(hidden, params['kernel'], products)
  masked = jnp.where(layout.is_choice, params['bias'], _MASKED_LOGIT)
  logits = products + jnp.broadcast_to(masked, products.shape)
  return jax.nn.log_softmax(logits)


def score(
  layout: layouts.Layout,
  params: Params,
  hidden: jax.Array,
  tokens: jax.Array,
  products: jax.Array | None = None,
) -> tuple[jax.Array, jax.Array]:
  """Returns log-probabilities of tokens and entropies, each `[..., C]`.

  Args:
    layout: the layout of the decisions.
    params: the controller's parameters.
    hidden: the hidden states, `[..., C, D]`.
    tokens: the choices, `int32[..., C]`.
    products: the products if they are known, as `log_probs` takes them.
  """
  values = log_probs(layout, params, hidden, products)
  # A comparison rather than a gather, whose gradient would be a scatter.
  choices = jax.lax.broadcasted_iota(tokens.dtype, values.shape, tokens.ndim)
  is_token = choices == tokens[..., None]
  entropy = -jnp.sum(jnp.exp(values) * values, axis=-1)
  return jnp.sum(jnp.where(is_token, values, 0.0), axis=-1), entropy


def _multiply(hidden, kernel):
  return jnp.einsum('...td,tdk->...tk', hidden, kernel)


@jax.custom_vjp
def _recall(hidden, kernel, products):
  """Returns known products, and has the gradient of `_multiply`."""
  del hidden, kernel
  return products


def _recall_reverse(factors, grad):
  _, vjp = jax.vjp(_multiply, *factors)
  return *vjp(grad), None


_recall.defvjp(
  lambda hidden, kernel, products: (products, (hidden, kernel)),
  _recall_reverse,
)
