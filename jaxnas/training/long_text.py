# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The task of a long training of one language model, for many epochs.

While `text_task` judges many children in a short time, this trains one to the
end, with dropout, a falling learning rate and a compiled architecture. A step
depends only on the state and the key, so a training is bitwise the same however
it is divided into calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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

from jaxnas.children import initializers, language_model, recurrent_cell
from jaxnas.spaces import recurrent_cell as space
from jaxnas.training import guard, text_task
from jaxnas.types import Span, Task

OPTIMIZERS = ('sgd', 'adam')
USUAL_CELLS: Mapping[str, Callable[..., nn.RNNCellBase]] = {
  'lstm': recurrent_cell.LSTMCell,
  'gru': recurrent_cell.GRUCell,
}
"""The usual cells, with biases, which are not in the grammar, by name."""
SCHEDULES = ('epoch', 'step', 'cosine')


@dataclasses.dataclass(frozen=True)
class Recipe:
  """The recipe for building a language model and training it from scratch.

  The defaults are the medium LSTM of section 4.1 of "Recurrent Neural Network
  Regularization", Zaremba et al., 2014 (https://arxiv.org/abs/1409.2329), which
  reads the Penn Treebank in batches of 20 and segments of 35. `decay` is that
  of TensorFlow's PTB tutorial; the paper divides by 1.2. The other dropouts are
  those of "A Theoretically Grounded Application of Dropout in Recurrent Neural
  Networks", Gal and Ghahramani, 2016 (https://arxiv.org/abs/1512.05287).

  Attributes:
    features: the width `D` of the embedding and of every layer.
    num_layers: the number of recurrent layers.
    tie_embeddings: whether the softmax shares the weights of the embedding.
    use_bias: whether a cell of the grammar has biases; a usual one always has.
    init_scale: the bound of the uniform distribution, symmetric around 0, of
      all initial weights; biases have their own initial values.
    dropout_rate: the rate of dropout on the inputs and outputs of every layer.
    variational: whether the masks of that dropout stay the same over a segment.
    recurrent_dropout_rate: the rate of dropout on the hidden state between
      steps.
    embedding_dropout_rate: the rate of dropout of whole rows of the embedding.
    optimizer: `'sgd'` or `'adam'`.
    learning_rate: the learning rate of the first epochs.
    schedule: the way in which the learning rate then falls: by the factor
      `decay` at the start of every `'epoch'`, by as much in equal parts at
      every `'step'`, or along half a `'cosine'` to zero at the end.
    constant_epochs: the number of epochs before the learning rate falls;
      `'epoch'` takes 0 as 1.
    decay: the factor of the learning rate per epoch; unused by `'cosine'`.
    max_grad_norm: the norm to which the gradient is clipped, that of the loss
      summed over a segment's steps and averaged over its columns.
    num_epochs: the length of the training, in epochs; only `'cosine'` depends
      on it.
  """

  features: int = 650
  num_layers: int = 2
  tie_embeddings: bool = False
  use_bias: bool = False
  init_scale: float = 0.05
  dropout_rate: float = 0.5
  variational: bool = False
  recurrent_dropout_rate: float = 0.0
  embedding_dropout_rate: float = 0.0
  optimizer: str = 'sgd'
  learning_rate: float = 1.0
  schedule: str = 'epoch'
  constant_epochs: int = 6
  decay: float = 0.8
  max_grad_norm: float = 5.0
  num_epochs: int = 39

  def __post_init__(self):
    for name in ('features', 'num_layers', 'num_epochs'):
      _check(getattr(self, name) >= 1, name, 'at least 1', self)
    for name in ('init_scale', 'learning_rate', 'max_grad_norm'):
      is_valid = 0 < getattr(self, name) < math.inf
      _check(is_valid, name, 'positive and finite', self)
    for name in (
      'dropout_rate',
      'recurrent_dropout_rate',
      'embedding_dropout_rate',
    ):
      _check(0 <= getattr(self, name) < 1, name, 'in [0, 1)', self)
    _check(0 < self.decay <= 1, 'decay', 'in (0, 1]', self)
    _check(self.constant_epochs >= 0, 'constant_epochs', 'at least 0', self)
    for name, known in (('optimizer', OPTIMIZERS), ('schedule', SCHEDULES)):
      _check(
        getattr(self, name) in known, name, f'one of {", ".join(known)}', self
      )
    if self.schedule == 'cosine':
      _check(
        self.constant_epochs < self.num_epochs,
        'constant_epochs',
        f'below num_epochs ({self.num_epochs}) where the schedule is a cosine',
        self,
      )


class TrainState(NamedTuple):
  """A language model in training.

  Attributes:
    params: the model's parameters.
    opt_state: the state of the optimizer.
    carry: the recurrent state after the last segment.
    nats: the mean cross-entropy of a token under dropout, summed over the
      segments of this epoch so far, `float32[]`.
    num_trained: the number of steps taken, `int32[]`.
    is_alive: whether the model is alive, `bool[]`; false from the first loss or
      gradient that is not finite, when everything else is frozen.
  """

  params: Any
  opt_state: Any
  carry: Any
  nats: jax.Array
  num_trained: jax.Array
  is_alive: jax.Array


