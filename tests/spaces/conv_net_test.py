# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import itertools
import json

import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest

from jaxnas.spaces import conv_net, known_conv_nets
from jaxnas.types import AnchorPoint

# Two layers of four: the second layer's anchor point has one token.
TINY = {'heights': (1, 3), 'widths': (5,), 'filters': (2, 4)}
LAYER = conv_net.ConvLayer(3, 5, 8)


def net(*inputs, merge='concat', pool_after=(), **fields):
  """Returns a network of 3 x 3 layers that read these; fields by layer."""
  layers = []
  for number, sources in enumerate(inputs):
    own = {name: values[number] for name, values in fields.items()}
    own = {'height': 3, 'width': 3, 'filters': 8} | own
    layers.append(conv_net.ConvLayer(**own, inputs=sources))
  return conv_net.ConvNet(tuple(layers), merge, pool_after)


@st.composite
def spaces(draw):
  num_layers = draw(st.integers(1, 6))
  return conv_net.make_space(
    num_layers,
    heights=draw(st.permutations((1, 3, 7))),
    widths=(5, 1),
    filters=draw(st.sampled_from([(24,), (8, 12, 16, 24)])),
    strides=draw(st.sampled_from([(1,), (2,), (1, 2, 3)])),
    merge=draw(st.sampled_from(conv_net.MERGES)),
    pool_after=sorted(draw(st.sets(st.integers(0, num_layers - 1)))),
  )


@st.composite
def spaces_and_tokens(draw):
  """Draws a space and tokens of any depth."""
  space = draw(spaces())
  depth = draw(st.integers(1, depth_of(space)))
  tokens = np.full(space.num_tokens, -1, np.int32)
  place = 0
  for decision in space.decisions[: depth * decisions_of(space)]:
    for _ in range(decision.num_tokens):
      tokens[place] = draw(st.integers(0, decision.num_choices - 1))
      place += 1
  return space, tokens


def depth_of(space):
  return sum(isinstance(d, AnchorPoint) for d in space.decisions)


def decisions_of(space):
  return len(space.decisions) // depth_of(space)


def test_a_network_token_by_token():
  space = conv_net.make_space(3)
  # Layer 0 has no anchor tokens, layer 1 reads nothing, layer 2 reads layer 1.
  tokens = [1, 3, 0, *(0, 0, 1, 2), *(0, 1, 2, 2, 3)]
  architecture = net(
    (), (), (1,), height=(3, 1, 5), width=(7, 3, 5), filters=(24, 48, 64)
  )
  assert space.decode(np.array(tokens)) == architecture
  encoded = space.encode(architecture)
  assert encoded.tolist() == tokens
  assert encoded.dtype == np.int32


@pytest.mark.parametrize('strides', [(1,), (3,), (1, 2, 3)])
def test_an_anchor_point_comes_first_in_every_layer(strides):
  space = conv_net.make_space(3, strides=strides)
  kinds = ['inputs', 'height', 'width']
  if len(strides) > 1:
    kinds += ['stride_height', 'stride_width']
  kinds += ['filters']
  assert [decision.name for decision in space.decisions] == [
    f'layer_{number}/{kind}' for number in range(3) for kind in kinds
  ]
  assert len(kinds) == conv_net.layer_decisions(strides)
  anchors = space.decisions[:: len(kinds)]
  assert [anchor.num_tokens for anchor in anchors] == [0, 1, 2]
  assert all(isinstance(anchor, AnchorPoint) for anchor in anchors)
  values = {
    decision.name.split('/')[1]: decision.values
    for decision in space.decisions[1 : len(kinds)]
  }
  assert values['height'] == values['width'] == (1, 3, 5, 7)
  assert values['filters'] == (24, 36, 48, 64)
  assert values.get('stride_width', strides) == strides
  assert space.num_tokens == 3 + 3 * (len(kinds) - 1)


@hypothesis.given(spaces_and_tokens())
@hypothesis.settings(deadline=None, max_examples=60)
def test_tokens_come_back_from_architectures(case):
  space, tokens = case
  architecture = space.decode(tokens)
  np.testing.assert_array_equal(space.encode(architecture), tokens)
  np.testing.assert_array_equal(space.canonical(tokens), tokens)
  assert space.decode(tokens.tolist()) == architecture


