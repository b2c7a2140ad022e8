# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.children import block_convolution


def reference(images, kernel):
  padding = [(size // 2, size // 2) for size in kernel.shape[:2]]
  return lax.conv_general_dilated(
    images, kernel, (1, 1), padding, dimension_numbers=('NHWC', 'HWIO', 'NHWC')
  )


@pytest.mark.parametrize(
  ('size', 'width', 'block'),
  [
    ((3, 5), 6, 6),  # Whole rows.
    ((3, 5), 7, 3),  # The last block is not full.
    ((7, 7), 4, 1),  # Patches, of kernels larger than the image.
    ((5, 1), 6, 2),
    ((1, 3), 5, 9),
  ],
)
def test_it_is_a_convolution(size, width, block):
  rng = np.random.default_rng(0)
  images = jnp.asarray(rng.normal(size=(2, 5, width, 3)), jnp.float32)
  kernel = jnp.asarray(rng.normal(size=(*size, 3, 2)), jnp.float32)
  weights = jnp.asarray(rng.normal(size=(2, 5, width, 2)), jnp.float32)

  @jax.jit
  def run(images, kernel):
    outputs, vjp = jax.vjp(
      lambda *args: block_convolution.convolve(*args, block), images, kernel
    )
    expected, expected_vjp = jax.vjp(reference, images, kernel)
    return (outputs, *vjp(weights)), (expected, *expected_vjp(weights))

  for value, expected in zip(*run(images, kernel), strict=True):
    np.testing.assert_allclose(value, expected, atol=2e-5)


def test_short_rows_are_one_block():
  assert [block_convolution.default_block(w) for w in (6, 8, 28, 32)] == [
    6, 8, 4, 4,
  ]  # fmt: skip


def test_channels_must_agree():
  with pytest.raises(AssertionError, match='dimension'):
    block_convolution.convolve(
      jnp.zeros((1, 2, 2, 3)), jnp.zeros((1, 1, 2, 1)), 1
    )
