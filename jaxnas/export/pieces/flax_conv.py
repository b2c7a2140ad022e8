# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Layers of a convolutional network, and how outputs are joined, in Flax."""

from flax import linen as nn
import jax.numpy as jnp


class ConvLayer(nn.Module):
  """A convolution without bias, batch norm and ReLU.

  Attributes:
    filters: number of filters.
    size: height and width of the filters, odd, in pixels.
    strides: rows and columns from one output to the next.
  """

  filters: int
  size: tuple[int, int]
  strides: tuple[int, int] = (1, 1)

  @nn.compact
  def __call__(self, images, train):
    """Maps `[batch, height, width, channels]` to the layer's outputs."""
    height, width = self.size
    outputs = nn.Conv(
      self.filters,
      self.size,
      self.strides,
      padding=(height // 2, width // 2),
      use_bias=False,
      kernel_init=nn.initializers.he_normal(),
      name='conv',
    )(images)
    norm = nn.BatchNorm(
      not train,
      momentum=0.9,
      epsilon=1e-5,
      use_fast_variance=False,
      name='norm',
    )
    return nn.relu(norm(outputs))


def concat(*outputs):
  """Joins outputs of equal height and width by their filters."""
  return jnp.concatenate(outputs, axis=-1)


def add(*outputs):
  """Adds outputs of equal shapes."""
  return sum(outputs)


def max_pool(outputs):
  """Halves height and width; an odd row or column at the end is left out."""
  return nn.max_pool(outputs, (2, 2), strides=(2, 2))
