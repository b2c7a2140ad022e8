# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The proxy task for images: a short training and its best accuracy.

Everything is a pure function of one child, which a trainer maps over many, at
once or one after another. A whole training is one loop over data on the device.

Letters: `B` images in a batch of `H` x `W` pixels and `C` channels, `n` images
in a data set, `K` classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import functools
from typing import Any, NamedTuple

import chex
import jax
from jax import lax
import jax.numpy as jnp
import optax

from jaxnas.children import network as network_lib
from jaxnas.children.network import Network
from jaxnas.training import augmentation, epochs, guard, image_evaluation
from jaxnas.training.image_evaluation import Examples
from jaxnas.types import Span, Task


class TrainData(NamedTuple):
  """The data that a training uses.

  Attributes:
    images: the training images, `float32[n, H, W, C]`, without padding.
    labels: the labels of the training images, `int32[n]`.
    validation_images: the images that the child is evaluated on during
      training; their `n` may differ.
    validation_labels: the labels of the validation images, `int32[n]`; -1 marks
      padding, which is ignored.
  """

  images: jax.Array
  labels: jax.Array
  validation_images: jax.Array
  validation_labels: jax.Array


SCHEDULES = ('constant', 'cosine', 'step')


@dataclasses.dataclass(frozen=True)
class Recipe:
  """How to train a child by gradient descent with Nesterov momentum.

  Except for the augmentation, the defaults are those of "Densely Connected
  Convolutional Networks", Huang et al., 2017 (https://arxiv.org/abs/1608.06993,
  section 4.2), which the paper on architecture search adopts.

  Attributes:
    batch_size: the batch size `B` in training; an epoch has as many whole
      batches as fit.
    momentum: the momentum of the gradient.
    weight_decay: the weight decay, applied to the gradient before the momentum.
      All parameters decay, including biases and those of batch norm, as was
      usual in implementations at the time of the paper.
    schedule: the schedule of the learning rate: `'constant'`, `'cosine'` (to 0)
      or `'step'` (a tenth from `decay_start` on, and a hundredth in the second
      half of what remains).
    decay_start: the fraction of the training after which `'step'` decays.
    augmentation: the kind of augmentation, one of `augmentation.KINDS`.
    margin: the maximum distance of a crop from the center, in pixels.
    flip: whether to mirror each image left to right with probability 1/2.
    evaluate_every: the number of steps between evaluations; 0 for one epoch.
      The last step is always followed by an evaluation.
    num_evaluations: the number of final evaluations of which the best counts.
    evaluation_batch_size: the maximum number of images to evaluate at once.
  """

  batch_size: int = 64
  momentum: float = 0.9
  weight_decay: float = 1e-4
  schedule: str = 'step'
  decay_start: float = 0.5
  augmentation: str = 'none'
  margin: int = 4
  flip: bool = False
  evaluate_every: int = 0
  num_evaluations: int = 5
  evaluation_batch_size: int = 256

  def __post_init__(self):
    for name, least in (
      ('batch_size', 1),
      ('margin', 0),
      ('evaluate_every', 0),
      ('num_evaluations', 1),
      ('evaluation_batch_size', 1),
    ):
      if not getattr(self, name) >= least:
        raise ValueError(
          f'{name} must be at least {least}, got {getattr(self, name)}.'
        )
    if not 0 <= self.momentum < 1:
      raise ValueError(
        f'momentum must be from 0 to below 1, got {self.momentum}.'
      )
    if not 0 < self.decay_start < 1:
      raise ValueError(
        f'decay_start must be above 0 and below 1, got {self.decay_start}.'
      )
    if not 0 <= self.weight_decay < float('inf'):
      raise ValueError(
        f'weight_decay must be finite and at least 0, got {self.weight_decay}.'
      )
    for name, known in (
      ('schedule', SCHEDULES),
      ('augmentation', augmentation.KINDS),
    ):
      if getattr(self, name) not in known:
        raise ValueError(
          f'Unknown {name} {getattr(self, name)!r}; expected one of '
          f'{", ".join(known)}.'
        )


def make_schedule(recipe: Recipe) -> optax.Schedule:
  """Makes the factor of the learning rate by the fraction of steps taken."""
  if recipe.schedule == 'constant':
    return optax.constant_schedule(1.0)
  if recipe.schedule == 'cosine':
    return optax.cosine_decay_schedule(1.0, decay_steps=1)
  first: Any = recipe.decay_start
  drops = {first: 0.1, (1 + first) / 2: 0.1}
  return optax.piecewise_constant_schedule(1.0, drops)


class Child(NamedTuple):
  """A trained network.

  Attributes:
    params: the network's parameters.
    batch_stats: the running averages of its batch norm.
  """

  params: Any
  batch_stats: Any


