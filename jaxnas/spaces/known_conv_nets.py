# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Convolutional networks designed by people, and the one the paper found.

These are what a search has to beat: a plain chain, a densely connected network
and a residual network; and figure 7 of "Neural Architecture Search with
Reinforcement Learning", Zoph and Le, 2017 (https://arxiv.org/abs/1611.01578).
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import difflib

from jaxnas.spaces import conv_net
from jaxnas.spaces.conv_net import ConvLayer, ConvNet

KNOWN_NETS = ('chain', 'dense', 'resnet', 'figure_7')
"""The names that `known_net` knows."""


def make_chain(
  num_layers: int,
  filters: int | Sequence[int] = 36,
  size: int = 3,
  merge: str = 'concat',
) -> ConvNet:
  """Makes a plain chain: every layer reads the one before it.

  Args:
    num_layers: the depth.
    filters: the number of filters of every layer, or one number per layer.
    size: the height and width of every filter, in pixels.
    merge: the `merge` of the `ConvNet`; a chain joins nothing.
  """
  return ConvNet(
    tuple(
      ConvLayer(size, size, width, inputs=(number - 1,) if number else ())
      for number, width in enumerate(_each(filters, num_layers))
    ),
    merge,
  )


def make_dense(
  num_layers: int,
  filters: int | Sequence[int] = 36,
  size: int = 3,
  merge: str = 'concat',
) -> ConvNet:
  """Makes the densely connected network: every layer reads all before it.

  Args:
    num_layers: the depth.
    filters: the number of filters of every layer, or one number per layer.
    size: the height and width of every filter, in pixels.
    merge: the `merge` of the `ConvNet`.
  """
  return ConvNet(
    tuple(
      ConvLayer(size, size, width, inputs=tuple(range(number)))
      for number, width in enumerate(_each(filters, num_layers))
    ),
    merge,
  )


def make_resnet(
  num_layers: int,
  filters: int = 36,
  size: int = 3,
  merge: str = 'add',
) -> ConvNet:
  """Makes a residual network as in "Deep Residual Learning", He et al., 2015.

  It has a first layer, blocks of two layers, and a last layer of 1 x 1 filters.
  The residual stream is the sum of the first layer and all blocks so far; each
  block's first layer and the last layer read it.

  Args:
    num_layers: the depth, even and at least 4.
    filters: the number of filters of every layer.
    size: the height and width, in pixels, of every filter but the last layer's.
    merge: the `merge` of the `ConvNet`; `'add'` makes the network residual.

  Raises:
    ValueError: `num_layers` is odd or too small.
  """
  conv_net.check_num_layers(num_layers)
  if num_layers < 4 or num_layers % 2:
    raise ValueError(
      'A residual network needs an even num_layers of at least 4, got '
      f'{num_layers}.'
    )
  layers = [ConvLayer(size, size, filters)]
  stream = [0]
  while len(layers) < num_layers - 1:
    layers.append(ConvLayer(size, size, filters, inputs=tuple(stream)))
    layers.append(ConvLayer(size, size, filters, inputs=(len(layers) - 1,)))
    stream.append(len(layers) - 1)
  layers.append(ConvLayer(1, 1, filters, inputs=tuple(stream)))
  return ConvNet(tuple(layers), merge)


def _each(filters: int | Sequence[int], num_layers: int) -> Sequence[int]:
  conv_net.check_num_layers(num_layers)
  widths = [filters] * num_layers if isinstance(filters, int) else filters
  if len(widths) != num_layers:
    raise ValueError(
      f'filters needs one number for each of {num_layers} layers, got '
      f'{list(widths)}.'
    )
  return widths


def _layer(height, width, filters, *inputs: int) -> ConvLayer:
  """Makes a layer of the paper's figure, which counts layers from 1."""
  return ConvLayer(
    height, width, filters, inputs=tuple(source - 1 for source in inputs)
  )


FIGURE_7 = ConvNet(
  (
    _layer(3, 3, 36),
    _layer(3, 3, 48, 1),
    _layer(3, 3, 36, 1, 2),
    _layer(5, 5, 36, 1, 2, 3),
    _layer(3, 7, 48, 3, 4),
    _layer(7, 7, 48, 2, 3, 4, 5),
    _layer(7, 7, 48, 2, 3, 4, 5, 6),
    _layer(7, 3, 36, 1, 6, 7),
    _layer(7, 1, 36, 1, 5, 6, 8),
    _layer(7, 7, 36, 1, 3, 4, 5, 6, 7, 8, 9),
    _layer(5, 7, 36, 1, 2, 5, 6, 7, 8, 9, 10),
    _layer(7, 7, 48, 1, 2, 3, 4, 6, 11),
    _layer(7, 5, 48, 1, 3, 6, 7, 8, 9, 10, 11, 12),
    _layer(7, 5, 48, 3, 7, 12, 13),
    _layer(7, 5, 48, 6, 7, 11, 12, 13, 14),
  )
)
"""The network that the paper's search without strides and pooling found."""


def known_net(name: str, num_layers: int, filters: int, merge: str) -> ConvNet:
  """Returns a known network by name.

  Args:
    name: the name of the network, one of `KNOWN_NETS`.
    num_layers: the network's depth.
    filters: the number of filters of every layer.
    merge: how a layer joins the outputs it reads, as in `ConvNet`.

  Returns:
    The network; `'figure_7'` has a depth, filters and a merge of its own.

  Raises:
    ValueError: no network has that name (similar names are listed), or none
      has that depth.
  """
  if name == 'figure_7':
    return FIGURE_7
  makers = {
    'chain': make_chain,
    'dense': make_dense,
    'resnet': make_resnet,
  }
  if name in makers:
    return makers[name](num_layers, filters, merge=merge)
  near = difflib.get_close_matches(name, KNOWN_NETS, cutoff=0.4)
  raise ValueError(
    f'Unknown network {name!r}; '
    + (f'did you mean {" or ".join(near)}? ' if near else '')
    + f'the known networks are {", ".join(KNOWN_NETS)}.'
  )


def make_smallest(
  num_layers: int, stride: int, merge: str, pool_after: tuple[int, ...]
) -> ConvNet:
  """Makes the network of a space that first has an output without a pixel.

  Joined outputs are as large as the largest of them, and every layer that is
  passed makes them smaller: so it is the chain with the largest strides.

  Args:
    num_layers: the depth of the deepest network.
    stride: the largest stride.
    merge: how a layer joins several inputs.
    pool_after: the layers, from 0, whose outputs are pooled.
  """
  chain = make_chain(num_layers, 1, merge=merge)
  layers = tuple(
    dataclasses.replace(layer, stride_height=stride, stride_width=stride)
    for layer in chain.layers
  )
  return dataclasses.replace(chain, layers=layers, pool_after=pool_after)
