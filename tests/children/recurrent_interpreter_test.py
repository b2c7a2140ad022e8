# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.children import recurrent_cell as cells
from jaxnas.children import recurrent_interpreter as interpreter
from jaxnas.spaces import recurrent_cell as spaces

T, B, INPUTS, D, N = 2, 2, 3, 4, 3
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


@pytest.fixture
def float64():
  with jax.enable_x64(True):
    yield


def random_tokens(rng, space):
  return np.array([rng.integers(d.num_choices) for d in space.decisions])


def random_cells(seed, base, operations, count=N):
  space = spaces.make_space(base, *OPERATIONS[operations])
  rng = np.random.default_rng(seed)
  return [space.decode(random_tokens(rng, space)) for _ in range(count)]


def random_arguments(seed, base, dtype=np.float64):
  """Returns parameters, carry and inputs of one child."""
  rng = np.random.default_rng(seed)

  def normal(*shape):
    return jnp.asarray(rng.normal(size=shape), dtype)

  params = {
    'input_projection': {'kernel': normal(INPUTS, base * D)},
    'recurrent_kernel': normal(D, base * D),
    'bias': normal(base * D),
  }
  carry = normal(B, D), normal(B, D)
  return {'params': params}, carry, normal(T, B, INPUTS)


def stack(trees):
  return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def make_cell(program, operations):
  combiners, activations = OPERATIONS[operations]
  return interpreter.InterpretedCell(
    program=program,
    features=D,
    use_bias=True,
    combiners=combiners,
    activations=activations,
  )


def weighted_sum(outputs):
  """Returns a sum in which every output counts differently, and them."""
  total = sum(
    jnp.sum(leaf * jnp.cos(jnp.arange(leaf.size)).reshape(leaf.shape))
    for leaf in jax.tree.leaves(outputs)
  )
  return total, outputs


def interpret(operations, program, params, carry, inputs):
  """Returns values and all gradients of one interpreted child."""

  def loss(params, carry, inputs):
    cell = make_cell(program, operations)
    return weighted_sum(cell.apply(params, carry, inputs, method='unroll'))

  return jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True)(
    params, carry, inputs
  )


def define(architecture, params, carry, inputs):
  """Returns the same of a `GrammarCell`, by plain autodiff of its steps."""
  cell = cells.GrammarCell(architecture=architecture, features=D, use_bias=True)

  def loss(params, carry, inputs):
    outputs = []
    for step_inputs in inputs:
      carry, _ = cell.apply(params, carry, step_inputs)
      outputs.append(carry[1])
    return weighted_sum((carry, jnp.stack(outputs)))

  return jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True)(
    params, carry, inputs
  )


def interpret_batch(operations, traces=None):
  def run(*arguments):
    if traces is not None:
      traces.append(operations)
    return interpret(operations, *arguments)

  return jax.jit(jax.vmap(run, in_axes=(interpreter.BATCH_AXES, 0, 0, 0)))


def assert_close(result, expected, rtol=1e-9):
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(
      a, b, rtol=rtol, atol=rtol * max(1, np.abs(b).max())
    ),
    result,
    expected,
  )


@pytest.mark.usefixtures('float64')
@pytest.mark.parametrize(
  ('base', 'operations', 'known'),
  [
    (2, 'extended', ['paper_example']),
    (4, 'paper', []),
    (8, 'extended', ['nascell', 'lstm']),
    pytest.param(16, 'paper', ['gru'], marks=pytest.mark.slow),
  ],
)
def test_values_and_gradients_are_those_of_the_definition(
  base, operations, known
):
  architectures = [
    *(spaces.KNOWN_CELLS[name] for name in known),
    *random_cells(base, base, operations, N - len(known)),
  ]
  children = [random_arguments(seed, base) for seed in range(N)]
  traces: list[str] = []
  run = interpret_batch(operations, traces)
  with jax.disable_jit():
    expected = stack(
      [
        define(architecture, *child)
        for architecture, child in zip(architectures, children, strict=True)
      ]
    )
  assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(expected))
  # The second order has other architectures in every place.
  for order in ([0, 1, 2], [1, 2, 0]):
    result = run(
      interpreter.assemble(
        [architectures[i] for i in order], *OPERATIONS[operations]
      ),
      *stack([children[i] for i in order]),
    )
    assert_close(
      result,
      jax.tree.map(lambda leaf: leaf[np.array(order)], expected),  # noqa: B023
    )
  assert traces == [operations]


