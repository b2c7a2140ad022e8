# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.children import recurrent_interpreter as interpreter
from jaxnas.spaces import recurrent_cell as spaces
from jaxnas.trainers import mapping
from jaxnas.training import shared, shared_text, text_task

V, D, T, B, S = 17, 5, 4, 3, 2
RATE = 0.05
CELL = spaces.KNOWN_CELLS['paper_example']
# Its values grow without bound.
EXPLOSIVE = spaces.parse(
  'add,identity, add,identity, elem_mult,identity, add,identity, 2,0'
)
SMOOTH = spaces.parse('add,tanh, add,tanh, add,tanh, add,tanh, 1,0')


@pytest.fixture(autouse=True, scope='module')
def quick_compilation():
  # XLA's optimizations do not change what is tested here, and they are most of
  # the time that it takes.
  jax.config.update('jax_disable_most_optimizations', True)
  yield
  jax.config.update('jax_disable_most_optimizations', False)


def make_segments(num_segments, last_weights=1.0):
  tokens = np.arange(num_segments * T * B + 1) % V
  inputs, targets = (
    jnp.asarray(x.reshape(-1, T, B)) for x in (tokens[:-1], tokens[1:])
  )
  weights = jnp.ones(inputs.shape).at[-1, -1].set(last_weights)
  return text_task.Segments(inputs, targets, weights)


TRAIN = make_segments(S)
SPLITS = {'validation': make_segments(2, 0.0), 'report': make_segments(1)}


@functools.cache
def make_task(optimizer='adam'):
  recipe = text_task.Recipe(features=D, optimizer=optimizer, max_grad_norm=0.1)
  return recipe, shared_text.make_task(
    recipe,
    V,
    interpreter.InterpretedCell,
    TRAIN,
    SPLITS,
    CELL,
    RATE,
    interpreter.assemble,
    interpreter.BATCH_AXES,
  )


def row(cell):
  programs = interpreter.assemble([cell])
  return jax.tree.map(lambda leaf: leaf[0] if leaf.ndim else leaf, programs)


def model_of(recipe, cell):
  return text_task.make_program_model(
    recipe, V, interpreter.InterpretedCell, True, row(cell)
  )


@functools.cache
def make_step():
  return jax.jit(functools.partial(shared.train, make_task()[1], TRAIN))


def assert_equal(first, second):
  jax.tree.map(np.testing.assert_array_equal, first, second)


@pytest.mark.parametrize(
  'optimizer', [pytest.param('adam', marks=pytest.mark.slow), 'sgd']
)
def test_one_fixed_cell_is_ordinary_training(optimizer):
  recipe, task = make_task(optimizer)
  key = jax.random.key(3)
  state = shared.init(task, key, 1)
  program = row(CELL)

  @jax.jit
  def ordinary(program, state, num_steps):
    model = text_task.make_program_model(
      recipe, V, interpreter.InterpretedCell, True, program
    )
    return text_task.train(model, recipe, state, TRAIN, RATE, num_steps)

  alone = text_task.init(model_of(recipe, CELL), recipe, key, B)
  assert_equal(state.params, alone.params)
  # Further than the text, which begins again.
  num_steps = 2 * S + 1

  @jax.jit
  def train(programs, state, num_steps):
    # `vmap` makes other products of matrices.
    step = functools.partial(
      shared.train, task, TRAIN, programs=programs, map_children=mapping.alone
    )
    return jax.lax.fori_loop(0, num_steps, lambda _, state: step(state), state)

  state = train(interpreter.assemble([CELL]), state, num_steps)
  alone = ordinary(program, alone, num_steps)
  assert alone.num_trained == num_steps
  carry = jax.tree.map(lambda value: value[0], state.carry)
  found = state.params, state.opt_state.scaling, carry
  expected = alone.params, alone.opt_state[1], alone.carry
  if optimizer == 'sgd':
    assert_equal(found, expected)
    return
  # XLA fuses the products and sums of Adam with others than there, which
  # rounds them differently.
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x, y, rtol=0, atol=1e-7),
    found,
    expected,
  )


