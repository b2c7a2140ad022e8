# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The layers of a convolutional network and their joining, in Flax."""

from flax import linen as nn
import jax.numpy as jnp


class ConvLayer(nn.Module):
  """A convolution without bias, batch norm and ReLU.

  Attributes:
    filters: the number of filters.
    size: the height and width of the filters in pixels, odd.
    strides: the vertical and horizontal stride, in pixels.
  """

  filters: int
  size: tuple[int, int]
  strides: tuple[int, int] = (1, 1)

  @nn.compact
  def __call__(self, images, train):
    """Returns the layer's outputs, `[batch, height, width, filters]`.

    Args:
      images: the layer's inputs, `[batch, height, width, channels]`.
      train: whether batch norm uses the statistics of this batch.
    """
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
  """Concatenates outputs of equal height and width along the filters."""
  return jnp.concatenate(outputs, axis=-1)


def add(*outputs):
  """Adds outputs of equal shapes."""
  return sum(outputs)


def max_pool(outputs):
  """Halves height and width, rounding down, by the maximum of 2 x 2 pixels."""
  return nn.max_pool(outputs, (2, 2), strides=(2, 2))
