# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A convolution whose gradients stay fast inside compiled loops.

XLA's CPU backend has a fast kernel for only one form of convolution, images
`[B, H, W, C]` with filters `[h, w, C, F]`, and rewrites other forms to it only
outside of loops and branches. The gradients that JAX derives have another form
and are tens of times slower inside a loop. Here they are written as
convolutions of the fast form, and as matmuls for 1 x 1 filters.

On large images that form, too, is slow for the gradient of the filters, as it
sums over all pixels of all images at once. There it is a sum of such
convolutions, each over one row of the images or a few, which stay in the cache.

Accelerators have their own kernels and layouts for gradients, so there the
convolution is left to JAX.
"""

from __future__ import annotations

import functools

import chex
import jax
from jax import lax
import jax.numpy as jnp

_DIMENSIONS = ('NHWC', 'HWIO', 'NHWC')

# Sums over rows were faster from 14 x 14 pixels on, and slower for 8 x 8. The
# number of pixels, of all images, in a term of the sum; more leave the cache.
_MIN_PIXELS, _PIXELS = 128, 1024


def needs_canonical(platform: str) -> bool:
  """Returns whether gradients are fast only in the canonical form.

  Args:
    platform: the platform of the program, such as `'cpu'`.
  """
  return platform == 'cpu'


def convolve(
  inputs: jax.Array,
  kernel: jax.Array,
  strides: tuple[int, int] = (1, 1),
  is_canonical: bool = False,
) -> jax.Array:
  """Convolves images with odd-sized filters and half padding.

  Args:
    inputs: the images, `[B, H, W, C]`, padded with zeros by half a filter on
      every side.
    kernel: the filters, `[h, w, C, F]`, with odd `h` and `w`.
    strides: the number of rows and columns between outputs.
    is_canonical: whether to write gradients in the form that is fast inside
      loops on a CPU; see `needs_canonical`.

  Returns:
    The outputs, `[B, ceil(H / stride), ceil(W / stride), F]`.
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
  """Returns the gradient of images of size `(height, width)`."""
  # The number of rows and columns beyond those of the last output, which a
  # stride may leave unread.
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
  # The barriers keep XLA from folding the transposition into the convolution,
  # which would then lose the fast form.
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
  """Returns the gradient of filters of size `(height, width)`."""
  if lengths == (1, 1):
    inputs = inputs[:, :: strides[0], :: strides[1]]
    return jnp.einsum('bhwc,bhwf->cf', inputs, grads)[None, None]
  if strides == (1, 1) and _is_faster_by_rows(inputs.shape):
    return _grad_kernel_by_rows(inputs, grads, lengths)
  padding = []
  for axis, (length, stride) in enumerate(
    zip(lengths, strides, strict=True), start=1
  ):
    # The rows that the last output reads end here. The rest is cut off, since
    # negative padding has no fast form.
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


def _is_faster_by_rows(shape) -> bool:
  batch_size, height, width, _ = shape
  # A program for any size, as `jax.export` makes, has no number of rows.
  is_known = all(isinstance(size, int) for size in shape[:3])
  return is_known and batch_size > 0 and height * width >= _MIN_PIXELS


def _grad_kernel_by_rows(inputs, grads, lengths):
  """Returns the gradient of filters of size `(height, width)` for stride 1."""
  # Terms read the rows of a filter's height, so that is the shorter side.
  is_tall = lengths[0] > lengths[1]
  if is_tall:
    inputs, grads = inputs.swapaxes(1, 2), grads.swapaxes(1, 2)
    lengths = lengths[::-1]
  # What has fewer channels is shifted by every weight's place in the filter.
  shifts_grads = grads.shape[3] < inputs.shape[3]
  still, shifted = (inputs, grads) if shifts_grads else (grads, inputs)
  batch_size, height, width, _ = still.shape
  rows = max(1, _PIXELS // (width * batch_size))
  while height % rows:
    rows -= 1
  top, left = (length // 2 for length in lengths)
  shifted = jnp.pad(
    shifted.transpose(3, 1, 2, 0), ((0, 0), (top, top), (0, 0), (0, 0))
  )
  shifted, still = lax.optimization_barrier(
    (shifted, still.transpose(1, 2, 0, 3))
  )
  # A sum of many terms would lose half precision's few bits.
  dtype = jnp.promote_types(still.dtype, jnp.float32)

  def add(total, row):
    term = lax.conv_general_dilated(
      lax.dynamic_slice_in_dim(shifted, row, rows + 2 * top, axis=1),
      lax.dynamic_slice_in_dim(still, row, rows, axis=0),
      (1, 1),
      [(0, 0), (left, left)],
      dimension_numbers=_DIMENSIONS,
      preferred_element_type=dtype,
    )
    return total + term, None

  shape = (shifted.shape[0], *lengths, still.shape[3])
  # Like the terms, as `jax.shard_map` asks of what it maps.
  start = jnp.zeros_like(shifted, dtype, shape)
  total, _ = lax.scan(add, start, jnp.arange(0, height, rows))
  total = total.astype(still.dtype)
  if shifts_grads:
    # The outputs move against the inputs.
    total = jnp.flip(total, (1, 2)).transpose(1, 2, 3, 0)
  else:
    total = total.transpose(1, 2, 0, 3)
  return total.swapaxes(0, 1) if is_tall else total
