# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.children import conv_masked, conv_net
from jaxnas.spaces.conv_net import ConvLayer, ConvNet

L, K = 3, 2
IMAGE = (5, 6, 2)
SIZES, FILTERS = (1, 3), (2, 3, 4)
LAYERS = (
  ConvLayer(3, 1, 3),
  ConvLayer(1, 1, 2, inputs=(0,)),
  ConvLayer(1, 3, 4, inputs=(0, 1)),
)
MERGES = ('concat', 'add')
NETS = (
  LAYERS,
  LAYERS[:2],
  # Two images, and a classifier that reads two layers.
  (LAYERS[0], ConvLayer(3, 3, 4), ConvLayer(1, 1, 2, inputs=(0,))),
)


def make_masked(merge):
  return conv_masked.ConvMasked(L, IMAGE, K, SIZES, SIZES, FILTERS, merge)


def make_draws(net):
  """Returns a child whose weights are 1 more than the number of their draw."""
  kernels = [[] for _ in net.layers]
  start = 1
  for number, _, shape in conv_net.kernel_entries(net, IMAGE[2]):
    end = start + math.prod(shape)
    kernels[number].append(np.arange(start, end).reshape(shape))
    start = end
  params = {
    f'layer_{number}': {
      'kernel': np.concatenate(parts, 2),
      'scale': np.ones(net.layers[number].filters),
      'bias': np.zeros(net.layers[number].filters),
    }
    for number, parts in enumerate(kernels)
  }
  features = net.join_filters(net.outputs, IMAGE[2])
  head = np.arange(1, 1 + features * K).reshape(features, K)
  params['head'] = {'kernel': head, 'bias': np.zeros(K)}
  stats = {
    name: {'mean': layer['bias'], 'var': layer['scale']}
    for name, layer in params.items()
    if name != 'head'
  }
  return params, stats


def test_a_concatenation_has_an_array_for_each_source():
  layout = make_masked('concat').layout
  shapes = [layout.kernel_shape(number) for number in range(L)]
  # From the image to three layers, from the first to two, and so on.
  assert shapes == [(3, 3, 3, 2, 4), (2, 3, 3, 4, 4), (1, 3, 3, 4, 4)]
  assert layout.head_shape == (L, 4, K)


def test_a_sum_has_an_array_for_each_layer():
  layout = make_masked('add').layout
  shapes = [layout.kernel_shape(number) for number in range(L)]
  assert shapes == [(1, 3, 3, 4, 4)] * L
  assert layout.head_shape == (1, 4, K)


def test_a_smaller_filter_lies_in_the_middle():
  layout = make_masked('concat').layout
  pieces = list(layout.pieces(ConvNet(LAYERS), 2))
  middle, whole = slice(1, 2), slice(0, 3)
  assert pieces == [
    ((1, 1, middle, whole, slice(3), slice(4)), slice(0, 3)),
    ((2, 0, middle, whole, slice(2), slice(4)), slice(3, 5)),
  ]
  added = list(make_masked('add').layout.pieces(ConvNet(LAYERS, 'add'), 2))
  assert added == [((2, 0, middle, whole, slice(3), slice(4)), slice(0, 3))]


def test_the_head_has_a_group_for_each_output_that_is_concatenated():
  layout = make_masked('concat').layout
  assert list(layout.head_pieces(ConvNet(NETS[2]))) == [
    ((1, slice(4)), slice(0, 4)),
    ((2, slice(2)), slice(4, 6)),
  ]
  added = make_masked('add').layout.head_pieces(ConvNet(NETS[2], 'add'))
  assert list(added) == [((0, slice(4)), slice(0, 4))]


@pytest.mark.parametrize('merge', MERGES)
@pytest.mark.parametrize('layers', NETS)
def test_each_weight_that_is_used_is_the_draw_of_its_place(layers, merge):
  masked, net = make_masked(merge), ConvNet(layers, merge)
  program = jax.tree.map(lambda x: jnp.asarray(x[0]), masked.assemble([net]))
  layout = masked.layout
  packed, _ = layout.pack(net, *make_draws(net))
  for number in range(L):
    places, is_used = layout.kernel_places(program, number)
    assert places.shape == layout.kernel_shape(number)
    np.testing.assert_array_equal(
      np.where(is_used, places + 1, 0), packed['kernels'][number]
    )
  places, is_used = layout.head_places(program)
  assert places.shape == layout.head_shape
  np.testing.assert_array_equal(
    np.where(is_used, places + 1, 0), packed['head_kernel']
  )


@pytest.mark.parametrize('merge', MERGES)
def test_what_a_network_lacks_is_packed_as_nothing(merge):
  layout, net = make_masked(merge).layout, ConvNet(LAYERS[:2], merge)
  params, stats = layout.pack(net, *make_draws(net))
  np.testing.assert_array_equal(params['scale'].sum(1), [3, 2, 0])
  np.testing.assert_array_equal(stats['var'], np.ones((L, 4)))
  assert not params['kernels'][2].any()
