# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Softmax cross-entropy that never stores all logits at once."""

from __future__ import annotations

from collections.abc import Callable
import functools
import math
from typing import Any

import chex
import jax
from jax import lax
import jax.numpy as jnp

# The rows of a chunk on a CPU, whose caches hold no more.
_MAX_CHUNK_ROWS = 384
# The logits of a group of children, or of a chunk of one, on an accelerator.
# Exponentials and gradients of logits need as much again.
_MAX_GROUP_BYTES = 2**30


def cross_entropy(
  hidden: jax.Array,
  kernel: jax.Array,
  bias: jax.Array,
  targets: jax.Array,
  weights: jax.Array,
  *,
  is_sequential: bool = True,
) -> jax.Array:
  """Returns the weighted sum of the cross-entropy of each row.

  Logits are computed together with their gradients, and never for all rows of
  all children if those are many. A row of weight 0 contributes nothing, even if
  its inputs are not finite.

  `R` is the number of rows, `V` the number of classes.

  Args:
    hidden: the inputs of the softmax layer, `[R, D]`.
    kernel: the kernel of the softmax layer, `[D, V]`.
    bias: the bias of the softmax layer, `[V]`.
    targets: the correct class of each row, `int32[R]`.
    weights: the weight of each row, `[R]`. No gradient flows here.
    is_sequential: whether children under `jax.vmap` are processed one after
      another, each in chunks that fit a cache, which is the fastest on a CPU.
      If not, they are processed in groups as large as one GiB of logits allows,
      so that an accelerator runs few large operations.

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
  return _cross_entropy(is_sequential, hidden, kernel, bias, targets, weights)


def _chunked(array, num_chunks):
  rows = -(-array.shape[0] // num_chunks)
  missing = num_chunks * rows - array.shape[0]
  padded = jnp.pad(array, ((0, missing),) + ((0, 0),) * (array.ndim - 1))
  return padded.reshape(num_chunks, rows, *array.shape[1:])


def _chunks(max_rows, hidden, targets, weights):
  """Cuts the rows into equal chunks; padding has weight 0.

  Rows of weight 0 are set to zero, so that everything computed from them is
  finite and multiplying by the weight gives 0.
  """
  hidden = jnp.where(weights[:, None] != 0, hidden, 0)
  num_chunks = -(-hidden.shape[0] // max_rows)
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


def _loss(max_rows, hidden, kernel, bias, targets, weights):
  def step(total, chunk):
    hidden, targets, weights = chunk
    return total + _chunk_loss(hidden, kernel, bias, targets, weights)[0], None

  total = jnp.zeros((), hidden.dtype)
  return _scan(step, total, _chunks(max_rows, hidden, targets, weights))[0]


def _loss_and_gradients(max_rows, hidden, kernel, bias, targets, weights):
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
  (loss, grad_kernel, grad_bias), grad_hidden = _scan(
    step, zeros, _chunks(max_rows, hidden, targets, weights)
  )
  grad_hidden = grad_hidden.reshape(-1, hidden.shape[1])[: hidden.shape[0]]
  return loss, (grad_hidden, grad_kernel, grad_bias)


def _scan(step, state, chunks):
  """Does what `lax.scan` does, without a loop if there is one chunk."""
  if chunks[0].shape[0] > 1:
    return lax.scan(step, state, chunks)
  state, outputs = step(state, tuple(chunk[0] for chunk in chunks))
  return state, jax.tree.map(lambda output: output[None], outputs)


def _in_groups(function: Callable[..., Any]) -> Callable[..., Any]:
  """Returns a function of one child that `jax.vmap` maps over groups.

  What is the same for all children, such as the kernel where children share
  their weights, is not copied for each.

  Args:
    function: a function of the largest number of rows in a chunk, and of the
      arrays of a child, of which the first is the hidden inputs.
  """

  @functools.cache
  def make_run(axes: tuple[int | None, ...]) -> Callable[..., Any]:
    """Returns a function of children, whose arrays have these batch axes."""

    @jax.custom_batching.custom_vmap
    def run(*arrays):
      num_children, num_rows, _ = arrays[0].shape
      row_bytes = arrays[1].shape[-1] * arrays[0].dtype.itemsize
      max_rows = max(1, _MAX_GROUP_BYTES // row_bytes)
      # Groups of about equal size: a smaller last one would be a second
      # program.
      num_groups = math.ceil(num_children / max(1, max_rows // num_rows))
      group_size = math.ceil(num_children / num_groups)
      one = functools.partial(function, max_rows)
      if num_groups == 1:
        return jax.vmap(one, axes)(*arrays)

      def of_mapped(mapped):
        rest = iter(mapped)
        return one(
          *(
            next(rest) if axis == 0 else array
            for axis, array in zip(axes, arrays, strict=True)
          )
        )

      mapped = [x for x, axis in zip(arrays, axes, strict=True) if axis == 0]
      return lax.map(of_mapped, mapped, batch_size=group_size)

    @run.def_vmap
    def _(axis_size, is_batched, *arrays):
      shape = axis_size, arrays[0].shape[1 if is_batched[0] else 0]

      def join(array, batched, axis):
        """Returns an array with one axis for both of children, or none."""
        if axis is None and not batched:
          return array
        if axis is None:
          array = jnp.broadcast_to(array[:, None], (*shape, *array.shape[1:]))
        elif not batched:
          array = jnp.broadcast_to(array[None], (axis_size, *array.shape))
        return array.reshape(math.prod(shape), *array.shape[2:])

      joined = [
        join(*given) for given in zip(arrays, is_batched, axes, strict=True)
      ]
      joined_axes = tuple(
        0 if batched else axis
        for batched, axis in zip(is_batched, axes, strict=True)
      )
      results = jax.tree.map(
        lambda x: x.reshape(*shape, *x.shape[1:]),
        make_run(joined_axes)(*joined),
      )
      return results, jax.tree.map(lambda _: True, results)

    return run

  def of_one(hidden, *others):
    run = make_run((0, *(None for _ in others)))
    results = run(hidden[None], *others)
    return jax.tree.map(lambda x: x[0], results)

  return of_one


def _one_by_one(function: Callable[..., Any]) -> Callable[..., Any]:
  """Returns a function of one child that `jax.vmap` runs child by child."""
  return jax.custom_batching.sequential_vmap(
    functools.partial(function, _MAX_CHUNK_ROWS)
  )


_LOSS = {True: _one_by_one(_loss), False: _in_groups(_loss)}
_LOSS_AND_GRADIENTS = {
  True: _one_by_one(_loss_and_gradients),
  False: _in_groups(_loss_and_gradients),
}


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _cross_entropy(is_sequential, hidden, kernel, bias, targets, weights):
  return _LOSS[is_sequential](hidden, kernel, bias, targets, weights)


def _forward(is_sequential, *arrays):
  return _LOSS_AND_GRADIENTS[is_sequential](*arrays)


def _backward(is_sequential, gradients, cotangent):
  del is_sequential
  grad_hidden, grad_kernel, grad_bias = (cotangent * g for g in gradients)
  return grad_hidden, grad_kernel, grad_bias, None, None


_cross_entropy.defvjp(_forward, _backward)
