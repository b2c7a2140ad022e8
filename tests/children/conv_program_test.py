# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import itertools
import math

import jax
import numpy as np
import pytest

from jaxnas.children.conv_program import Block, ConvLayout
from jaxnas.spaces import known_conv_nets as known
from jaxnas.spaces.conv_net import ConvLayer, ConvNet

L, K = 3, 2
IMAGE = (4, 5, 3)
LAYERS = (
  ConvLayer(3, 1, 3),
  ConvLayer(1, 1, 2, inputs=(0,)),
  ConvLayer(1, 1, 4, inputs=(0, 1)),
)


def make_layout(merge='concat', **settings):
  settings = {'filters': (2, 3, 4), 'channel_buckets': (2, 4), **settings}
  return ConvLayout(L, IMAGE, K, (1, 3), (1,), merge=merge, **settings)


def test_operations_are_all_convolutions_of_rounded_sizes():
  layout = make_layout()
  assert layout.operations == (
    *((1, 1, 3, 2), (3, 1, 3, 2), (1, 1, 3, 4), (3, 1, 3, 4)),
    *((1, 1, 2, 2), (3, 1, 2, 2), (1, 1, 2, 4), (3, 1, 2, 4)),
    *((1, 1, 4, 2), (3, 1, 4, 2), (1, 1, 4, 4), (3, 1, 4, 4)),
  )
  assert layout.num_image_operations == 4
  assert layout.max_block_size == 3 * 4 * 4


def test_a_concatenation_has_a_block_for_each_edge():
  # By hand: three channels or filters take the room of four.
  assert list(make_layout().blocks(ConvNet(LAYERS))) == [
    Block(layer=0, operation=3, offset=0, draw=0, shape=(3, 1, 3, 3)),
    Block(layer=1, operation=8, offset=36, draw=27, shape=(1, 1, 3, 2)),
    Block(layer=2, operation=10, offset=44, draw=33, shape=(1, 1, 3, 4)),
    Block(layer=2, operation=6, offset=60, draw=45, shape=(1, 1, 2, 4)),
  ]


def test_a_sum_has_a_block_for_each_layer():
  blocks = list(make_layout('add').blocks(ConvNet(LAYERS, 'add')))
  assert blocks[2] == Block(2, 10, 44, 33, (1, 1, 3, 4))
  assert len(blocks) == 3


def test_a_batch_has_each_architecture_padded_to_the_largest():
  short = ConvNet((ConvLayer(1, 1, 2),))
  programs = make_layout().assemble([ConvNet(LAYERS), short])
  half = math.sqrt(2 / 3)
  expected = {
    'num_layers': [3, 1],
    'edge_starts': [[0, 1, 2, 4], [0, 1, 1, 1]],
    'sources': [[0, 1, 1, 2], [0, 0, 0, 0]],
    'operations': [[3, 8, 10, 6], [0, 0, 0, 0]],
    'offsets': [[0, 36, 44, 60], [0, 6, 6, 6]],
    'num_weights': [68, 6],
    'draws': [[0, 27, 33, 45], [0, 0, 0, 0]],
    'channels': [[3, 3, 3, 2], [3, 0, 0, 0]],
    'filters': [[3, 2, 4, 4], [2, 0, 0, 0]],
    'scales': [
      [math.sqrt(2 / 9), half, math.sqrt(2 / 5), math.sqrt(2 / 5)],
      [half, 0, 0, 0],
    ],
    'layer_filters': [[3, 2, 4], [2, 0, 0]],
    'is_output': [[False, False, True], [True, False, False]],
    'head_scale': [math.sqrt(1 / 4), math.sqrt(1 / 2)],
  }
  assert set(expected) == set(programs._fields)
  for name, values in expected.items():
    np.testing.assert_allclose(getattr(programs, name), values, err_msg=name)


