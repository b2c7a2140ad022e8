# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Convolutional networks as a Flax Linen module.

`ConvNetwork` defines what an architecture of `jaxnas.spaces.conv_net` computes:
every layer is a convolution without bias, batch norm and ReLU; the classifier
is a linear layer on the average over all pixels. An architecture unrolls into
straight-line code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import dataclasses
import math

import chex
from flax import linen as nn
import jax
import jax.numpy as jnp
import optax

from jaxnas.children import convolution, maxima, platforms
from jaxnas.children import network as network_lib
from jaxnas.spaces import conv_net as space

EPSILON = 1e-5
"""The constant that batch norm adds to a variance."""

MOMENTUM = 0.9
"""The share of a running average that is kept at every step."""


class ConvLayer(nn.Module):
  """A convolution without bias, batch norm and ReLU.

  The variance is biased, even in the running average, as in flax.linen.

  Attributes:
    layer: the sizes, the strides and the number of filters `F`.
    platform: the platform that the layer is compiled for, such as `'cpu'`.
    epsilon: the number that batch norm adds to variances.
  """

  layer: space.ConvLayer
  platform: str = dataclasses.field(
    default_factory=platforms.default, metadata=platforms.CONDITION
  )
  epsilon: float = EPSILON

  @nn.compact
  def __call__(self, inputs: jax.Array, is_training: bool) -> jax.Array:
    """Maps `[B, H, W, C]` to `[B, ceil(H / stride), ceil(W / stride), F]`.

    Args:
      inputs: the joined inputs of the layer.
      is_training: whether to normalize by the mean and variance of this batch
        and update the running averages, instead of normalizing by the running
        averages.
    """
    layer = self.layer
    kernel = self.param(
      'kernel',
      nn.initializers.he_normal(),
      (layer.height, layer.width, inputs.shape[-1], layer.filters),
    )
    scale = self.param('scale', nn.initializers.ones, (layer.filters,))
    bias = self.param('bias', nn.initializers.zeros, (layer.filters,))
    running_mean = self.variable(
      'batch_stats', 'mean', jnp.zeros, (layer.filters,)
    )
    running_var = self.variable(
      'batch_stats', 'var', jnp.ones, (layer.filters,)
    )
    outputs = convolution.convolve(
      inputs,
      kernel,
      (layer.stride_height, layer.stride_width),
      convolution.needs_canonical(self.platform),
    )
    mean, var = running_mean.value, running_var.value
    if is_training:
      mean, var = batch_moments(outputs)
      if not self.is_initializing():
        running_mean.value = running_average(running_mean.value, mean)
        running_var.value = running_average(running_var.value, var)
    normalized = (outputs - mean[None, None, None]) * (
      jax.lax.rsqrt(var + self.epsilon) * scale
    )[None, None, None]
    return nn.relu(normalized + bias[None, None, None])


class ConvNetwork(nn.Module):
  """The network that an architecture describes.

      network = ConvNetwork(architecture=architecture, num_classes=10)
      variables = network.init(key, images)
      logits = network.apply(variables, images)

  The parameters are `layer_<i>` with `kernel`, `scale` and `bias`, and `head`
  with `kernel` and `bias`. The running averages are `layer_<i>` with `mean` and
  `var` in the collection `batch_stats`.

  Attributes:
    architecture: the architecture, a `jaxnas.spaces.conv_net.ConvNet`.
    num_classes: the number of classes.
    platform: the platform that the network is compiled for, such as `'cpu'`.
    epsilon: the number that batch norm adds to variances.
  """

  architecture: space.ConvNet
  num_classes: int
  platform: str = dataclasses.field(
    default_factory=platforms.default, metadata=platforms.CONDITION
  )
  epsilon: float = EPSILON

  @nn.compact
  def __call__(self, images: jax.Array, is_training: bool = False) -> jax.Array:
    """Returns the logits of images.

    Args:
      images: the images, `[B, H, W, C]`.
      is_training: whether batch norm uses this batch's statistics; if so,
        `batch_stats` must be mutable.

    Returns:
      The logits, `[B, num_classes]`.
    """
    chex.assert_rank(images, 4)
    net = self.architecture
    net.sizes(*images.shape[1:3])
    outputs: list[jax.Array] = []
    for number, layer in enumerate(net.layers):
      sources = [outputs[source] for source in layer.inputs] or [images]
      joined = join(sources, net.merge)
      block = ConvLayer(
        layer, self.platform, self.epsilon, name=f'layer_{number}'
      )
      outputs.append(block(joined, is_training))
      if number in net.pool_after:
        read = net.read_after(number)
        # An output that no later layer reads may be too small to pool.
        images, *outputs = [
          maxima.max_pool(x) if slot in read else x
          for slot, x in enumerate((images, *outputs))
        ]
    joined = join([outputs[number] for number in net.outputs], net.merge)
    head = nn.Dense(self.num_classes, name='head')
    return head(joined.mean((1, 2)))