@pytest.mark.usefixtures('float64')
def test_max_splits_a_tie_in_half_on_both_routes():
  architecture = spaces.parse(
    'max,identity, max,tanh, add,identity, add,identity, 2,0'
  )
  program = jax.tree.map(
    lambda leaf, axis: leaf if axis is None else leaf[0],
    interpreter.assemble([architecture], *OPERATIONS['extended']),
    interpreter.BATCH_AXES,
    is_leaf=lambda leaf: leaf is None,
  )
  memory = jnp.zeros((1, D))
  # Leaf 0 ties; of leaf 1 the recurrent half is larger.
  first, second = jnp.ones((1, D)), jnp.full((1, D), 2.0)
  order = cells.leaf_order(architecture)
  zx = jnp.concatenate([first, first], -1)
  zh = jnp.concatenate([{0: first, 1: second}[leaf] for leaf in order], -1)
  tied = np.repeat([leaf == 0 for leaf in order], D)[None]
  slopes = np.where(tied, 0.5, 1 - np.tanh(2) ** 2)
  for cell, cell_program in (
    (cells.GrammarCell(architecture=architecture, features=D), None),
    (make_cell(program, 'extended'), program),
  ):

    def total(zx, zh, combine=cell.combine, cell_program=cell_program):
      return jnp.sum(combine(cell_program, zx, zh, memory)[1])

    grad_zx, grad_zh = jax.jit(jax.grad(total, argnums=(0, 1)))(zx, zh)
    np.testing.assert_allclose(grad_zx, np.where(tied, 0.5, 0))
    np.testing.assert_allclose(grad_zh, slopes, rtol=1e-12)


def decode_all(space, tokens):
  return [space.decode(row) for row in tokens]


def outputs_of(base, operations, tokens):
  """Returns c and h after a step from one carry, `[len(tokens), 2 * B * D]`.

  The weights follow the leaves, so that only the architectures differ.
  """
  space = spaces.make_space(base, *OPERATIONS[operations])
  rng = np.random.default_rng(base)
  wx = rng.normal(size=(base, INPUTS, D))
  wh = rng.normal(size=(base, D, D))
  carry = rng.normal(size=(B, D)), rng.normal(size=(B, D))
  x = rng.normal(size=(B, INPUTS))
  architectures = decode_all(space, tokens)
  orders = np.array([cells.leaf_order(a) for a in architectures])
  zx, zh = (
    np.moveaxis((value @ weights)[orders], 1, 2).reshape(len(tokens), B, -1)
    for value, weights in ((x, wx), (carry[1], wh))
  )

  def run(program, zx, zh):
    cell = make_cell(program, operations)
    hidden, memory = cell.combine(program, zx, zh, carry[0])
    return jnp.concatenate([hidden.ravel(), memory.ravel()])

  return np.asarray(
    jax.jit(jax.vmap(run, in_axes=(interpreter.BATCH_AXES, 0, 0)))(
      interpreter.assemble(architectures, *OPERATIONS[operations]), zx, zh
    )
  )


@pytest.mark.usefixtures('float64')
@pytest.mark.parametrize(
  ('base', 'operations', 'num_settings'),
  [(2, 'paper', 24), (2, 'extended', 24), (4, 'extended', 12)],
)
def test_every_two_choices_of_a_decision_differ(base, operations, num_settings):
  space = spaces.make_space(base, *OPERATIONS[operations])
  rng = np.random.default_rng(base)
  settings = [random_tokens(rng, space) for _ in range(num_settings)]
  # What comes after a decision, in the order decision, setting, choice.
  tokens = []
  for position, decision in enumerate(space.decisions):
    for setting in settings:
      for choice in range(decision.num_choices):
        tokens.append(setting.copy())
        tokens[-1][position] = choice
  outputs = outputs_of(base, operations, tokens)
  start = 0
  for decision in space.decisions:
    stop = start + num_settings * decision.num_choices
    values = outputs[start:stop].reshape(num_settings, -1, 2 * B * D)
    start = stop
    for first, second in itertools.combinations(range(decision.num_choices), 2):
      difference = np.abs(values[:, first] - values[:, second]).max()
      assert difference > 1e-3, (decision.name, first, second)


def test_a_child_that_is_not_finite_leaves_its_neighbors_alone():
  architectures = random_cells(5, 2, 'paper')
  children = stack([random_arguments(seed, 2, np.float32) for seed in range(N)])
  run = interpret_batch('paper')
  program = interpreter.assemble(architectures)
  expected = jax.tree.leaves(run(program, *children))
  for value in (np.nan, np.inf, 3e38):
    damaged = jax.tree.map(lambda leaf: leaf.at[1].set(value), children)  # noqa: B023
    result = jax.tree.leaves(run(program, *damaged))
    assert not all(np.isfinite(leaf[1]).all() for leaf in result)
    for leaf, expected_leaf in zip(result, expected, strict=True):
      np.testing.assert_array_equal(leaf[0], expected_leaf[0])
      np.testing.assert_array_equal(leaf[2], expected_leaf[2])


def test_assemble_lays_cells_out_in_half_order():
  # Injection moves leaf 1, with its parent's first place, to the front.
  cell = spaces.parse(
    'add,tanh, elem_mult,relu, add,sigmoid, max,sin,'
    'add,identity, elem_mult,tanh, max,sigmoid, max,relu, 5,1'
  )
  program = interpreter.assemble([cell, cell], *OPERATIONS['extended'])
  # Leaves 1, 2 or 3, 0, 3 or 2; then node 4, node 5, the root.
  np.testing.assert_array_equal(
    program.combiners[0, [0, 2, 4, 5, 6]], [1, 0, 0, 1, 2]
  )
  np.testing.assert_array_equal(
    program.activations[1, [0, 2, 4, 5, 6]], [3, 1, 0, 1, 2]
  )
  assert {*program.combiners[0, [1, 3]]} == {0, 2}
  assert program.inject_combiner.tolist() == [2, 2]
  assert program.inject_activation.tolist() == [3, 3]
  assert program.read_index.tolist() == [5, 5]
  assert program.inject_index.tolist() == [0, 0]
  assert {leaf.dtype.name for leaf in program[:-1]} == {'int32'}
  assert program.one.shape == ()


