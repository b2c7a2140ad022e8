# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The layout of a convolutional network's weights in masked arrays.

Arrays have the sizes of the largest network; a smaller filter is centered in
the largest one, and the first channels are used. Letters are those of
`jaxnas.children.conv_masked`.
"""

from __future__ import annotations

from collections.abc import Iterator
import dataclasses
from typing import Any, NamedTuple

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from jaxnas.spaces.conv_net import ConvNet


class MaskedProgram(NamedTuple):
  """An architecture as arrays, in which missing layers have no filters.

  A batch of programs has a leading axis `N`: map it with `jax.vmap(...,
  in_axes=BATCH_AXES)`. A *source* is something a layer can read: source 0 is
  the image, source `j + 1` is layer `j`.

  Attributes:
    heights: the height of the filters of each layer, `int32[L]`.
    widths: the width of the filters of each layer, `int32[L]`.
    filters: the number of filters of each layer, `int32[L]`.
    channels: the number of channels of each layer's joined input, `int32[L]`.
    reads: whether each layer reads each source, `bool[L, L + 1]`.
    offsets: the start of the weights from each source to each layer in the
      vector drawn for a child, `int32[L, L + 1]`; with merge `'add'` a layer
      has one start, at source 0.
    scales: the standard deviation of each layer's weights, `float32[L]`.
    outputs: whether the classifier reads each layer, `bool[L]`.
    head_features: the number of features that the classifier reads, `int32[]`.
    head_offsets: the index of each layer's first feature, `int32[L]`.
    head_scale: the square root of `head_features`, which the classifier's
      weights are divided by, `float32[]`.
  """

  heights: Any
  widths: Any
  filters: Any
  channels: Any
  reads: Any
  offsets: Any
  scales: Any
  outputs: Any
  head_features: Any
  head_offsets: Any
  head_scale: Any


@dataclasses.dataclass(frozen=True)
class MaskedLayout:
  """The arrays that hold any network of a search space.

  Attributes:
    num_layers: the maximum depth `L`.
    image_filters: the number of channels of the image.
    num_classes: the number of classes `K`.
    height: the maximum height of a filter, `h`.
    width: the maximum width of a filter, `w`.
    filters: the maximum number of filters of a layer, `F`.
    merge: how outputs are joined, `'concat'` or `'add'`.
  """

  num_layers: int
  image_filters: int
  num_classes: int
  height: int
  width: int
  filters: int
  merge: str

  def targets(self, number: int) -> slice:
    """Returns the layers whose weights are in one array of kernels."""
    end = self.num_layers if self.merge == 'concat' else number + 1
    return slice(number, end)

  def kernel_shape(self, number: int) -> tuple[int, int, int, int, int]:
    """Returns the shape of one array of kernels, `(targets, h, w, C, F)`."""
    targets, filters = self.targets(number), self.filters
    channels = self.image_filters
    if self.merge == 'add':
      channels = max(channels, filters)
    elif number:
      channels = filters
    return (
      targets.stop - targets.start,
      self.height,
      self.width,
      channels,
      filters,
    )

  @property
  def head_shape(self) -> tuple[int, int, int]:
    """The shape of the head's kernel: one group per layer, or one for all."""
    groups = self.num_layers if self.merge == 'concat' else 1
    return groups, self.filters, self.num_classes

  def pieces(
    self, architecture: ConvNet, number: int
  ) -> Iterator[tuple[tuple[Any, ...], slice]]:
    """Yields the places of the parts of a layer's kernel, and their channels.

    Yields:
      An index into `kernels` and into that array; and a slice of channels.
    """
    layer = architecture.layers[number]
    rows, columns = (
      slice((largest - size) // 2, (largest + size) // 2)
      for largest, size in (
        (self.height, layer.height),
        (self.width, layer.width),
      )
    )
    blocks: list[tuple[int, tuple[int, ...]]] = [(number, layer.inputs)]
    if self.merge == 'concat':
      blocks = [(j + 1, (j,)) for j in layer.inputs] or [(0, ())]
    start = 0
    for block, sources in blocks:
      count = architecture.join_filters(sources, self.image_filters)
      target = number - self.targets(block).start
      yield (
        (block, target, rows, columns, slice(count), slice(layer.filters)),
        slice(start, start + count),
      )
      start += count

  def head_pieces(
    self, architecture: ConvNet
  ) -> Iterator[tuple[tuple[int, slice], slice]]:
    """Yields the places of the parts of the head's kernel, and their rows."""
    groups: list[tuple[int, tuple[int, ...]]]
    groups = [(number, (number,)) for number in architecture.outputs]
    if self.merge == 'add':
      groups = [(0, architecture.outputs)]
    start = 0
    for group, sources in groups:
      count = architecture.join_filters(sources, self.image_filters)
      yield (group, slice(count)), slice(start, start + count)
      start += count

  def kernel_places(
    self, program: MaskedProgram, number: int
  ) -> tuple[jax.Array, jax.Array]:
    """Returns the index of each weight's draw, and whether it is used.

    Args:
      program: the program of one architecture.
      number: the index of the array of kernels.

    Returns:
      Two arrays, `int32` and `bool`, of the shape `kernel_shape`. The index of
      an unused weight is arbitrary.
    """
    shape = self.kernel_shape(number)
    targets = self.targets(number)

    def per_target(values):
      return values[targets].reshape(-1, 1, 1, 1, 1)

    height, width, filters = map(
      per_target, (program.heights, program.widths, program.filters)
    )
    offset = per_target(program.offsets[:, 0])
    channels = per_target(program.channels)
    is_read = filters > 0
    if self.merge == 'concat':
      offset = per_target(program.offsets[:, number])
      is_read = per_target(program.reads[:, number])
      channels = jnp.full_like(
        channels, program.filters[number - 1] if number else shape[3]
      )
    _, row, column, channel, filter_ = (
      lax.broadcasted_iota(jnp.int32, shape, axis) for axis in range(5)
    )
    row -= (shape[1] - height) // 2
    column -= (shape[2] - width) // 2
    is_used = is_read & (row >= 0) & (row < height)
    is_used &= (column >= 0) & (column < width)
    is_used &= (channel < channels) & (filter_ < filters)
    places = ((row * width + column) * channels + channel) * filters + filter_
    return places + offset, is_used

  def head_places(self, program: MaskedProgram) -> tuple[jax.Array, jax.Array]:
    """Returns the counterpart of `kernel_places` for the head."""
    groups = self.head_shape[0]
    _, feature, label = (
      lax.broadcasted_iota(jnp.int32, self.head_shape, axis)
      for axis in range(3)
    )
    features = program.head_features
    if self.merge == 'concat':
      features = jnp.where(program.outputs, program.filters, 0)
    is_used = feature < features.reshape(-1, 1, 1)
    feature += program.head_offsets[:groups].reshape(-1, 1, 1)
    return feature * self.num_classes + label, is_used

  def pack(
    self, architecture: ConvNet, params: Any, batch_stats: Any
  ) -> tuple[dict[str, Any], dict[str, Any]]:
    """Converts the parameters of a `ConvNetwork` to this layout.

    Args:
      architecture: the network.
      params: the parameters of a `children.conv_net.ConvNetwork`, or their
        gradients.
      batch_stats: the running averages of the `ConvNetwork`.
    """
    num_layers, filters = self.num_layers, self.filters
    packed: dict[str, Any] = {
      'kernels': [
        np.zeros(self.kernel_shape(number), np.float32)
        for number in range(num_layers)
      ],
      'scale': np.zeros((num_layers, filters), np.float32),
      'bias': np.zeros((num_layers, filters), np.float32),
      'head_kernel': np.zeros(self.head_shape, np.float32),
      'head_bias': np.array(params['head']['bias']),
    }
    stats = {
      'mean': np.zeros((num_layers, filters), np.float32),
      'var': np.ones((num_layers, filters), np.float32),
    }
    for number, layer in enumerate(architecture.layers):
      name = f'layer_{number}'
      for place, columns in self.pieces(architecture, number):
        piece = params[name]['kernel'][:, :, columns]
        packed['kernels'][place[0]][place[1:]] = piece
      for kind in ('scale', 'bias'):
        packed[kind][number, : layer.filters] = params[name][kind]
      for kind in ('mean', 'var'):
        stats[kind][number, : layer.filters] = batch_stats[name][kind]
    for place, rows in self.head_pieces(architecture):
      packed['head_kernel'][place] = params['head']['kernel'][rows]
    return packed, stats

  def unpack(
    self, architecture: ConvNet, params: Any, batch_stats: Any
  ) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the inverse of `pack`."""
    unpacked: dict[str, Any] = {}
    stats: dict[str, Any] = {}
    for number, layer in enumerate(architecture.layers):
      pieces = [
        np.asarray(params['kernels'][place[0]])[place[1:]]
        for place, _ in self.pieces(architecture, number)
      ]
      unpacked[f'layer_{number}'] = {
        'kernel': np.concatenate(pieces, 2),
        'scale': np.asarray(params['scale'])[number, : layer.filters],
        'bias': np.asarray(params['bias'])[number, : layer.filters],
      }
      stats[f'layer_{number}'] = {
        kind: np.asarray(batch_stats[kind])[number, : layer.filters]
        for kind in ('mean', 'var')
      }
    head = [
      np.asarray(params['head_kernel'])[place]
      for place, _ in self.head_pieces(architecture)
    ]
    unpacked['head'] = {
      'kernel': np.concatenate(head),
      'bias': np.asarray(params['head_bias']),
    }
    return unpacked, stats