def batch_moments(outputs: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Returns the mean and biased variance of each filter, `[F]`.

  Args:
    outputs: the outputs of a convolution, `[B, H, W, F]`.
  """
  mean = outputs.mean((0, 1, 2))
  return mean, jnp.square(outputs - mean[None, None, None]).mean((0, 1, 2))


def running_average(average: jax.Array, value: jax.Array) -> jax.Array:
  """Returns a running average updated with one more value."""
  return MOMENTUM * average + (1 - MOMENTUM) * value


def join(outputs: Sequence[jax.Array], merge: str) -> jax.Array:
  """Joins outputs of layers after padding them with zeros to equal sizes.

  Args:
    outputs: the outputs, each `[B, H, W, F]`; sizes and filters may differ.
    merge: the way to join them, `'concat'` or `'add'`.

  Returns:
    The joined outputs, `[B, H, W, F]`, with the largest height and width and
    the sum (`'concat'`) or maximum (`'add'`) of the numbers of filters.
  """
  height, width, filters = (
    max(output.shape[axis] for output in outputs) for axis in (1, 2, 3)
  )
  padded = []
  for output in outputs:
    rows, columns = height - output.shape[1], width - output.shape[2]
    missing = filters - output.shape[3] if merge == 'add' else 0
    padded.append(
      jnp.pad(
        output,
        (
          (0, 0),
          (rows // 2, rows - rows // 2),
          (columns // 2, columns - columns // 2),
          (0, missing),
        ),
      )
    )
  return jnp.concatenate(padded, -1) if merge == 'concat' else sum(padded)  # type: ignore[return-value]  # Never empty.


def kernel_entries(
  architecture: space.ConvNet, image_filters: int
) -> Iterator[tuple[int, tuple[int, ...], tuple[int, int, int, int]]]:
  """Yields the blocks of weights in the order in which they are drawn.

  All convolution weights of a child are drawn as one vector, so that a key
  determines a child whatever the layout of its weights. Blocks are in ascending
  order of layers, and of sources within a layer; a layer that reads only the
  image, or a sum, has one block.

  Args:
    architecture: the network.
    image_filters: the number of channels of the image.

  Yields:
    The layer, the sources that the block reads (none for the image) and its
    shape `(h, w, C, F)`, in row-major order.
  """
  for number, layer in enumerate(architecture.layers):
    blocks = [layer.inputs]
    if architecture.merge == 'concat' and layer.inputs:
      blocks = [(source,) for source in layer.inputs]
    for sources in blocks:
      channels = architecture.join_filters(sources, image_filters)
      yield (
        number,
        sources,
        (layer.height, layer.width, channels, layer.filters),
      )


def init(
  key: jax.Array,
  architecture: space.ConvNet,
  image_shape: tuple[int, int, int],
  num_classes: int,
) -> tuple[dict, dict]:
  """Returns the parameters and running averages of an untrained child.

  The weights of a convolution are normal with variance `2 / fan_in` ("Delving
  Deep into Rectifiers", He et al., 2015), those of the head with variance `1 /
  fan_in`.

  Args:
    key: a random key, split into one for the convolutions and one for the head.
    architecture: the network.
    image_shape: the shape of an image, `(H, W, C)`.
    num_classes: the number of classes.

  Returns:
    The `params` and `batch_stats` of a `ConvNetwork`.
  """
  image_filters = image_shape[2]
  entries = list(kernel_entries(architecture, image_filters))
  key_kernels, key_head = jax.random.split(key)
  weights = jax.random.normal(
    key_kernels, (sum(math.prod(shape) for _, _, shape in entries),)
  )
  blocks: list[list[jax.Array]] = [[] for _ in architecture.layers]
  start = 0
  for number, _, shape in entries:
    end = start + math.prod(shape)
    blocks[number].append(weights[start:end].reshape(shape))
    start = end
  params: dict = {}
  batch_stats: dict = {}
  for number, parts in enumerate(blocks):
    kernel = jnp.concatenate(parts, 2)
    fan_in, filters = math.prod(kernel.shape[:3]), kernel.shape[3]
    params[f'layer_{number}'] = {
      'kernel': kernel * math.sqrt(2 / fan_in),
      'scale': jnp.ones(filters),
      'bias': jnp.zeros(filters),
    }
    batch_stats[f'layer_{number}'] = {
      'mean': jnp.zeros(filters),
      'var': jnp.ones(filters),
    }
  features = architecture.join_filters(architecture.outputs, image_filters)
  head = jax.random.normal(key_head, (features * num_classes,))
  params['head'] = {
    'kernel': head.reshape(features, num_classes) * math.sqrt(1 / features),
    'bias': jnp.zeros(num_classes),
  }
  return params, batch_stats


def make_network(
  architecture: space.ConvNet,
  image_shape: tuple[int, int, int],
  num_classes: int,
  platform: str | None = None,
  epsilon: float = EPSILON,
) -> network_lib.Network:
  """Makes the network of an architecture, to be compiled by itself.

  Args:
    architecture: the network.
    image_shape: the shape of an image, `(H, W, C)`.
    num_classes: the number of classes.
    platform: the platform that it is compiled for, such as `'cpu'`; JAX's
      default platform by default.
    epsilon: the number that batch norm adds to variances.

  Raises:
    ValueError: pooling leaves no pixel.
  """
  height, width, _ = image_shape
  architecture.sizes(height, width)
  platform = platform or platforms.default()
  module = ConvNetwork(architecture, num_classes, platform, epsilon)

  def initialize(key):
    return init(key, architecture, image_shape, num_classes)

  def loss_and_grad(params, batch_stats, images, labels):
    def loss(params):
      logits, updated = module.apply(
        {'params': params, 'batch_stats': batch_stats},
        images,
        is_training=True,
        mutable='batch_stats',
      )
      losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
      return losses.mean(), updated['batch_stats']

    (value, updated), grads = jax.value_and_grad(loss, has_aux=True)(params)
    return value, updated, grads

  def predict(params, batch_stats, images):
    return module.apply({'params': params, 'batch_stats': batch_stats}, images)

  return network_lib.Network(initialize, loss_and_grad, predict)
