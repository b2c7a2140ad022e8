# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import functools

import chex
from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.children import recurrent_cell
from jaxnas.controllers import lstm_stack

T, N, D, NUM_ROWS = 4, 3, 5, 6


@pytest.fixture(scope='module')
def params():
  rng = np.random.default_rng(0)

  def draw(*shape):
    return jnp.asarray(rng.normal(0, 0.5, shape), jnp.float32)

  layers = [
    {
      'input_projection': {'kernel': draw(D, 4 * D)},
      'recurrent_kernel': draw(D, 4 * D),
      'bias': draw(4 * D),
    }
    for _ in range(3)
  ]
  return draw(NUM_ROWS, D), layers


@pytest.fixture(scope='module')
def rows():
  return np.random.default_rng(1).integers(NUM_ROWS, size=(T, N), dtype='int32')


def unroll_layers(params, rows):
  """Runs one cell after another over the sequences."""
  table, layers = params
  hidden = table[rows]
  cell = recurrent_cell.LSTMCell(D)
  carry = cell.initialize_carry(jax.random.key(0), (N, D))
  for layer in layers:
    _, hidden = cell.apply({'params': layer}, carry, hidden, method='unroll')
  return hidden


def unroll_stack(params, rows):
  return lstm_stack.unroll(lstm_stack.make_stack(*params), rows)


def run_steps(stack, rows):
  """Runs step by step; returns the activations of all steps."""
  carries, steps = lstm_stack.first_carries(stack, (N,)), []
  for step_rows in rows:
    carries, activations = lstm_stack.step(stack, carries, step_rows)
    steps.append(activations)
  return jax.tree.map(lambda *leaves: jnp.stack(leaves), *steps)


def test_outputs_and_gradients_are_those_of_separate_cells(params, rows):
  weights = np.random.default_rng(2).normal(size=(T, N, D)).astype('f')

  def measure(unroll):
    def weigh(params):
      hidden = unroll(params, rows)
      return jnp.sum(hidden * weights), hidden

    (_, hidden), grads = jax.value_and_grad(weigh, has_aux=True)(params)
    return hidden, grads

  hidden, grads = jax.jit(measure, static_argnums=0)(unroll_stack)
  expected, expected_grads = jax.jit(measure, static_argnums=0)(unroll_layers)
  np.testing.assert_allclose(hidden, expected, rtol=1e-5, atol=1e-6)
  for leaf, other in zip(
    jax.tree.leaves(grads), jax.tree.leaves(expected_grads), strict=True
  ):
    assert np.abs(other).max() > 0.01
    np.testing.assert_allclose(leaf, other, rtol=1e-4, atol=1e-5)


def test_step_by_step_is_the_whole_sequence(params, rows):
  stack = lstm_stack.make_stack(*params)
  expected = lstm_stack.unroll(stack, rows)
  activations = run_steps(stack, rows)
  np.testing.assert_allclose(activations.hidden, expected, rtol=1e-5, atol=1e-6)


def test_what_steps_have_computed_gives_the_same_gradients(params, rows):
  weights = np.random.default_rng(2).normal(size=(T, N, D)).astype('f')

  def weigh(params, known=None):
    stack = lstm_stack.make_stack(*params)
    return jnp.sum(lstm_stack.unroll(stack, rows, known) * weights)

  expected = jax.jit(jax.grad(weigh))(params)
  known = run_steps(lstm_stack.make_stack(*params), rows)
  grads = jax.jit(jax.grad(weigh))(params, known)
  chex.assert_trees_all_close(grads, expected, rtol=1e-5, atol=1e-6)
  # Nothing is computed again: the output is what is given.
  hidden = jnp.full_like(known.hidden, 2.0)
  given = known._replace(outputs=(*known.outputs[:-1], hidden))
  assert weigh(params, given) == pytest.approx(2 * weights.sum(), rel=1e-5)


@pytest.mark.parametrize('num_axes', [0, 1, 2])
@pytest.mark.parametrize('reverse', [False, True])
def test_a_scan_is_that_of_lax_under_vmap_too(reverse, num_axes):
  rng = np.random.default_rng(3)
  inputs = jnp.asarray(rng.normal(size=(2, 3, T, N)[2 - num_axes :]), 'f')
  # The same in all that is mapped.
  shared = jnp.asarray(rng.normal(size=(T, N)), 'f')
  carry = jnp.ones(N)

  def body(carry, inputs):
    own, shared = inputs
    carry = jnp.tanh(carry + 2 * own - shared)
    return carry, (carry * shared, shared + 1)

  def body_of_one(carry, inputs):
    carry, (output, _) = body(carry, inputs)
    return carry, output

  def run_all(inputs):
    both = inputs, shared
    expected = jax.lax.scan(body, carry, both, reverse=reverse)
    result = lstm_stack.scan(body, carry, both, reverse)
    over = lstm_stack.scan(body_of_one, carry, inputs, reverse, shared)
    return expected, result, over

  for _ in range(num_axes):
    run_all = jax.vmap(run_all)
  (last, outputs), *results = jax.jit(run_all)(inputs)
  expected = [(last, outputs), (last, outputs[0])]
  chex.assert_trees_all_close(results, expected, rtol=1e-6, atol=1e-6)


def test_a_mapped_scan_writes_without_a_scatter():
  def run(inputs):
    return lstm_stack.scan(
      lambda carry, row: (carry + row, carry * row), jnp.ones(N), inputs
    )

  lowered = jax.jit(jax.vmap(jax.vmap(run))).lower(jnp.ones((2, 3, T, N)))
  assert 'dynamic_update_slice' in lowered.as_text()
  assert 'scatter' not in lowered.as_text()


def test_a_scan_has_second_derivatives():
  inputs = jnp.asarray(np.random.default_rng(4).normal(size=(2, T, N)), 'f')

  def body(carry, row):
    carry = jnp.tanh(carry / 2 + row)
    return carry, carry * carry

  def square(scan, inputs):
    gradient = jax.grad(lambda rows: scan(body, jnp.ones(N), rows)[1].sum())
    return jnp.sum(gradient(inputs) ** 2)

  result, expected = (
    jax.jit(jax.vmap(jax.grad(functools.partial(square, scan))))(inputs)
    for scan in (lstm_stack.scan, jax.lax.scan)
  )
  assert np.abs(expected).max() > 0.01
  np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)
  hessian, expected = (
    jax.jit(
      jax.hessian(
        lambda rows, scan=scan: scan(body, jnp.ones(N), rows)[1].sum()
      )
    )(inputs[0])
    for scan in (lstm_stack.scan, jax.lax.scan)
  )
  np.testing.assert_allclose(hessian, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
  ('cell', 'is_served'),
  [
    (recurrent_cell.LSTMCell(D), True),
    (recurrent_cell.LSTMCell(D, use_bias=False), False),
    (recurrent_cell.LSTMCell(D, dtype=jnp.bfloat16), False),
    (recurrent_cell.LSTMCell(D, param_dtype=jnp.bfloat16), False),
    (recurrent_cell.LSTMCell(D, carry_init=nn.initializers.ones), False),
    (recurrent_cell.GrammarCell(features=D), False),
    (nn.OptimizedLSTMCell(D), False),
  ],
)
def test_other_cells_are_not_served(cell, is_served):
  assert lstm_stack.serves(cell) == is_served
