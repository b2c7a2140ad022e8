# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The costs of a convolutional network, counted exactly.

The counts themselves are those of `spaces.conv_architecture.ConvNet`.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses

import jax
import jax.numpy as jnp

from jaxnas.children import conv_net as children
from jaxnas.costs import latency
from jaxnas.spaces import conv_net as spaces
from jaxnas.types import Cost


@dataclasses.dataclass(frozen=True)
class Images:
  """The images that a network classifies.

  Attributes:
    shape: the shape of an image, `(H, W, C)`.
    num_classes: the number of classes.
  """

  shape: tuple[int, int, int]
  num_classes: int

  def num_params(self, net: spaces.ConvNet) -> int:
    """Returns the number of parameters of a network.

    Args:
      net: the network.
    """
    return net.num_params(self.shape[2], self.num_classes)

  def num_multiply_adds(self, net: spaces.ConvNet) -> int:
    """Returns the multiply-adds of the forward pass of one image.

    Convolutions, including their products with padding, and the classifier
    count; batch norm, ReLU and pooling do not.

    Args:
      net: the network.
    """
    return net.num_multiply_adds(*self.shape, self.num_classes)

  def costs(self) -> dict[str, Cost]:
    """Returns functions that count a network's costs, by metric name."""
    return {
      'num_params': self.num_params,
      'num_multiply_adds': self.num_multiply_adds,
    }

  def program(self, net: spaces.ConvNet, batch_size: int) -> latency.Program:
    """Returns the forward pass whose latency is that of a network.

    Args:
      net: the network.
      batch_size: the number of images that the network classifies at a time.
    """
    network = children.make_network(net, self.shape, self.num_classes)
    images = jnp.zeros((batch_size, *self.shape), jnp.float32)
    variables = network.init(jax.random.key(0))
    return latency.Program(network.predict, (*variables, images))


@dataclasses.dataclass(frozen=True)
class Choices:
  """The choices of a space of networks.

  Attributes:
    num_layers: the depth.
    heights: the filter heights.
    widths: the filter widths.
    filters: the numbers of filters.
    strides: the strides.
    merge: how a layer joins several inputs, `'concat'` or `'add'`.
    pool_after: the indices, from 0, of the layers after which everything is
      max pooled.
  """

  num_layers: int
  heights: Sequence[int]
  widths: Sequence[int]
  filters: Sequence[int]
  strides: Sequence[int] = (1,)
  merge: str = 'concat'
  pool_after: Sequence[int] = ()


def fewest_params(images: Images, choices: Choices) -> int:
  """Returns the smallest number of parameters in a space, exactly.

  Args:
    images: the images.
    choices: the choices of the space.
  """
  total = _fewest(images, choices, [1] * choices.num_layers)
  # Batch norm, and the biases of the classifier.
  return (
    total + 2 * choices.num_layers * min(choices.filters) + images.num_classes
  )


def fewest_multiply_adds(images: Images, choices: Choices) -> int | None:
  """Returns the smallest number of multiply-adds in a space, exactly.

  Args:
    images: the images.
    choices: the choices of the space.

  Returns:
    The number; `None` if a stride may differ from 1, since the size of a
    layer's input then depends on all layers before it.
  """
  if tuple(choices.strides) != (1,):
    return None
  height, width, _ = images.shape
  pixels = []
  for number in range(choices.num_layers):
    pixels.append(height * width)
    if number in choices.pool_after:
      height, width = height // 2, width // 2
  return _fewest(images, choices, pixels)


def _fewest(images: Images, choices: Choices, pixels: Sequence[int]) -> int:
  """Returns the smallest sum over layers of weights times pixels.

  The weights of a layer grow with its filters' number and size, so both are the
  smallest ones; only the wiring remains to be chosen. With concatenation, a
  layer pays for each layer that it reads, or for the image if it reads none,
  and the classifier pays for each layer that no other reads. A middle layer
  that reads another one may as well read the layer before it, which no other
  layer reads then. The last layer pays the least for what it reads, so it alone
  reads more than one.

  Args:
    images: the images.
    choices: the choices of the space.
    pixels: the number of pixels that each layer writes, which never grows.
  """
  filters = min(choices.filters)
  each = filters * min(choices.heights) * min(choices.widths)
  head = filters * images.num_classes
  image = [count * each * images.shape[2] for count in pixels]
  read = [count * each * filters for count in pixels]
  first, *middle = range(len(pixels))
  if choices.merge == 'add':
    # A sum of layers costs as much to read as one layer.
    return (
      image[first]
      + sum(min(image[number], read[number]) for number in middle)
      + head
    )
  if not middle:
    return image[first] + head
  *middle, last = middle
  # Either the last layer reads the image, as some of the others do.
  apart = (
    image[first]
    + image[last]
    + head * len(pixels)
    + sum(min(image[n], read[n] - head) for n in middle)
  )
  # Or it reads at least one layer, and all unread ones if that is cheaper than
  # leaving them to the classifier.
  saved = min(head, read[last])
  joined = (
    image[first]
    + head
    + saved * (len(pixels) - 1)
    + sum(min(image[n], read[n] - saved) for n in middle)
    + (read[last] - saved)
  )
  return min(apart, joined)
