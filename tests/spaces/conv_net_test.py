# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import itertools
import json

import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest

from jaxnas.spaces import conv_net
from jaxnas.types import AnchorPoint

# Two layers of four: the second layer's anchor point has one token.
TINY = {'heights': (1, 3), 'widths': (5,), 'filters': (2, 4)}


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


@pytest.mark.parametrize(
  ('settings', 'message'),
  [
    ({'num_layers': 0}, 'num_layers must be at least 1, got 0'),
    ({'heights': (1, 4)}, 'height of a layer must be odd, .* got 4'),
    ({'widths': (2,)}, 'width of a layer must be odd, .* got 2'),
    (
      {'filters': (0, 4)},
      'filters of a layer must be a positive integer.* got 0',
    ),
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


@pytest.mark.parametrize('pool_after', [(0.5,), (True,), ('a',)])
def test_pooling_takes_whole_numbers(pool_after):
  with pytest.raises(ValueError, match='pool_after must be'):
    conv_net.make_space(2, pool_after=pool_after)


def test_a_space_needs_a_stride():
  with pytest.raises(ValueError, match='strides needs at least one'):
    conv_net.make_space(2, strides=())
