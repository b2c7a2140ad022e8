# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.children import recurrent_cell, soft_program
from jaxnas.children import recurrent_interpreter as interpreter
from jaxnas.spaces import recurrent_cell as spaces

T, B, INPUTS, D = 3, 2, 3, 4
OPERATIONS = {
  'paper': (spaces.COMBINERS, spaces.ACTIVATIONS),
  'extended': (spaces.EXTENDED_COMBINERS, spaces.EXTENDED_ACTIVATIONS),
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


def random_cells(seed, base, operations, count):
  """Returns a space, and tokens and architectures of random cells."""
  space = spaces.make_space(base, *OPERATIONS[operations])
  rng = np.random.default_rng(seed)
  tokens = [
    np.array([rng.integers(d.num_choices) for d in space.decisions])
    for _ in range(count)
  ]
  return space, tokens, [space.decode(row) for row in tokens]


def one_hot(space, tokens):
  return jnp.concatenate(
    [
      jax.nn.one_hot(token, decision.num_choices, dtype=jnp.float64)
      for token, decision in zip(tokens, space.decisions, strict=True)
    ]
  )


def softmax_of_noise(seed, space):
  rng = np.random.default_rng(seed)
  return jnp.concatenate(
    [
      jax.nn.softmax(jnp.asarray(rng.normal(size=decision.num_choices)))
      for decision in space.decisions
    ]
  )


def soften(probabilities, base, operations):
  combiners, activations = OPERATIONS[operations]
  return soft_program.soften(
    probabilities, base, len(combiners), len(activations)
  )


def random_arguments(seed, base):
  """Returns weights of leaves, carry and inputs."""
  rng = np.random.default_rng(seed)

  def normal(*shape):
    return jnp.asarray(rng.normal(size=shape))

  weights = normal(base, INPUTS, D), normal(base, D, D), normal(base, D)
  return weights, (normal(B, D), normal(B, D)), normal(T, B, INPUTS)


def as_params(weights, arrange):
  kernel, recurrent, bias = map(arrange, weights)
  return {
    'params': {
      'input_projection': {'kernel': kernel},
      'recurrent_kernel': recurrent,
      'bias': bias,
    }
  }


def in_token_order(base):
  """Returns what makes weights of leaves the parameters of a SoftProgram."""
  leaves = jnp.array(recurrent_cell.half_order(base)[:base])

  def arrange(weights):
    ordered = weights[leaves]
    return jnp.moveaxis(ordered, 0, -2).reshape(*ordered.shape[1:-1], -1)

  return arrange


def weighted_sum(outputs):
  """Returns a sum in which every output counts differently."""
  return sum(
    jnp.sum(leaf * jnp.cos(jnp.arange(leaf.size)).reshape(leaf.shape))
    for leaf in jax.tree.leaves(outputs)
  )


def step_by_step(cell, params, carry, inputs):
  """Returns what `unroll` does, by plain autodiff of the cell's steps."""
  outputs = []
  for step_inputs in inputs:
    carry, _ = cell.apply(params, carry, step_inputs)
    outputs.append(carry[1])
  return carry, jnp.stack(outputs)


def make_cell(program, operations, **settings):
  combiners, activations = OPERATIONS[operations]
  return interpreter.InterpretedCell(
    program=program,
    features=D,
    use_bias=True,
    combiners=combiners,
    activations=activations,
    **settings,
  )


def assert_close(result, expected, rtol=1e-10):
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(
      a, b, rtol=rtol, atol=rtol * max(1, np.abs(b).max())
    ),
    result,
    expected,
  )


@pytest.mark.parametrize(
  ('base', 'operations'),
  [
    (2, 'extended'),
    pytest.param(4, 'paper', marks=pytest.mark.slow),
    pytest.param(8, 'extended', marks=pytest.mark.slow),
  ],
)
def test_one_hot_probabilities_are_the_cell_that_they_choose(base, operations):
  """In value and in every gradient, wherever the memory is injected."""
  space, tokens, cells = random_cells(base, base, operations, 6)
  arguments = random_arguments(1, base)

  @jax.jit
  def soft(probabilities, weights, carry, inputs):
    def loss(weights, carry, inputs):
      program = soften(probabilities, base, operations)
      cell = make_cell(program, operations)
      params = as_params(weights, in_token_order(base))
      outputs = cell.apply(params, carry, inputs, method='unroll')
      return weighted_sum(outputs), outputs

    return jax.value_and_grad(loss, (0, 1, 2), has_aux=True)(
      weights, carry, inputs
    )

  for row, architecture in zip(tokens, cells, strict=True):

    def loss(weights, carry, inputs, architecture=architecture):
      cell = recurrent_cell.GrammarCell(
        architecture=architecture, features=D, use_bias=True
      )
      params = as_params(
        weights,
        lambda leaf: recurrent_cell.arrange_leaves(leaf, architecture),
      )
      outputs = cell.apply(params, carry, inputs, method='unroll')
      return weighted_sum(outputs), outputs

    expected = jax.value_and_grad(loss, (0, 1, 2), has_aux=True)(*arguments)
    assert_close(soft(one_hot(space, row), *arguments), expected)


