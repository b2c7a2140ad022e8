# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnas.trainers import blocks
from jaxnas.training import flax_task
from jaxnas.types import Status

KEYS = jax.random.split(jax.random.key(0), 3)


class Net(nn.Module):
  """Reads a pytree of two arrays; has everything a module can have."""

  features: int

  @nn.compact
  def __call__(self, inputs, train):
    values = nn.Dense(self.features)(inputs['values'])
    values = nn.BatchNorm(use_running_average=not train, momentum=0.5)(values)
    values = nn.Dropout(0.1, deterministic=not train)(nn.relu(values))
    return nn.Dense(2)(values + inputs['offset'][:, None])


def make_split(size, seed):
  rng = np.random.default_rng(seed)
  values = rng.normal(size=(size, 4)).astype(np.float32)
  labels = (values[:, 0] * values[:, 1] > 0).astype(np.int32)
  return {'values': values, 'offset': np.zeros(size, np.float32)}, labels


DATA = {
  'train': make_split(200, 0),
  'validation': make_split(50, 1),
  'report': make_split(7, 2),
}


def accuracy(outputs, labels):
  return outputs.argmax(-1) == labels


def make_task(module=Net(16), **changes):  # noqa: B008  # Frozen.
  settings = {
    'data': DATA,
    'loss': optax.softmax_cross_entropy_with_integer_labels,
    'metrics': {'accuracy': accuracy},
    'batch_size': 20,
  } | changes
  return flax_task.make_task(module, **settings)


@pytest.fixture(scope='module')
def trainer():
  return blocks.BlockTrainer(make_task(), 4, 2)


@pytest.mark.slow
def test_a_module_with_batch_norm_and_dropout_learns(trainer):
  trained = trainer.run(
    [None] * 3,
    KEYS,
    [0.01] * 3,
    150,
    splits=('validation', 'report'),
    keep=True,
  )
  assert not trained.status.any()
  assert set(trained.metrics) == {
    'train_loss', 'num_trained', 'validation_loss', 'validation_accuracy',
    'report_loss', 'report_accuracy',
  }  # fmt: skip
  assert trained.metrics['validation_accuracy'].min() > 0.8
  # Splits are padded to one size, and what is measured is of theirs alone.
  for row, state in enumerate(trained.kept.states):
    for name in ('validation', 'report'):
      inputs, labels = DATA[name]
      outputs = Net(16).apply(state.variables, inputs, train=False)
      np.testing.assert_allclose(
        trained.metrics[f'{name}_accuracy'][row],
        accuracy(outputs, labels).mean(),
        rtol=1e-6,
      )
      losses = optax.softmax_cross_entropy_with_integer_labels(outputs, labels)
      np.testing.assert_allclose(
        trained.metrics[f'{name}_loss'][row], losses.mean(), rtol=1e-4
      )


def test_spans_and_neighbors_do_not_matter(trainer):
  rates = [0.01, 3e38, 0.05]
  whole = trainer.run([None] * 3, KEYS, rates, 25)
  assert whole.status.tolist() == [Status.OK, Status.DIVERGED, Status.OK]
  first = trainer.run([None] * 3, KEYS, rates, 25, stop=13, keep=True)
  rest = trainer.resume(first.kept.select([2, 1]))
  for name, values in rest.metrics.items():
    np.testing.assert_array_equal(values, whole.metrics[name][[2, 1]])
  alone = trainer.run([None], KEYS[2:], rates[2:], 25)
  for name, values in alone.metrics.items():
    np.testing.assert_array_equal(values[0], whole.metrics[name][2])


class Moody(nn.Module):
  """A module that is off by ten in training."""

  @nn.compact
  def __call__(self, inputs, training):
    level = self.param('level', nn.initializers.zeros_init(), ())
    return jnp.where(training, 10.0, level) + 0 * inputs[:, 0]


def test_the_argument_of_the_mode_may_be_named_training():
  split = np.ones((4, 1), np.float32), np.zeros(4, np.float32)
  task = make_task(
    Moody(),
    data={'train': split, 'validation': split},
    loss=optax.squared_error,
    metrics={},
    optimizer=optax.sgd,
    batch_size=4,
  )
  trained = blocks.BlockTrainer(task, 1, 1).run([None], KEYS[:1], [0.0], 1)
  assert trained.metrics['train_loss'][0] == 100
  assert trained.metrics['validation_loss'][0] == 0
  assert flax_task.num_params(Moody(), split[0]) == 1


class Scaled(nn.Module):
  """A linear function of a program."""

  @nn.compact
  def __call__(self, inputs, program):
    return program['scale'] * nn.Dense(1, use_bias=False)(inputs)[:, 0]


def test_programs_are_data():
  inputs = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
  split = inputs, inputs.sum(1)
  task = make_task(
    Scaled(),
    data={'train': split, 'validation': split},
    loss=optax.squared_error,
    metrics={'error': lambda outputs, y: jnp.abs(outputs - y)},
    optimizer=optax.sgd,
    batch_size=30,
    assemble=lambda scales: {'scale': np.array(scales, np.float32)},
  )
  trainer = blocks.BlockTrainer(task, 4, 2)
  metrics = trainer.run([0.0, 1.0, 0.5], KEYS, [0.2] * 3, 60).metrics
  target = np.abs(inputs.sum(1)).mean()
  np.testing.assert_allclose(metrics['validation_error'][0], target, rtol=1e-5)
  assert metrics['validation_error'][1] < 1e-3 * target
  assert (
    flax_task.num_params(Scaled(), inputs[:1], {'scale': np.float32(1)}) == 3
  )


def test_any_optimizer_may_keep_the_learning_rate_in_its_state():
  def optimizer(rate):
    return optax.inject_hyperparams(optax.adamw)(rate, weight_decay=1e-3)

  task = make_task(Net(4), optimizer=optimizer)
  trainer = blocks.BlockTrainer(task, 2, 2)
  trained = trainer.run([None] * 2, KEYS[:2], [0.01, 0.02], 5, keep=True)
  rates = [
    float(state.opt_state.hyperparams['learning_rate'])
    for state in trained.kept.states
  ]
  np.testing.assert_allclose(rates, [0.01, 0.02])


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    (
      {'data': {'train': DATA['train']}},
      "needs a split 'train' and a .*; got train",
    ),
    ({'data': {**DATA, 'report': make_split(0, 0)}}, "no examples in 'report'"),
    (
      {'data': {**DATA, 'report': (DATA['report'][0], np.zeros(3))}},
      "arrays of 'report' must have equally many examples.*got 3, 7",
    ),
    ({'batch_size': 201}, 'batch_size must be from 1 to 200'),
    ({'batch_size': 0}, 'batch_size must be from 1 to 200'),
    ({'metrics': {'loss': accuracy}}, "The metric 'loss' is the mean of"),
  ],
)
def test_bad_arguments_are_refused(changes, message):
  with pytest.raises(ValueError, match=message):
    make_task(**changes)


def test_a_mean_is_no_metric():
  task = make_task(
    metrics={
      'accuracy': lambda outputs, labels: accuracy(outputs, labels).mean()
    }
  )
  trainer = blocks.BlockTrainer(task, 2, 2)
  with pytest.raises(ValueError, match=r'per example, with shape \(20,\)'):
    trainer.run([None], KEYS[:1], [0.1], 1)