@hypothesis.given(spaces_and_tokens())
@hypothesis.settings(deadline=None, max_examples=60)
def test_architectures_come_back_from_tokens_and_json(case):
  space, tokens = case
  architecture = space.decode(tokens)
  assert space.decode(space.encode(architecture)) == architecture
  text = json.dumps(architecture.to_json())
  restored = conv_net.ConvNet.from_json(json.loads(text))
  assert restored == architecture
  assert hash(restored) == hash(architecture)


@hypothesis.given(spaces_and_tokens())
@hypothesis.settings(deadline=None, max_examples=60)
def test_a_shallower_network_is_a_prefix(case):
  space, tokens = case
  architecture = space.decode(tokens)
  per_layer = decisions_of(space)
  for depth in range(1, len(architecture.layers) + 1):
    active = sum(d.num_tokens for d in space.decisions[: depth * per_layer])
    prefix = np.where(np.arange(len(tokens)) < active, tokens, -1)
    shallow = space.decode(prefix)
    assert shallow.layers == architecture.layers[:depth]
    assert shallow.pool_after == tuple(
      number for number in architecture.pool_after if number < depth
    )
    np.testing.assert_array_equal(space.encode(shallow), prefix)


@pytest.mark.parametrize('strides', [(2,), (1, 3)])
def test_the_size_by_enumeration(strides):
  space = conv_net.make_space(2, **TINY, strides=strides)
  choices = [
    range(decision.num_choices)
    for decision in space.decisions
    for _ in range(decision.num_tokens)
  ]
  networks = {
    space.decode(np.array(tokens)) for tokens in itertools.product(*choices)
  }
  assert len(networks) == space.size == (2 * 2 * len(strides) ** 2) ** 2 * 2


def test_the_size_is_exact():
  assert conv_net.make_space(6).size == 64**6 * 2**15
  deep = conv_net.make_space(20, strides=(1, 2, 3))
  assert deep.size == (64 * 9) ** 20 * 2**190
  assert conv_net.make_space(3, merge='add').name == 'conv_net_3_layers_add'


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


@hypothesis.given(spaces_and_tokens())
@hypothesis.settings(deadline=None, max_examples=30)
def test_every_layer_is_read_and_the_last_one_by_the_classifier(case):
  space, tokens = case
  architecture = space.decode(tokens)
  read = {source for layer in architecture.layers for source in layer.inputs}
  depth = len(architecture.layers)
  assert read | set(architecture.outputs) == set(range(depth))
  assert not read & set(architecture.outputs)
  assert architecture.outputs[-1] == depth - 1


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
  ('settings', 'message'),
  [
    ({'num_layers': 0}, 'num_layers must be at least 1, got 0'),
    ({'heights': (1, 4)}, 'height of a layer must be odd, .* got 4'),
    ({'widths': (2,)}, 'width of a layer must be odd, .* got 2'),
    ({'filters': (0, 4)}, 'filters of a layer must be an integer .* got 0'),
    ({'filters': (8.0,)}, r'filters of a layer must be .* got 8\.0'),
    ({'strides': (0,)}, 'stride_height of a layer must be .* got 0'),
    ({'strides': (1, -2)}, 'stride_height of a layer must be .* got -2'),
    ({'merge': 'sum'}, "Unknown merge 'sum'; expected one of concat, add"),
    ({'pool_after': (3,)}, r'layer numbers from 0 to 2, got \[3\]'),
    ({'pool_after': (-1,)}, r'layer numbers from 0 to 2, got \[-1\]'),
    ({'pool_after': (1, 0)}, r'ascending layer numbers .* got \[1, 0\]'),
    ({'widths': ()}, "'layer_0/width' needs at least one value"),
    ({'filters': (8, 8)}, "'layer_0/filters' needs distinct values"),
  ],
)
def test_bad_settings_of_a_space_are_named(settings, message):
  with pytest.raises(ValueError, match=message):
    conv_net.make_space(**({'num_layers': 3} | settings))


@pytest.mark.parametrize(
  ('tokens', 'message'),
  [
    ([0] * 6, r'up to 2 layers has 7 tokens, got an array of shape \(6,\)'),
    ([[0] * 7], r'up to 2 layers has 7 tokens, got an array of shape \(1, 7\)'),
    ([0.0] * 7, 'Tokens must be integers, got float64'),
    ([2, 0, 0, 0, 0, 0, 0], "2 is out of range .* 'layer_0/height', .* 2 cho"),
    ([0, 1, 0, 0, 0, 0, 0], "1 is out of range .* 'layer_0/width', .* 1 cho"),
    ([0, 0, 0, 2, 0, 0, 0], "2 is out of range .* 'layer_1/inputs', .* 2 cho"),
    ([0, 0, 0, 0, 0, 0, -2], "-2 is out of range .* 'layer_1/filters'"),
    ([-1] * 7, 'whole layers at a time and after at least one; got'),
    ([0, 0, 0, 1, 0, -1, -1], r'whole layers .* got \[0, 0, 0, 1, 0, -1, -1\]'),
    ([0, 0, -1, 0, 0, 0, 0], 'whole layers at a time'),
    ([0, -1, 0, -1, 0, -1, -1], 'whole layers at a time'),
  ],
)
def test_bad_tokens_are_named(tokens, message):
  space = conv_net.make_space(2, **TINY)
  with pytest.raises(ValueError, match=message):
    space.decode(np.array(tokens))


