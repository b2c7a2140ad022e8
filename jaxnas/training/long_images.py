# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The task of a long training of one image classifier.

It is `image_task` without evaluations during training: the caller measures
between two spans. Training reports the loss of each epoch instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import dataclasses

import jax
import jax.numpy as jnp

from jaxnas.children import conv_net
from jaxnas.children.network import Network
from jaxnas.training import image_task
from jaxnas.training.image_evaluation import Examples
from jaxnas.types import Task

_NEVER = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class Recipe(image_task.Recipe):
  """The recipe for building a network and training it for many epochs.

  Attributes:
    batch_norm_epsilon: the number that batch norm adds to variances.
  """

  batch_norm_epsilon: float = conv_net.EPSILON

  def __post_init__(self):
    super().__post_init__()
    if not 0 < self.batch_norm_epsilon < float('inf'):
      raise ValueError(
        'batch_norm_epsilon must be positive and finite, got '
        f'{self.batch_norm_epsilon}.'
      )


def make_schedule(
  recipe: image_task.Recipe, learning_rate: float, num_steps: int
) -> Callable[[int], float]:
  """Makes the learning-rate schedule, a function of the steps taken.

  Args:
    recipe: the recipe, whose `schedule` is used.
    learning_rate: the learning rate before the schedule.
    num_steps: the length of the whole training.
  """
  schedule = image_task.make_schedule(recipe)

  def rate(step):
    # The precision of the training, so that a drop falls on the same step.
    done = jnp.int32(step) / jnp.int32(num_steps)
    return float(learning_rate * schedule(done))

  return rate


def make_task(
  recipe: image_task.Recipe,
  network: Network,
  train_data: image_task.TrainData,
  splits: Mapping[str, Examples],
) -> Task:
  """Makes the task of training one network for many epochs.

  Args:
    recipe: the recipe, without its evaluations during training.
    network: the network.
    train_data: the images to train on.
    splits: the images to measure on, by name.

  Returns:
    A task that measures `accuracy` and `loss`, and whose training reports
    `epoch_loss`, the sum of the losses of the epoch's steps so far, in nats,
    `num_trained` and `is_alive`.

  Raises:
    ValueError: there are fewer training images than a batch has, or a split is
      empty.
  """
  silent = dataclasses.replace(recipe, evaluate_every=_NEVER, num_evaluations=1)
  task = image_task.make_task(silent, lambda _: network, train_data, splits)
  return task._replace(train_metrics=train_metrics)


def train_metrics(state: image_task.TrainState) -> dict[str, jax.Array]:
  """Returns what training reports; see `make_task`."""
  return {
    'epoch_loss': state.epoch_loss,
    'num_trained': state.num_trained,
    'is_alive': state.is_alive,
  }