class TrainState(NamedTuple):
  """A child in training.

  Attributes:
    child: the child's parameters and running averages.
    opt_state: the state of the optimizer.
    is_alive: whether the child is alive, `bool[]`; false from the first loss or
      gradient that is not finite, when the child is frozen.
    num_trained: the number of steps taken while alive, `int32[]`.
    loss: the loss of the last of these steps; NaN before the first.
    epoch_loss: the sum of the losses of the current epoch's steps so far,
      `float32[]`.
    accuracies: the accuracies in the last evaluations, oldest first, 0 for
      those yet to come, `float32[num_evaluations]`.
  """

  child: Child
  opt_state: Any
  is_alive: jax.Array
  num_trained: jax.Array
  loss: jax.Array
  epoch_loss: jax.Array
  accuracies: jax.Array


def init(network: Network, recipe: Recipe, key: jax.Array) -> TrainState:
  """Returns an untrained child."""
  child = Child(*network.init(key))
  return TrainState(
    child=child,
    opt_state=_optimizer(network, recipe).init(child.params),
    is_alive=jnp.array(True),
    num_trained=jnp.array(0, jnp.int32),
    loss=jnp.array(jnp.nan, jnp.float32),
    epoch_loss=jnp.array(0, jnp.float32),
    accuracies=jnp.zeros(recipe.num_evaluations, jnp.float32),
  )


def step(
  network: Network,
  recipe: Recipe,
  state: TrainState,
  images: jax.Array,
  labels: jax.Array,
  learning_rate: jax.typing.ArrayLike,
) -> TrainState:
  """Trains a child on one batch.

  A child whose loss or gradient is not finite is frozen, and does not affect
  the children in the same block.

  Args:
    network: the child's network.
    recipe: the recipe, of which momentum and weight decay are used.
    state: the child.
    images: the images of the batch, `float32[B, H, W, C]`.
    labels: the labels of the batch, `int32[B]`.
    learning_rate: the learning rate of this step, a scalar.
  """
  chex.assert_rank([images, labels], [4, 1])
  params, batch_stats = state.child
  loss, batch_stats, grads = network.loss_and_grad(
    params, batch_stats, images, labels
  )
  is_alive = state.is_alive & guard.is_finite(loss, grads)
  updates, opt_state = _optimizer(network, recipe).update(
    grads, state.opt_state, params
  )
  params = jax.tree.map(
    lambda param, update: param - learning_rate * update, params, updates
  )
  child, opt_state, loss, epoch_loss = guard.keep(
    is_alive,
    (Child(params, batch_stats), opt_state, loss, state.epoch_loss + loss),
    (state.child, state.opt_state, state.loss, state.epoch_loss),
  )
  return state._replace(
    child=child,
    opt_state=opt_state,
    is_alive=is_alive,
    num_trained=state.num_trained + is_alive,
    loss=loss,
    epoch_loss=epoch_loss,
  )


def train(
  network: Network,
  recipe: Recipe,
  state: TrainState,
  data: TrainData,
  key: jax.Array,
  learning_rate: jax.typing.ArrayLike,
  num_steps: jax.typing.ArrayLike,
  start: jax.typing.ArrayLike = 0,
  stop: jax.typing.ArrayLike | None = None,
) -> TrainState:
  """Trains a child and evaluates it at regular intervals.

  Images are reshuffled in every epoch. A training in pieces, each starting
  where the last one stopped, equals the uncut training.

  Args:
    network: the child's network.
    recipe: the recipe of the training.
    state: the child.
    data: the images to train and evaluate on, at least one batch.
    key: the random key for the order of the images and their augmentation.
    learning_rate: the learning rate before the schedule, a scalar.
    num_steps: the length of the whole training; may be traced, as may `start`
      and `stop`.
    start: the first step.
    stop: the step after the last one; `num_steps` by default.
  """
  shuffle_key, augment_key = jax.random.split(key)
  num_images = len(data.images)
  epoch_steps = num_images // recipe.batch_size
  evaluate_every = recipe.evaluate_every or epoch_steps
  schedule = make_schedule(recipe)
  validation = Examples(data.validation_images, data.validation_labels)

  def take_step(index, chosen, state):
    images = augmentation.augment(
      jax.random.fold_in(augment_key, index),
      data.images[chosen],
      recipe.augmentation,
      recipe.margin,
      recipe.flip,
    )
    rate = learning_rate * schedule(index / num_steps)
    is_first = index % epoch_steps == 0
    state = state._replace(epoch_loss=jnp.where(is_first, 0, state.epoch_loss))
    state = step(network, recipe, state, images, data.labels[chosen], rate)
    # The index is the same for all children of a `vmap`, so this remains a real
    # branch.
    is_due = ((index + 1) % evaluate_every == 0) | (index + 1 == num_steps)
    accuracies = lax.cond(
      is_due,
      lambda: _push(
        state.accuracies,
        evaluate(network, recipe, state.child, validation)['accuracy'],
      ),
      lambda: state.accuracies,
    )
    return state._replace(accuracies=accuracies)

  return epochs.run(
    take_step,
    state,
    shuffle_key,
    num_images,
    recipe.batch_size,
    start,
    num_steps if stop is None else stop,
  )


