# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Image classifiers of many architectures with one set of weights.

Batch norm has no running averages here: those of one architecture would be
wrong for all others. Children are judged as they are trained, by the statistics
of the minibatch itself, as in "Efficient Neural Architecture Search via
Parameter Sharing", Pham et al., 2018 (https://arxiv.org/abs/1802.03268).

Letters: `B` images in a batch, `n` training images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
from jax import lax
import jax.numpy as jnp
import optax

from jaxnas.children import network as network_lib
from jaxnas.training import augmentation, epochs, guard, image_task, shared
from jaxnas.training.image_evaluation import Examples
from jaxnas.types import Params


class OptState(NamedTuple):
  """The state of the weights' optimizer.

  Attributes:
    num_updates: the number of steps of the optimizer so far, `int32[]`.
    num_steps: the number of steps of the whole training, `int32[]`; 1, after
      which a cosine stays at 0, until `of_length` tells it.
    scaling: the state of what makes updates of gradients.
  """

  num_updates: jax.Array
  num_steps: jax.Array
  scaling: Any


class Carry(NamedTuple):
  """What a slot's images follow from.

  Attributes:
    shuffle_key: the key of the order of the images.
    augment_key: the key of their augmentation.
    order: the order of the images in this epoch, `int32[n]`.
  """

  shuffle_key: jax.Array
  augment_key: jax.Array
  order: jax.Array


def make_task(
  recipe: image_task.Recipe,
  make_network: Callable[[Any], network_lib.Network],
  init: Callable[[jax.Array], tuple[Params, Any]],
  train: Examples,
  splits: Mapping[str, Examples],
  learning_rate: float,
  assemble: Callable[[Sequence[Any]], Any],
  program_axes: Any,
) -> shared.SharedTask:
  """Makes the task of training shared weights on images.

  Each child of a step has a batch of images of its own; each slot reads all of
  them in an order of its own. A minibatch of a split has as many images as a
  batch; images that fill none are left out.

  The learning rate follows the recipe's schedule over a training whose length
  is told by `of_length`. All weights decay, whether a child of the step uses
  them or not. With one child a step, always the same, this is `image_task`'s
  training for as long as that child lives, with the key that `start` gets.

  Args:
    recipe: the recipe by which the weights are trained.
    make_network: `program -> network`, which has `predict_by_batch`.
    init: `key -> (params, batch_stats)`, the untrained weights of all networks,
      and running averages, whose values do not matter.
    train: the images to train on.
    splits: the images to measure on, by name. A measurement has the `accuracy`
      and the `loss`, in nats.
    learning_rate: the learning rate, before the schedule.
    assemble: `architectures -> program`, as in `SharedTask`.
    program_axes: the batch axes of the programs.

  Raises:
    ValueError: the learning rate is not positive, or there are fewer images
      than one batch.
  """
  if not learning_rate > 0:
    raise ValueError(f'learning_rate must be positive, got {learning_rate}.')
  size = recipe.batch_size
  for name, examples in {'training': train, **splits}.items():
    if len(examples.images) < size:
      raise ValueError(
        f'Shared weights need a whole batch of images; batch_size is {size}, '
        f'but there are only {len(examples.images)} images of {name}; make it '
        'smaller.'
      )
  num_images = len(train.images)
  optimizer = network_lib.make_optimizer(recipe.momentum, recipe.weight_decay)
  stats_shapes = jax.eval_shape(init, jax.random.key(0))[1]

  def untrained(key):
    params, _ = init(key)
    zero = jnp.zeros((), jnp.int32)
    return params, OptState(zero, zero + 1, optimizer.init(params))

  def start(key):
    shuffle_key, augment_key = jax.random.split(key)
    order = jnp.zeros(num_images, jnp.int32)
    return Carry(shuffle_key, augment_key, order)

  def gradient(data, program, params, carry, step):
    epoch_steps = num_images // size
    # The step is the same for all slots, so that this stays a branch.
    order = lax.cond(
      step % epoch_steps == 0,
      lambda: epochs.order(carry.shuffle_key, step // epoch_steps, num_images),
      lambda: carry.order,
    )
    chosen = lax.dynamic_slice_in_dim(order, step % epoch_steps * size, size)
    images = augmentation.augment(
      jax.random.fold_in(carry.augment_key, step),
      data.images[chosen],
      recipe.augmentation,
      recipe.margin,
      recipe.flip,
    )
    stats = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), stats_shapes)
    loss, _, grads = make_network(program).loss_and_grad(
      params, stats, images, data.labels[chosen]
    )
    is_alive = guard.is_finite(loss, grads)
    return shared.Gradient(loss, grads, is_alive, carry._replace(order=order))

  def update(grads, opt_state, params):
    index, num_steps, scaled = opt_state
    # Made anew, since a schedule may change what it is bound to when called,
    # and a task is recognized by that.
    schedule = image_task.make_schedule(recipe)
    rate = learning_rate * schedule(index / num_steps)
    updates, scaled = optimizer.update(grads, scaled, params)
    params = jax.tree.map(lambda param, x: param - rate * x, params, updates)
    return params, OptState(index + 1, num_steps, scaled)

  def judge(split, program, params, number):
    images, labels = (
      lax.dynamic_index_in_dim(x, number, keepdims=False) for x in split
    )
    predict: Any = make_network(program).predict_by_batch
    logits = predict(params, images)
    losses = optax.losses.softmax_cross_entropy_with_integer_labels(
      logits, labels
    )
    is_right = logits.argmax(-1) == labels
    is_right &= jnp.isfinite(logits).all(-1)
    return {'loss': losses.mean(), 'accuracy': is_right.mean()}

  def measure(split, program, params):
    found = lax.map(
      lambda number: judge(split, program, params, number),
      jnp.arange(len(split.labels)),
    )
    return jax.tree.map(jnp.mean, found)

  cut = {name: _cut(recipe, examples) for name, examples in splits.items()}
  return shared.SharedTask(
    init=untrained,
    start=start,
    gradient=gradient,
    update=update,
    judge=judge,
    measure=measure,
    train_data=jax.tree.map(jnp.asarray, train),
    splits=cut,
    num_batches={name: len(split.labels) for name, split in cut.items()},
    assemble=assemble,
    program_axes=program_axes,
  )


def of_length(state: shared.SharedState, num_steps: int) -> shared.SharedState:
  """Returns the state of untrained weights with the length of their training.

  Args:
    state: the state of a task of `make_task`, before any step.
    num_steps: the number of steps.
  """
  opt_state = state.opt_state._replace(num_steps=jnp.int32(num_steps))
  return state._replace(opt_state=opt_state)


def _cut(recipe: image_task.Recipe, examples: Examples) -> Examples:
  """Cuts a split into minibatches, `[minibatches, B, ...]`."""
  size = recipe.batch_size
  whole = image_task.view(recipe, examples)
  count = len(examples.labels) // size * size
  return jax.tree.map(
    lambda x: x[:count].reshape(-1, size, *x.shape[1:]), whole
  )
