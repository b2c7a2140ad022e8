# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import dataclasses

import pytest

from jaxnas.spaces import conv_architecture, known_conv_nets

LAYER = conv_architecture.ConvLayer(3, 5, 8)


def net(*inputs, merge='concat', pool_after=(), **fields):
  """Returns a network of 3 x 3 layers that read these; fields by layer."""
  layers = []
  for number, sources in enumerate(inputs):
    own = {name: values[number] for name, values in fields.items()}
    own = {'height': 3, 'width': 3, 'filters': 8} | own
    layers.append(conv_architecture.ConvLayer(**own, inputs=sources))
  return conv_architecture.ConvNet(tuple(layers), merge, pool_after)


@pytest.mark.parametrize(('merge', 'joined'), [('concat', 16), ('add', 8)])
def test_a_layer_that_reads_no_layer_reads_the_image(merge, joined):
  branches = net((), (), (0, 1), (), merge=merge)
  # Three kernels on the image and one on two layers, batch norm's two vectors,
  # the classifier.
  assert branches.num_params(5, 10) == (
    3 * (9 * 5 * 8) + 9 * joined * 8 + 4 * 2 * 8 + 10 * (joined + 1)
  )


def test_outputs_that_no_layer_reads_go_to_the_classifier():
  assert net(()).outputs == (0,)
  assert net((), (), (0,), ()).outputs == (1, 2, 3)
  assert net((), (0,), (0, 1)).outputs == (2,)
  assert known_conv_nets.make_chain(5).outputs == (4,)


def test_joined_filters():
  for merge, expected in (('concat', 20), ('add', 12)):
    joined = net((), (), (0, 1), merge=merge, filters=(8, 12, 4))
    assert joined.join_filters((0, 1), 3) == expected
    assert joined.join_filters((2,), 3) == 4
    assert joined.join_filters((), 3) == 3


def test_sizes_with_strides_by_hand():
  strided = net(
    (), (0,), (), (1, 2), (0, 1),
    stride_height=(2, 3, 1, 2, 1),
    stride_width=(3, 1, 4, 1, 1),
    height=(1, 7, 3, 5, 3),
  )  # fmt: skip
  joined, outputs = strided.sizes(9, 8)
  assert outputs == ((5, 3), (2, 3), (9, 2), (5, 3), (5, 3))
  # Layer 3 reads 2 x 3 and 9 x 2: both are padded, to 9 x 3.
  assert joined == ((9, 8), (5, 3), (9, 8), (9, 3), (5, 3))


def test_sizes_with_pooling_by_hand():
  pooled = net(
    (), (0,), (), (0, 1, 2), (2, 3),
    stride_height=(2, 1, 1, 1, 1),
    pool_after=(1, 3),
  )  # fmt: skip
  joined, outputs = pooled.sizes(13, 10)
  # 13 x 10 is pooled to 6 x 5 and 3 x 2, the outputs 7 x 10 to 3 x 5 and 1 x 2.
  assert joined == ((13, 10), (7, 10), (6, 5), (6, 5), (3, 2))
  assert outputs == ((7, 10), (7, 10), (6, 5), (6, 5), (3, 2))


def test_multiply_adds_by_hand():
  small = net((), (0,), height=(1, 3), width=(5, 3), stride_height=(2, 1))
  # 4 x 6 pixels each, and 8 features to 10 classes.
  expected = 24 * (1 * 5 * 3 * 8) + 24 * (9 * 8 * 8) + 8 * 10
  assert small.num_multiply_adds(7, 6, 3, 10) == expected


