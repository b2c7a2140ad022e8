# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0


import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnas.children.network import Network
from jaxnas.training import image_task, long_images
from jaxnas.training.image_evaluation import Examples
from jaxnas.types import Span

NUM_EPOCHS = 4
EPOCH_STEPS = 5
RATE = jnp.float32(0.5)
KEY = jax.random.key(0)


def make_linear():
  """A classifier by its pixels, which counts its batches."""

  def init(key):
    return jax.random.normal(key, (4, 3)), jnp.zeros(())

  def predict(params, count, images):
    return images.reshape(len(images), -1) @ params

  def loss_and_grad(params, count, images, labels):
    def loss(params):
      return optax.losses.softmax_cross_entropy_with_integer_labels(
        predict(params, count, images), labels
      ).mean()

    value, grads = jax.value_and_grad(loss)(params)
    return value, count + 1, grads

  return Network(init, loss_and_grad, predict)


@pytest.fixture(scope='module')
def data():
  images = jax.random.normal(KEY, (22, 2, 2, 1))
  labels = images.reshape(22, 4).argmax(1) % 3
  return image_task.TrainData(images, labels, images[:6], labels[:6])


def make_task(recipe, network, data):
  """Returns the task, an untrained child and the jitted training."""
  splits = {'report': Examples(data.images, data.labels)}
  task = long_images.make_task(recipe, network, data, splits)

  @jax.jit
  def train(state, start, stop):
    span = Span(start, stop, NUM_EPOCHS * EPOCH_STEPS)
    return task.train(task.train_data, None, state, KEY, RATE, span)

  return task, task.init(None, KEY, RATE), train


def rates(recipe):
  schedule = long_images.make_schedule(recipe, RATE, NUM_EPOCHS * EPOCH_STEPS)
  return [schedule(step) for step in range(NUM_EPOCHS * EPOCH_STEPS)]


def test_spans_are_the_training_and_tell_the_loss_of_an_epoch(data):
  recipe = image_task.Recipe(batch_size=4, flip=True)
  task, state, train = make_task(recipe, make_linear(), data)
  losses, start = [], 0
  for num_steps in (2, 3, 5, 1, 4):
    single = state
    for step in range(start, start + num_steps):
      single = train(single, step, step + 1)
      losses.append(float(single.loss))
    state = train(state, start, start + num_steps)
    jax.tree.map(np.testing.assert_array_equal, state, single)
    start += num_steps
    done = losses[(start - 1) // EPOCH_STEPS * EPOCH_STEPS :]
    metrics = task.train_metrics(state)
    np.testing.assert_allclose(metrics['epoch_loss'], sum(done), rtol=1e-5)
    assert metrics['num_trained'] == start
  assert set(metrics) == {'epoch_loss', 'num_trained', 'is_alive'}
  # The running averages are the network's alone.
  assert state.child.batch_stats == 15
  logits = data.images.reshape(22, 4) @ state.child.params
  np.testing.assert_allclose(
    task.measure(task.splits['report'], None, state)['accuracy'],
    (logits.argmax(1) == data.labels).mean(),
    rtol=1e-6,
  )


@pytest.mark.parametrize('value', [0.0, -1e-5, float('nan'), float('inf')])
def test_a_bad_epsilon_is_refused(value):
  with pytest.raises(ValueError, match='batch_norm_epsilon must be positive'):
    long_images.Recipe(batch_norm_epsilon=value)


def test_the_rate_that_is_told_is_the_one_of_the_training(data):
  # A step without momentum moves the parameters by the rate times the gradient.
  recipe = image_task.Recipe(batch_size=4, momentum=0.0, weight_decay=0.0)
  ones = make_linear()._replace(
    loss_and_grad=lambda params, count, images, labels: (
      jnp.zeros(()),
      count,
      jnp.ones_like(params),
    )
  )
  _, state, train = make_task(recipe, ones, data)
  moved = []
  for step in range(NUM_EPOCHS * EPOCH_STEPS):
    new = train(state, step, step + 1)
    moved.append(float((state.child.params - new.child.params).mean()))
    state = new
  np.testing.assert_allclose(moved, rates(recipe), rtol=1e-3, atol=1e-6)
  assert moved[9] > 9 * moved[10] > 0