@pytest.mark.parametrize(
  ('names', 'bases'),
  [([], r'\[\]'), (['nascell', 'paper_example'], r'\[2, 8\]')],
)
def test_a_batch_has_one_base_number(names, bases):
  with pytest.raises(ValueError, match=f'one base number, got {bases}'):
    interpreter.assemble([spaces.KNOWN_CELLS[name] for name in names])


@pytest.mark.parametrize(
  ('names', 'message'),
  [
    (
      'add,tanh, max,relu, add,relu, add,tanh, 1,0',
      r"combiner 'max', which is not among combiners=\('add', 'elem_mult'\)",
    ),
    (
      'add,tanh, add,relu, add,relu, max,tanh, 1,0',
      "combiner 'max', which is not among",
    ),
    (
      'add,tanh, add,relu, add,sin, add,tanh, 1,0',
      r"activation 'sin', which is not among activations=\('identity', 'tanh'",
    ),
    (
      'add,tanh, add,relu, add,relu, add,sin, 1,0',
      "activation 'sin', which is not among",
    ),
  ],
)
def test_an_operation_that_is_not_declared_is_refused(names, message):
  plain = spaces.KNOWN_CELLS['paper_example']
  with pytest.raises(ValueError, match=message):
    interpreter.assemble([plain, spaces.parse(names)])
  interpreter.assemble([plain, spaces.parse(names)], *OPERATIONS['extended'])


def combined(architecture, zx, zh, memory):
  """Returns h and c of one unit on both routes, by leaf; and slopes of zx."""
  program = jax.tree.map(
    lambda leaf, axis: leaf if axis is None else leaf[0],
    interpreter.assemble([architecture]),
    interpreter.BATCH_AXES,
    is_leaf=lambda leaf: leaf is None,
  )
  order = np.array(cells.leaf_order(architecture))
  zx, zh = (jnp.asarray(z, jnp.float32)[None, order] for z in (zx, zh))
  memory = jnp.full((1, 1), memory, jnp.float32)
  for cell, cell_program in (
    (cells.GrammarCell(architecture=architecture, features=1), None),
    (make_cell(program, 'paper').clone(features=1), program),
  ):

    def run(zx, combine=cell.combine, cell_program=cell_program):
      return combine(cell_program, zx, zh, memory)

    hidden, vjp, read = jax.vjp(run, zx, has_aux=True)
    (slope,) = vjp(jnp.ones((1, 1)))
    yield hidden[0, 0], read[0, 0], slope[0, np.argsort(order)]


def test_a_rectifier_passes_a_nan_on_as_in_the_definition():
  # The root multiplies 0, of 1e38 - 1e38, by the infinity of 3e38 + 3e38.
  architecture = spaces.parse(
    'add,identity, add,relu, elem_mult,relu, add,identity, 1,0'
  )
  for hidden, memory, _ in combined(
    architecture, (1e38, 3e38), (0, 3e38), -1e38
  ):
    assert np.isnan(hidden)
    assert np.isposinf(memory)


@pytest.mark.parametrize('value', [-1.0, 0.0, 2.0])
def test_a_rectifier_has_the_slopes_of_the_definition(value):
  architecture = spaces.parse(
    'add,relu, add,identity, add,identity, add,identity, 1,2'
  )
  for hidden, _, slopes in combined(architecture, (value, 3), (0, 0), 0):
    assert hidden == max(value, 0) + 3
    np.testing.assert_array_equal(slopes, [value > 0, 1])


def test_a_sum_that_saturates_keeps_its_gradient_finite():
  """A sum's slope is 1 in both operands, whatever the other one is."""

  def root(first, second):
    total = interpreter.Selections(*OPERATIONS['paper'], False).combine(
      jnp.array(0), first, second
    )
    return jax.nn.sigmoid(total)

  value, grads = jax.value_and_grad(root, (0, 1))(jnp.inf, 3.0)
  assert value == 1
  np.testing.assert_array_equal(grads, 0.0)


@pytest.mark.parametrize('code', [0, 1])
def test_a_combiner_has_the_slopes_of_the_definition(code):
  def combine(first, second):
    return interpreter.Selections(*OPERATIONS['paper'], False).combine(
      jnp.array(code), first, second
    )

  value, grads = jax.value_and_grad(combine, (0, 1))(2.5, -0.3)
  operation = (np.add, np.multiply)[code]
  assert value == operation(np.float32(2.5), np.float32(-0.3))
  np.testing.assert_array_equal(
    grads, (np.float32(-0.3), np.float32(2.5)) if code else (1.0, 1.0)
  )
