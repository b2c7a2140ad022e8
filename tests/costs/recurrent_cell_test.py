# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import functools

import jax
import jax.numpy as jnp
import pytest

from jaxnas.children import recurrent_cell as cells
from jaxnas.costs import extremes, latency
from jaxnas.costs import recurrent_cell as costs
from jaxnas.spaces import recurrent_cell as spaces
from jaxnas.training import text_task

NAMES = ('paper_example', 'nascell')
FEATURES, VOCAB, BATCH = 6, 11, 3


@pytest.mark.parametrize('name', NAMES)
def test_counts_are_those_of_the_compiled_forward_pass(name):
  cell = spaces.KNOWN_CELLS[name]
  # One token, in which XLA's count has no loop whose length it ignores.
  program = costs.Model(VOCAB, FEATURES).program(cell, 1, BATCH)
  compiled = jax.jit(program.function).lower(*program.arguments).compile()
  counted = compiled.cost_analysis()
  model = costs.Model(VOCAB, FEATURES)
  assert counted['transcendentals'] == BATCH * model.num_transcendentals(cell)
  # What is no product with a weight: a combiner for every node and the
  # injection, one operation of a ReLU, three of a sigmoid, the bias, and three
  # operations on the index of the token.
  activations = (*cell.activations, cell.inject_activation)
  each_unit = (
    2 * cell.base + activations.count('relu') + 3 * activations.count('sigmoid')
  )
  rest = FEATURES * each_unit + VOCAB + 3
  products = 2 * model.num_multiply_adds(cell)
  assert counted['flops'] == BATCH * (products + rest)


@pytest.mark.parametrize(
  ('name', 'num_layers', 'is_tied'),
  [('paper_example', 1, False), ('nascell', 2, False), ('lstm', 2, True)],
)
def test_parameters_are_those_of_an_initialized_child(
  name, num_layers, is_tied
):
  cell = spaces.KNOWN_CELLS[name]
  recipe = text_task.Recipe(
    features=FEATURES, num_layers=num_layers, tie_embeddings=is_tied
  )
  make_cell = functools.partial(cells.GrammarCell, architecture=cell)
  model = costs.Model(VOCAB, FEATURES, num_layers, is_tied)
  assert model.num_params(cell) == text_task.num_params(
    recipe, VOCAB, make_cell
  )
  program = model.program(cell, 2, 1)
  leaves = jax.tree.leaves(program.arguments[0])
  assert sum(leaf.size for leaf in leaves) == model.num_params(cell)


def test_layers_cost_alike():
  cell = spaces.KNOWN_CELLS['nascell']
  one, two = (costs.Model(VOCAB, FEATURES, number) for number in (1, 2))
  for name in ('num_multiply_adds', 'num_params', 'num_transcendentals'):
    more = two.costs()[name](cell) - one.costs()[name](cell)
    weights = 2 * 8 * FEATURES**2
    assert more == (13 * FEATURES if name == 'num_transcendentals' else weights)


def test_the_program_reads_all_tokens():
  model = costs.Model(VOCAB, FEATURES)
  program = model.program(spaces.KNOWN_CELLS['paper_example'], 4, 2)
  logits, _ = program.function(*program.arguments)
  assert logits.shape == (4, 2, VOCAB)
  assert jnp.isfinite(logits).all()
  assert latency.measure(program, 3) > 0


@pytest.mark.parametrize(
  ('activations', 'least'), [(('tanh', 'relu'), 0), (('tanh', 'sin'), 4)]
)
def test_the_fewest_are_those_of_all_cells(activations, least):
  space = spaces.make_space(2, ('add',), activations)
  model = costs.Model(VOCAB, FEATURES)
  fewest = model.fewest(space)
  assert fewest['num_transcendentals']() == least * FEATURES
  for name, cost in model.costs().items():
    assert fewest[name]() == extremes.find(space, cost).low
