# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The Flax networks in this process; both frameworks' are in exporting_test."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.children import conv_net
from jaxnas.export import conv_source, listing
from jaxnas.spaces import known_conv_nets
from jaxnas.spaces.conv_net import ConvLayer, ConvNet

SHAPE, CLASSES = (6, 7, 2), 3
STRIDED = ConvNet(
  (
    ConvLayer(3, 3, 2, 2, 1),
    ConvLayer(1, 5, 3),
    ConvLayer(3, 1, 2, inputs=(0, 1)),
  ),
  'add',
)


def define(architecture):
  code = conv_source.code(architecture, 'flax', SHAPE[2], CLASSES)
  names = {}
  exec(listing.to_source(listing.Listing('flax', 'A net.', code)), names)
  return names['ConvNet']()


def test_training_is_that_of_the_library():
  # Values, new running averages and gradients, in training.
  own = define(STRIDED)
  params, batch_stats = conv_net.init(
    jax.random.key(0), STRIDED, SHAPE, CLASSES
  )
  images = jax.random.normal(jax.random.key(1), (4, *SHAPE))
  library = conv_net.ConvNetwork(STRIDED, CLASSES)

  def run(module, variables, **training):
    logits, updated = module.apply(
      variables, images, mutable='batch_stats', **training
    )
    return jnp.sin(logits).sum(), (logits, updated['batch_stats'])

  def to_own(params, batch_stats):
    flat = conv_source.to_file(
      {'params': params, 'batch_stats': batch_stats},
      STRIDED,
      'flax',
      lambda leaf, axes: leaf,
    )
    tree = {}
    for name, leaf in flat.items():
      *path, last = name.split('/')
      node = tree
      for part in path:
        node = node.setdefault(part, {})
      node[last] = leaf
    return tree

  def run_own(params):
    return run(own, to_own(params, batch_stats), train=True)

  def run_library(params):
    variables = {'params': params, 'batch_stats': batch_stats}
    return run(library, variables, is_training=True)

  with jax.numpy_rank_promotion('allow'):
    grads, (logits, stats) = jax.jit(jax.grad(run_own, has_aux=True))(params)
  expected_grads, (expected, expected_stats) = jax.jit(
    jax.grad(run_library, has_aux=True)
  )(params)
  np.testing.assert_allclose(logits, expected, atol=1e-5)
  own_stats = to_own(params, expected_stats)['batch_stats']
  for one, other in zip(
    jax.tree.leaves((stats, grads)),
    jax.tree.leaves((own_stats, expected_grads)),
    strict=True,
  ):
    np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize('framework', listing.FRAMEWORKS)
def test_weights_go_to_a_file_and_back(framework):
  params, batch_stats = conv_net.init(
    jax.random.key(0), STRIDED, SHAPE, CLASSES
  )
  variables = {'params': params, 'batch_stats': batch_stats}
  there = conv_source.to_file(variables, STRIDED, framework)
  back = conv_source.to_library(there, STRIDED, framework)
  jax.tree.map(np.testing.assert_array_equal, back, variables)


def chain(*layers, **more):
  return ConvNet(
    tuple(
      ConvLayer(3, 3, filters, stride, stride, inputs)
      for filters, stride, inputs in layers
    ),
    **more,
  )


@pytest.mark.parametrize(
  ('net', 'is_padded'),
  [
    (known_conv_nets.FIGURE_7, False),
    (known_conv_nets.make_resnet(6), False),
    (chain((4, 2, ()), (4, 2, ()), (4, 1, (0, 1))), False),
    (chain((4, 2, ()), (4, 1, ()), (4, 1, (0, 1))), True),
    (chain((4, 2, ()), (4, 1, ())), True),
    (chain((4, 1, ()), (5, 1, ()), (4, 1, (0, 1))), False),
    (chain((4, 1, ()), (5, 1, ()), (4, 1, (0, 1)), merge='add'), True),
    # All that is read later is pooled alike.
    (chain((4, 1, ()), (4, 1, (0,)), (4, 1, (0, 1)), pool_after=(1,)), False),
    (chain((4, 1, ()), (4, 2, (0,)), (4, 1, (0, 1)), pool_after=(0,)), True),
  ],
)
def test_padding_is_written_where_shapes_differ(net, is_padded):
  assert conv_source.is_padded(net) == is_padded
  source = '\n'.join(conv_source.code(net, 'flax', 3, 10))
  assert ('def pad(' in source) == is_padded


def test_padding_is_told_where_an_image_needs_it():
  # By brute force: sizes of an image, layer by layer.
  draw = np.random.default_rng(0)
  found = set()
  for _ in range(200):
    layers, filters = [], 4
    for number in range(4):
      inputs = tuple(i for i in range(number) if draw.random() < 0.5)
      layers.append((filters, int(draw.choice([1, 1, 2])), inputs))
    net = chain(*layers)
    _, sizes = net.sizes(64, 64)
    joins = [layer.inputs for layer in net.layers] + [net.outputs]
    needs = any(len({sizes[i] for i in join}) > 1 for join in joins)
    assert conv_source.is_padded(net) == needs
    found.add(needs)
  assert found == {False, True}


def test_layers_are_told_in_words():
  assert conv_source.describe(STRIDED) == (
    'A layer is a convolution without bias, batch norm and ReLU. Where a layer '
    'reads\nseveral outputs, they are added; those of smaller size or with '
    'fewer filters are\npadded with zeros.\n\n'
    '    layer_0: 2 filters of 3 x 3, strides 2 and 1, on the images\n'
    '    layer_1: 3 filters of 1 x 5, on the images\n'
    '    layer_2: 2 filters of 3 x 1, on layers 0, 1\n'
    '    logits: a linear layer on the mean over all pixels of layer 2'
  )


@pytest.mark.parametrize(
  ('net', 'message'),
  [
    (
      known_conv_nets.make_smallest(9, 4, 'concat', (8,)),
      'leaves no pixel of an image of 512 x 512',
    ),
    (
      ConvNet(
        (ConvLayer(255, 255, 2**14), ConvLayer(255, 255, 64, inputs=(0,)))
      ),
      'and at most 68,719,476,736 are allowed; export it with trained weights',
    ),
  ],
)
def test_a_network_that_cannot_be_checked_is_refused_at_once(net, message):
  with pytest.raises(ValueError, match=message) as error:
    conv_source.make_listing(net, 'flax')
  assert '\n' not in str(error.value)
