# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A long training of one language model, epoch after epoch.

Where `text_task` judges many children in a short while, this trains one to
its end: with dropout, a falling learning rate and an architecture that is
compiled in. A step depends on the state and the key alone, so a training ends
in the same bits however it is divided into calls.
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
SCHEDULES = ('epoch', 'step', 'cosine')


@dataclasses.dataclass(frozen=True)
class Recipe:
  """How a language model is built and trained from scratch.

  The defaults are the medium LSTM of section 4.1 of "Recurrent Neural Network
  Regularization", Zaremba et al., 2014 (https://arxiv.org/abs/1409.2329), which
  reads the Penn Treebank in batches of 20 and segments of 35. `decay` is that
  of TensorFlow's PTB tutorial; the paper divides by 1.2. The other dropouts are
  of "A Theoretically Grounded Application of Dropout in Recurrent Neural
  Networks", Gal and Ghahramani, 2016 (https://arxiv.org/abs/1512.05287).

  Attributes:
    features: width `D` of the embedding and of every layer.
    num_layers: how many recurrent layers there are.
    tie_embeddings: whether the softmax shares the embedding.
    use_bias: whether a cell of the grammar has biases; an LSTM always has.
    init_scale: all weights start uniform in +- this; biases have their own.
    dropout_rate: of the inputs and outputs of every layer.
    variational: whether its masks stay the same over a segment.
    recurrent_dropout_rate: of the hidden state on its way to the next step.
    embedding_dropout_rate: of whole rows of the embedding.
    optimizer: `'sgd'` or `'adam'`.
    learning_rate: of the first epochs.
    schedule: how it falls after them: by `decay` at the start of every
      `'epoch'`, by as much in equal parts with every `'step'`, or along half a
      `'cosine'` to zero at the end.
    constant_epochs: how long it does not fall; `'epoch'` takes 0 as 1.
    decay: the factor of an epoch; `'cosine'` takes none.
    max_grad_norm: the gradient of the sum over a segment's steps, averaged over
      its columns, is clipped to this norm.
    num_epochs: how long the training is; only `'cosine'` depends on it.
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
    params: its parameters.
    opt_state: the optimiser's state.
    carry: what the last segment left of the recurrent state.
    nats: sum over the segments of this epoch, so far, of the mean
      cross-entropy of a token under dropout. A scalar.
    num_trained: steps taken, `int32[]`.
    is_alive: false from the first loss or gradient on that is not finite; all
      else stays as it was then. `bool[]`.
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
    recipe: sizes, dropout and initialisation.
    vocab_size: `V`.
    architecture: a cell of the grammar, or `'lstm'`: the LSTM with biases, the
      forget gate's starting at 1, which is not in the grammar.

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
  elif architecture == 'lstm':
    make_cell = functools.partial(recurrent_cell.LSTMCell, **inits)
  else:
    raise ValueError(
      f"The architecture must be a RecurrentCell or 'lstm', got "
      f'{architecture!r}.'
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
  """Makes the learning-rate schedule, from steps taken to a rate.

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
  """Makes the optimiser: clipping, then SGD or Adam on the schedule.

  Args:
    recipe: the recipe, whose clipping, optimiser and schedule are used.
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
    model: the network.
    optimizer: what will train it.
    key: decides the parameters.
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
  """Trains on one segment.

  Args:
    model: the network.
    optimizer: what trains it.
    state: the model so far.
    inputs: tokens, `int32[T, B]`.
    targets: the tokens that follow, `int32[T, B]`.
    key: key of the whole training; with the number of steps taken, it decides
      the step's dropout.
  """
  chex.assert_equal_shape([inputs, targets])
  num_steps, batch_size = inputs.shape

  def loss_function(params):
    # Summed over time, as in Zaremba et al.: the learning rate and the clipping
    # of SGD mean nothing without it.
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
  """Trains for some steps; an epoch starts with a carry of zeros.

  Args:
    model: the network.
    optimizer: what trains it.
    state: the model so far.
    segments: the text; weights are not used, so there must be no padding.
    key: of the whole training.
    num_steps: how many segments to train on, from where the state stands; may
      be traced.
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
    recipe: the recipe; a child's learning rate takes the place of its own.
    vocab_size: the number of tokens of the vocabulary, `V`.
    architecture: the cell, as in `make_model`.
    train_segments: the text to train on, without padding.
    splits: the texts to measure on, by name.

  Returns:
    A task that measures the `perplexity`, and whose training reports
    `epoch_nats`, the sum over the epoch's steps so far of the mean
    cross-entropy of a token under dropout, `num_trained` and `is_alive`.

  Raises:
    ValueError: the architecture is neither a cell nor `'lstm'`.
  """
  model = make_model(recipe, vocab_size, architecture)
  num_segments, _, batch_size = train_segments.inputs.shape

  # The key is split alike in both, so that a state holds none.
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
