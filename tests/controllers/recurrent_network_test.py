# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.children import recurrent_cell
from jaxnas.controllers import anchors, layout, recurrent_network
from jaxnas.types import AnchorPoint, Choice

CHOICES = (Choice((1, 2), 'a'), Choice((1, 2, 3), 'b'), Choice((1, 2), 'c'))
ANCHORS = (
  AnchorPoint(0, 'layer_0'),
  Choice((4, 8), 'filters_0'),
  AnchorPoint(1, 'layer_1'),
  Choice((4, 8), 'filters_1'),
  AnchorPoint(2, 'layer_2'),
)


def make_network(decisions, make_cell=nn.SimpleCell, num_layers=2, features=3):
  return recurrent_network.Network(
    layout.Layout(decisions),
    make_cell(features),
    num_layers,
    features,
    anchors.make_attention(),
  )


def make_params(network):
  leaves, treedef = jax.tree.flatten(recurrent_network.param_shapes(network))
  rng = np.random.default_rng(0)
  return treedef.unflatten(
    [jnp.asarray(rng.normal(size=x.shape), x.dtype) for x in leaves]
  )


def test_shapes_of_parameters():
  shapes = jax.tree.map(
    lambda leaf: leaf.shape,
    recurrent_network.param_shapes(make_network(CHOICES)),
  )
  # The start, and the choices of all decisions but the last.
  assert shapes['embeddings'] == (1 + 2 + 3, 3)
  assert shapes['kernel'] == (3, 3, 3)
  assert shapes['bias'] == (3, 3)
  assert sorted(shapes['cells']) == ['layer_0', 'layer_1']
  assert 'anchors' not in shapes
  assert 'anchors' in recurrent_network.param_shapes(make_network(ANCHORS))


@pytest.mark.parametrize('make_cell', [nn.SimpleCell, recurrent_cell.LSTMCell])
def test_layer_by_layer_is_step_by_step(make_cell):
  network = make_network(CHOICES, make_cell)
  params = make_params(network)
  tokens = np.array([[1, 2, 0], [0, 1, 1]], np.int32)
  is_active = np.ones((2, 3), bool)
  hidden = recurrent_network.run_choices(network, params, tokens, is_active)
  assert hidden.shape == (3, 2, 3)
  for row, expected in zip(tokens, np.moveaxis(hidden, 1, 0), strict=True):
    # Rows of the table: the start, then two for `a` and three for `b`.
    inputs = params['embeddings'][np.array([0, 1 + row[0], 3 + row[1]])]
    carries = network.first_carries(params, inputs[0])
    for step_input, output in zip(inputs, expected, strict=True):
      carries, actual = network.step(params, carries, step_input)
      np.testing.assert_allclose(actual, output, rtol=1e-5, atol=1e-6)


def test_after_an_anchor_point_the_mean_of_the_chosen_states_is_read():
  network = make_network(ANCHORS, num_layers=1)
  params = make_params(network)
  # Tokens: filters_0, layer_1's one, filters_1, layer_2's two.
  tokens = np.array([[1, 1, 0, 1, 1]], np.int32)
  is_active = np.ones((1, 5), bool)
  hidden = recurrent_network.run_anchors(network, params, tokens, is_active)
  assert hidden.shape == (5, 1, 3)
  rows = params['embeddings']
  # The third layer's point is the last step, so that nothing reads its mean.
  inputs = [rows[0], jnp.zeros(3), rows[2], hidden[0, 0], rows[3]]
  carries = network.first_carries(params, rows[0])
  for step_input, output in zip(inputs, hidden[:, 0], strict=True):
    carries, actual = network.step(params, carries, step_input)
    np.testing.assert_allclose(actual, output, rtol=1e-5, atol=1e-6)


class Narrow(nn.SimpleCell):
  """A cell with half the outputs that are asked for."""

  def __call__(self, carry, inputs):
    carry, output = super().__call__(carry, inputs)
    return carry, output[..., :1]


class Counting(nn.SimpleCell):
  """A cell that counts its calls in a variable."""

  @nn.compact
  def __call__(self, carry, inputs):
    self.variable('counters', 'calls', lambda: jnp.zeros(()))
    return nn.SimpleCell(self.features)(carry, inputs)


@pytest.mark.parametrize(
  ('make_cell', 'message'),
  [
    (Narrow, r'outputs of 3 features, got a Narrow with outputs of shape \(1,'),
    (Counting, 'all parameters, got a Counting with collections counters'),
  ],
)
def test_cells_that_cannot_be_used_are_refused(make_cell, message):
  with pytest.raises(ValueError, match=message):
    recurrent_network.param_shapes(make_network(CHOICES, make_cell))
