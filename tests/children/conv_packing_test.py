# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import jax
import numpy as np
import pytest

from jaxnas.children import conv_net, conv_packing
from jaxnas.children.conv_program import ConvLayout
from jaxnas.spaces.conv_net import ConvLayer, ConvNet

L, K = 3, 2
IMAGE = (4, 5, 3)
LAYERS = (
  ConvLayer(3, 1, 3),
  ConvLayer(1, 1, 2, inputs=(0,)),
  ConvLayer(1, 3, 4, inputs=(0, 1)),
)
MERGES = ('concat', 'add')


def make_layout(merge):
  return ConvLayout(
    L, IMAGE, K, (1, 3), (1, 3), (2, 3, 4), merge, channel_buckets=(2, 4)
  )


def make_child(net):
  """Returns a child of different numbers, none of them 0."""
  shapes = jax.eval_shape(
    lambda key: conv_net.init(key, net, IMAGE, K), jax.random.key(0)
  )
  leaves, treedef = jax.tree.flatten(shapes)
  ends = np.cumsum([leaf.size for leaf in leaves])
  return treedef.unflatten(
    [
      np.arange(1 + end - leaf.size, 1 + end, dtype=np.float32).reshape(
        leaf.shape
      )
      for leaf, end in zip(leaves, ends, strict=True)
    ]
  )


def block(layout, packed, offset, shape):
  """Returns a block, whose shape is rounded up."""
  assert shape in layout.operations
  return packed['kernels'][offset : offset + np.prod(shape)].reshape(shape)


def test_each_source_of_a_layer_has_a_block_of_its_own():
  layout, net = make_layout('concat'), ConvNet(LAYERS)
  params, batch_stats = make_child(net)
  packed, stats = conv_packing.pack(layout, net, params, batch_stats)
  first = block(layout, packed, 0, (3, 1, 3, 4))
  np.testing.assert_array_equal(first[..., :3], params['layer_0']['kernel'])
  assert not first[..., 3].any()
  kernel = params['layer_2']['kernel']
  from_0 = block(layout, packed, 36 + 8, (1, 3, 4, 4))
  np.testing.assert_array_equal(from_0[:, :, :3], kernel[:, :, :3])
  assert not from_0[:, :, 3].any()
  from_1 = block(layout, packed, 36 + 8 + 48, (1, 3, 2, 4))
  np.testing.assert_array_equal(from_1, kernel[:, :, 3:])
  assert not packed['kernels'][36 + 8 + 48 + 24 :].any()
  # The classifier reads the last layer alone.
  np.testing.assert_array_equal(packed['head'][2], params['head']['kernel'])
  assert not packed['head'][:2].any()
  np.testing.assert_array_equal(
    stats['mean'][0], [*batch_stats['layer_0']['mean'], 0]
  )
  np.testing.assert_array_equal(
    stats['var'][1], [*batch_stats['layer_1']['var'], 1, 1]
  )


def test_each_output_has_its_rows_of_the_classifier():
  layout, net = make_layout('concat'), ConvNet((*LAYERS[:2], LAYERS[0]))
  child = make_child(net)
  packed, _ = conv_packing.pack(layout, net, *child)
  rows = child[0]['head']['kernel']
  assert not packed['head'][0].any()
  np.testing.assert_array_equal(packed['head'][1, :2], rows[:2])
  np.testing.assert_array_equal(packed['head'][2, :3], rows[2:])


def test_a_sum_has_one_block_and_one_head():
  layout, net = make_layout('add'), ConvNet(LAYERS[:2], 'add')
  params, batch_stats = make_child(net)
  packed, stats = conv_packing.pack(layout, net, params, batch_stats)
  second = block(layout, packed, 36, (1, 1, 4, 2))
  np.testing.assert_array_equal(second[:, :, :3], params['layer_1']['kernel'])
  assert packed['head'].shape == (1, 4, K)
  np.testing.assert_array_equal(
    packed['head'][0], [*params['head']['kernel'], [0, 0], [0, 0]]
  )
  # There is no third layer.
  assert not packed['scale'][2].any()
  np.testing.assert_array_equal(stats['var'][2], np.ones(4))


@pytest.mark.parametrize('merge', MERGES)
@pytest.mark.parametrize('depth', [1, 2, 3])
def test_unpack_inverts_pack_whatever_lies_in_the_gaps(merge, depth):
  layout, net = make_layout(merge), ConvNet(LAYERS[:depth], merge)
  child = make_child(net)
  packed = conv_packing.pack(layout, net, *child)
  ones = jax.tree.map(np.ones_like, child)
  used, _ = conv_packing.pack(layout, net, *ones)
  params = jax.tree.map(
    lambda x, is_used: np.where(is_used, x, -7), packed[0], used
  )
  assert (params['kernels'] == -7).any()
  jax.tree.map(
    np.testing.assert_array_equal,
    conv_packing.unpack(layout, net, params, packed[1]),
    child,
  )


def test_packing_keeps_the_precision():
  layout, net = make_layout('concat'), ConvNet(LAYERS)
  child = jax.tree.map(lambda x: x.astype(np.float64), make_child(net))
  packed = conv_packing.pack(layout, net, *child)
  assert {leaf.dtype for leaf in jax.tree.leaves(packed)} == {np.dtype('f8')}
  unpacked = conv_packing.unpack(layout, net, *packed)
  assert {leaf.dtype for leaf in jax.tree.leaves(unpacked)} == {np.dtype('f8')}


def test_a_network_of_another_layout_is_refused():
  net = ConvNet(LAYERS, 'add')
  child = make_child(net)
  with pytest.raises(ValueError, match=r"'concat' cannot hold.*'add'"):
    conv_packing.pack(make_layout('concat'), net, *child)
  packed = conv_packing.pack(make_layout('add'), net, *child)
  with pytest.raises(ValueError, match=r"'concat' cannot hold.*'add'"):
    conv_packing.unpack(make_layout('concat'), net, *packed)
