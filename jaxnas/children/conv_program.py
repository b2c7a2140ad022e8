# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Convolutional networks as data: instructions and one vector of weights.

A `ConvProgram` holds an architecture as small integer arrays. Its layers
consist of *blocks* of weights, each with an operation: a convolution with a
height and width, from a number of channels to a number of filters. Heights and
widths are exact; channels and filters are rounded up to one of a few *buckets*,
so that a handful of operations covers every architecture. The weights added by
rounding start at zero and have zero gradient.

Letters: `L` maximum number of layers, `E` edges (a layer reading a source) and
`X` blocks of the largest architecture, `P` weights, `C` channels of a slot, `K`
classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import dataclasses
import functools
import itertools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.children import conv_net
from jaxnas.spaces import conv_net as space


class ConvProgram(NamedTuple):
  """An architecture as arrays; a batch has a leading axis `N` on all of them.

  The outputs of layers are in slots: the image in slot 0, layer `i` in `i + 1`.

  Attributes:
    num_layers: the number of layers, `int32[]`.
    edge_starts: the first edge of each layer, and the end, `int32[L + 1]`.
    sources: the slot that each edge reads, `int32[E]`.
    operations: the operation of each block, `int32[X]`. A block is an edge if
      outputs are concatenated, else a layer.
    offsets: the start of each block's weights, `int32[X]`.
    num_weights: the end of the last block's weights, `int32[]`.
    draws: the start of each block in the vector that `conv_net.init` draws,
      `int32[X]`.
    channels: the number of channels of each block before rounding, `int32[X]`.
    filters: the number of filters of each block before rounding, `int32[X]`.
    scales: the standard deviation of each block's weights, `float32[X]`.
    layer_filters: the number of filters of each layer, `int32[L]`.
    is_output: whether the classifier reads each layer, `bool[L]`.
    head_scale: the standard deviation of the classifier's weights, `float32[]`.
  """

  num_layers: np.ndarray | jax.Array
  edge_starts: np.ndarray | jax.Array
  sources: np.ndarray | jax.Array
  operations: np.ndarray | jax.Array
  offsets: np.ndarray | jax.Array
  num_weights: np.ndarray | jax.Array
  draws: np.ndarray | jax.Array
  channels: np.ndarray | jax.Array
  filters: np.ndarray | jax.Array
  scales: np.ndarray | jax.Array
  layer_filters: np.ndarray | jax.Array
  is_output: np.ndarray | jax.Array
  head_scale: np.ndarray | jax.Array


BATCH_AXES = ConvProgram._make([0] * len(ConvProgram._fields))
"""The batch axes of programs."""


class Block(NamedTuple):
  """The weights of one operation, and their places.

  Attributes:
    layer: the layer that they belong to.
    operation: the index of the operation in `ConvLayout.operations`.
    offset: the start of the weights in the vector of weights.
    draw: the start of the weights in the vector that `conv_net.init` draws.
    shape: the shape `(h, w, C, F)` before rounding.
  """

  layer: int
  operation: int
  offset: int
  draw: int
  shape: tuple[int, int, int, int]