def test_each_slot_goes_on_from_its_own_recurrent_state():
  _, task = make_task()
  state = shared.init(task, jax.random.key(0), 2)
  once = make_step()(state, interpreter.assemble([CELL, SMOOTH]))
  carry = once.carry[0][1]
  assert np.abs(carry[0] - carry[1]).max() > 1e-3
  # With what the slots remember exchanged, the next carry is another.
  exchanged = jax.tree.map(lambda value: value[::-1], once.carry)
  programs = interpreter.assemble([SMOOTH, SMOOTH])
  kept = make_step()(once, programs).carry[0][1]
  swapped = make_step()(once._replace(carry=exchanged), programs).carry[0][1]
  assert np.abs(kept - swapped).max() > 1e-6
  # Where the text begins again, nothing is remembered.
  again = make_step()(make_step()(once, programs), programs)
  np.testing.assert_array_equal(again.carry[0][1][0], again.carry[0][1][1])


def test_a_dead_cell_leaves_its_neighbors_alone():
  _, task = make_task()
  state = shared.init(task, jax.random.key(0), 2)
  params = jax.tree.map(lambda leaf: 1e10 * leaf, state.params)
  state = state._replace(params=params)
  both = make_step()(state, interpreter.assemble([CELL, EXPLOSIVE]))
  assert both.num_dropped == 1
  assert not any(leaf[1].any() for leaf in jax.tree.leaves(both.carry))
  twice = make_step()(state, interpreter.assemble([CELL, CELL]))
  assert twice.num_dropped == 0
  # The mean of one gradient, and of the same gradient twice.
  assert_equal(both.params, twice.params)


def test_a_loss_is_the_mean_over_one_segment_from_nothing():
  recipe, task = make_task()
  assert task.num_batches == {'validation': 2, 'report': 1}
  params = shared.init(task, jax.random.key(1), 1).params
  other = spaces.KNOWN_CELLS['paper_example']
  judge = jax.jit(functools.partial(shared.judge, task))
  split = task.splits['validation']
  programs = interpreter.assemble([other, EXPLOSIVE])
  for number in range(2):
    found = judge(split, params, programs, number)['loss']
    for cell, loss in zip((other, EXPLOSIVE), found, strict=True):
      model = model_of(recipe, cell)
      inputs, targets, weights = (x[number] for x in SPLITS['validation'])
      logits, _ = model.apply(
        params, model.initialize_carry(B), inputs, method='logits'
      )
      right = jnp.take_along_axis(
        jax.nn.log_softmax(logits), targets[..., None], -1
      )[..., 0]
      expected = -(weights * right).sum() / weights.sum()
      np.testing.assert_allclose(loss, expected, rtol=1e-5)
  measured = shared.measure(task, split, params, programs)['perplexity']
  for cell, value in zip((other, EXPLOSIVE), measured, strict=True):
    expected = text_task.perplexity(model_of(recipe, cell), params, split)
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_cells_that_are_equal_up_to_swaps_have_equal_losses():
  _, task = make_task()
  params = shared.init(task, jax.random.key(1), 1).params
  cells = [
    spaces.parse('add,tanh, elem_mult,relu, add,sigmoid, add,tanh, 1,0'),
    spaces.parse('elem_mult,relu, add,tanh, add,sigmoid, add,tanh, 0,1'),
    spaces.parse('elem_mult,relu, add,tanh, add,sigmoid, add,tanh, 0,0'),
  ]
  first, second, third = shared.judge(
    task, task.splits['report'], params, task.assemble(cells), 0
  )['loss']
  assert first == second != third


@pytest.mark.parametrize('rate', [0.0, -1.0, np.nan])
def test_a_learning_rate_is_positive(rate):
  with pytest.raises(ValueError, match='learning_rate must be positive, got'):
    shared_text.make_task(
      text_task.Recipe(), V, interpreter.InterpretedCell, TRAIN, SPLITS, CELL,
      rate, interpreter.assemble, interpreter.BATCH_AXES,
    )  # fmt: skip
