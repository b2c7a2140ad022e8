# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The task of training a Flax module on arrays of any shape.

    task = flax_task.make_task(
      MyModule(width=64),
      {'train': (x, y), 'validation': (x2, y2), 'report': (x3, y3)},
      optax.softmax_cross_entropy_with_integer_labels,
      {'accuracy': lambda outputs, labels: outputs.argmax(-1) == labels},
    )

Letters: `B` examples in a batch, `n` examples in a split.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import inspect
from typing import Any, NamedTuple

from flax import linen as nn
import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnas import errors
from jaxnas.training import epochs, flax_arguments, guard
from jaxnas.types import Span, Task

Score = flax_arguments.Score
Optimizer = flax_arguments.Optimizer


class State(NamedTuple):
  """A child in training.

  Attributes:
    variables: the module's collections, of which `'params'` is trained.
    opt_state: the state of the optimizer.
    is_alive: whether the child is alive, `bool[]`; false from the first loss or
      gradient that is not finite, when everything else is frozen.
    num_trained: the number of steps taken while alive, `int32[]`.
    loss: the loss of the last of these steps; NaN before the first.
  """

  variables: Any
  opt_state: Any
  is_alive: jax.Array
  num_trained: jax.Array
  loss: jax.Array


class Split(NamedTuple):
  """A split cut into batches, padded so that all splits have one shape.

  Attributes:
    inputs: the inputs, `[batches, B, ...]`.
    targets: the targets, `[batches, B, ...]`.
    weights: 1 for an example, 0 for padding, `float32[batches, B]`.
  """

  inputs: Any
  targets: Any
  weights: jax.Array


def make_task(
  module: nn.Module,
  data: Mapping[str, tuple[Any, Any]],
  loss: Score,
  metrics: Mapping[str, Score],
  *,
  optimizer: Optimizer = optax.adam,
  batch_size: int = 32,
  assemble: Callable[[Sequence[Any]], Any] | None = None,
  program_axes: Any = 0,
) -> Task:
  """Makes the task of training a Flax module by gradient descent.

  The module is called with a batch of inputs, with `train=True` or `False` if
  its `__call__` has an argument `train` or `training`, and with `program=...`
  if there are programs. During training it has the random stream `'dropout'`
  and may update its other collections, such as `'batch_stats'`.

  Args:
    module: the child.
    data: the inputs and targets of each split, by name: `'train'`, and the
      splits to measure on, such as `'validation'` and `'report'`. Each is a
      pytree of arrays whose leading axis is the examples.
    loss: the loss to minimize, `(outputs, targets) -> [B]`.
    metrics: the metrics by name, `(outputs, targets) -> [B]`, to be averaged
      over the examples of a split.
    optimizer: `learning_rate -> optimizer`.
    batch_size: the batch size `B`; an epoch has as many whole batches as fit.
    assemble: `architectures -> program`, if children of this module differ in
      numbers that are data; see `Task`. None by default.
    program_axes: the batch axes of the programs.

  Returns:
    A task that measures the metrics and the `loss`. Its training metrics are
    `train_loss`, the loss of the last batch, `num_trained` and `is_alive`.

  Raises:
    ValueError: as in `flax_arguments.check`. Tracing the task also raises it,
      naming the cause, if the module, the loss or a metric fails.
  """
  sizes = flax_arguments.check(data, loss, metrics, optimizer, batch_size)
  train_inputs, train_targets = jax.tree.map(jnp.asarray, data['train'])
  example = jax.tree.map(lambda x: x[:batch_size], train_inputs)
  child = _Child(module, loss, optimizer, assemble is not None)

  def init(program, key, learning_rate):
    return child.init(program, key, learning_rate, example)

  def train(data, program, state, key, learning_rate, span: Span):
    order_key, dropout_key = jax.random.split(jax.random.fold_in(key, 1))

    def step(index, rows, state):
      inputs, targets = jax.tree.map(lambda x: x[rows], data)
      return child.step(
        program,
        state,
        jax.random.fold_in(dropout_key, index),
        learning_rate,
        inputs,
        targets,
      )

    return epochs.run(
      step,
      state,
      order_key,
      sizes['train'],
      batch_size,
      span.start,
      span.stop,
    )

  def measure(split, program, state):
    return child.measure(split, program, state, {'loss': loss, **metrics})

  largest = max(size for name, size in sizes.items() if name != 'train')
  return Task(
    init=init,
    train=train,
    train_metrics=_train_metrics,
    measure=measure,
    train_data=(train_inputs, train_targets),
    splits={
      name: _cut(split, sizes[name], largest, batch_size)
      for name, split in data.items()
      if name != 'train'
    },
    assemble=assemble,
    program_axes=program_axes if assemble is not None else None,
  )


