# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Language models of many recurrent cells with one set of weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from flax import linen as nn
import jax
from jax import lax
import jax.numpy as jnp
import optax

from jaxnas.children import banked_cell, recurrent_interpreter
from jaxnas.training import guard, shared, text_task

SHARINGS: Mapping[str, type[recurrent_interpreter.InterpretedCell]] = {
  'leaf': recurrent_interpreter.InterpretedCell,
  'operation': banked_cell.BankedCell,
}
"""The cells by what shares weights: each leaf, whatever it computes, or each
operation of a leaf."""


class OptState(NamedTuple):
  """The state of the weights' optimizer.

  Attributes:
    learning_rate: the learning rate, `float32[]`.
    scaling: the state of what makes updates of gradients.
  """

  learning_rate: jax.Array
  scaling: Any


def make_task(
  recipe: text_task.Recipe,
  vocab_size: int,
  make_cell: Callable[..., nn.RNNCellBase],
  train_segments: text_task.Segments,
  splits: Mapping[str, text_task.Segments],
  architecture: Any,
  learning_rate: float,
  assemble: Callable[[Sequence[Any]], Any],
  program_axes: Any,
  platform: str | None = None,
) -> shared.SharedTask:
  """Makes the task of training shared weights on a text.

  A step is one segment of the text for all children of the step; as in an
  ordinary training, each slot's recurrent state goes on from segment to
  segment, from whichever cell it had. A minibatch of a split is one segment,
  read from a recurrent state of zeros.

  With one child a step, always the same, this is `text_task`'s training for as
  long as that child lives: to the bit with SGD, and with Adam but for how the
  compiler rounds its sums.

  Args:
    recipe: the recipe by which the weights are made and trained.
    vocab_size: the size `V` of the vocabulary.
    make_cell: a function that makes a cell from `program`, `features`,
      `kernel_init` and `recurrent_kernel_init`.
    train_segments: the text to train on; its weights are ignored, so it must
      have no padding.
    splits: the texts to measure on, by name. A measurement is the `perplexity`.
    architecture: any architecture that `assemble` takes; the weights' shapes
      follow from it.
    learning_rate: the learning rate.
    assemble: `cells -> program`, as in `SharedTask`.
    program_axes: the batch axes of the programs.
    platform: the platform, as in `text_task.make_model`.

  Raises:
    ValueError: the learning rate is not positive.
  """
  if not learning_rate > 0:
    raise ValueError(f'learning_rate must be positive, got {learning_rate}.')
  batch_size = train_segments.inputs.shape[-1]
  scaling = text_task.make_scaling(recipe)
  clipping = text_task.make_clipping(recipe)

  def model_of(program):
    return text_task.make_program_model(
      recipe, vocab_size, make_cell, True, program, platform
    )

  def untrained(key):
    def of_program(program):
      return text_task.init(model_of(program), recipe, key, batch_size)

    # Weights follow from the key alone: those of one program are all programs'.
    alone = jax.vmap(of_program, (program_axes,), out_axes=None)
    return alone(jax.tree.map(jnp.asarray, assemble([architecture])))

  def init(key):
    params = untrained(key).params
    rate = jnp.asarray(learning_rate, jnp.float32)
    return params, OptState(rate, scaling.init(params))

  def start(key):
    return untrained(key).carry

  def gradient(segments, program, params, carry, step):
    carry, *tokens = text_task.next_segment(segments, step, carry)
    (loss, carry), grads = text_task.loss_and_grads(
      model_of(program), params, carry, *tokens
    )
    is_alive = guard.is_finite(loss, grads)
    grads, _ = clipping.update(grads, optax.EmptyState())
    carry = jax.tree.map(lambda value: jnp.where(is_alive, value, 0), carry)
    return shared.Gradient(loss, grads, is_alive, carry)

  def update(grads, opt_state, params):
    rate, scaled = opt_state
    updates, scaled = scaling.update(grads, scaled, params)
    return text_task.descend(params, updates, rate), OptState(rate, scaled)

  def judge(segments, program, params, number):
    model = model_of(program)
    inputs, targets, weights = (
      lax.dynamic_index_in_dim(x, number, keepdims=False) for x in segments
    )
    carry = model.initialize_carry(inputs.shape[-1])
    total, _ = model.apply(params, carry, inputs, targets, weights)
    return {'loss': total / weights.sum()}

  def measure(segments, program, params):
    model = model_of(program)
    return {'perplexity': text_task.perplexity(model, params, segments)}

  return shared.SharedTask(
    init=init,
    start=start,
    gradient=gradient,
    update=update,
    judge=judge,
    measure=measure,
    train_data=train_segments,
    splits=text_task.pad_alike(splits),
    num_batches={name: len(text.inputs) for name, text in splits.items()},
    assemble=assemble,
    program_axes=program_axes,
  )