@pytest.mark.parametrize(
  ('base', 'operations'),
  [(2, 'extended'), pytest.param(4, 'paper', marks=pytest.mark.slow)],
)
def test_gradients_of_probabilities(base, operations):
  """Those of the hand-written reverse pass are those of plain autodiff."""
  space = spaces.make_space(base, *OPERATIONS[operations])
  weights, carry, inputs = random_arguments(2, base)
  params = as_params(weights, in_token_order(base))

  def loss(unroll, probabilities, params):
    program = soften(probabilities, base, operations)
    return weighted_sum(
      unroll(make_cell(program, operations), params, carry, inputs)
    )

  def fast(cell, *arrays):
    return cell.apply(*arrays, method='unroll')

  probabilities = softmax_of_noise(3, space)
  found, expected = (
    jax.jit(jax.value_and_grad(lambda *x, f=f: loss(f, *x), (0, 1)))(
      probabilities, params
    )
    for f in (fast, step_by_step)
  )
  assert_close(found, expected)
  # Every probability counts: of each choice of each decision.
  assert np.all(np.asarray(found[1][0]) != 0)


@pytest.mark.slow
def test_gradients_of_a_batch_of_programs():
  """Under vmap, with one set of parameters for all."""
  base, operations = 4, 'paper'
  space = spaces.make_space(base, *OPERATIONS[operations])
  weights, carry, inputs = random_arguments(2, base)
  params = as_params(weights, in_token_order(base))
  probabilities = jnp.stack(
    [softmax_of_noise(seed, space) for seed in range(3)]
  )

  def loss(probabilities, params):
    cell = make_cell(soften(probabilities, base, operations), operations)
    return weighted_sum(cell.apply(params, carry, inputs, method='unroll'))

  def total(probabilities, params):
    return jax.vmap(loss, (0, None))(probabilities, params).sum()

  found = jax.jit(jax.grad(total, (0, 1)))(probabilities, params)
  each = [jax.grad(loss, (0, 1))(row, params) for row in probabilities]
  assert_close(found[0], jnp.stack([rows for rows, _ in each]))
  assert_close(
    found[1], jax.tree.map(lambda *leaves: sum(leaves), *[g for _, g in each])
  )


@pytest.mark.parametrize('base', [2, 8])
def test_codes_where_the_tokens_put_them(base):
  """An interpreter that injects anywhere needs no canonical form."""
  _, _, cells = random_cells(4, base, 'paper', 8)
  weights, carry, inputs = random_arguments(5, base)
  programs = interpreter.assemble(cells, is_canonical=False)
  params = as_params(weights, in_token_order(base))

  def run(program):
    cell = make_cell(program, 'paper', injects_anywhere=True)
    return cell.apply(params, carry, inputs, method='unroll')

  found = jax.vmap(run, (interpreter.BATCH_AXES,))(programs)
  for row, architecture in enumerate(cells):
    cell = recurrent_cell.GrammarCell(
      architecture=architecture, features=D, use_bias=True
    )
    expected = cell.apply(
      as_params(
        weights,
        lambda leaf: recurrent_cell.arrange_leaves(leaf, architecture),  # noqa: B023  # Called immediately.
      ),
      carry,
      inputs,
      method='unroll',
    )
    assert_close(jax.tree.map(lambda leaf: leaf[row], found), expected)  # noqa: B023  # Called immediately.


def test_nothing_is_computed_for_a_program_that_nobody_differentiates():
  space, tokens, _ = random_cells(6, 2, 'paper', 1)
  weights, carry, inputs = random_arguments(7, 2)
  params = as_params(weights, in_token_order(2))

  def loss(probabilities, params):
    cell = make_cell(soften(probabilities, 2, 'paper'), 'paper')
    return weighted_sum(cell.apply(params, carry, inputs, method='unroll'))

  def widest_loop(argument):
    """Returns the size of the state of the largest loop of a gradient."""
    jaxpr = jax.make_jaxpr(jax.grad(loss, argument))(
      one_hot(space, tokens[0]), params
    )
    loops = [
      sum(variable.aval.size for variable in equation.outvars)
      for equation in jaxpr.eqns
      if equation.primitive.name in ('while', 'scan')
    ]
    return max(loops)

  num_learned = 3 * 6 + 6 + 6
  assert widest_loop((0, 1)) == widest_loop(1) + num_learned


def test_a_kernel_takes_no_probabilities():
  space, tokens, _ = random_cells(8, 2, 'paper', 1)
  weights, carry, inputs = random_arguments(9, 2)
  program = soften(one_hot(space, tokens[0]), 2, 'paper')
  cell = make_cell(program, 'paper', recurrence='kernel')
  with pytest.raises(ValueError, match='CellProgram in canonical form'):
    cell.apply(
      as_params(weights, in_token_order(2)), carry, inputs, method='unroll'
    )


def test_the_length_of_probabilities_is_checked():
  with pytest.raises(AssertionError):
    soft_program.soften(jnp.zeros(29), 2)


def test_symbolic_zeros_are_dense_where_they_are_used():
  """A loss of the last carry alone has no cotangent for the outputs."""
  space, tokens, _ = random_cells(8, 2, 'paper', 1)
  weights, carry, inputs = random_arguments(9, 2)
  params = as_params(weights, in_token_order(2))
  cell = make_cell(soften(one_hot(space, tokens[0]), 2, 'paper'), 'paper')

  def loss(run, params):
    return weighted_sum(run(params)[0])

  found = jax.grad(
    lambda p: loss(lambda q: cell.apply(q, carry, inputs, method='unroll'), p)
  )(params)
  expected = jax.grad(
    lambda p: loss(lambda q: step_by_step(cell, q, carry, inputs), p)
  )(params)
  assert_close(found, expected)
