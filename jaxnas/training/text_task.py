# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The proxy task for text: a short training and its perplexity.

Everything is a pure function of one child, which a trainer maps over many.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import functools
import math
from typing import Any, NamedTuple

import chex
from flax import linen as nn
import jax
from jax import lax
import jax.numpy as jnp
import optax

from jaxnas.children import initializers, language_model, platforms
from jaxnas.training import guard
from jaxnas.types import Span, Task


class Segments(NamedTuple):
  """A text cut into segments for truncated backpropagation through time.

  Segment `s` of a column continues segment `s - 1`.

  Attributes:
    inputs: the tokens to read, `int32[S, T, B]`.
    targets: the tokens to predict, which follow, `int32[S, T, B]`.
    weights: 1 for a token, 0 for padding, `float32[S, T, B]`.
  """

  inputs: jax.Array
  targets: jax.Array
  weights: jax.Array


@dataclasses.dataclass(frozen=True)
class Recipe:
  """How to build and train a child.

  Attributes:
    features: the width `D` of the embedding and of every layer.
    num_layers: the number of recurrent layers.
    tie_embeddings: whether the softmax shares the embedding's weights.
    optimizer: the optimizer, `'adam'` or `'sgd'`.
    max_grad_norm: the norm that each child's gradient is clipped to.
    embedding_scale: the bound of the uniform distribution that the embedding
      and softmax are initialized from.
    cell_scale: the bound of the uniform distribution that the cell's weights
      are initialized from.
  """

  features: int = 32
  num_layers: int = 1
  tie_embeddings: bool = False
  optimizer: str = 'adam'
  max_grad_norm: float = 1.0
  embedding_scale: float = 0.05
  cell_scale: float = 0.1

  def __post_init__(self):
    for name in ('features', 'num_layers'):
      if getattr(self, name) < 1:
        raise ValueError(
          f'{name} must be at least 1, got {getattr(self, name)}.'
        )
    for name in ('max_grad_norm', 'embedding_scale', 'cell_scale'):
      if not getattr(self, name) > 0:
        raise ValueError(f'{name} must be positive, got {getattr(self, name)}.')
    if self.optimizer not in _OPTIMIZERS:
      raise ValueError(
        f'Unknown optimizer {self.optimizer!r}; expected one of '
        f'{", ".join(_OPTIMIZERS)}.'
      )


_OPTIMIZERS: dict[str, Callable[[], optax.GradientTransformation]] = {
  'adam': optax.scale_by_adam,
  'sgd': optax.identity,
}


class TrainState(NamedTuple):
  """A child in training.

  Attributes:
    params: the child's parameters.
    opt_state: the state of the optimizer.
    carry: the recurrent state at the end of the last segment; zeros for a child
      that is not alive.
    is_alive: whether the child is alive, `bool[]`; false from the first loss or
      gradient that is not finite, when the parameters are frozen.
    num_trained: the number of steps taken while alive, `int32[]`.
  """

  params: Any
  opt_state: Any
  carry: Any
  is_alive: jax.Array
  num_trained: jax.Array


def make_model(
  recipe: Recipe,
  vocab_size: int,
  make_cell: Callable[..., nn.RNNCellBase],
  platform: str | None = None,
) -> language_model.LanguageModel:
  """Makes the language model that a recipe describes.

  Args:
    recipe: the recipe, of which widths, layers and scales are used.
    vocab_size: the size `V` of the vocabulary.
    make_cell: a function that makes a cell from `features`, `kernel_init` and
      `recurrent_kernel_init`.
    platform: the platform that it is compiled for, such as `'cpu'`; JAX's
      default platform by default. That of the cell is up to `make_cell`.
  """
  cell_init = initializers.uniform(recipe.cell_scale)
  return language_model.LanguageModel(
    make_cell=functools.partial(
      make_cell, kernel_init=cell_init, recurrent_kernel_init=cell_init
    ),
    vocab_size=vocab_size,
    features=recipe.features,
    num_layers=recipe.num_layers,
    tie_embeddings=recipe.tie_embeddings,
    embedding_init=initializers.uniform(recipe.embedding_scale),
    platform=platform or platforms.default(),
  )


def make_program_model(
  recipe: Recipe,
  vocab_size: int,
  make_cell: Callable[..., nn.RNNCellBase],
  takes_program: bool,
  program: Any,
  platform: str | None = None,
) -> language_model.LanguageModel:
  """Makes the language model of one program.

  Args:
    recipe: the recipe, as in `make_model`.
    vocab_size: the size `V` of the vocabulary.
    make_cell: a function that makes a cell, as in `make_model`.
    takes_program: whether `make_cell` takes `program` too.
    program: the program of one cell.
    platform: the platform, as in `make_model`.
  """
  if takes_program:
    make_cell = functools.partial(make_cell, program=program)
  return make_model(recipe, vocab_size, make_cell, platform)