@pytest.mark.parametrize('merge', ['concat', 'add'])
# With two filters, an image's block is larger than those of later layers.
@pytest.mark.parametrize('most', [4, 2])
def test_the_vector_holds_the_largest_architecture(merge, most):
  layout = make_layout(merge, filters=(most,), channel_buckets=None)
  subsets = [
    [
      tuple(itertools.compress(range(number), chosen))
      for chosen in itertools.product((False, True), repeat=number)
    ]
    for number in range(L)
  ]
  nets = [
    ConvNet(
      tuple(ConvLayer(3, 1, most, inputs=sources) for sources in inputs), merge
    )
    for inputs in itertools.product(*subsets)
  ]
  programs = layout.assemble(nets)
  assert programs.num_weights.max() == layout.max_weights
  last = max(block.offset for net in nets for block in layout.blocks(net))
  assert last + layout.max_block_size <= layout.capacity


@pytest.mark.parametrize('merge', ['concat', 'add'])
def test_weights_are_drawn_into_their_blocks(merge):
  layout, net = make_layout(merge), ConvNet(LAYERS, merge)
  program = jax.tree.map(lambda x: x[0], layout.assemble([net]))
  key = jax.random.key(0)
  params, batch_stats = jax.jit(layout.init)(key, program)
  draws = jax.random.normal(jax.random.split(key)[0], (layout.max_weights,))
  num_drawn = 0
  for block in layout.blocks(net):
    size = math.prod(block.shape)
    num_drawn += size
    fan_in = {0: 9, 1: 3, 2: 5 if merge == 'concat' else 3}[block.layer]
    drawn = draws[block.draw : block.draw + size] * math.sqrt(2 / fan_in)
    rounded = layout.operations[block.operation]
    end = block.offset + math.prod(rounded)
    stored = params['kernels'][block.offset : end].reshape(rounded)
    _, _, channels, filters = block.shape
    np.testing.assert_allclose(
      stored[:, :, :channels, :filters], drawn.reshape(block.shape), rtol=1e-6
    )
  assert np.count_nonzero(params['kernels']) == num_drawn
  # The classifier reads the last layer alone, which has four filters.
  assert np.count_nonzero(params['head']) == 4 * K
  np.testing.assert_array_equal(params['scale'].sum(1), [3, 2, 4])
  assert batch_stats['var'].min() == 1


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'stride_width': 2}, r'Layer 1 has strides 1 and 2.*compiled route'),
    ({'height': 5}, r'height of layer 1 is 5; this program supports 1, 3'),
    ({'width': 7}, r'width of layer 1 is 7; this program supports 1'),
    ({'filters': 5}, r'filters of layer 1 is 5; this program supports 2, 3, 4'),
  ],
)
def test_a_layer_that_does_not_fit_is_refused(change, message):
  first, second, _ = LAYERS
  net = ConvNet((first, dataclasses.replace(second, **change)))
  with pytest.raises(ValueError, match=message):
    make_layout().assemble([net])


@pytest.mark.parametrize(
  ('nets', 'message'),
  [
    ([], 'at least one architecture'),
    ([known.make_chain(L + 1, 2, 1)], 'up to 3 layers cannot hold 4'),
    ([ConvNet(LAYERS, 'add')], "'concat' cannot hold.*'add'"),
    ([ConvNet(LAYERS, pool_after=(1,))], 'Layer 1 is followed by pooling'),
  ],
)
def test_a_network_that_does_not_fit_is_refused(nets, message):
  with pytest.raises(ValueError, match=message):
    make_layout().assemble(nets)


@pytest.mark.parametrize('buckets', [(), (4, 2), (2, 3), (2, 8)])
def test_buckets_end_at_the_largest_number_of_filters(buckets):
  with pytest.raises(ValueError, match='channel_buckets must ascend up to'):
    make_layout(channel_buckets=buckets)


def test_half_of_the_numbers_of_filters_are_rounded_up_to_the_lower_middle():
  layout = make_layout(filters=(24, 8, 16, 12), channel_buckets=None)
  assert layout.buckets == (12, 24)
