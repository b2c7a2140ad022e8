# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A convolution whose gradients stay fast inside compiled loops.

XLA's CPU backend hands a convolution to a fast kernel only in one form, images
`[B, H, W, C]` and filters `[h, w, C, F]`, and rewrites others to it only
outside of loops and branches. The gradients that jax derives have another form,
and inside a loop they are tens of times slower. Here they are written as
convolutions of the fast form, and as matmuls for filters of 1 x 1.

Accelerators have kernels, and layouts, of their own for gradients; there the
convolution is left to jax.
"""

from __future__ import annotations

import functools

import chex
import jax
from jax import lax
import jax.numpy as jnp

_DIMENSIONS = ('NHWC', 'HWIO', 'NHWC')


def needs_canonical(platform: str) -> bool:
  """Returns whether gradients are fast in the canonical form alone.

  Args:
    platform: what the program is for, as `'cpu'`.
  """
  return platform == 'cpu'


def convolve(
  inputs: jax.Array,
  kernel: jax.Array,
  strides: tuple[int, int] = (1, 1),
  is_canonical: bool = False,
) -> jax.Array:
  """Convolves images with odd filters, padded by half a filter on every side.

  Args:
    inputs: `[B, H, W, C]`.
    kernel: `[h, w, C, F]`, `h` and `w` odd.
    strides: rows and columns from one output to the next.
    is_canonical: whether gradients are written in the form that is fast inside
      loops on a CPU; see `needs_canonical`.

  Returns:
    `[B, ceil(H / stride), ceil(W / stride), F]`.
  """
  chex.assert_rank([inputs, kernel], 4)
  chex.assert_axis_dimension(kernel, 2, inputs.shape[3])
  if is_canonical:
    return _canonical(inputs, kernel, strides)
  return _convolve(inputs, kernel, strides)


def _convolve(inputs, kernel, strides):
  return lax.conv_general_dilated(
    inputs,
    kernel,
    strides,
    [(size // 2, size // 2) for size in kernel.shape[:2]],
    dimension_numbers=_DIMENSIONS,
  )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _canonical(inputs, kernel, strides):
  if kernel.shape[:2] == (1, 1):
    inputs = inputs[:, :: strides[0], :: strides[1]]
    return jnp.einsum('bhwc,cf->bhwf', inputs, kernel[0, 0])
  return _convolve(inputs, kernel, strides)


def _forward(inputs, kernel, strides):
  return _canonical(inputs, kernel, strides), (inputs, kernel)


def _backward(strides, residuals, grads):
  inputs, kernel = residuals
  return (
    _grad_inputs(grads, kernel, strides, inputs.shape[1:3]),
    _grad_kernel(inputs, grads, strides, kernel.shape[:2]),
  )


_canonical.defvjp(_forward, _backward)


def _grad_inputs(grads, kernel, strides, size):
  """Returns the gradient of images of a `(height, width)`."""
  # What a stride leaves unread, beyond the last output.
  unread = [
    total - 1 - (count - 1) * stride
    for total, count, stride in zip(
      size, grads.shape[1:3], strides, strict=True
    )
  ]
  if kernel.shape[:2] == (1, 1):
    grads = jnp.einsum('bhwf,cf->bhwc', grads, kernel[0, 0])
    if strides == (1, 1):
      return grads
    holes = [
      (0, end, step - 1) for end, step in zip(unread, strides, strict=True)
    ]
    return lax.pad(
      grads, jnp.zeros((), grads.dtype), [(0, 0, 0), *holes, (0, 0, 0)]
    )
  # The barriers keep the transposition from being folded into the convolution,
  # which would take it out of the fast form again.
  kernel = lax.optimization_barrier(
    jnp.flip(kernel, (0, 1)).transpose(0, 1, 3, 2)
  )
  return lax.conv_general_dilated(
    grads,
    kernel,
    (1, 1),
    [
      (length // 2, length // 2 + end)
      for length, end in zip(kernel.shape[:2], unread, strict=True)
    ],
    lhs_dilation=strides,
    dimension_numbers=_DIMENSIONS,
  )


def _grad_kernel(inputs, grads, strides, lengths):
  """Returns the gradient of filters of a `(height, width)`."""
  if lengths == (1, 1):
    inputs = inputs[:, :: strides[0], :: strides[1]]
    return jnp.einsum('bhwc,bhwf->cf', inputs, grads)[None, None]
  padding = []
  for axis, (length, stride) in enumerate(
    zip(lengths, strides, strict=True), start=1
  ):
    # The rows that the last output reads end here; the rest is cut off, since
    # padding by less than nothing has no fast form.
    end = (grads.shape[axis] - 1) * stride + length - length // 2
    inputs = lax.slice_in_dim(inputs, 0, min(end, inputs.shape[axis]), 1, axis)
    padding.append((length // 2, end - inputs.shape[axis]))
  channels_first, filters_last = lax.optimization_barrier(
    (inputs.transpose(3, 1, 2, 0), grads.transpose(1, 2, 0, 3))
  )
  result = lax.conv_general_dilated(
    channels_first,
    filters_last,
    (1, 1),
    padding,
    rhs_dilation=strides,
    dimension_numbers=_DIMENSIONS,
  )
  return result.transpose(1, 2, 0, 3)