@pytest.mark.parametrize(
  ('architecture', 'message'),
  [
    (net((), (), ()), 'A space of 2 layers has no network of 3'),
    (net((), ()), "3 is not a value of decision 'layer_0/width', which has 5"),
    (
      net((), (), width=(5, 5), filters=(2, 3)),
      "3 is not a value of decision 'layer_1/filters', which has 2, 4",
    ),
    (
      net((), width=(5,), filters=(2,), stride_width=(2,)),
      'stride_width of layer 0 is 2; in this space it is always 1',
    ),
    (
      net((), merge='add'),
      "merge 'concat' and pool_after .* no network with 'a",
    ),
    (net((), (), pool_after=(0,)), r'pool_after \[\] has no .* and \[0\]'),
  ],
)
def test_networks_outside_a_space_are_refused(architecture, message):
  with pytest.raises(ValueError, match=message):
    conv_net.make_space(2, **TINY).encode(architecture)


def test_predicted_strides_outside_a_space_are_refused():
  space = conv_net.make_space(2, **TINY, strides=(1, 2))
  strided = net((), width=(5,), filters=(2,), stride_height=(3,))
  with pytest.raises(
    ValueError,
    match=r"3 is not a value of .* 'layer_0/stride_height', which has 1, 2",
  ):
    space.encode(strided)


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'height': 4}, 'height of a layer must be odd, .* got 4'),
    ({'width': 0}, 'width of a layer must be an integer from 1 on, got 0'),
    ({'filters': '8'}, "filters of a layer must be an integer .* got '8'"),
    ({'filters': True}, 'filters of a layer must be an integer .* got True'),
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
    conv_net.ConvNet((LAYER, LAYER, dataclasses.replace(LAYER, **changes)))
  fields = net((), (), ()).to_json()
  fields['layers'][2] |= changes | {
    name: list(value) for name, value in changes.items() if name == 'inputs'
  }
  with pytest.raises(ValueError, match=message):
    conv_net.ConvNet.from_json(fields)


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
    conv_net.ConvNet.from_json(net((), (0,)).to_json() | changes)


def test_inputs_in_json_must_be_a_list():
  fields = net((), (0,)).to_json()
  fields['layers'][1]['inputs'] = 0
  with pytest.raises(
    ValueError, match='inputs of layer 1 must be a list, got 0'
  ):
    conv_net.ConvNet.from_json(fields)


def test_only_what_is_still_read_must_survive_a_pooling():
  layers = (
    conv_net.ConvLayer(1, 1, 2, stride_height=8, stride_width=8),
    conv_net.ConvLayer(1, 1, 2),
    conv_net.ConvLayer(1, 1, 2, inputs=(0, 1)),
  )
  net = conv_net.ConvNet(layers, pool_after=(2,))
  assert net.read_after(2) == {3}
  assert net.read_after(0) == {0, 1}
  assert net.sizes(8, 8)[1] == ((1, 1), (8, 8), (8, 8))
  early = conv_net.ConvNet(layers, pool_after=(1,))
  with pytest.raises(ValueError, match='Pooling after layer 1 leaves no pixel'):
    early.sizes(8, 8)


@pytest.mark.parametrize('pool_after', [(0.5,), (True,), ('a',)])
def test_pooling_takes_whole_numbers(pool_after):
  with pytest.raises(ValueError, match='pool_after must be'):
    conv_net.make_space(2, pool_after=pool_after)


def test_a_space_needs_a_stride():
  with pytest.raises(ValueError, match='strides needs at least one'):
    conv_net.make_space(2, strides=())


@pytest.mark.parametrize('fields', [None, 3, [1]])
def test_a_net_is_made_of_an_object(fields):
  with pytest.raises(ValueError, match='must be an object'):
    conv_net.ConvNet.from_json(fields)
