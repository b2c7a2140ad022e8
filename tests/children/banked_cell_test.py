# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.children import banked_cell, soft_program
from jaxnas.children import recurrent_cell as cells
from jaxnas.children import recurrent_interpreter as interpreter
from jaxnas.spaces import recurrent_cell as spaces

T, B, INPUTS, D = 2, 2, 3, 4
OPERATIONS = {
  'paper': (spaces.COMBINERS, spaces.ACTIVATIONS),
  # Codes are not places among the names.
  'some': (('max', 'add'), ('sin', 'relu', 'identity')),
}


@pytest.fixture(autouse=True, scope='module')
def quick_compilation():
  # XLA's optimizations do not change what is tested here, and they are most of
  # the time that it takes.
  jax.config.update('jax_disable_most_optimizations', True)
  yield
  jax.config.update('jax_disable_most_optimizations', False)


@pytest.fixture(autouse=True)
def float64():
  with jax.enable_x64(True):
    yield


def random_cell(seed, base, operations):
  space = spaces.make_space(base, *OPERATIONS[operations])
  rng = np.random.default_rng(seed)
  return space.decode(
    np.array([rng.integers(d.num_choices) for d in space.decisions])
  )


def random_banks(base, operations):
  """Returns parameters, each kernel `[..., L, C * A, D]`, carry and inputs."""
  rng = np.random.default_rng(0)
  combiners, activations = OPERATIONS[operations]
  shape = base, len(combiners) * len(activations), D

  def normal(*shape):
    return jnp.asarray(rng.normal(size=shape))

  banks = {
    'input_projection': {'kernel': normal(INPUTS, *shape)},
    'recurrent_kernel': normal(D, *shape),
    'bias': normal(*shape),
  }
  carry = normal(B, D), normal(B, D)
  return banks, carry, normal(T, B, INPUTS)


def apply_banked(operations, banks, program, carry, inputs):
  combiners, activations = OPERATIONS[operations]
  cell = banked_cell.BankedCell(
    program=program,
    features=D,
    use_bias=True,
    combiners=combiners,
    activations=activations,
  )
  params = jax.tree.map(lambda x: x.reshape(*x.shape[:-3], -1), banks)
  return cell.apply({'params': params}, carry, inputs, method='unroll')


def take(banks, architecture, operations):
  """Returns the parameters that the leaves of a cell take from the banks."""
  combiners, activations = OPERATIONS[operations]
  places = [
    combiners.index(architecture.combiners[leaf]) * len(activations)
    + activations.index(architecture.activations[leaf])
    for leaf in cells.leaf_order(architecture)
  ]

  def choose(bank):
    blocks = [bank[..., i, place, :] for i, place in enumerate(places)]
    return jnp.concatenate(blocks, -1)

  return jax.tree.map(choose, banks)


def apply_grammar(architecture, operations, banks, carry, inputs):
  cell = cells.GrammarCell(architecture=architecture, features=D, use_bias=True)
  params = take(banks, architecture, operations)
  return cell.apply({'params': params}, carry, inputs, method='unroll')


def total(outputs):
  return sum(
    jnp.sum(leaf * jnp.cos(jnp.arange(leaf.size)).reshape(leaf.shape))
    for leaf in jax.tree.leaves(outputs)
  )


def assert_close(result, expected):
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12),
    result,
    expected,
  )


@pytest.mark.parametrize('operations', OPERATIONS)
@pytest.mark.parametrize('base', [2, 4])
def test_a_cell_is_that_of_the_weights_its_leaves_choose(base, operations):
  banks, carry, inputs = random_banks(base, operations)
  some = [random_cell(seed, base, operations) for seed in range(3)]
  programs = interpreter.assemble(some, *OPERATIONS[operations])

  def banked(banks, program):
    return total(apply_banked(operations, banks, program, carry, inputs))

  # The banks are one set of weights for all cells.
  run = jax.jit(
    jax.vmap(jax.value_and_grad(banked), (None, interpreter.BATCH_AXES))
  )
  losses, grads = run(banks, programs)
  for row, cell in enumerate(some):
    loss, grad = jax.jit(
      jax.value_and_grad(
        lambda banks, cell=cell: total(
          apply_grammar(cell, operations, banks, carry, inputs)
        )
      )
    )(banks)
    np.testing.assert_allclose(losses[row], loss, rtol=1e-10)
    mine = jax.tree.map(lambda leaf: leaf[row], grads)  # noqa: B023  # Called immediately.
    assert_close(mine, grad)
    # And no gradient at all reaches what no leaf chooses.
    for leaf in jax.tree.leaves(mine):
      is_reached = np.any(leaf != 0, axis=(*range(leaf.ndim - 3), -1))
      assert (is_reached.sum(-1) <= 1).all()
      assert is_reached.any()


