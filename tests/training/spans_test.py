# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A training cut into spans is the training in one, bit for bit.

Held for every task of the package by every trainer that runs tasks.
"""

import functools

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnas.children import conv_net, recurrent_cell, recurrent_interpreter
from jaxnas.spaces import known_conv_nets
from jaxnas.spaces import recurrent_cell as cells
from jaxnas.trainers import blocks, compiled
from jaxnas.training import (
  flax_task,
  image_task,
  long_images,
  long_text,
  text_curve,
  text_task,
)
from jaxnas.training.image_evaluation import Examples

CUT, NUM_STEPS = 64, 256
V = 7
KEYS = jax.random.split(jax.random.key(2), 3)
# The last child dies.
RATES = [0.05, 0.01, 3e38]
SPACE = cells.make_space(2)
CELLS = [
  SPACE.decode(np.full(SPACE.num_tokens, token, np.int32)) for token in (0, 1)
]


def segments(seed):
  tokens = np.random.default_rng(seed).integers(V, size=(2, 5, 3, 2))
  return text_task.Segments(
    *map(jnp.asarray, tokens), jnp.ones(tokens.shape[1:])
  )


def text(make_task, architecture):
  """Makes a task on text, for any cell or, by name, for one."""
  make = functools.partial(
    make_task,
    text_task.Recipe(features=3),
    V,
    train_segments=segments(0),
    splits={'validation': segments(1)},
  )
  if architecture is None:
    return make(
      make_cell=recurrent_interpreter.InterpretedCell,
      assemble=recurrent_interpreter.assemble,
      program_axes=recurrent_interpreter.BATCH_AXES,
    )
  return make(
    make_cell=functools.partial(
      recurrent_cell.GrammarCell, architecture=architecture
    )
  )


def images(architecture):
  """Makes a task on images, augmented and evaluated now and then."""
  del architecture
  generator = np.random.default_rng(0)

  def draw(count):
    pixels = generator.normal(size=(count, 5, 5, 1)).astype(np.float32)
    return pixels, generator.integers(3, size=count).astype(np.int32)

  # No multiple of the batch, an epoch or an evaluation is the cut.
  return image_task.make_task(
    image_task.Recipe(
      batch_size=4,
      schedule='cosine',
      augmentation='pad_crop',
      margin=1,
      flip=True,
      evaluate_every=9,
      num_evaluations=3,
      evaluation_batch_size=4,
    ),
    lambda _: conv_net.make_network(
      known_conv_nets.make_chain(1), (5, 5, 1), 3
    ),
    image_task.TrainData(*draw(14), *draw(6)),
    {'validation': Examples(*draw(6))},
  )


def long_images_of(architecture):
  """Makes the task of a long training on the same images."""
  task = images(architecture)
  return long_images.make_task(
    image_task.Recipe(batch_size=4, schedule='cosine', flip=True),
    conv_net.make_network(known_conv_nets.make_chain(1), (5, 5, 1), 3),
    task.train_data,
    task.splits,
  )


def long_text_of(architecture):
  """Makes the task of a long training on text, with dropout."""
  return long_text.make_task(
    long_text.Recipe(features=3, num_layers=1, dropout_rate=0.3),
    V,
    architecture,
    segments(0),
    {'validation': segments(1)},
  )


class Net(nn.Module):
  """A network with running averages and noise."""

  @nn.compact
  def __call__(self, inputs, train):
    values = nn.BatchNorm(use_running_average=not train)(nn.Dense(4)(inputs))
    return nn.Dense(2)(nn.Dropout(0.2, deterministic=not train)(values))


def arrays(architecture):
  """Makes a task on arrays."""
  del architecture
  generator = np.random.default_rng(0)

  def draw(count):
    values = generator.normal(size=(count, 3)).astype(np.float32)
    return values, (values[:, 0] > 0).astype(np.int32)

  return flax_task.make_task(
    Net(),
    {'train': draw(23), 'validation': draw(9)},
    optax.softmax_cross_entropy_with_integer_labels,
    {'accuracy': lambda outputs, labels: outputs.argmax(-1) == labels},
    batch_size=5,
  )


TASKS = {
  'text_task': functools.partial(text, text_task.make_task),
  'text_curve': functools.partial(
    text,
    # The cut is between two points, and a point is on no whole step.
    functools.partial(text_curve.make_task, fractions=(0.1, 0.3, 1.0)),
  ),
  'image_task': images,
  'flax_task': arrays,
  'long_images': long_images_of,
  'long_text': long_text_of,
}
CASES = [
  (task, kind)
  for task in TASKS
  for kind in ('vmap', 'loop', 'compiled')
  # Long trainings are of one child.
  if not task.startswith('long_') or kind == 'compiled'
]


def make_trainer(task, kind):
  make = TASKS[task]
  if kind == 'compiled':
    return compiled.CompiledTrainer(make, 3, 1)
  return blocks.BlockTrainer(make(None), 2, 1, mapping=kind)


def assert_equal(first, second):
  jax.tree.map(np.testing.assert_array_equal, first, second)


@pytest.mark.parametrize(('task', 'kind'), CASES)
def test_64_steps_and_then_192_are_256(task, kind):
  trainer = make_trainer(task, kind)
  splits = () if task == 'text_curve' else ('validation',)
  children = CELLS[0], CELLS[1], CELLS[0]
  if kind == 'compiled':
    # A program serves one child alone.
    children = (CELLS[1],) * 3
  run = functools.partial(
    trainer.run, children, KEYS, RATES, NUM_STEPS, splits=splits, keep=True
  )
  whole, first = run(), run(stop=CUT)
  assert first.metrics['num_trained'].max() == CUT
  assert whole.metrics['num_trained'].max() == NUM_STEPS
  rest = trainer.resume(first.kept, splits=splits, keep=True)
  assert_equal(rest.metrics, whole.metrics)
  assert_equal(rest.status, whole.status)
  assert_equal(rest.kept.states, whole.kept.states)
  # What was kept stays as it was, also where its arrays are on a device.
  again = first.kept._replace(states=jax.device_put(first.kept.states))
  for _ in range(2):
    assert_equal(trainer.resume(again, splits=splits).metrics, whole.metrics)
