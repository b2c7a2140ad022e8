# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Maxima whose gradients do not depend on the compiler.

The gradient that JAX derives for a maximum compares the operands with the
result. A compiler may recompute either of them with different rounding; then no
operand equals the result, and the gradient is lost.
"""

from __future__ import annotations

import chex
import jax
from jax import lax
import jax.numpy as jnp


@jax.custom_vjp
def maximum(first: jax.Array, second: jax.Array) -> jax.Array:
  """Returns the maximum; the gradient goes to the larger, or half to each.

  Args:
    first: an array of any shape.
    second: an array of the same shape.
  """
  chex.assert_equal_shape([first, second])
  return jnp.maximum(first, second)


def _maximum_forward(first, second):
  return maximum(first, second), (first, second)


def _maximum_backward(operands, grads):
  first, second = operands
  # The two shares add up to 1 whatever the comparisons return.
  share = jnp.where(first == second, 0.5, first > second).astype(grads.dtype)
  return grads * share, grads * (1 - share)


maximum.defvjp(_maximum_forward, _maximum_backward)


def max_pool(images: jax.Array) -> jax.Array:
  """Returns the maximum of each 2 x 2 window; an odd row or column is dropped.

  The gradient goes to the first pixel, in row-major order, with the maximum.

  Args:
    images: the images, `[B, H, W, C]`.

  Returns:
    The pooled images, `[B, H // 2, W // 2, C]`.
  """
  height, width = images.shape[1] // 2 * 2, images.shape[2] // 2 * 2
  return _max_pool(images[:, :height, :width])


@jax.custom_vjp
def _max_pool(images):
  rows = jnp.maximum(images[:, 0::2], images[:, 1::2])
  return jnp.maximum(rows[:, :, 0::2], rows[:, :, 1::2])


def _max_pool_forward(images):
  # Maximum and place come from one reduction, which no compiler repeats. Each
  # window's gradient therefore goes to exactly one pixel, even if pixels are
  # equal up to rounding. The gradient of `lax.reduce_window` would be slow.
  batch_size, height, width, channels = images.shape
  windows = images.reshape(batch_size, height // 2, 2, width // 2, 2, channels)
  return lax.reduce(
    (windows, jnp.broadcast_to(_places(), windows.shape)),
    (jnp.array(-jnp.inf, images.dtype), jnp.array(4, jnp.int32)),
    _larger,
    (2, 4),
  )


def _max_pool_backward(place, grads):
  batch_size, height, width, channels = grads.shape
  windows = jnp.where(
    place[:, :, None, :, None] == _places(), grads[:, :, None, :, None], 0
  )
  return (windows.reshape(batch_size, 2 * height, 2 * width, channels),)


_max_pool.defvjp(_max_pool_forward, _max_pool_backward)


def _places() -> jax.Array:
  """Returns the index of each pixel in its window."""
  return jnp.arange(4, dtype=jnp.int32).reshape(1, 1, 2, 1, 2, 1)


def _larger(first, second):
  """Returns the larger value and its place; NaN exceeds any number."""
  value, place = first
  other, other_place = second
  is_first = (
    (value > other)
    | ((value == other) & (place < other_place))
    | jnp.isnan(value)
  )
  return (
    jnp.where(is_first, value, other),
    jnp.where(is_first, place, other_place),
  )
