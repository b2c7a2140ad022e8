# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The Flax cells in this process; both frameworks' are in exporting_test."""

import warnings

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.children import recurrent_cell as cells
from jaxnas.export import cell_source, listing
from jaxnas.spaces import recurrent_cell as space

B, T, INPUTS, D = 2, 5, 3, 4
NAMES = sorted(space.KNOWN_CELLS)


def define(architecture, has_bias=False):
  """Returns the `Cell` of an exported file."""
  cell = cell_source.grammar_cell(architecture, has_bias)
  code = cell_source.code(cell, 'flax')
  names = {}
  exec(listing.to_source(listing.Listing('flax', 'A cell.', code)), names)
  return names['Cell']


def weights(architecture, has_bias):
  cell = cell_source.grammar_cell(architecture, has_bias)
  draw = np.random.default_rng(0)
  return {
    name: draw.normal(0, 0.5, shape).astype(np.float32)
    for name, shape in cell_source.shapes(cell, INPUTS, D)
  }


@pytest.mark.parametrize('has_bias', [False, True])
@pytest.mark.parametrize('name', NAMES)
def test_values_and_gradients_are_those_of_the_library(name, has_bias):
  architecture = space.KNOWN_CELLS[name]
  own = nn.RNN(define(architecture, has_bias)(features=D))
  library = nn.RNN(
    cells.GrammarCell(architecture=architecture, features=D, use_bias=has_bias)
  )
  params = weights(architecture, has_bias)
  inputs = jax.random.normal(jax.random.key(1), (B, T, INPUTS))

  def own_loss(params):
    outputs = own.apply({'params': {'cell': params}}, inputs)
    return jnp.sin(7 * outputs).sum(), outputs

  def library_loss(params):
    arranged = cell_source.library_params(params, architecture)
    outputs = library.apply({'params': {'cell': arranged}}, inputs)
    return jnp.sin(7 * outputs).sum(), outputs

  with jax.numpy_rank_promotion('allow'):
    grads, outputs = jax.jit(jax.grad(own_loss, has_aux=True))(params)
  expected_grads, expected = jax.jit(jax.grad(library_loss, has_aux=True))(
    params
  )
  np.testing.assert_allclose(outputs, expected, atol=1e-6)
  assert np.abs(expected).max() > 1e-3
  for leaf, grad in grads.items():
    scale = np.abs(expected_grads[leaf]).max()
    np.testing.assert_allclose(grad, expected_grads[leaf], atol=1e-5 * scale)


def test_every_leaf_starts_as_in_the_library():
  architecture = space.KNOWN_CELLS['nascell']
  module = define(architecture)(features=16)
  carry = module.initialize_carry(jax.random.key(0), (1, 400))
  params = module.init(jax.random.key(0), carry, jnp.ones((1, 400)))['params']
  for block in np.split(params['recurrent_kernel'], 8, axis=1):
    np.testing.assert_allclose(block @ block.T, np.eye(16), atol=1e-5)
  # Variance one over the inputs of one leaf, not of all.
  assert abs(params['input_kernel'].std() - 400**-0.5) < 2e-3


def test_formulas_are_those_of_the_paper():
  cell = cell_source.grammar_cell(space.KNOWN_CELLS['paper_example'])
  lines = cell_source.formulas(cell).split('\n\n', 1)[1]
  assert lines == (
    '    leaf_0 = tanh(W_0 x + U_0 h)\n'
    '    injected = relu(leaf_0 + c)\n'
    '    new_c = (W_1 x) * (U_1 h)\n'
    '    leaf_1 = relu(new_c)\n\n'
    '    new_h = sigmoid(injected * leaf_1)'
  )


@pytest.mark.parametrize(
  ('read', 'inject', 'activation', 'last'),
  [
    (2, 0, 'identity', ['new_c = injected + leaf_1', 'new_h = new_c']),
    (2, 0, 'tanh', ['new_c = injected + leaf_1', 'new_h = tanh(new_c)']),
    (
      0,
      2,
      'tanh',
      ['node_2 = tanh(new_c + leaf_1)', 'new_h = sin(node_2 * c)'],
    ),
    (2, 2, 'identity', ['new_c = new_c + leaf_1', 'new_h = sin(new_c * c)']),
  ],
)
def test_indices_at_the_root_are_told(read, inject, activation, last):
  architecture = space.RecurrentCell(
    ('add',) * 3,
    ('identity', 'tanh', activation),
    'elem_mult',
    'sin',
    read,
    inject,
  )
  cell = cell_source.grammar_cell(architecture)
  if read == inject:
    last = ['new_c = leaf_0 + leaf_1', last[1]]
  text = cell_source.formulas(cell).splitlines()
  assert [line.strip() for line in text[-2:]] == last


def test_a_large_cell_is_written_in_no_time():
  base = space.MAX_BASE
  architecture = space.RecurrentCell(
    ('max',) * (2 * base - 1), ('sin',) * (2 * base - 1), 'add', 'tanh', 0, 0
  )
  made = cell_source.make_listing(architecture, 'torch')
  source = listing.to_source(made)
  assert max(map(len, source.splitlines())) <= 80
  assert 'new_h = torch.sin(torch.maximum(node_508, node_509))' in source


def test_a_traced_cell_takes_batches_of_any_size():
  torch = pytest.importorskip('torch')
  made = cell_source.make_listing(space.KNOWN_CELLS['gru'], 'torch')
  names = {'__name__': 'gru'}
  exec(listing.to_source(made), names)
  recurrent = names['Recurrent'](INPUTS, D)
  one, more = torch.ones(1, T, INPUTS), torch.ones(3, T, INPUTS)
  with warnings.catch_warnings():
    # What a trace would take for a constant.
    warnings.simplefilter('error', torch.jit.TracerWarning)
    traced = torch.jit.trace(recurrent, (one,))
  outputs, state = traced(more)
  expected, _ = recurrent(more)
  assert torch.allclose(outputs, expected, atol=1e-6)
  assert state[0].shape == (3, D)
