# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A long training of one classifier of images, epoch after epoch.

A training of `image_task` in pieces, each within an epoch, that also tells the
mean loss of an epoch. Whoever calls it evaluates between the pieces. A step
depends on the state and the key alone, so a training ends in the same bits
however it is divided into calls.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnas.children.network import Network
from jaxnas.training import augmentation, image_evaluation, image_task
from jaxnas.training.image_evaluation import Examples

_NEVER = 2**31 - 1


class Averages(NamedTuple):
  """The running averages of a network, and what its epoch has cost so far.

  Attributes:
    batch_stats: those of batch norm.
    loss: sum over the batches of this epoch of the mean loss of an image, nats.
      A scalar.
  """

  batch_stats: Any
  loss: jax.Array


def make_schedule(
  recipe: image_task.Recipe, learning_rate: float, num_steps: int
) -> Callable[[int], float]:
  """Makes the schedule of the learning rate: steps taken to rate.

  Args:
    recipe: how it falls.
    learning_rate: before the schedule.
    num_steps: how long the whole training is.
  """
  schedule = image_task.SCHEDULES[recipe.schedule]

  def rate(step):
    # In the precision of the training, where a drop is at one certain step.
    done = jnp.int32(step) / jnp.int32(num_steps)
    return float(learning_rate * schedule(done))

  return rate


def init(
  network: Network,
  recipe: image_task.Recipe,
  key: jax.Array,
) -> image_task.TrainState:
  """Returns an untrained child, whose `batch_stats` are `Averages`.

  Args:
    network: the child's network.
    recipe: how it is trained.
    key: decides the parameters.
  """
  return image_task.init(_add_loss(network), _silent(recipe), key)


def train(
  network: Network,
  recipe: image_task.Recipe,
  state: image_task.TrainState,
  data: image_task.TrainData,
  key: jax.Array,
  learning_rate: jax.typing.ArrayLike,
  num_epochs: jax.typing.ArrayLike,
  num_steps: jax.typing.ArrayLike,
) -> image_task.TrainState:
  """Trains for some steps of one epoch.

  Args:
    network: the child's network.
    recipe: how it is trained.
    state: the child so far, as from `init`.
    data: what it is trained on.
    key: of the whole training.
    learning_rate: before the schedule, a scalar.
    num_epochs: how long the whole training is; may be traced.
    num_steps: how many steps to take, from where the state stands; may be
      traced.
  """
  epoch_steps = len(data.images) // recipe.batch_size
  start, averages = state.num_trained, state.child.batch_stats
  loss = jnp.where(start % epoch_steps == 0, 0, averages.loss)
  child = state.child._replace(batch_stats=averages._replace(loss=loss))
  return image_task.train(
    _add_loss(network),
    _silent(recipe),
    state._replace(child=child),
    data,
    key,
    learning_rate,
    num_epochs * epoch_steps,
    start,
    start + num_steps,
  )


def finished_child(state: image_task.TrainState) -> image_task.Child:
  """Returns a state's child with the running averages of batch norm alone."""
  params, averages = state.child
  return image_task.Child(params, averages.batch_stats)


def accuracy(
  network: Network,
  recipe: image_task.Recipe,
  child: image_task.Child,
  examples: Examples,
) -> jax.Array:
  """Returns the accuracy of a child, as it is to see images.

  Args:
    network: the child's network.
    recipe: decides the view of an image.
    child: from `finished_child`.
    examples: preprocessed images, and their classes.
  """

  def predict(images):
    views = augmentation.centre(images, recipe.augmentation, recipe.margin)
    return network.predict(*child, views)

  return image_evaluation.evaluate(
    predict, examples, recipe.evaluation_batch_size
  )['accuracy']


def _silent(recipe: image_task.Recipe) -> image_task.Recipe:
  """Returns the recipe without evaluations but one at the end."""
  return dataclasses.replace(recipe, evaluate_every=_NEVER, num_evaluations=1)


def _add_loss(network: Network) -> Network:
  """Returns the network whose running averages are `Averages`."""

  def init(key):
    params, batch_stats = network.init(key)
    return params, Averages(batch_stats, jnp.zeros((), jnp.float32))

  def loss_and_grad(params, averages, images, labels):
    loss, batch_stats, grads = network.loss_and_grad(
      params, averages.batch_stats, images, labels
    )
    return loss, Averages(batch_stats, averages.loss + loss), grads

  def predict(params, averages, images):
    return network.predict(params, averages.batch_stats, images)

  return network._replace(
    init=init, loss_and_grad=loss_and_grad, predict=predict
  )
