# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Converts the weights of convolutional networks to and from a `ConvLayout`.

This allows comparing the two routes to a child weight by weight.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import numpy as np

from jaxnas.children.conv_program import ConvLayout
from jaxnas.spaces import conv_net as space


def pack(
  layout: ConvLayout, architecture: space.ConvNet, params: Any, batch_stats: Any
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
  """Converts the parameters of a `conv_net.ConvNetwork` to a layout.

  Args:
    layout: the layout of the program.
    architecture: the network.
    params: the parameters of the `ConvNetwork`, or their gradients.
    batch_stats: the running averages of the `ConvNetwork`.
  """
  new, new_stats = _empty(layout, np.asarray(params['head']['kernel']).dtype)
  for view, block in _kernels(layout, architecture, new['kernels'], params):
    view[...] = block
  for view, block in _head(layout, architecture, new['head'], params):
    view[...] = block
  new['head_bias'][:] = params['head']['bias']
  for number, layer in enumerate(architecture.layers):
    name, kept = f'layer_{number}', slice(layer.filters)
    for field in ('scale', 'bias'):
      new[field][number, kept] = params[name][field]
    for field in ('mean', 'var'):
      new_stats[field][number, kept] = batch_stats[name][field]
  return new, new_stats


def unpack(
  layout: ConvLayout, architecture: space.ConvNet, params: Any, batch_stats: Any
) -> tuple[dict, dict]:
  """Returns the inverse of `pack`."""
  params, batch_stats = jax.tree.map(np.asarray, (params, batch_stats))
  image_filters = layout.image_shape[2]
  dtype = params['kernels'].dtype
  new: dict = {}
  new_stats: dict = {}
  for number, layer in enumerate(architecture.layers):
    channels = architecture.join_filters(layer.inputs, image_filters)
    name, kept = f'layer_{number}', slice(layer.filters)
    new[name] = {
      'kernel': np.zeros(
        (layer.height, layer.width, channels, layer.filters), dtype
      ),
      'scale': params['scale'][number, kept],
      'bias': params['bias'][number, kept],
    }
    new_stats[name] = {
      field: batch_stats[field][number, kept] for field in ('mean', 'var')
    }
  features = architecture.join_filters(architecture.outputs, image_filters)
  new['head'] = {
    'kernel': np.zeros((features, layout.num_classes), dtype),
    'bias': params['head_bias'],
  }
  for view, block in _kernels(layout, architecture, params['kernels'], new):
    block[...] = view
  for view, block in _head(layout, architecture, params['head'], new):
    block[...] = view
  return new, new_stats


def _empty(layout, dtype):
  """Returns parameters and running averages in which nothing is used."""
  layers = (layout.num_layers, layout.slot_channels)
  head = (layout.num_heads, layout.slot_channels, layout.num_classes)
  params = {
    'kernels': np.zeros(layout.capacity, dtype),
    'scale': np.zeros(layers, dtype),
    'bias': np.zeros(layers, dtype),
    'head': np.zeros(head, dtype),
    'head_bias': np.zeros(layout.num_classes, dtype),
  }
  return params, {
    'mean': np.zeros(layers, dtype),
    'var': np.ones(layers, dtype),
  }


def _kernels(layout, architecture, vector, params):
  """Yields every block twice: in the vector, and in a network's kernels."""
  layout.check(architecture)
  channel = dict.fromkeys(range(len(architecture.layers)), 0)
  for block in layout.blocks(architecture):
    rounded = layout.operations[block.operation]
    _, _, channels, filters = block.shape
    view = vector[block.offset : block.offset + math.prod(rounded)]
    start = channel[block.layer]
    channel[block.layer] += channels
    yield (
      view.reshape(rounded)[:, :, :channels, :filters],
      params[f'layer_{block.layer}']['kernel'][:, :, start:][:, :, :channels],
    )


def _head(layout, architecture, head, params):
  """Yields every output's weights twice: packed, and in a network's head."""
  kernel = params['head']['kernel']
  if layout.merge == 'add':
    yield head[0, : kernel.shape[0]], kernel
    return
  start = 0
  for number in architecture.outputs:
    filters = architecture.layers[number].filters
    yield head[number, :filters], kernel[start : start + filters]
    start += filters
