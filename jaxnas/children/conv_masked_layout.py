# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Where the weights of a convolutional network are in masked arrays.

Arrays have the sizes of the largest network; a smaller filter lies in the
middle of a larger one, and of channels the first ones are used. Letters are
those of `jaxnas.children.conv_masked`.
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
  """An architecture as arrays; layers that it lacks have no filters.

  A batch of programs has a leading axis `N`: it is mapped by `jax.vmap(...,
  in_axes=BATCH_AXES)`. A *source* is what a layer can read: source 0 is the
  image, source `j + 1` is layer `j`.

  Attributes:
    heights: of the filters, `int32[L]`.
    widths: of the filters, `int32[L]`.
    filters: of each layer, `int32[L]`.
    channels: of what each layer reads, joined, `int32[L]`.
    reads: which sources each layer reads, `bool[L, L + 1]`.
    offsets: where the weights from a source to a layer start among all that are
      drawn for a child, `int32[L, L + 1]`; with merge `'add'` a layer has its
      weights at 0.
    scales: of the weights of each layer, `float32[L]`.
    outputs: which layers the classifier reads, `bool[L]`.
    head_features: how many features the classifier reads, `int32[]`.
    head_offsets: which of them is the first of each layer, `int32[L]`.
    head_scale: of the classifier's weights, `float32[]`.
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
  """The arrays that hold any network of a space.

  Attributes:
    num_layers: the largest depth `L`.
    image_filters: channels of the image.
    num_classes: how many classes `K` there are.
    height: the largest of a filter, `h`.
    width: the largest of a filter, `w`.
    filters: the most of a layer, `F`.
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
    """Returns the layers that one array of kernels leads to."""
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
    """The shape of the head's kernel: a group for each layer, or for all."""
    groups = self.num_layers if self.merge == 'concat' else 1
    return groups, self.filters, self.num_classes

  def pieces(
    self, architecture: ConvNet, number: int
  ) -> Iterator[tuple[tuple[Any, ...], slice]]:
    """Yields where parts of a layer's kernel are, and which channels they are.

    Yields:
      The number of an array of `kernels` and the place in it; and a slice.
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
    """Yields where parts of the head's kernel are, and which rows they are."""
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
    """Returns which draw each weight is, and whether it is used at all.

    Args:
      program: of one architecture.
      number: of the array of kernels.

    Returns:
      `int32` and `bool`, in `kernel_shape`. What is not used may be any draw.
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
    """Returns what `kernel_places` does for the head, in `head_shape`."""
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
    """Returns what a `ConvNetwork` holds in the form of this route.

    Args:
      architecture: the network.
      params: of a `children.conv_net.ConvNetwork`, or gradients.
      batch_stats: its running averages.
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
    """Returns what `pack` was given, from what it gave."""
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