def init(
  model: language_model.LanguageModel,
  recipe: Recipe,
  key: jax.Array,
  batch_size: int,
) -> TrainState:
  """Returns an untrained child."""
  carry = model.initialize_carry(batch_size)
  tokens = jnp.zeros((1, batch_size), jnp.int32)
  params = model.init(key, carry, tokens, tokens, jnp.zeros(tokens.shape))
  return TrainState(
    params=params,
    opt_state=make_optimizer(recipe).init(params),
    carry=carry,
    is_alive=jnp.array(True),
    num_trained=jnp.array(0, jnp.int32),
  )


def step(
  model: language_model.LanguageModel,
  recipe: Recipe,
  state: TrainState,
  inputs: jax.Array,
  targets: jax.Array,
  learning_rate: jax.typing.ArrayLike,
) -> tuple[TrainState, jax.Array]:
  """Trains a child on one segment.

  A child whose loss or gradient is not finite is frozen, and does not affect
  the children in the same block.

  Args:
    model: the child's network.
    recipe: the recipe, of which clipping and optimizer are used.
    state: the child.
    inputs: the tokens to read, `int32[T, B]`.
    targets: the tokens to predict, `int32[T, B]`.
    learning_rate: the learning rate, a scalar.

  Returns:
    The new state, and the mean cross-entropy per token, in nats.
  """
  (loss, carry), grads = loss_and_grads(
    model, state.params, state.carry, inputs, targets
  )
  is_alive = state.is_alive & guard.is_finite(loss, grads)
  updates, opt_state = make_optimizer(recipe).update(
    grads, state.opt_state, state.params
  )
  params = descend(state.params, updates, learning_rate)
  params, opt_state = guard.keep(
    is_alive, (params, opt_state), (state.params, state.opt_state)
  )
  carry = jax.tree.map(lambda value: jnp.where(is_alive, value, 0), carry)
  num_trained = state.num_trained + is_alive
  return TrainState(params, opt_state, carry, is_alive, num_trained), loss


def loss_and_grads(
  model: language_model.LanguageModel,
  params: Any,
  carry: Any,
  inputs: jax.Array,
  targets: jax.Array,
) -> tuple[tuple[jax.Array, Any], Any]:
  """Returns a child's loss on one segment, and its gradient.

  Args:
    model: the child's network.
    params: the child's parameters.
    carry: the recurrent state before the segment.
    inputs: the tokens to read, `int32[T, B]`.
    targets: the tokens to predict, `int32[T, B]`.

  Returns:
    The mean cross-entropy per token, in nats, and the new carry; and the
    gradient of the former with respect to the parameters, not clipped.
  """
  chex.assert_equal_shape([inputs, targets])
  weights = jnp.full(inputs.shape, 1 / inputs.size)
  return jax.value_and_grad(model.apply, has_aux=True)(
    params, carry, inputs, targets, weights
  )


def descend(
  params: Any, updates: Any, learning_rate: jax.typing.ArrayLike
) -> Any:
  """Returns the parameters after a step against the optimizer's updates."""
  return jax.tree.map(
    lambda param, update: param - learning_rate * update, params, updates
  )


def next_segment(
  segments: Segments, index: jax.Array, carry: Any
) -> tuple[Any, jax.Array, jax.Array]:
  """Returns what a step of training reads, wrapping around at the text's end.

  Args:
    segments: the text.
    index: the number of steps taken before.
    carry: the recurrent state after the step before.

  Returns:
    The carry to start from, zeros where the text begins again, and the tokens
    to read and to predict, each `int32[T, B]`.
  """
  place = index % segments.inputs.shape[0]
  carry = jax.tree.map(lambda value: jnp.where(place == 0, 0, value), carry)
  inputs, targets = (
    lax.dynamic_index_in_dim(x, place, keepdims=False)
    for x in (segments.inputs, segments.targets)
  )
  return carry, inputs, targets


def train(
  model: language_model.LanguageModel,
  recipe: Recipe,
  state: TrainState,
  segments: Segments,
  learning_rate: jax.typing.ArrayLike,
  num_steps: jax.typing.ArrayLike,
  first_step: jax.typing.ArrayLike = 0,
) -> TrainState:
  """Trains a child for some steps, wrapping around at the end of the text.

  Args:
    model: the child's network.
    recipe: the recipe, of which clipping and optimizer are used.
    state: the child.
    segments: the text; its weights are ignored, so it must have no padding.
    learning_rate: the learning rate, a scalar.
    num_steps: the number of steps taken afterwards in total; may be traced.
    first_step: the number of steps taken before.
  """

  def body(index, state):
    carry, inputs, targets = next_segment(segments, index, state.carry)
    state = state._replace(carry=carry)
    return step(model, recipe, state, inputs, targets, learning_rate)[0]

  return lax.fori_loop(first_step, num_steps, body, state)


