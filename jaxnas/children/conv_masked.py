# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Convolutional networks as masks: many children under one `jax.vmap`.

All children have the arrays of the largest network of a search space, and a
`MaskedProgram` selects the entries that a child uses; the others are zero and
remain zero. Every child costs as much as the largest one, but all of them
together are a few large matrix products: the right form for accelerators and
for tiny images.

Letters: `L` layers, `F` maximum filters per layer, `C` maximum channels that
are convolved, `h` and `w` maximum height and width of a filter.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import math
from typing import Any

import chex
import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnas.children import block_convolution, conv_net
from jaxnas.children.conv_masked_layout import MaskedLayout, MaskedProgram
from jaxnas.children.network import Network
from jaxnas.spaces.conv_net import ConvNet

BATCH_AXES = MaskedProgram(*[0] * len(MaskedProgram._fields))
"""The batch axes of programs."""


@dataclasses.dataclass(frozen=True)
class ConvMasked:
  """Trains networks of one search space with one program under `jax.vmap`.

  The parameters are `kernels`; `scale` and `bias` of batch norm, `[L, F]`;
  `head_kernel`, `[L, F, K]` or, for `'add'`, `[1, F, K]`; and `head_bias`,
  `[K]`. With merge `'concat'`, `kernels` has one array per source `s`, to all
  layers that can read it, `[L - s, h, w, C, F]`; with `'add'`, one array per
  layer, `[1, h, w, C, F]`. The running averages are `mean` and `var`, `[L, F]`.

  Attributes:
    num_layers: the maximum depth `L`.
    image_shape: the shape of an image, `(H, W, C)`.
    num_classes: the number of classes `K`.
    heights: the possible heights of filters, all odd.
    widths: the possible widths of filters, all odd.
    filters: the possible numbers of filters of a layer.
    merge: how outputs are joined, `'concat'` or `'add'`.
    block: the number of columns that one product computes, see
      `block_convolution`; by default the fastest for images of this width.
  """

  num_layers: int
  image_shape: tuple[int, int, int]
  num_classes: int
  heights: tuple[int, ...]
  widths: tuple[int, ...]
  filters: tuple[int, ...]
  merge: str = 'concat'
  block: int | None = None

  def __post_init__(self):
    if self.block is not None and self.block < 1:
      raise ValueError(f'block must be at least 1, got {self.block}.')

  @property
  def layout(self) -> MaskedLayout:
    """The layout of the weights in the arrays."""
    return MaskedLayout(
      num_layers=self.num_layers,
      image_filters=self.image_shape[2],
      num_classes=self.num_classes,
      height=max(self.heights),
      width=max(self.widths),
      filters=max(self.filters),
      merge=self.merge,
    )

  def assemble(self, architectures: Sequence[ConvNet]) -> MaskedProgram:
    """Returns `N` architectures as one batch of programs.

    Raises:
      ValueError: there is no architecture, or one is not in the search space:
        it has strides, pooling or an unknown size.
    """
    if not architectures:
      raise ValueError('A batch of programs needs at least one architecture.')
    rows = [self._assemble(architecture) for architecture in architectures]
    return MaskedProgram(*map(np.stack, zip(*rows, strict=True)))

  def make_network(self, program: MaskedProgram) -> Network:
    """Makes the network of one child.

    Args:
      program: the program of one architecture; its arrays may be traced.
    """
    program = jax.tree.map(jnp.asarray, program)
    masks = self._masks(program)

    def initialize(key):
      return self._init(program, key)

    def loss_and_grad(params, batch_stats, images, labels):
      def loss(params):
        logits, updated = self._apply(
          program, masks, params, batch_stats, images, is_training=True
        )
        losses = optax.losses.softmax_cross_entropy_with_integer_labels(
          logits, labels
        )
        return losses.mean(), updated

      (value, updated), grads = jax.value_and_grad(loss, has_aux=True)(params)
      return value, updated, grads

    def predict(params, batch_stats, images):
      return self._apply(
        program, masks, params, batch_stats, images, is_training=False
      )[0]

    def predict_by_batch(params, images):
      return self._apply(
        program, masks, params, self._batch_stats(), images, is_training=True
      )[0]

    return Network(
      initialize, loss_and_grad, predict, predict_by_batch=predict_by_batch
    )

  def init_shared(self, key: jax.Array) -> tuple[dict[str, Any], dict]:
    """Returns untrained parameters of all networks at once.

    Every entry is drawn, whichever network uses it: kernels with variance `2 /
    fan_in` and the head's with variance `1 / fan_in`, as in `conv_net.init`,
    where `fan_in` is that of the largest filter on a single source. Batch norm
    makes up for the scale where a network uses a part of them, or several.

    Args:
      key: a random key, split into one for the convolutions and one for the
        head.

    Returns:
      The parameters, and running averages as before any step.
    """
    key_kernels, key_head = jax.random.split(key)
    shapes = [self.layout.kernel_shape(n) for n in range(self.num_layers)]
    ends = np.cumsum([math.prod(shape) for shape in shapes])
    # One draw for all, since each would be compiled.
    draws = jax.random.normal(key_kernels, (int(ends[-1]),))
    kernels = [
      part.reshape(shape) * math.sqrt(2 / math.prod(shape[1:4]))
      for part, shape in zip(jnp.split(draws, ends[:-1]), shapes, strict=True)
    ]
    head = jax.random.normal(key_head, self.layout.head_shape)
    zeros = jnp.zeros((self.num_layers, max(self.filters)))
    params = {
      'kernels': kernels,
      'scale': jnp.ones_like(zeros),
      'bias': zeros,
      'head_kernel': head * math.sqrt(1 / max(self.filters)),
      'head_bias': jnp.zeros(self.num_classes),
    }
    return params, self._batch_stats()

  def pack(
    self, architecture: ConvNet, params: Any, batch_stats: Any
  ) -> tuple[dict[str, Any], dict[str, Any]]:
    """Converts the parameters of a `ConvNetwork` to this form.

    Args:
      architecture: the network.
      params: the parameters of a `children.conv_net.ConvNetwork`, or their
        gradients.
      batch_stats: the running averages of the `ConvNetwork`.
    """
    self._check(architecture)
    return self.layout.pack(architecture, params, batch_stats)

  def unpack(
    self, architecture: ConvNet, params: Any, batch_stats: Any
  ) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the inverse of `pack`."""
    self._check(architecture)
    return self.layout.unpack(architecture, params, batch_stats)

  def _check(self, architecture: ConvNet) -> None:
    if architecture.merge != self.merge:
      raise ValueError(
        f'The vmapped program is for merge {self.merge!r}, got a network with '
        f'{architecture.merge!r}.'
      )
    if len(architecture.layers) > self.num_layers:
      raise ValueError(
        f'The vmapped program has {self.num_layers} layers, got a network of '
        f'{len(architecture.layers)}.'
      )
    if architecture.pool_after:
      raise ValueError(
        'The vmapped program has no pooling, got one after layer '
        f'{architecture.pool_after[0]}; use the compiled route.'
      )
    for number, layer in enumerate(architecture.layers):
      strides = layer.stride_height, layer.stride_width
      if strides != (1, 1):
        raise ValueError(
          f'The vmapped program has strides of 1, but those of layer {number} '
          f'are {strides}; use the compiled route.'
        )
      for name in ('height', 'width', 'filters'):
        known = getattr(self, 'filters' if name == 'filters' else f'{name}s')
        if getattr(layer, name) not in known:
          raise ValueError(
            f'{name} of layer {number} is {getattr(layer, name)}; the vmapped '
            f'program knows {", ".join(map(str, known))}.'
          )

  def _assemble(self, architecture: ConvNet) -> MaskedProgram:
    self._check(architecture)
    image_filters = self.image_shape[2]
    layers = architecture.layers
    channels = [
      architecture.join_filters(layer.inputs, image_filters) for layer in layers
    ]
    reads = np.zeros((self.num_layers, self.num_layers + 1), bool)
    offsets = np.zeros(reads.shape, np.int32)
    offset = 0
    for number, sources, shape in conv_net.kernel_entries(
      architecture, image_filters
    ):
      for source in sources or (-1,):
        reads[number, source + 1] = True
      is_single = self.merge == 'concat' and sources
      offsets[number, sources[0] + 1 if is_single else 0] = offset
      offset += math.prod(shape)
    outputs = np.isin(np.arange(self.num_layers), architecture.outputs)
    head_offsets = np.zeros(self.num_layers, np.int32)
    for place, rows in self.layout.head_pieces(architecture):
      head_offsets[place[0]] = rows.start
    head_features = architecture.join_filters(
      architecture.outputs, image_filters
    )

    def per_layer(values, dtype=np.int32):
      return np.pad(np.array(values, dtype), (0, self.num_layers - len(values)))

    return MaskedProgram(
      heights=per_layer([layer.height for layer in layers]),
      widths=per_layer([layer.width for layer in layers]),
      filters=per_layer([layer.filters for layer in layers]),
      channels=per_layer(channels),
      reads=reads,
      offsets=offsets,
      scales=per_layer(
        [
          math.sqrt(2 / (layer.height * layer.width * count))
          for layer, count in zip(layers, channels, strict=True)
        ],
        np.float32,
      ),
      outputs=outputs,
      head_features=np.int32(head_features),
      head_offsets=head_offsets,
      head_scale=np.float32(math.sqrt(head_features)),
    )

  def _masks(self, program: MaskedProgram):
    kernels = [
      self.layout.kernel_places(program, number)[1]
      for number in range(self.num_layers)
    ]
    return kernels, self.layout.head_places(program)[1]

  def _init(self, program: MaskedProgram, key: jax.Array):
    """Returns the child that `children.conv_net.init` makes from the key.

    This works because a longer random vector starts with the shorter one.
    """
    key_kernels, key_head = jax.random.split(key)
    filters = max(self.filters)
    shapes = [self.layout.kernel_shape(n) for n in range(self.num_layers)]
    draws = jax.random.normal(key_kernels, (sum(map(math.prod, shapes)),))
    kernels = []
    for number in range(self.num_layers):
      places, is_used = self.layout.kernel_places(program, number)
      scales = program.scales[self.layout.targets(number)].reshape(
        -1, 1, 1, 1, 1
      )
      weights = draws[jnp.where(is_used, places, 0)] * scales
      kernels.append(jnp.where(is_used, weights, 0))
    places, is_used = self.layout.head_places(program)
    draws = jax.random.normal(key_head, (math.prod(self.layout.head_shape),))
    head = draws[jnp.where(is_used, places, 0)] / program.head_scale
    is_filter = jnp.arange(filters)[None] < program.filters[:, None]
    zeros = jnp.zeros((self.num_layers, filters))
    params = {
      'kernels': kernels,
      'scale': is_filter.astype(jnp.float32),
      'bias': zeros,
      'head_kernel': jnp.where(is_used, head, 0),
      'head_bias': jnp.zeros(self.num_classes),
    }
    return params, self._batch_stats()

  def _batch_stats(self):
    zeros = jnp.zeros((self.num_layers, max(self.filters)))
    return {'mean': zeros, 'var': jnp.ones_like(zeros)}

  def _apply(self, program, masks, params, batch_stats, images, *, is_training):
    """Returns the logits and the new running averages."""
    chex.assert_shape(images, (None, *self.image_shape))
    kernel_masks, head_mask = masks
    block = self.block or block_convolution.default_block(images.shape[2])
    sources = [images]
    sums: list[Any] = [0] * self.num_layers
    stats = []
    for number in range(self.num_layers):
      kernel = jnp.where(kernel_masks[number], params['kernels'][number], 0)
      inputs = self._inputs(program, sources, number, kernel.shape[3])
      # The kernels to all layers are concatenated into one wide product.
      wide = jnp.moveaxis(kernel, 0, 3).reshape(*kernel.shape[1:4], -1)
      outputs = block_convolution.convolve(inputs, wide, block)
      for target, part in enumerate(jnp.split(outputs, len(kernel), -1)):
        sums[number + target] += part
      moments = batch_stats['mean'][number], batch_stats['var'][number]
      if is_training:
        moments = conv_net.batch_moments(sums[number])
      stats.append(moments)
      is_filter = jnp.arange(kernel.shape[4]) < program.filters[number]
      sources.append(
        _normalize(
          sums[number],
          *moments,
          params['scale'][number],
          params['bias'][number],
          is_filter,
        )
      )
    mean, var = map(jnp.stack, zip(*stats, strict=True))
    if is_training:
      mean = conv_net.running_average(batch_stats['mean'], mean)
      var = conv_net.running_average(batch_stats['var'], var)
    features = jnp.stack([output.mean((1, 2)) for output in sources[1:]])
    if self.merge == 'add':
      is_output = program.outputs[:, None, None]
      features = jnp.where(is_output, features, 0).sum(0, keepdims=True)
    head = jnp.where(head_mask, params['head_kernel'], 0)
    logits = jnp.einsum('lbf,lfk->bk', features, head)
    return logits + params['head_bias'][None], {'mean': mean, 'var': var}

  def _inputs(self, program, sources, number, channels):
    """Returns what is convolved: the newest source, or a sum of sources."""
    if self.merge == 'concat':
      return sources[-1]
    return sum(
      jnp.where(
        program.reads[number, place],
        jnp.pad(
          source, ((0, 0), (0, 0), (0, 0), (0, channels - source.shape[-1]))
        ),
        0,
      )
      for place, source in enumerate(sources)
    )


def _normalize(sums, mean, var, scale, bias, is_filter):
  """Returns batch norm and ReLU of `[B, H, W, F]`; 0 for unused filters."""
  factor = lax.rsqrt(var + conv_net.EPSILON) * scale
  mean, factor, bias, is_filter = (
    x[None, None, None] for x in (mean, factor, bias, is_filter)
  )
  outputs = jax.nn.relu((sums - mean) * factor + bias)
  return jnp.where(is_filter, outputs, 0)