def make_model(
  recipe: Recipe,
  vocab_size: int,
  architecture: space.RecurrentCell | str,
) -> language_model.LanguageModel:
  """Makes the language model that a recipe describes.

  Args:
    recipe: the recipe, whose sizes, dropout and initialization are used.
    vocab_size: the size of the vocabulary, `V`.
    architecture: a cell of the grammar, or a name in `USUAL_CELLS`: an LSTM,
      the bias of whose forget gate starts at 1, or a GRU.

  Raises:
    ValueError: the architecture is neither.
  """
  weights_init = initializers.uniform(recipe.init_scale)
  inits: dict[str, Any] = {
    'kernel_init': weights_init,
    'recurrent_kernel_init': weights_init,
  }
  make_cell: Callable[..., nn.RNNCellBase]
  if isinstance(architecture, space.RecurrentCell):
    make_cell = functools.partial(
      recurrent_cell.GrammarCell,
      architecture=architecture,
      use_bias=recipe.use_bias,
      **inits,
    )
  elif architecture in USUAL_CELLS:
    make_cell = functools.partial(USUAL_CELLS[architecture], **inits)
  else:
    raise ValueError(
      'The architecture must be a RecurrentCell or one of '
      f'{", ".join(USUAL_CELLS)}, got {architecture!r}.'
    )
  return language_model.LanguageModel(
    make_cell=make_cell,
    vocab_size=vocab_size,
    features=recipe.features,
    num_layers=recipe.num_layers,
    tie_embeddings=recipe.tie_embeddings,
    dropout_rate=recipe.dropout_rate,
    recurrent_dropout_rate=recipe.recurrent_dropout_rate,
    embedding_dropout_rate=recipe.embedding_dropout_rate,
    variational=recipe.variational,
    embedding_init=weights_init,
  )