def perplexity(
  model: language_model.LanguageModel, params: Any, segments: Segments
) -> jax.Array:
  """Returns the perplexity of a text: `exp` of the mean nats per token.

  The recurrent state is carried through each column. Every token with a weight
  counts once, including `<eos>`.

  Args:
    model: the child's network.
    params: the child's parameters.
    segments: the text.
  """
  carry = model.initialize_carry(segments.inputs.shape[-1])

  def body(state, segment):
    carry, total = state
    loss, carry = model.apply(params, carry, *segment)
    return (carry, total + loss), None

  (_, total), _ = lax.scan(body, (carry, jnp.zeros(())), tuple(segments))
  return jnp.exp(total / segments.weights.sum())


def bits_of(perplexity: float) -> float:
  """Returns the mean bits per token, the usual measure for characters.

  Args:
    perplexity: the perplexity of a text, as returned by `perplexity`.
  """
  return math.log2(perplexity)


def make_task(
  recipe: Recipe,
  vocab_size: int,
  make_cell: Callable[..., nn.RNNCellBase],
  train_segments: Segments,
  splits: Mapping[str, Segments],
  assemble: Callable[[Sequence[Any]], Any] | None = None,
  program_axes: Any = None,
  platform: str | None = None,
) -> Task:
  """Makes the task of training a language model on a text.

  Args:
    recipe: the recipe by which a child is built and trained.
    vocab_size: the size `V` of the vocabulary.
    make_cell: a function that makes a cell from `program` (if `assemble` is
      given), `features`, `kernel_init` and `recurrent_kernel_init`.
    train_segments: the text to train on.
    splits: the texts to measure on, by name.
    assemble: `cells -> program`, as in `Task`; `None` if the cell is fixed.
    program_axes: the batch axes of the programs.
    platform: the platform, as in `make_model`.

  Returns:
    A task that measures the `perplexity`. Its training metrics are
    `num_trained` and `is_alive`.
  """
  takes_program = assemble is not None

  def model_of(program):
    return make_program_model(
      recipe, vocab_size, make_cell, takes_program, program, platform
    )

  def init_child(program, key, learning_rate):
    del learning_rate
    batch_size = train_segments.inputs.shape[-1]
    return init(model_of(program), recipe, key, batch_size)

  def train_child(segments, program, state, key, learning_rate, span: Span):
    del key
    return train(
      model_of(program),
      recipe,
      state,
      segments,
      learning_rate,
      span.stop,
      span.start,
    )

  def measure(segments, program, state):
    return {'perplexity': perplexity(model_of(program), state.params, segments)}

  return Task(
    init=init_child,
    train=train_child,
    train_metrics=train_metrics,
    measure=measure,
    train_data=train_segments,
    splits=pad_alike(splits),
    assemble=assemble,
    program_axes=program_axes,
  )


def train_metrics(state: TrainState) -> dict[str, jax.Array]:
  """Returns the metrics of the training: `num_trained` and `is_alive`."""
  return {'num_trained': state.num_trained, 'is_alive': state.is_alive}


def num_params(
  recipe: Recipe, vocab_size: int, make_cell: Callable[..., nn.RNNCellBase]
) -> int:
  """Returns the number of parameters of a child."""
  model = make_model(recipe, vocab_size, make_cell)
  state = jax.eval_shape(
    lambda key: init(model, recipe, key, 1), jax.random.key(0)
  )
  return sum(leaf.size for leaf in jax.tree.leaves(state.params))


def pad_alike(splits: Mapping[str, Segments]) -> dict[str, Segments]:
  """Pads texts with segments of weight 0 to one length for one program."""
  longest = max(segments.inputs.shape[0] for segments in splits.values())
  return {
    name: Segments._make(
      jnp.pad(x, ((0, longest - x.shape[0]), (0, 0), (0, 0))) for x in segments
    )
    for name, segments in splits.items()
  }


def make_optimizer(recipe: Recipe) -> optax.GradientTransformation:
  """Makes a child's optimizer, which clips and then scales its gradient."""
  return optax.chain(make_clipping(recipe), make_scaling(recipe))


def make_clipping(recipe: Recipe) -> optax.GradientTransformation:
  """Makes the part of the optimizer that clips the gradient of one child."""
  return optax.clip_by_global_norm(recipe.max_grad_norm)


def make_scaling(recipe: Recipe) -> optax.GradientTransformation:
  """Makes the part of the optimizer that makes updates of gradients."""
  return _OPTIMIZERS[recipe.optimizer]()