def test_weights_that_are_not_chosen_may_be_anything():
  banks, carry, inputs = random_banks(2, 'paper')
  cell = random_cell(5, 2, 'paper')
  ones = jax.tree.map(jnp.ones_like, banks)
  is_chosen = jax.grad(
    lambda banks: sum(map(jnp.sum, jax.tree.leaves(take(banks, cell, 'paper'))))
  )(ones)
  program = row_of(interpreter.assemble([cell]))
  expected = apply_banked('paper', banks, program, carry, inputs)
  damaged = jax.tree.map(
    lambda bank, chosen: jnp.where(chosen != 0, bank, jnp.nan),
    banks,
    is_chosen,
  )
  assert any(np.isnan(leaf).any() for leaf in jax.tree.leaves(damaged))
  found = apply_banked('paper', damaged, program, carry, inputs)
  jax.tree.map(np.testing.assert_array_equal, found, expected)


def row_of(programs):
  return jax.tree.map(lambda leaf: leaf[0] if leaf.ndim else leaf, programs)


def test_probabilities_mix_the_weights_of_a_leaf():
  base, operations = 2, 'paper'
  banks, carry, inputs = random_banks(base, operations)
  rng = np.random.default_rng(1)
  space = spaces.make_space(base)
  parts = [rng.dirichlet(np.ones(d.num_choices)) for d in space.decisions]
  program = soft_program.soften(jnp.concatenate(parts), base)

  def banked(banks, program):
    return total(apply_banked(operations, banks, program, carry, inputs))

  def mixed(banks, program):
    shares = jnp.einsum(
      'lc,la->lca', program.combiners[:base], program.activations[:base]
    ).reshape(base, -1)
    params = jax.tree.map(
      lambda bank: jnp.einsum('...lof,lo->...lf', bank, shares).reshape(
        *bank.shape[:-3], -1
      ),
      banks,
    )
    cell = interpreter.InterpretedCell(
      program=program, features=D, use_bias=True
    )
    return total(cell.apply({'params': params}, carry, inputs, method='unroll'))

  found, expected = (
    jax.jit(jax.value_and_grad(function, (0, 1)))(banks, program)
    for function in (banked, mixed)
  )
  assert_close(found, expected)
  assert np.any(found[1][1].combiners != 0)


def test_one_hot_probabilities_are_the_cell_that_they_choose():
  banks, carry, inputs = random_banks(2, 'paper')
  space = spaces.make_space(2)
  # Probabilities have no canonical form, so the cell must be in it.
  cell = next(
    cell
    for cell in (random_cell(seed, 2, 'paper') for seed in range(20))
    if spaces.canonicalize(cell)[0] == cell
  )
  one_hot = jnp.concatenate([
    jax.nn.one_hot(token, decision.num_choices)
    for token, decision in zip(
      space.encode(cell), space.decisions, strict=True
    )
  ])  # fmt: skip
  soft = functools.partial(apply_banked, 'paper', banks)
  assert_close(
    soft(soft_program.soften(one_hot, 2), carry, inputs),
    soft(row_of(interpreter.assemble([cell])), carry, inputs),
  )


def test_each_block_is_initialized_by_itself():
  program = row_of(interpreter.assemble([random_cell(0, 2, 'paper')]))
  shapes = []

  def initializer(key, shape, dtype):
    shapes.append(shape)
    return jax.random.normal(key, shape, dtype)

  cell = banked_cell.BankedCell(
    program=program,
    features=D,
    kernel_init=initializer,
    recurrent_kernel_init=initializer,
  )
  carry = (jnp.zeros((B, D)),) * 2
  params = cell.init(jax.random.key(0), carry, jnp.zeros((B, INPUTS)))['params']
  assert params['input_projection']['kernel'].shape == (INPUTS, 2 * 8 * D)
  assert params['recurrent_kernel'].shape == (D, 2 * 8 * D)
  assert set(shapes) == {(INPUTS, D), (D, D)}