@dataclasses.dataclass(frozen=True)
class ConvLayout:
  """The layout, as data, of architectures up to a given size.

  Attributes:
    num_layers: the maximum depth `L`.
    image_shape: the shape of an image, `(H, W, C)`.
    num_classes: the number of classes `K`.
    heights: the possible heights of filters.
    widths: the possible widths of filters.
    filters: the possible numbers of filters of a layer.
    merge: how outputs are joined, `'concat'` or `'add'`.
    channel_buckets: the numbers that channels and filters are rounded up to,
      ascending to the largest of `filters`; `None` for the lower median and the
      largest of `filters`. More buckets waste less but take longer to compile.
  """

  num_layers: int
  image_shape: tuple[int, int, int]
  num_classes: int
  heights: tuple[int, ...] = space.SIZES
  widths: tuple[int, ...] = space.SIZES
  filters: tuple[int, ...] = space.FILTERS
  merge: str = 'concat'
  channel_buckets: tuple[int, ...] | None = None

  def __post_init__(self):
    # Making the search space checks the sizes.
    space.make_space(
      self.num_layers,
      self.heights,
      self.widths,
      self.filters,
      merge=self.merge,
    )
    largest, buckets = max(self.filters), list(self.buckets)
    if buckets != sorted(set(buckets)) or buckets[-1:] != [largest]:
      raise ValueError(
        'channel_buckets must ascend up to the largest number of filters, '
        f'{largest}; got {buckets}.'
      )

  @property
  def buckets(self) -> tuple[int, ...]:
    """The numbers that channels and filters are rounded up to."""
    if self.channel_buckets is not None:
      return self.channel_buckets
    ordered = sorted(set(self.filters))
    return tuple(sorted({ordered[(len(ordered) - 1) // 2], ordered[-1]}))

  @functools.cached_property
  def operations(self) -> tuple[tuple[int, int, int, int], ...]:
    """All convolutions `(h, w, C, F)`; those that read the image come first."""
    return tuple(
      (height, width, channels, filters)
      for channels, filters, height, width in itertools.product(
        (self.image_shape[2], *self.buckets),
        self.buckets,
        self.heights,
        self.widths,
      )
    )

  @property
  def num_image_operations(self) -> int:
    """The number of operations that read the image."""
    return len(self.heights) * len(self.widths) * len(self.buckets)

  @property
  def slot_channels(self) -> int:
    """The number of channels `C` of a slot."""
    return max(self.buckets[-1], self.image_shape[2])

  @property
  def num_heads(self) -> int:
    """The number of outputs with their own weights in the classifier."""
    return self.num_layers if self.merge == 'concat' else 1

  @functools.cached_property
  def max_block_size(self) -> int:
    """The number of weights of the largest operation."""
    return max(math.prod(shape) for shape in self.operations)

  @functools.cached_property
  def max_weights(self) -> int:
    """The number of convolution weights of the largest architecture."""
    largest, image_filters = self.buckets[-1], self.image_shape[2]
    channels = sum(
      max(image_filters, largest * (number if self.merge == 'concat' else 1))
      if number
      else image_filters
      for number in range(self.num_layers)
    )
    return max(self.heights) * max(self.widths) * largest * channels

  @property
  def capacity(self) -> int:
    """The length `P` of the vector of weights.

    There is room for another block of the largest size at the end, so that any
    block can be written as if it had that size.
    """
    return self.max_weights + self.max_block_size

  def assemble(self, architectures: Sequence[space.ConvNet]) -> ConvProgram:
    """Returns `N` architectures as one batch of programs.

    Raises:
      ValueError: there is no architecture, or one does not fit the layout.
    """
    if not architectures:
      raise ValueError('A batch of programs needs at least one architecture.')
    rows = [self._program(architecture) for architecture in architectures]
    return ConvProgram(*map(np.stack, zip(*rows, strict=True)))

  def init(
    self, key: jax.Array, program: ConvProgram
  ) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
    """Returns the untrained child that `conv_net.init` draws from the same key.

    Args:
      key: a random key.
      program: the program of one architecture.

    Returns:
      The parameters `kernels` `[P]`, `scale` and `bias` `[L, C]`, `head`
      `[heads, C, K]` and `head_bias` `[K]`; and the running averages `mean` and
      `var`, `[L, C]`.
    """
    key_kernels, key_head = jax.random.split(key)
    width = self.slot_channels
    is_used = jnp.arange(width)[None] < program.layer_filters[:, None]
    params = {
      'kernels': self._draw_kernels(key_kernels, program),
      'scale': is_used.astype(jnp.float32),
      'bias': jnp.zeros(is_used.shape),
      'head': self._draw_head(key_head, program, is_used),
      'head_bias': jnp.zeros(self.num_classes),
    }
    batch_stats = {
      'mean': jnp.zeros(is_used.shape),
      'var': jnp.ones(is_used.shape),
    }
    return params, batch_stats

  def _draw_kernels(self, key, program):
    # A longer random vector starts with that of a smaller architecture.
    drawn = jax.random.normal(key, (self.max_weights,))
    place = jnp.arange(self.capacity, dtype=jnp.int32)
    block = jnp.searchsorted(program.offsets, place, side='right') - 1
    shapes = jnp.asarray(self.operations, jnp.int32)[program.operations][block]
    rest = place - program.offsets[block]
    channel = rest // shapes[:, 3] % shapes[:, 2]
    filter_ = rest % shapes[:, 3]
    tap = rest // (shapes[:, 2] * shapes[:, 3])
    channels, filters = program.channels[block], program.filters[block]
    index = (
      program.draws[block] + (tap * channels + channel) * filters + filter_
    )
    is_used = (
      (place < program.num_weights) & (channel < channels) & (filter_ < filters)
    )
    drawn = drawn[jnp.where(is_used, index, 0)]
    return jnp.where(is_used, drawn * program.scales[block], 0)

  def _draw_head(self, key, program, is_used):
    shape = (self.num_heads, self.slot_channels, self.num_classes)
    drawn = jax.random.normal(key, (math.prod(shape),))
    counts = jnp.where(program.is_output, program.layer_filters, 0)
    if self.merge == 'concat':
      starts = jnp.cumsum(counts) - counts
      is_used = is_used & program.is_output[:, None]
    else:
      starts = jnp.zeros(1, jnp.int32)
      is_used = (jnp.arange(self.slot_channels) < counts.max())[None]
    row = starts[:, None] + jnp.arange(self.slot_channels)[None]
    index = (
      row[..., None] * self.num_classes
      + jnp.arange(self.num_classes)[None, None]
    )
    index = jnp.where(is_used[..., None], index, 0)
    return jnp.where(is_used[..., None], drawn[index] * program.head_scale, 0)

  def blocks(self, architecture: space.ConvNet) -> Iterator[Block]:
    """Yields the blocks of an architecture in order."""
    offset = draw = 0
    for number, sources, shape in conv_net.kernel_entries(
      architecture, self.image_shape[2]
    ):
      height, width, channels, filters = shape
      rounded = (
        height,
        width,
        self._round_up(channels) if sources else channels,
        self._round_up(filters),
      )
      # The image may have as many channels as a bucket, so the operations that
      # read it are searched separately.
      start, end = (
        (self.num_image_operations, None)
        if sources
        else (0, self.num_image_operations)
      )
      operation = start + self.operations[start:end].index(rounded)
      yield Block(number, operation, offset, draw, shape)
      offset += math.prod(rounded)
      draw += math.prod(shape)

  def _round_up(self, count: int) -> int:
    return min(bucket for bucket in self.buckets if bucket >= count)

  def _program(self, architecture: space.ConvNet) -> ConvProgram:
    self.check(architecture)
    depth = len(architecture.layers)
    blocks = list(self.blocks(architecture))
    edges = [layer.inputs or (-1,) for layer in architecture.layers]
    starts = [0, *itertools.accumulate(map(len, edges))]
    outputs = architecture.outputs
    fan_ins = [
      layer.height
      * layer.width
      * architecture.join_filters(layer.inputs, self.image_shape[2])
      for layer in architecture.layers
    ]
    last = blocks[-1]
    num_weights = last.offset + math.prod(self.operations[last.operation])
    num_edges = 1 + self.num_layers * (self.num_layers - 1) // 2
    num_blocks = num_edges if self.merge == 'concat' else self.num_layers

    def per_block(values, fill=0, dtype=np.int32):
      return _fill(values, num_blocks, fill, dtype)

    return ConvProgram(
      num_layers=np.asarray(depth, np.int32),
      edge_starts=_fill(starts, self.num_layers + 1, starts[-1]),
      sources=_fill([s + 1 for s in itertools.chain(*edges)], num_edges, 0),
      operations=per_block([block.operation for block in blocks]),
      offsets=per_block([block.offset for block in blocks], num_weights),
      num_weights=np.asarray(num_weights, np.int32),
      draws=per_block([block.draw for block in blocks]),
      channels=per_block([block.shape[2] for block in blocks]),
      filters=per_block([block.shape[3] for block in blocks]),
      scales=per_block(
        [math.sqrt(2 / fan_ins[block.layer]) for block in blocks],
        dtype=np.float32,
      ),
      layer_filters=_fill(
        [layer.filters for layer in architecture.layers], self.num_layers, 0
      ),
      is_output=np.isin(np.arange(self.num_layers), outputs),
      head_scale=np.asarray(
        math.sqrt(1 / architecture.join_filters(outputs, self.image_shape[2])),
        np.float32,
      ),
    )

  def check(self, architecture: space.ConvNet) -> None:
    """Raises `ValueError` if an architecture does not fit the layout."""
    depth = len(architecture.layers)
    if depth > self.num_layers:
      raise ValueError(
        f'A program for up to {self.num_layers} layers cannot hold {depth}.'
      )
    if architecture.merge != self.merge:
      raise ValueError(
        f'A program with merge {self.merge!r} cannot hold a network with '
        f'{architecture.merge!r}.'
      )
    if architecture.pool_after:
      raise ValueError(
        f'Layer {architecture.pool_after[0]} is followed by pooling, which '
        'programs do not support; use the compiled route.'
      )
    for number, layer in enumerate(architecture.layers):
      if (layer.stride_height, layer.stride_width) != (1, 1):
        raise ValueError(
          f'Layer {number} has strides {layer.stride_height} and '
          f'{layer.stride_width}, but programs support only 1; use the '
          'compiled route.'
        )
      for name, known in (
        ('height', self.heights),
        ('width', self.widths),
        ('filters', self.filters),
      ):
        if getattr(layer, name) not in known:
          raise ValueError(
            f'{name} of layer {number} is {getattr(layer, name)}; this program '
            f'supports {", ".join(map(str, known))}.'
          )


def _fill(values, length, fill, dtype=np.int32):
  """Returns values as an array, padded with `fill` to a given length."""
  return np.array([*values, *[fill] * (length - len(values))], dtype)