def test_no_pixel_names_the_layer():
  pooled = net((), (0,), (1,), pool_after=(0, 1, 2))
  assert pooled.sizes(8, 9)[1] == ((8, 9), (4, 4), (2, 2))
  message = (
    'Pooling after layer 2 leaves no pixel of an image of 9 x 7; pool or '
    'stride less'
  )
  with pytest.raises(ValueError, match=message):
    pooled.sizes(9, 7)
  strided = net((), (0,), stride_width=(9, 1), pool_after=(0,))
  with pytest.raises(ValueError, match='after layer 0 leaves no pixel'):
    strided.num_multiply_adds(8, 8, 1, 10)


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'height': 4}, 'height of a layer must be odd, .* got 4'),
    ({'width': 0}, 'width of a layer must be a positive integer, got 0'),
    (
      {'filters': '8'},
      "filters of a layer must be a positive integer.* got '8'",
    ),
    (
      {'filters': True},
      'filters of a layer must be a positive integer.* got True',
    ),
    ({'stride_width': 0}, 'stride_width of a layer must be .* got 0'),
    ({'inputs': (1, 0)}, r'ascending layer numbers, got \[1, 0\]'),
    ({'inputs': (0, 0)}, r'ascending layer numbers, got \[0, 0\]'),
    ({'inputs': (0.5,)}, r'ascending layer numbers, got \[0\.5\]'),
    ({'inputs': (2,)}, r'Layer 2 can only read layers before it, got \[2\]'),
    ({'inputs': (-1, 1)}, r'Layer 2 can only read .* got \[-1, 1\]'),
  ],
)
def test_bad_layers_are_named(changes, message):
  with pytest.raises(ValueError, match=message):
    conv_architecture.ConvNet(
      (LAYER, LAYER, dataclasses.replace(LAYER, **changes))
    )
  fields = net((), (), ()).to_json()
  fields['layers'][2] |= changes | {
    name: list(value) for name, value in changes.items() if name == 'inputs'
  }
  with pytest.raises(ValueError, match=message):
    conv_architecture.ConvNet.from_json(fields)


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'merge': 'Concat'}, "Unknown merge 'Concat'; expected one of concat"),
    ({'pool_after': [2]}, r'layer numbers from 0 to 1, got \[2\]'),
    ({'layers': []}, 'A network needs at least one layer'),
    ({'layers': 'two'}, "layers of a .* network must be a list, got 'two'"),
    ({'pool_after': 1}, 'pool_after of a .* network must be a list, got 1'),
    ({'layers': [7]}, 'Layer 0 must be an object, got 7'),
    (
      {'layers': [{'height': 3}]},
      'Layer 0 has the fields height, .* got height',
    ),
    (
      {'depth': 2},
      'has the fields layers, merge, pool_after; got depth, layers',
    ),
  ],
)
def test_bad_json_is_named(changes, message):
  with pytest.raises(ValueError, match=message):
    conv_architecture.ConvNet.from_json(net((), (0,)).to_json() | changes)


def test_inputs_in_json_must_be_a_list():
  fields = net((), (0,)).to_json()
  fields['layers'][1]['inputs'] = 0
  with pytest.raises(
    ValueError, match='inputs of layer 1 must be a list, got 0'
  ):
    conv_architecture.ConvNet.from_json(fields)


def test_only_what_is_still_read_must_survive_a_pooling():
  layers = (
    conv_architecture.ConvLayer(1, 1, 2, stride_height=8, stride_width=8),
    conv_architecture.ConvLayer(1, 1, 2),
    conv_architecture.ConvLayer(1, 1, 2, inputs=(0, 1)),
  )
  net = conv_architecture.ConvNet(layers, pool_after=(2,))
  assert net.read_after(2) == {3}
  assert net.read_after(0) == {0, 1}
  assert net.sizes(8, 8)[1] == ((1, 1), (8, 8), (8, 8))
  early = conv_architecture.ConvNet(layers, pool_after=(1,))
  with pytest.raises(ValueError, match='Pooling after layer 1 leaves no pixel'):
    early.sizes(8, 8)


@pytest.mark.parametrize('fields', [None, 3, [1]])
def test_a_net_is_made_of_an_object(fields):
  with pytest.raises(ValueError, match='must be an object'):
    conv_architecture.ConvNet.from_json(fields)
