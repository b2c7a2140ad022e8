# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import dataclasses

import pytest

from jaxnas.spaces import conv_net, known_conv_nets


def test_the_papers_figure_7():
  figure = known_conv_nets.FIGURE_7
  assert figure.num_params(3, 10) == 4_201_630
  assert figure.num_multiply_adds(32, 32, 3, 10) == 4_300_665_312
  assert len(figure.layers) == 15
  assert sum(len(layer.inputs) for layer in figure.layers) == 65
  assert figure.outputs == (14,)
  assert figure.merge == 'concat'
  space = conv_net.make_space(15)
  assert space.decode(space.encode(figure)) == figure
  # All skips, and none.
  layers = figure.layers
  for inputs, num_params in (
    (lambda number: tuple(range(number)), '6.63M'),
    (lambda number: tuple(range(number))[-1:], '0.81M'),
  ):
    other = conv_net.ConvNet(
      tuple(
        dataclasses.replace(layer, inputs=inputs(number))
        for number, layer in enumerate(layers)
      )
    )
    assert f'{other.num_params(3, 10) / 1e6:.2f}M' == num_params


def test_a_chain_and_a_dense_network():
  chain = known_conv_nets.make_chain(4, 24, 5)
  dense = known_conv_nets.make_dense(4, 24, 5, 'add')
  assert [layer.inputs for layer in chain.layers] == [(), (0,), (1,), (2,)]
  assert [layer.inputs for layer in dense.layers] == [
    (),
    (0,),
    (0, 1),
    (0, 1, 2),
  ]
  assert (chain.merge, dense.merge) == ('concat', 'add')
  for network in (chain, dense):
    assert {
      (layer.height, layer.width, layer.filters) for layer in network.layers
    } == {(5, 5, 24)}


@pytest.mark.parametrize('num_layers', [4, 6, 10])
def test_a_residual_network_passes_its_stream_on(num_layers):
  network = known_conv_nets.make_resnet(num_layers, 16)
  assert len(network.layers) == num_layers
  assert network.merge == 'add'
  assert network.outputs == (num_layers - 1,)
  # As He et al. write it: x_{b+1} = x_b + block(x_b).
  stream = {0}
  for first in range(1, num_layers - 1, 2):
    assert set(network.layers[first].inputs) == stream
    assert network.layers[first + 1].inputs == (first,)
    stream.add(first + 1)
  last = network.layers[-1]
  assert set(last.inputs) == stream
  assert (last.height, last.width) == (1, 1)


@pytest.mark.parametrize('num_layers', [2, 5])
def test_a_residual_network_needs_whole_blocks(num_layers):
  with pytest.raises(ValueError, match=f'at least 4, got {num_layers}'):
    known_conv_nets.make_resnet(num_layers)
