# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.children import kernel_tree
from jaxnas.children import recurrence_kernel as kernel
from jaxnas.children import recurrent_interpreter as interpreter
from jaxnas.spaces import recurrent_cell as spaces

T, INPUTS, N = 2, 3, 3
OPERATIONS = {
  'paper': (spaces.COMBINERS, spaces.ACTIVATIONS),
  'extended': (spaces.EXTENDED_COMBINERS, spaces.EXTENDED_ACTIVATIONS),
}


@pytest.fixture(autouse=True, scope='module')
def quick_compilation():
  jax.config.update('jax_disable_most_optimizations', True)
  yield
  jax.config.update('jax_disable_most_optimizations', False)


def random_programs(base, operations):
  space = spaces.make_space(base, *OPERATIONS[operations])
  rng = np.random.default_rng(base)
  cells = [
    space.decode([rng.integers(each.num_choices) for each in space.decisions])
    for _ in range(N)
  ]
  return interpreter.assemble(cells, *OPERATIONS[operations])


def losses(recurrence, operations, programs, rows, units, use_bias=True):
  """Returns the loss of each cell, and its gradient to all that is not data."""
  combiners, activations = OPERATIONS[operations]
  base = (programs.combiners.shape[-1] + 1) // 2
  rng = np.random.default_rng(0)

  def normal(*shape):
    return jnp.asarray(rng.normal(size=(N, *shape)), jnp.float32)

  params = {
    'input_projection': {'kernel': normal(INPUTS, base * units)},
    'recurrent_kernel': 0.3 * normal(units, base * units),
  }
  if use_bias:
    params['bias'] = normal(base * units)
  carry = normal(rows, units), normal(rows, units)
  inputs = normal(T, rows, INPUTS)
  mask = jnp.asarray(rng.integers(2, size=(rows, units)), jnp.float32)
  weights = jnp.asarray(rng.normal(size=(T, rows, units)), jnp.float32)

  def loss(params, carry, inputs, program):
    cell = interpreter.InterpretedCell(
      units,
      use_bias=use_bias,
      program=program,
      combiners=combiners,
      activations=activations,
      recurrence=recurrence,
    )
    (memory, hidden), outputs = cell.apply(
      {'params': params}, carry, inputs, mask, method='unroll'
    )
    # Every output counts differently.
    return jnp.sum(outputs * weights) + jnp.sum(memory * hidden)

  return jax.jit(
    jax.vmap(
      jax.value_and_grad(loss, (0, 1, 2)),
      in_axes=(0, 0, 0, interpreter.BATCH_AXES),
    )
  )(params, carry, inputs, programs)


@pytest.mark.parametrize(
  ('base', 'operations', 'rows', 'units', 'use_bias'),
  [
    # A GPU's tile is exactly full, then rows and units are padding.
    (2, 'extended', 16, 16, True),
    (4, 'paper', 18, 5, False),
    (8, 'extended', 2, 4, True),
  ],
)
def test_the_kernel_is_the_scan(base, operations, rows, units, use_bias):
  programs = random_programs(base, operations)
  arguments = operations, programs, rows, units, use_bias
  expected, expected_grads = losses('scan', *arguments)
  found, grads = losses('kernel', *arguments)
  np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
  for one, other in zip(
    jax.tree.leaves(grads), jax.tree.leaves(expected_grads), strict=True
  ):
    size = np.abs(other).max()
    np.testing.assert_allclose(one / size, other / size, atol=1e-5)


def test_every_operation_is_as_in_the_scan():
  """Cells of one operation everywhere, in turn."""
  combiners, activations = OPERATIONS['extended']
  cells = [
    spaces.RecurrentCell(
      combiners=(combiner,) * 3,
      activations=(activation,) * 3,
      inject_combiner=combiner,
      inject_activation=activation,
      read_index=index % 3,
      inject_index=(index + 1) % 3,
    )
    for index, (combiner, activation) in enumerate(
      zip((*combiners, combiners[0], combiners[1]), activations, strict=True)
    )
  ]
  assert len(cells) > N
  for some in (cells[:N], cells[-N:]):
    programs = interpreter.assemble(some, combiners, activations)
    found, grads = losses('kernel', 'extended', programs, 2, 3)
    expected, expected_grads = losses('scan', 'extended', programs, 2, 3)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    for one, other in zip(
      jax.tree.leaves(grads), jax.tree.leaves(expected_grads), strict=True
    ):
      np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_too_many_units_are_refused():
  codes = kernel_tree.Codes(*random_programs(2, 'paper')[:-1])
  units = kernel.MAX_FEATURES + 1
  state = jnp.zeros((2, units))
  with pytest.raises(ValueError, match='at most 128 hidden units, got 129'):
    kernel.unroll(
      kernel_tree.Codes(*(each[0] for each in codes)),
      (state, state),
      jnp.zeros((T, 2, 2 * units)),
      jnp.zeros((units, 2 * units)),
      platform='cuda',
    )


def test_an_unknown_recurrence_is_refused():
  with pytest.raises(ValueError, match="recurrence 'loop'; expected one of sc"):
    interpreter.InterpretedCell(3, recurrence='loop')


@pytest.mark.parametrize(
  ('base', 'num_rows', 'expected'),
  [(8, 20, (24, 1)), (8, 64, (32, 2)), (16, 20, (16, 2)), (2, 3, (8, 1))],
)
def test_tiles_of_a_tpu_fit_its_memory(base, num_rows, expected):
  tile, num_tiles, units = kernel._tiles('tpu', 35, base, num_rows, 64)
  assert (tile, num_tiles) == expected
  assert units == 64


def test_half_precision_is_lowered_for_a_tpu():
  # The compiler takes no sums of products in less than single precision.
  codes = kernel_tree.Codes(
    *(each[0] for each in random_programs(2, 'paper')[:-1])
  )
  state, projected, recurrent = (
    jax.ShapeDtypeStruct(shape, jnp.bfloat16)
    for shape in ((8, 8), (1, 8, 16), (8, 16))
  )

  def loss(state, projected, recurrent):
    _, hidden = kernel.unroll(
      codes, (state, state), projected, recurrent, platform='tpu'
    )
    return hidden.sum()

  gradient = jax.jit(jax.grad(loss, (0, 1, 2)))
  lowered = gradient.trace(state, projected, recurrent).lower(
    lowering_platforms=('tpu',)
  )
  assert lowered.as_text().count('tpu_custom_call') == 2
