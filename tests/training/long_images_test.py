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

NUM_EPOCHS = 4
EPOCH_STEPS = 5


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
def setup():
  key = jax.random.key(0)
  images = jax.random.normal(key, (22, 2, 2, 1))
  labels = images.reshape(22, 4).argmax(1) % 3
  data = image_task.TrainData(images, labels, images[:6], labels[:6])
  recipe = image_task.Recipe(batch_size=4, flip=True)
  return make_linear(), recipe, data, key


def rates(setup):
  _, recipe, _, _ = setup
  schedule = long_images.make_schedule(recipe, 0.5, NUM_EPOCHS * EPOCH_STEPS)
  return [schedule(step) for step in range(NUM_EPOCHS * EPOCH_STEPS)]


def test_pieces_are_the_training_and_tell_the_loss_of_an_epoch(setup):
  network, recipe, data, key = setup
  state = long_images.init(network, recipe, key)
  whole = image_task.init(network, recipe, key)

  @jax.jit
  def train(state, num_steps):
    return long_images.train(
      network, recipe, state, data, key, 0.5, NUM_EPOCHS, num_steps
    )

  @jax.jit
  def train_one(state, start):
    return image_task.train(
      network, recipe, state, data, key, 0.5, 20, start, start + 1
    )

  losses = []
  for num_steps in (0, 2, 3, 5, 1, 4):
    state = train(state, num_steps)
    for _ in range(num_steps):
      whole = train_one(whole, whole.num_trained)
      losses.append(float(whole.loss))
    if len(losses) % EPOCH_STEPS == 0:
      np.testing.assert_allclose(
        state.child.batch_stats.loss, sum(losses[-EPOCH_STEPS:]), rtol=1e-5
      )
  assert int(state.num_trained) == 15
  # Cut elsewhere, it is the same to the bit.
  other = long_images.init(network, recipe, key)
  for num_steps in (1, 4, 3, 2, 5):
    other = train(other, num_steps)
  jax.tree.map(np.testing.assert_array_equal, other, state)
  child = long_images.finished_child(state)
  np.testing.assert_allclose(child.params, whole.child.params, rtol=1e-5)
  assert child.batch_stats == whole.child.batch_stats == 15
  examples = Examples(data.images, data.labels)
  logits = data.images.reshape(22, 4) @ child.params
  np.testing.assert_allclose(
    long_images.accuracy(network, recipe, child, examples),
    (logits.argmax(1) == data.labels).mean(),
    rtol=1e-6,
  )


def test_the_rate_that_is_told_is_the_one_of_the_training(setup):
  # A step without momentum moves the parameters by the rate times the gradient.
  network, _, data, key = setup
  recipe = image_task.Recipe(batch_size=4, momentum=0.0, weight_decay=0.0)
  ones = network._replace(
    loss_and_grad=lambda params, count, images, labels: (
      jnp.zeros(()),
      count,
      jnp.ones_like(params),
    )
  )
  state = long_images.init(ones, recipe, key)
  train = jax.jit(
    lambda state: long_images.train(
      ones, recipe, state, data, key, 0.5, NUM_EPOCHS, 1
    )
  )
  moved = []
  for _ in range(NUM_EPOCHS * EPOCH_STEPS):
    new = train(state)
    moved.append(float((state.child.params - new.child.params).mean()))
    state = new
  np.testing.assert_allclose(moved, rates(setup), rtol=1e-3, atol=1e-6)
  assert moved[9] > 9 * moved[10] > 0
