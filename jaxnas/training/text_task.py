# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The proxy task: a short training of a language model, and its perplexity.

Everything is a pure function of one child. An evaluator maps it over many.
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

from jaxnas.children import initializers, language_model
from jaxnas.training import guard
from jaxnas.types import Span, Task


class Segments(NamedTuple):
  """A text cut for truncated backpropagation through time.

  Segment `s` of a column continues segment `s - 1`.

  Attributes:
    inputs: `int32[S, T, B]`.
    targets: the tokens that follow, `int32[S, T, B]`.
    weights: 1 for a token, 0 for padding, `float32[S, T, B]`.
  """

  inputs: jax.Array
  targets: jax.Array
  weights: jax.Array


@dataclasses.dataclass(frozen=True)
class Recipe:
  """How a child is built and trained.

  Attributes:
    features: width `D` of the embedding and of every layer.
    num_layers: how many recurrent layers a child has.
    tie_embeddings: whether the softmax shares the embedding.
    optimizer: `'adam'` or `'sgd'`.
    max_grad_norm: each child's gradient is clipped to this norm.
    embedding_scale: embedding and softmax start uniform in +- this.
    cell_scale: the cell's weights start uniform in +- this.
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
    params: its parameters.
    opt_state: its optimiser's state.
    carry: what the last segment left of the recurrent state; zeros in a child
      that is not alive.
    is_alive: false from the first loss or gradient on that is not finite; the
      parameters stay as they were then. `bool[]`.
    num_trained: steps taken while alive, `int32[]`.
  """

  params: Any
  opt_state: Any
  carry: Any
  is_alive: jax.Array
  num_trained: jax.Array


def make_model(
  recipe: Recipe, vocab_size: int, make_cell: Callable[..., nn.RNNCellBase]
) -> language_model.LanguageModel:
  """Makes the language model that a recipe describes.

  Args:
    recipe: widths, layers and scales.
    vocab_size: `V`.
    make_cell: makes a cell from `features`, `kernel_init` and
      `recurrent_kernel_init`.
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
  )


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
    opt_state=_optimizer(recipe).init(params),
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

  A child whose loss or gradient is not finite is frozen; nothing of it reaches
  the children mapped beside it.

  Args:
    model: the child's network.
    recipe: clipping and optimiser.
    state: the child.
    inputs: tokens, `int32[T, B]`.
    targets: the tokens that follow, `int32[T, B]`.
    learning_rate: a scalar.

  Returns:
    The new state, and the mean cross-entropy of a token, nats.
  """
  chex.assert_equal_shape([inputs, targets])
  weights = jnp.full(inputs.shape, 1 / inputs.size)
  (loss, carry), grads = jax.value_and_grad(model.apply, has_aux=True)(
    state.params, state.carry, inputs, targets, weights
  )
  is_alive = state.is_alive & guard.is_finite(loss, grads)
  updates, opt_state = _optimizer(recipe).update(
    grads, state.opt_state, state.params
  )
  params = jax.tree.map(
    lambda param, update: param - learning_rate * update, state.params, updates
  )
  params, opt_state = guard.keep(
    is_alive, (params, opt_state), (state.params, state.opt_state)
  )
  carry = jax.tree.map(lambda value: jnp.where(is_alive, value, 0), carry)
  num_trained = state.num_trained + is_alive
  return TrainState(params, opt_state, carry, is_alive, num_trained), loss


def train(
  model: language_model.LanguageModel,
  recipe: Recipe,
  state: TrainState,
  segments: Segments,
  learning_rate: jax.typing.ArrayLike,
  num_steps: jax.typing.ArrayLike,
  first_step: jax.typing.ArrayLike = 0,
) -> TrainState:
  """Trains a child for some steps, from the start of the text again if need be.

  Args:
    model: the child's network.
    recipe: clipping and optimiser.
    state: the child.
    segments: the text; weights are not used, so there must be no padding.
    learning_rate: a scalar.
    num_steps: how many steps the child has had afterwards; may be traced.
    first_step: how many steps the child has had.
  """
  num_segments = segments.inputs.shape[0]

  def body(index, state):
    place = index % num_segments
    carry = jax.tree.map(
      lambda value: jnp.where(place == 0, 0, value), state.carry
    )
    inputs, targets = (
      lax.dynamic_index_in_dim(x, place, keepdims=False)
      for x in (segments.inputs, segments.targets)
    )
    return step(
      model,
      recipe,
      state._replace(carry=carry),
      inputs,
      targets,
      learning_rate,
    )[0]

  return lax.fori_loop(first_step, num_steps, body, state)


def perplexity(
  model: language_model.LanguageModel, params: Any, segments: Segments
) -> jax.Array:
  """Returns the perplexity of a text: `exp` of the mean nats of a token.

  The state is carried through each column, and every token with a weight is
  counted once, `<eos>` like any other.

  Args:
    model: the child's network.
    params: its parameters.
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
  """Returns the bits of a token on average, by which characters are compared.

  Args:
    perplexity: perplexity of a text, as `perplexity` returns it.
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
) -> Task:
  """Makes the task of training a language model on a text.

  Args:
    recipe: how a child is built and trained.
    vocab_size: `V`.
    make_cell: makes a cell from `program` (if `assemble` is given),
      `features`, `kernel_init` and `recurrent_kernel_init`.
    train_segments: the text to train on.
    splits: the texts to measure on, by name.
    assemble: makes a batch of programs of cells; `None` if the cell is fixed.
    program_axes: the axes of such a batch.

  Returns:
    A task that measures the `perplexity`, and tells `num_trained` and
    `is_alive` of the training.
  """

  def model_of(program):
    cell = make_cell
    if assemble is not None:
      cell = functools.partial(make_cell, program=program)
    return make_model(recipe, vocab_size, cell)

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
    splits=_pad_alike(splits),
    assemble=assemble,
    program_axes=program_axes,
  )


def train_metrics(state: TrainState) -> dict[str, jax.Array]:
  """Returns what a training tells: `num_trained` and `is_alive`."""
  return {'num_trained': state.num_trained, 'is_alive': state.is_alive}


def num_params(
  recipe: Recipe, vocab_size: int, make_cell: Callable[..., nn.RNNCellBase]
) -> int:
  """Returns how many parameters a child has."""
  model = make_model(recipe, vocab_size, make_cell)
  state = jax.eval_shape(
    lambda key: init(model, recipe, key, 1), jax.random.key(0)
  )
  return sum(leaf.size for leaf in jax.tree.leaves(state.params))


def _pad_alike(splits: Mapping[str, Segments]) -> dict[str, Segments]:
  """Lengthens texts by segments of weight 0, so that one program serves."""
  longest = max(segments.inputs.shape[0] for segments in splits.values())
  return {
    name: Segments._make(
      jnp.pad(x, ((0, longest - x.shape[0]), (0, 0), (0, 0))) for x in segments
    )
    for name, segments in splits.items()
  }


def _optimizer(recipe: Recipe) -> optax.GradientTransformation:
  return optax.chain(
    optax.clip_by_global_norm(recipe.max_grad_norm),
    _OPTIMIZERS[recipe.optimizer](),
  )