def make_schedule(
  recipe: Recipe,
  num_segments: int,
  learning_rate: jax.typing.ArrayLike | None = None,
) -> optax.Schedule:
  """Makes the learning-rate schedule, a function of the steps taken.

  Args:
    recipe: the recipe, whose schedule is used.
    num_segments: the number of steps of an epoch.
    learning_rate: the learning rate of the first epochs, which may be traced;
      the recipe's by default.
  """
  first: Any = recipe.learning_rate if learning_rate is None else learning_rate
  constant_steps = recipe.constant_epochs * num_segments
  if recipe.schedule == 'epoch':
    by_epoch = optax.exponential_decay(
      first,
      transition_steps=1,
      decay_rate=recipe.decay,
      transition_begin=max(recipe.constant_epochs - 1, 0),
    )
    return lambda step: by_epoch(step // num_segments)
  if recipe.schedule == 'step':
    return optax.exponential_decay(
      first,
      transition_steps=num_segments,
      decay_rate=recipe.decay,
      transition_begin=constant_steps,
    )
  return optax.join_schedules(
    [
      optax.constant_schedule(first),
      optax.cosine_decay_schedule(
        first, recipe.num_epochs * num_segments - constant_steps
      ),
    ],
    [constant_steps],
  )


def make_optimizer(
  recipe: Recipe,
  num_segments: int,
  learning_rate: jax.typing.ArrayLike | None = None,
) -> optax.GradientTransformation:
  """Makes the optimizer: clipping, then SGD or Adam with the schedule.

  Args:
    recipe: the recipe, whose clipping, optimizer and schedule are used.
    num_segments: the number of steps of an epoch.
    learning_rate: as in `make_schedule`.
  """
  schedule = make_schedule(recipe, num_segments, learning_rate)
  optimizer = optax.sgd if recipe.optimizer == 'sgd' else optax.adam
  return optax.chain(
    optax.clip_by_global_norm(recipe.max_grad_norm), optimizer(schedule)
  )


def init(
  model: language_model.LanguageModel,
  optimizer: optax.GradientTransformation,
  key: jax.Array,
  batch_size: int,
) -> TrainState:
  """Returns an untrained model.

  Args:
    model: the language model.
    optimizer: the optimizer of the training.
    key: the random key of the parameters.
    batch_size: the number of columns, `B`.
  """
  carry = model.initialize_carry(batch_size)
  tokens = jnp.zeros((1, batch_size), jnp.int32)
  params = model.init(key, carry, tokens, tokens, jnp.zeros(tokens.shape))
  return TrainState(
    params=params,
    opt_state=optimizer.init(params),
    carry=carry,
    nats=jnp.zeros((), jnp.float32),
    num_trained=jnp.zeros((), jnp.int32),
    is_alive=jnp.ones((), bool),
  )


def step(
  model: language_model.LanguageModel,
  optimizer: optax.GradientTransformation,
  state: TrainState,
  inputs: jax.Array,
  targets: jax.Array,
  key: jax.Array,
) -> TrainState:
  """Trains a model on one segment.

  Args:
    model: the language model.
    optimizer: the optimizer of the training.
    state: the state before the step.
    inputs: the tokens, `int32[T, B]`.
    targets: the token after each of them, `int32[T, B]`.
    key: the random key of the whole training; with the number of steps taken,
      it decides the step's dropout.
  """
  chex.assert_equal_shape([inputs, targets])
  num_steps, batch_size = inputs.shape

  def loss_function(params):
    # Summed over time, as in Zaremba et al., whose learning rate and clipping
    # depend on it.
    return model.apply(
      params,
      state.carry,
      inputs,
      targets,
      jnp.full(inputs.shape, 1 / batch_size),
      deterministic=False,
      rngs={'dropout': jax.random.fold_in(key, state.num_trained)},
    )

  (loss, carry), grads = jax.value_and_grad(loss_function, has_aux=True)(
    state.params
  )
  updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
  is_alive = state.is_alive & guard.is_finite(loss, grads)
  trained = TrainState(
    params=optax.apply_updates(state.params, updates),
    opt_state=opt_state,
    carry=carry,
    nats=state.nats + loss / num_steps,
    num_trained=state.num_trained + 1,
    is_alive=is_alive,
  )
  return guard.keep(is_alive, trained, state._replace(is_alive=is_alive))


def train(
  model: language_model.LanguageModel,
  optimizer: optax.GradientTransformation,
  state: TrainState,
  segments: text_task.Segments,
  key: jax.Array,
  num_steps: jax.Array,
) -> TrainState:
  """Trains a model further; every epoch starts with a carry of zeros.

  Args:
    model: the language model.
    optimizer: the optimizer of the training.
    state: the state before these steps.
    segments: the text, without padding, since its weights are not used.
    key: the random key of the whole training.
    num_steps: the number of segments to train on, starting after those that the
      state has been trained on; may be traced.
  """
  num_segments = segments.inputs.shape[0]

  def body(_, state):
    place = state.num_trained % num_segments
    carry, nats = jax.tree.map(
      lambda value: jnp.where(place == 0, 0, value), (state.carry, state.nats)
    )
    inputs, targets = (
      lax.dynamic_index_in_dim(x, place, keepdims=False)
      for x in (segments.inputs, segments.targets)
    )
    state = state._replace(carry=carry, nats=nats)
    return step(model, optimizer, state, inputs, targets, key)

  return lax.fori_loop(0, num_steps, body, state)


def make_task(
  recipe: Recipe,
  vocab_size: int,
  architecture: space.RecurrentCell | str,
  train_segments: text_task.Segments,
  splits: Mapping[str, text_task.Segments],
) -> Task:
  """Makes the task of training one language model for many epochs.

  Args:
    recipe: the recipe, whose learning rate a child's own replaces.
    vocab_size: the size of the vocabulary, `V`.
    architecture: the cell, as in `make_model`.
    train_segments: the text to train on, without padding.
    splits: the texts to measure on, by name.

  Returns:
    A task that measures the `perplexity`, and whose training reports
    `epoch_nats`, the mean cross-entropy of a token under dropout, summed over
    the epoch's steps so far, `num_trained` and `is_alive`.

  Raises:
    ValueError: the architecture is neither a cell nor a usual one.
  """
  model = make_model(recipe, vocab_size, architecture)
  num_segments, _, batch_size = train_segments.inputs.shape

  # Both functions split the key in the same way, so that states hold no key.
  def init_child(program, key, learning_rate):
    del program
    optimizer = make_optimizer(recipe, num_segments, learning_rate)
    return init(model, optimizer, jax.random.split(key)[0], batch_size)

  def train_child(segments, program, state, key, learning_rate, span: Span):
    del program
    return train(
      model,
      make_optimizer(recipe, num_segments, learning_rate),
      state,
      segments,
      jax.random.split(key)[1],
      jnp.asarray(span.stop) - span.start,
    )

  def measure(segments, program, state):
    del program
    perplexity = text_task.perplexity(model, state.params, segments)
    return {'perplexity': perplexity}

  return Task(
    init=init_child,
    train=train_child,
    train_metrics=train_metrics,
    measure=measure,
    train_data=train_segments,
    splits=text_task.pad_alike(splits),
  )


def train_metrics(state: TrainState) -> dict[str, jax.Array]:
  """Returns what training reports; see `make_task`."""
  return {
    'epoch_nats': state.nats,
    'num_trained': state.num_trained,
    'is_alive': state.is_alive,
  }


def _check(is_valid: bool, name: str, expected: str, recipe: Recipe) -> None:
  if not is_valid:
    raise ValueError(
      f'{name} must be {expected}, got {getattr(recipe, name)!r}.'
    )
