# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.children import recurrent_interpreter
from jaxnas.spaces import recurrent_cell as spaces
from jaxnas.training import text_curve, text_task
from jaxnas.types import Span

V, T, B = 17, 4, 3
RECIPE = text_task.Recipe(features=5)
CELLS = [
  spaces.parse('add,tanh,add,tanh,add,tanh,add,tanh,1,0'),
  spaces.parse('elem_mult,relu,add,sigmoid,add,identity,add,tanh,0,2'),
]


def make_segments(num_segments, seed):
  tokens = np.random.default_rng(seed).integers(V, size=(2, num_segments, T, B))
  return text_task.Segments(
    *map(jnp.asarray, tokens), jnp.ones(tokens[0].shape)
  )


TRAIN = make_segments(3, 0)
SPLITS = {'validation': make_segments(2, 1), 'report': make_segments(1, 2)}
MAKERS = {
  'curve': functools.partial(text_curve.make_task, fractions=(0.2, 0.5, 1.0)),
  'plain': text_task.make_task,
}


@functools.cache
def run(name, num_steps, learning_rate=0.05):
  """Trains both cells; returns the metrics and the measures afterwards."""
  task = MAKERS[name](
    RECIPE, V, recurrent_interpreter.InterpretedCell, TRAIN, SPLITS,
    assemble=recurrent_interpreter.assemble,
    program_axes=recurrent_interpreter.BATCH_AXES,
  )  # fmt: skip
  programs = recurrent_interpreter.assemble(CELLS)
  axes = (None, recurrent_interpreter.BATCH_AXES, 0, None, None)

  def train(data, program, key, learning_rate, num_steps):
    state = task.init(program, key, learning_rate)
    span = Span(0, num_steps, num_steps)
    state = task.train(data, program, state, key, learning_rate, span)
    return state, task.train_metrics(state)

  children, metrics = jax.jit(jax.vmap(train, axes))(
    task.train_data, programs, jax.random.split(jax.random.key(0), 2),
    learning_rate, num_steps,
  )  # fmt: skip
  measured = {
    split: jax.vmap(task.measure, (None, recurrent_interpreter.BATCH_AXES, 0))(
      segments, programs, children
    )['perplexity']
    for split, segments in task.splits.items()
  }
  return jax.tree.map(np.asarray, (metrics, measured))


@pytest.mark.slow
def test_each_point_is_what_a_training_of_that_length_measures():
  curve, measured = run('curve', 9)
  assert not measured
  assert curve['validation_perplexity'].shape == (2, 3)
  # Points lie at whole steps from 1.8, 4.5 and 9 up.
  for point, num_steps in enumerate((2, 5, 9)):
    _, expected = run('plain', num_steps)
    for split in SPLITS:
      np.testing.assert_allclose(
        curve[f'{split}_perplexity'][:, point], expected[split], rtol=1e-5
      )
  assert curve['num_trained'].tolist() == [9, 9]
  assert curve['is_alive'].all()


def test_a_child_that_died_has_no_perplexity_from_there_on():
  curve, _ = run('curve', 9, learning_rate=3e38)
  assert not curve['is_alive'].any()
  for point, num_steps in enumerate((2, 5, 9)):
    is_dead = curve['num_trained'] < num_steps
    is_nan = np.isnan(curve['validation_perplexity'][:, point])
    np.testing.assert_array_equal(is_nan[is_dead], True)
  assert np.isnan(curve['report_perplexity'][:, -1]).all()


@pytest.mark.parametrize(
  'fractions', [(), (0.5,), (0.5, 0.5, 1.0), (0.0, 1.0), (1.0, 0.5)]
)
def test_fractions_ascend_to_one(fractions):
  with pytest.raises(ValueError, match='must ascend from above 0 to 1'):
    text_curve.make_task(
      RECIPE, V, recurrent_interpreter.InterpretedCell, TRAIN, SPLITS,
      fractions, recurrent_interpreter.BATCH_AXES,
    )  # fmt: skip
