# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""How an anchor point decides which earlier layers feed its layer.

Section 3.3 of "Neural Architecture Search with Reinforcement Learning", Zoph
and Le, 2017 (https://arxiv.org/abs/1611.01578). At each layer's anchor point a
controller has a state `h_i`, and an independent coin for each earlier layer `j`
decides whether that layer is an input. A mechanism gives the coin's logit:

- attention (the paper's): from `h_j` and `h_i`, with the same few parameters
  for all pairs of layers, whatever their number;
- feed forward: from `h_i`, by a classifier of the layer's own;
- multinomial: a learned number for each pair, optionally plus a term in `h_i`.

Coins are tossed by the Gumbel trick: heads if `logit + noise` exceeds `noise`,
with independent Gumbel noise on either side. The tokens follow the distribution
exactly, and a policy gradient trains it, since no derivative passes through
them.

Shape letters here: `D` features of a state, `L` anchor points, `S = L - 1` of
them that can be read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import functools
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from jaxnas.types import Params


class AnchorMechanism(NamedTuple):
  """Gives the logit of every earlier layer at an anchor point.

  Attributes:
    param_shapes: `(num_anchors, features) -> shapes`, a pytree of
      `jax.ShapeDtypeStruct`; never asked for fewer than two anchor points.
    logits: `(params, index, state[..., D], states[..., S, D]) -> float[...,
      S]`: at anchor point `index`, a scalar that may be traced, with state
      `state`, where `states` are those of the anchor points from the first on.
      Only the first `index` of the states are known and of the logits count.
  """

  param_shapes: Callable[[int, int], Params]
  logits: Callable[[Params, jax.Array | int, jax.Array, jax.Array], jax.Array]


def make_attention() -> AnchorMechanism:
  """Makes the paper's mechanism, `v . tanh(W_prev h_j + W_curr h_i)`.

  Its parameters are `previous float[D, D]`, `current float[D, D]` and `vector
  float[D]`; states are rows, as in `h @ previous`. Before the tanh there is no
  bias and after it no scale.
  """

  def param_shapes(num_anchors: int, features: int) -> Params:
    del num_anchors
    return {
      'previous': _float32(features, features),
      'current': _float32(features, features),
      'vector': _float32(features),
    }

  def logits(params, index, state, states):
    del index
    _check_states(state, states)
    previous = states @ params['previous']
    current = (state @ params['current'])[..., None, :]
    return jnp.tanh(previous + current) @ params['vector']

  return AnchorMechanism(param_shapes, logits)


def make_feed_forward() -> AnchorMechanism:
  """Makes a classifier for each anchor point, which sees the state alone.

  For a given layer the number of earlier layers is fixed, so that layer `i` has
  a network of its own with one hidden layer as wide as the state, `U_i tanh(V_i
  h_i + b_i) + c_i`, of `i` independent classes.

  Its parameters are `hidden`, with `kernel float[S, D, D]` and `bias float[S,
  D]` for the layers from the second on, and `classes`, with `kernel float[P,
  D]` and `bias float[P]`: a row for each of the `P = L (L - 1) / 2` pairs of
  layers, layer by layer.
  """

  def param_shapes(num_anchors: int, features: int) -> Params:
    num_sources, num_pairs = num_anchors - 1, _num_pairs(num_anchors)
    return {
      'hidden': {
        'kernel': _float32(num_sources, features, features),
        'bias': _float32(num_sources, features),
      },
      'classes': {
        'kernel': _float32(num_pairs, features),
        'bias': _float32(num_pairs),
      },
    }

  def logits(params, index, state, states):
    _check_states(state, states)
    # The first layer has no class, and gets what is masked.
    own = jax.tree.map(
      lambda leaf: _take(leaf, jnp.asarray(index) - 1), params['hidden']
    )
    hidden = state @ own['kernel']
    hidden = jnp.tanh(hidden + jnp.broadcast_to(own['bias'], hidden.shape))
    return _linear(params['classes'], index, hidden, states)

  return AnchorMechanism(param_shapes, logits)


def make_multinomial(conditioned: bool = False) -> AnchorMechanism:
  """Makes free probabilities, one for each pair of layers.

  Its parameters are `bias float[P]`, the logits of the `P = L (L - 1) / 2`
  pairs, layer by layer.

  Args:
    conditioned: adds a linear term in the state of the layer that reads,
      `kernel float[P, D]`, so that the probabilities of a layer depend on what
      was decided before it.
  """

  def param_shapes(num_anchors: int, features: int) -> Params:
    num_pairs = _num_pairs(num_anchors)
    shapes = {'bias': _float32(num_pairs)}
    if conditioned:
      shapes['kernel'] = _float32(num_pairs, features)
    return shapes

  def logits(params, index, state, states):
    _check_states(state, states)
    return _linear(params, index, state, states)

  return AnchorMechanism(param_shapes, logits)


MECHANISMS: Mapping[str, Callable[[], AnchorMechanism]] = {
  'attention': make_attention,
  'feed_forward': make_feed_forward,
  'multinomial': make_multinomial,
  'conditioned_multinomial': functools.partial(
    make_multinomial, conditioned=True
  ),
}
"""The factory of each mechanism, by name."""


def mean_weights(is_chosen: jax.Array, dtype: jnp.dtype) -> jax.Array:
  """Returns the weights of a mean over the chosen layers; zeros if none is.

  Args:
    is_chosen: which layers are chosen, `bool[..., S]`.
    dtype: the type of the weights.

  Returns:
    `[..., S]`.
  """
  count = jnp.sum(is_chosen, axis=-1, keepdims=True)
  return (is_chosen / jnp.maximum(count, 1)).astype(dtype)


def log_prob_and_entropy(
  logits: jax.Array, tokens: jax.Array, is_pair: jax.typing.ArrayLike
) -> tuple[jax.Array, jax.Array]:
  """Returns the log-probability and entropy of anchor points, in nats.

  Args:
    logits: the logits of every pair of layers, `[..., L, S]`.
    tokens: 1 where the pair is chosen, `[..., L, S]`.
    is_pair: which pairs exist, `bool[L, S]`; entries elsewhere affect neither
      values nor gradients.

  Returns:
    Two `[..., L]`, sums over an anchor point's independent coins.
  """
  chex.assert_equal_shape([logits, tokens])
  is_pair = jnp.broadcast_to(is_pair, logits.shape)
  logits = jnp.where(is_pair, logits, 0.0)
  on, off = jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
  log_prob = jnp.where(tokens == 1, on, off)
  entropy = -(jnp.exp(on) * on + jnp.exp(off) * off)
  return (
    jnp.sum(jnp.where(is_pair, log_prob, 0.0), axis=-1),
    jnp.sum(jnp.where(is_pair, entropy, 0.0), axis=-1),
  )


def divergence(
  logits: jax.Array,
  prior: jax.typing.ArrayLike,
  is_pair: jax.typing.ArrayLike,
) -> jax.Array:
  """Returns how far anchor points' coins are from those of a prior, in nats.

  The Kullback-Leibler divergence of the coins, with the probabilities that they
  are tossed with, from independent coins with the prior's.

  Args:
    logits: the logits of every pair of layers, `[..., L, S]`.
    prior: the probability that a layer is chosen, above 0 and below 1.
    is_pair: which pairs exist, `bool[L, S]`; entries elsewhere affect neither
      values nor gradients.

  Returns:
    `[..., L]`, sums over an anchor point's coins.
  """
  is_pair = jnp.broadcast_to(is_pair, logits.shape)
  logits = jnp.where(is_pair, logits, 0.0)
  on, off = jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
  value = jnp.exp(on) * (on - jnp.log(prior))
  value += jnp.exp(off) * (off - jnp.log1p(-jnp.asarray(prior)))
  return jnp.sum(jnp.where(is_pair, value, 0.0), axis=-1)


def _linear(
  params: Params, index: jax.Array | int, features: jax.Array, states: jax.Array
) -> jax.Array:
  """Returns an anchor point's own linear function, `[..., D] -> [..., S]`.

  Args:
    params: `bias [P]`, and perhaps `kernel [P, D]`.
    index: which anchor point.
    features: what the function is of.
    states: only their number counts.
  """
  shape = states.shape[:-1]
  rows = jnp.asarray(index) * (index - 1) // 2 + jnp.arange(shape[-1])
  result = jnp.broadcast_to(_take(params['bias'], rows), shape)
  if 'kernel' in params:
    result += jnp.einsum(
      '...d,sd->...s', features, _take(params['kernel'], rows)
    )
  return result


def _take(values: jax.Array, rows: jax.Array) -> jax.Array:
  """Returns rows of an array, and any row for one that does not exist."""
  return jnp.take(values, rows, axis=0, mode='clip')


def _num_pairs(num_anchors: int) -> int:
  return num_anchors * (num_anchors - 1) // 2


def _check_states(state: jax.Array, states: jax.Array) -> None:
  *lead, features = state.shape
  chex.assert_shape(states, (*lead, None, features))


def _float32(*shape: int) -> jax.ShapeDtypeStruct:
  return jax.ShapeDtypeStruct(shape, jnp.float32)
