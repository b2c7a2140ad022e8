# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import functools

import jax
import numpy as np
import pytest

from jaxnas.children import recurrent_interpreter as interpreter
from jaxnas.datasets import text
from jaxnas.spaces import recurrent_cell as spaces
from jaxnas.trainers import shared as shared_trainer
from jaxnas.training import dataset_tasks, shared, text_task

M = 4
SPACE = spaces.make_space(2)


@pytest.fixture(autouse=True, scope='module')
def quick_compilation():
  # XLA's optimizations do not change what is tested here, and they are most of
  # the time that it takes.
  jax.config.update('jax_disable_most_optimizations', True)
  yield
  jax.config.update('jax_disable_most_optimizations', False)


@functools.cache
def make_task():
  tasks = dataset_tasks.TextTasks(text.load('pydoc', vocab_size=20), 3, 4)
  return tasks.make_shared(
    text_task.Recipe(features=4),
    interpreter.InterpretedCell,
    spaces.KNOWN_CELLS['paper_example'],
    0.01,
    interpreter.assemble,
    interpreter.BATCH_AXES,
  )


@functools.cache
def make_trainer(num_devices=2, block_size=2, num_children=M):
  return shared_trainer.SharedTrainer(
    make_task(), num_children, block_size, num_devices
  )


def draw(count, seed=0):
  rng = np.random.default_rng(seed)
  return [
    SPACE.decode(
      np.array([rng.integers(d.num_choices) for d in SPACE.decisions])
    )
    for _ in range(count)
  ]


def draw_steps(num_steps):
  cells = draw(M * num_steps)
  return [cells[M * step : M * (step + 1)] for step in range(num_steps)]


def assert_equal(first, second):
  jax.tree.map(np.testing.assert_array_equal, first, second)


def test_steps_are_the_tasks_own_in_their_order():
  task, trainer, steps = make_task(), make_trainer(), draw_steps(3)
  state = trainer.init(jax.random.key(0))
  found = trainer.train(state, steps)
  step = jax.jit(functools.partial(shared.train, task))
  for cells in steps:
    state = step(task.train_data, state, task.assemble(cells))
  assert found.num_steps == state.num_steps == 3
  assert found.num_dropped == state.num_dropped
  jax.tree.map(
    # One device's sums of products may be in another order.
    lambda x, y: np.testing.assert_allclose(x, y, rtol=0, atol=1e-5),
    (found.params, found.carry),
    (state.params, state.carry),
  )


def test_steps_may_be_cut_anywhere():
  trainer, steps = make_trainer(), draw_steps(3)
  state = trainer.init(jax.random.key(0))
  whole = trainer.train(state, steps)
  first = jax.device_get(trainer.train(state, steps[:1]))
  assert_equal(trainer.train(first, steps[1:]), whole)
  assert trainer.train(whole, []) is whole


@pytest.mark.slow
def test_results_do_not_depend_on_the_number_of_devices():
  steps, cells = draw_steps(3), draw(5, seed=1)
  found = []
  for num_devices in (1, 2):
    trainer = make_trainer(num_devices)
    state = trainer.train(trainer.init(jax.random.key(0)), steps)
    losses = trainer.losses(state.params, cells)
    found.append(jax.device_get((state, losses)))
  jax.tree.map(
    # Products of matrices of more children may be summed in another order.
    lambda x, y: np.testing.assert_allclose(x, y, rtol=0, atol=1e-6),
    *found,
  )


def test_fewer_children_than_devices_use_fewer():
  trainer = make_trainer(num_children=1)
  state = trainer.init(jax.random.key(0))
  state = trainer.train(state, [draw(1), draw(1)])
  assert state.num_steps == 2
  assert trainer.losses(state.params, draw(3)).shape == (3,)


def test_a_loss_depends_neither_on_its_neighbors_nor_on_its_place():
  trainer, cells = make_trainer(), draw(5)
  params = trainer.init(jax.random.key(0)).params
  followed = []
  losses = trainer.losses(params, cells, follow=followed.append)
  assert losses.dtype == np.float32
  assert followed == [2, 4, 5]
  assert len(set(losses.tolist())) == 5
  np.testing.assert_array_equal(
    trainer.losses(params, cells[::-1])[::-1], losses
  )
  other = trainer.losses(params, cells, 'report')
  assert (other != losses).all()
  assert (trainer.losses(params, cells, number=1) != losses).all()
  assert trainer.losses(params, []).shape == (0,)


def test_measuring_a_whole_split():
  trainer, cells = make_trainer(), draw(3)
  params = trainer.init(jax.random.key(0)).params
  ((name, values),) = trainer.measure(params, cells).items()
  assert name == 'perplexity'
  # Untrained weights know next to nothing of 20 words.
  np.testing.assert_allclose(values, 20, rtol=0.05)


def test_other_architectures_minibatches_and_steps_are_the_same_program():
  trainer = make_trainer()
  state = trainer.init(jax.random.key(0))
  trainer.train(state, draw_steps(2))
  trainer.losses(state.params, draw(1))
  before = trainer.compile_seconds
  trainer.train(state, draw_steps(1))
  trainer.losses(state.params, draw(4, seed=2), number=2)
  trainer.losses(state.params, draw(1), 'report')
  assert trainer.compile_seconds == before > 0
  assert trainer.run_seconds > 0


def test_what_cannot_be_done_is_said():
  trainer = make_trainer()
  state = trainer.init(jax.random.key(0))
  with pytest.raises(ValueError, match='A step trains 4 children, got 3'):
    trainer.train(state, [draw(3)])
  with pytest.raises(ValueError, match="has no split 'test'"):
    trainer.losses(state.params, draw(1), 'test')
  with pytest.raises(ValueError, match=r'minibatches 0 to \d+, got -1'):
    trainer.losses(state.params, draw(1), number=-1)
  with pytest.raises(ValueError, match='num_children must be at least 1'):
    make_trainer(num_children=0)