def evaluate(
  network: Network, recipe: Recipe, child: Child, examples: Examples
) -> dict[str, jax.Array]:
  """Returns the `accuracy` and the mean `loss`, in nats, over images."""
  return image_evaluation.evaluate(
    functools.partial(network.predict, *child),
    examples,
    recipe.evaluation_batch_size,
  )


def make_task(
  recipe: Recipe,
  make_network: Callable[[Any], Network],
  train_data: TrainData,
  splits: Mapping[str, Examples],
  assemble: Callable[[Sequence[Any]], Any] | None = None,
  program_axes: Any = None,
) -> Task:
  """Makes the task of training a classifier of images.

  Args:
    recipe: the recipe by which a child is trained.
    make_network: `program -> network`, where the program is `None` if
      `assemble` is.
    train_data: the images to train on and to evaluate on during training.
    splits: the images to measure on, by name.
    assemble: `architectures -> program`, as in `Task`; `None` if the network is
      fixed.
    program_axes: the batch axes of the programs.

  Returns:
    A task that measures `accuracy` and `loss`. Its training metrics are
    `best_accuracy`, the best of the last evaluations, `train_loss`, the loss of
    the last batch, `num_trained` and `is_alive`.

  Raises:
    ValueError: there are fewer training images than one batch, or none in a
      split.
  """
  if len(train_data.images) < recipe.batch_size:
    raise ValueError(
      f'batch_size is {recipe.batch_size}, but there are only '
      f'{len(train_data.images)} images to train on; make it smaller.'
    )
  validation = Examples(
    train_data.validation_images, train_data.validation_labels
  )
  for name, examples in {'the evaluations': validation, **splits}.items():
    if not len(examples.images):
      raise ValueError(f'There are no images in {name}.')

  # Both functions split the key the same way, so the state needs no key.
  def init_child(program, key, learning_rate):
    del learning_rate
    return init(make_network(program), recipe, jax.random.split(key)[0])

  def train_child(data, program, state, key, learning_rate, span: Span):
    return train(
      make_network(program),
      recipe,
      state,
      data,
      jax.random.split(key)[1],
      learning_rate,
      span.num_steps,
      span.start,
      span.stop,
    )

  def measure(examples, program, state):
    return evaluate(make_network(program), recipe, state.child, examples)

  largest = max(len(examples.images) for examples in splits.values())
  validation = view(recipe, validation, len(validation.images))
  return Task(
    init=init_child,
    train=train_child,
    train_metrics=train_metrics,
    measure=measure,
    train_data=TrainData(
      images=jnp.asarray(train_data.images),
      labels=jnp.asarray(train_data.labels),
      validation_images=validation.images,
      validation_labels=validation.labels,
    ),
    splits={
      name: view(recipe, examples, largest) for name, examples in splits.items()
    },
    assemble=assemble,
    program_axes=program_axes,
  )


def train_metrics(state: TrainState) -> dict[str, jax.Array]:
  """Returns the metrics of the training; see `make_task`."""
  return {
    'best_accuracy': state.accuracies.max(),
    'train_loss': state.loss,
    'num_trained': state.num_trained,
    'is_alive': state.is_alive,
  }


def view(recipe: Recipe, examples: Examples, size: int = 0) -> Examples:
  """Returns examples as a child sees them when it is measured.

  Args:
    recipe: the augmentation, which decides the crop.
    examples: preprocessed images and their labels.
    size: the least number of examples to pad to.
  """
  examples = jax.tree.map(jnp.asarray, examples)
  images = augmentation.center(
    examples.images, recipe.augmentation, recipe.margin
  )
  return image_evaluation.pad(
    Examples(images, examples.labels), recipe.evaluation_batch_size, size
  )


def _push(values: jax.Array, value: jax.Array) -> jax.Array:
  """Drops the first value and appends a new one."""
  return jnp.append(values[1:], value)


def _optimizer(
  network: Network, recipe: Recipe
) -> optax.GradientTransformation:
  if network.optimizer is not None:
    return network.optimizer
  return network_lib.make_optimizer(recipe.momentum, recipe.weight_decay)