@dataclasses.dataclass(frozen=True)
class _Child:
  """The initialization, training and measurement of one child.

  Attributes:
    module: the network.
    loss: the loss, `(outputs, targets) -> [B]`.
    optimizer: `learning_rate -> optimizer`.
    has_program: whether the module takes a program.
  """

  module: nn.Module
  loss: Score
  optimizer: Optimizer
  has_program: bool

  def init(self, program, key, learning_rate, example) -> State:
    """Returns an untrained child, given a batch of its inputs."""
    params_key, dropout_key = jax.random.split(jax.random.fold_in(key, 0))
    with self._calling_module(example):
      variables = self.module.init(
        {'params': params_key, 'dropout': dropout_key},
        example,
        **self._settings(program, False),
      )
    with errors.calling('The optimizer'):
      opt_state = self.optimizer(learning_rate).init(variables['params'])
    return State(
      variables=variables,
      opt_state=opt_state,
      is_alive=jnp.array(True),
      num_trained=jnp.array(0, jnp.int32),
      loss=jnp.array(jnp.nan, jnp.float32),
    )

  def step(
    self, program, state, dropout_key, learning_rate, inputs, targets
  ) -> State:
    """Trains a child on one batch."""
    others, params = _split(state.variables)

    def mean_loss(params):
      with self._calling_module(inputs):
        outputs, changed = self.module.apply(
          {'params': params, **others},
          inputs,
          **self._settings(program, True),
          rngs={'dropout': dropout_key},
          mutable=list(others),
        )
      count = len(jax.tree.leaves(inputs)[0])
      return jnp.mean(
        _each('loss', self.loss, outputs, targets, (count,))
      ), changed

    (value, changed), grads = jax.value_and_grad(mean_loss, has_aux=True)(
      params
    )
    is_alive = state.is_alive & guard.is_finite(value, grads)
    with errors.calling('The optimizer'):
      updates, opt_state = self.optimizer(learning_rate).update(
        grads, state.opt_state, params
      )
    params = optax.apply_updates(params, updates)
    new = (
      {**others, **changed, 'params': params},
      opt_state,
      value.astype(jnp.float32),
    )
    old = state.variables, state.opt_state, state.loss
    variables, opt_state, value = guard.keep(is_alive, new, old)
    return State(
      variables, opt_state, is_alive, state.num_trained + is_alive, value
    )

  def measure(self, split: Split, program, state, scores) -> dict:
    """Returns the mean of each score over the examples of a split."""

    def add(totals, batch):
      with self._calling_module(batch.inputs):
        outputs = self.module.apply(
          state.variables, batch.inputs, **self._settings(program, False)
        )
      shape = batch.weights.shape
      values = {
        name: jnp.asarray(
          _each(name, score, outputs, batch.targets, shape), jnp.float32
        )
        for name, score in scores.items()
      }
      return {
        name: totals[name] + jnp.sum(each * batch.weights)
        for name, each in values.items()
      }, None

    totals, _ = lax.scan(add, dict.fromkeys(scores, jnp.zeros(())), split)
    count = split.weights.sum()
    return {name: total / count for name, total in totals.items()}

  def _calling_module(self, inputs):
    """Names the module and the inputs for which it raised an exception."""
    shapes = jax.tree.map(lambda x: tuple(x.shape), inputs)
    return errors.calling(
      f'{type(self.module).__name__} on inputs of shape {shapes}'
    )

  def _settings(self, program, is_training):
    """Returns the arguments that the module takes in addition to its inputs."""
    named = _mode(self.module, is_training)
    return {**named, 'program': program} if self.has_program else named


