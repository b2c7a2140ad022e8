# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import itertools

import jax
import numpy as np
import pytest

from jaxnas.costs import conv_net as costs
from jaxnas.costs import latency
from jaxnas.spaces import conv_net as spaces
from jaxnas.spaces import known_conv_nets

IMAGES = costs.Images((7, 5, 3), 4)


def layer(height, width, filters, *inputs, stride=1):
  return spaces.ConvLayer(height, width, filters, stride, stride, inputs)


NETS = {
  'chain': known_conv_nets.make_chain(2, 3),
  'branches': spaces.ConvNet(
    (layer(3, 5, 2), layer(1, 3, 4), layer(3, 3, 3, 0, 1), layer(1, 1, 2, 0))
  ),
  'strides': spaces.ConvNet(
    (layer(3, 3, 2, stride=2), layer(3, 1, 3), layer(3, 3, 2, 0, 1, stride=2))
  ),
  'a sum': spaces.ConvNet(
    (layer(1, 3, 2), layer(3, 1, 2, 0), layer(3, 3, 2, 0, 1)), 'add'
  ),
}


def taps(size, filter_size, stride):
  """Returns the products of one axis that are not with padding."""
  half = filter_size // 2
  return sum(
    0 <= start + offset < size
    for start in range(0, size, stride)
    for offset in range(-half, half + 1)
  )


@pytest.mark.parametrize('name', NETS)
def test_counts_are_those_of_the_forward_pass(name):
  net = NETS[name]
  program = IMAGES.program(net, 1)
  # The program that XLA is given: fusions repeat cheap operations.
  lowered = jax.jit(program.function).lower(*program.arguments)
  counted = lowered.cost_analysis()
  joined, written = net.sizes(*IMAGES.shape[:2])
  padding = rest = 0
  for each, (height, width), output in zip(
    net.layers, joined, written, strict=True
  ):
    channels = net.join_filters(each.inputs, IMAGES.shape[2])
    pixels = output[0] * output[1]
    inside = taps(height, each.height, each.stride_height) * taps(
      width, each.width, each.stride_width
    )
    padded = pixels * each.height * each.width
    padding += (padded - inside) * channels * each.filters
    # Batch norm's difference, product and offset, ReLU, and two operations on
    # variances.
    rest += 4 * pixels * each.filters + 2 * each.filters
    if net.merge == 'add' and each.inputs:
      rest += (len(each.inputs) - 1) * height * width * channels
    # One for each output that is padded to the size of others.
    rest += sum(written[source] != (height, width) for source in each.inputs)
  sizes = [written[number] for number in net.outputs]
  height, width = map(max, zip(*sizes, strict=True))
  filters = net.join_filters(net.outputs, IMAGES.shape[2])
  # The mean of all pixels and the bias of the classifier.
  rest += height * width * filters + IMAGES.num_classes
  # XLA counts no product with padding, which the field counts.
  products = IMAGES.num_multiply_adds(net) - padding
  assert counted['flops'] == 2 * products + rest


@pytest.mark.parametrize('name', NETS)
def test_parameters_are_those_of_an_initialized_network(name):
  program = IMAGES.program(NETS[name], 1)
  leaves = jax.tree.leaves(program.arguments[0])
  assert sum(each.size for each in leaves) == IMAGES.num_params(NETS[name])


def test_the_program_classifies_a_batch():
  program = IMAGES.program(NETS['branches'], 3)
  assert program.function(*program.arguments).shape == (3, 4)
  assert latency.measure(program, 3) > 0


SPACES = (
  ((7, 5, 1), 4, (3, (1, 3), (2, 5))),
  ((4, 4, 9), 2, (3, (3, 1), (3, 2))),
  ((4, 4, 9), 90, (3, (3,), (3, 2))),
  ((4, 4, 2), 30, (4, (1,), (2,))),
  ((9, 8, 3), 9, (4, (1,), (2,), (0, 2))),
  ((9, 8, 1), 3, (4, (1,), (3,), (1,))),
  ((9, 8, 6), 3, (3, (1, 3), (2, 3))),
  ((9, 8, 1), 3, (1, (1,), (3,))),
)


@pytest.mark.parametrize('merge', ['concat', 'add'])
@pytest.mark.parametrize('number', range(len(SPACES)))
def test_the_fewest_are_those_of_all_networks(number, merge):
  shape, num_classes, sizes = SPACES[number]
  num_layers, heights, filters, *pooled = sizes
  pools = tuple(*pooled)
  choices = costs.Choices(
    num_layers, heights, (1,), filters, (1,), merge, pools
  )
  images = costs.Images(shape, num_classes)
  space = spaces.make_space(
    choices.num_layers, choices.heights, choices.widths, choices.filters,
    merge=merge, pool_after=pools,
  )  # fmt: skip
  radixes = [
    d.num_choices for d in space.decisions for _ in range(d.num_tokens)
  ]
  nets = [
    space.decode(np.array(tokens))
    for tokens in itertools.product(*map(range, radixes))
  ]
  assert costs.fewest_params(images, choices) == min(
    map(images.num_params, nets)
  )
  assert costs.fewest_multiply_adds(images, choices) == min(
    map(images.num_multiply_adds, nets)
  )


def test_strides_are_left_to_a_search():
  choices = costs.Choices(2, (1,), (1,), (2,), (1, 2))
  assert costs.fewest_multiply_adds(IMAGES, choices) is None
