# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Softmax cross-entropy that never stores all logits at once."""

from __future__ import annotations

import chex
import jax
from jax import lax
import jax.numpy as jnp

_MAX_CHUNK_ROWS = 384


def cross_entropy(
  hidden: jax.Array,
  kernel: jax.Array,
  bias: jax.Array,
  targets: jax.Array,
  weights: jax.Array,
) -> jax.Array:
  """Returns the weighted sum of the cross-entropy of each row.

  Logits are computed for one chunk of rows of one child at a time, together
  with their gradients, so the memory needed is that of one chunk. Under
  `jax.vmap` children are processed one after another, which on a CPU is also
  the fastest. A row of weight 0 contributes nothing, even if its inputs are not
  finite.

  `R` is the number of rows, `V` the number of classes.

  Args:
    hidden: the inputs of the softmax layer, `[R, D]`.
    kernel: the kernel of the softmax layer, `[D, V]`.
    bias: the bias of the softmax layer, `[V]`.
    targets: the correct class of each row, `int32[R]`.
    weights: the weight of each row, `[R]`. No gradient flows here.

  Returns:
    A scalar, in nats.
  """
  chex.assert_rank([hidden, kernel, bias, targets, weights], [2, 2, 1, 1, 1])
  chex.assert_equal_shape_prefix([hidden, targets, weights], 1)
  chex.assert_shape(kernel, (hidden.shape[1], bias.shape[0]))
  dtype = jnp.result_type(hidden, kernel, bias)
  hidden, kernel, bias, weights = (
    x.astype(dtype) for x in (hidden, kernel, bias, weights)
  )
  return _cross_entropy(hidden, kernel, bias, targets, weights)


def _chunked(array, num_chunks):
  rows = -(-array.shape[0] // num_chunks)
  missing = num_chunks * rows - array.shape[0]
  padded = jnp.pad(array, ((0, missing),) + ((0, 0),) * (array.ndim - 1))
  return padded.reshape(num_chunks, rows, *array.shape[1:])


def _chunks(hidden, targets, weights):
  """Cuts the rows into equal chunks; padding has weight 0.

  Rows of weight 0 are set to zero, so that everything computed from them is
  finite and multiplying by the weight gives 0.
  """
  hidden = jnp.where(weights[:, None] != 0, hidden, 0)
  num_chunks = -(-hidden.shape[0] // _MAX_CHUNK_ROWS)
  return tuple(_chunked(x, num_chunks) for x in (hidden, targets, weights))


def _chunk_loss(hidden, kernel, bias, targets, weights):
  """Returns a chunk's loss, and exponentials and sums for its gradient."""
  logits = hidden @ kernel + bias[None]
  largest = logits.max(-1, keepdims=True)
  exponentials = jnp.exp(logits - largest)
  sums = exponentials.sum(-1, keepdims=True)
  right = jnp.take_along_axis(logits, targets[:, None], -1)
  nats = (jnp.log(sums) + largest - right)[:, 0]
  return jnp.sum(weights * nats), exponentials, sums


@jax.custom_batching.sequential_vmap
def _loss(hidden, kernel, bias, targets, weights):
  def step(total, chunk):
    hidden, targets, weights = chunk
    return total + _chunk_loss(hidden, kernel, bias, targets, weights)[0], None

  total = jnp.zeros((), hidden.dtype)
  return lax.scan(step, total, _chunks(hidden, targets, weights))[0]


@jax.custom_batching.sequential_vmap
def _loss_and_gradients(hidden, kernel, bias, targets, weights):
  def step(sums, chunk):
    hidden, targets, weights = chunk
    loss, exponentials, total = _chunk_loss(
      hidden, kernel, bias, targets, weights
    )
    classes = lax.broadcasted_iota(jnp.int32, exponentials.shape, 1)
    is_right = (classes == targets[:, None]).astype(exponentials.dtype)
    grad_logits = (exponentials / total - is_right) * weights[:, None]
    gradients = loss, hidden.T @ grad_logits, grad_logits.sum(0)
    return jax.tree.map(jnp.add, sums, gradients), grad_logits @ kernel.T

  zeros = (
    jnp.zeros((), hidden.dtype),
    jnp.zeros_like(kernel),
    jnp.zeros_like(bias),
  )
  (loss, grad_kernel, grad_bias), grad_hidden = lax.scan(
    step, zeros, _chunks(hidden, targets, weights)
  )
  grad_hidden = grad_hidden.reshape(-1, hidden.shape[1])[: hidden.shape[0]]
  return loss, (grad_hidden, grad_kernel, grad_bias)


@jax.custom_vjp
def _cross_entropy(hidden, kernel, bias, targets, weights):
  return _loss(hidden, kernel, bias, targets, weights)


def _backward(gradients, cotangent):
  grad_hidden, grad_kernel, grad_bias = (cotangent * g for g in gradients)
  return grad_hidden, grad_kernel, grad_bias, None, None


_cross_entropy.defvjp(_loss_and_gradients, _backward)