def _mode(module: nn.Module, is_training: bool) -> dict[str, Any]:
  """Returns the argument by which a module knows that it is in training."""
  parameters = inspect.signature(type(module).__call__).parameters
  names = [name for name in ('train', 'training') if name in parameters]
  return dict.fromkeys(names[:1], is_training)


def num_params(module: nn.Module, inputs: Any, program: Any = None) -> int:
  """Returns the number of parameters of a module.

  Args:
    module: the child.
    inputs: a batch of the child's inputs.
    program: the program of the child, if it has one.
  """
  _, variables = _shapes(module, inputs, program)
  return sum(leaf.size for leaf in jax.tree.leaves(variables['params']))


def outputs_of(module: nn.Module, inputs: Any, program: Any = None) -> Any:
  """Returns the shapes and dtypes of a module's outputs, computing nothing.

  Args:
    module: the child.
    inputs: a batch of the child's inputs.
    program: the program of the child, if it has one.
  """
  outputs, _ = _shapes(module, inputs, program)
  return outputs


def _shapes(module: nn.Module, inputs: Any, program: Any) -> tuple[Any, Any]:
  """Returns the shapes of a module's outputs and of its collections."""
  named = _mode(module, False)
  if program is not None:
    named['program'] = program
  keys = {'params': jax.random.key(0), 'dropout': jax.random.key(0)}
  return jax.eval_shape(
    lambda x: module.init_with_output(keys, x, **named), inputs
  )


def _train_metrics(state: State) -> dict[str, jax.Array]:
  return {
    'train_loss': state.loss,
    'num_trained': state.num_trained,
    'is_alive': state.is_alive,
  }


def _split(variables):
  """Returns the collections that are not trained, and the parameters."""
  others = {name: x for name, x in variables.items() if name != 'params'}
  return others, variables['params']


def _each(
  name: str, score: Score, outputs: Any, targets: Any, shape: tuple[int, ...]
) -> Any:
  """Returns the score of each example, `[B]`."""
  what = 'The loss' if name == 'loss' else f'The metric {name!r}'
  given = (
    f'outputs of shape {_spell_shapes(outputs)} and targets of shape '
    f'{_spell_shapes(targets)}'
  )
  with errors.calling(f'{what}, called with {given},'):
    values = score(outputs, targets)
  # A mean would include the examples that pad the last batch.
  if jnp.shape(values) != shape:
    raise ValueError(
      f'{what} must return one number per example, with shape {shape}, not '
      f'their mean; got shape {jnp.shape(values)} from {given}.'
    )
  return values


def _spell_shapes(arrays: Any) -> str:
  return errors.shorten(str(jax.tree.map(jnp.shape, arrays)))


def _cut(split, size: int, largest: int, batch_size: int) -> Split:
  """Pads a split to the size of the largest, rounded up to whole batches."""
  total = -(-largest // batch_size) * batch_size

  def cut(values):
    values = jnp.asarray(values)
    # The padding repeats the last example, which any module accepts.
    rows = np.minimum(np.arange(total), size - 1)
    return values[rows].reshape(-1, batch_size, *values.shape[1:])

  inputs, targets = jax.tree.map(cut, split)
  weights = (np.arange(total) < size).astype(np.float32)
  return Split(inputs, targets, jnp.asarray(weights.reshape(-1, batch_size)))
