# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

from flax import linen as nn
import jax
import numpy as np
import optax
import pytest

from jaxnas.records import fingerprint
from jaxnas.trainers import flax_modules


class Net(nn.Module):
  width: int

  @nn.compact
  def __call__(self, inputs, program):
    hidden = nn.relu(nn.Dense(self.width)(inputs))
    return nn.Dense(1)(hidden * program['gain'])[:, 0]


def make_data():
  inputs = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
  return {'train': (inputs, inputs[:, 0]), 'validation': (inputs, inputs[:, 0])}


def test_a_setting_that_has_changed_is_called_by_its_name(tmp_path):
  path = tmp_path / 'trials.task.json'
  for batch_size in (4, 5):
    trainer = flax_modules.FlaxTrainer(
      Net,
      make_data(),
      optax.squared_error,
      {'error': optax.squared_error},
      batch_size=batch_size,
    )
    if batch_size == 4:
      fingerprint.check(path, {'task': trainer.task}, same_task=False)
  with pytest.raises(ValueError, match=r'written: batch_size of the task\. St'):
    fingerprint.check(path, {'task': trainer.task}, same_task=False)


def test_children_of_one_shape_share_a_program():
  made = []

  def make_module(width):
    made.append(width)
    return Net(width)

  trainer = flax_modules.FlaxTrainer(
    make_module,
    make_data(),
    optax.squared_error,
    {'error': optax.squared_error},
    shape_of=lambda architecture: architecture['width'],
    program_of=lambda architecture: {'gain': architecture['gain']},
    block_size=2,
  )
  children = [
    {'width': width, 'gain': gain}
    for width, gain in ((4, 1.0), (8, 1.0), (4, 0.5), (4, 0.25))
  ]
  keys = jax.random.split(jax.random.key(0), 4)
  together = trainer.run(children, keys, [0.02] * 4, 50)
  assert made == [4, 8]
  assert not together.status.any()
  assert together.metrics['validation_error'].max() < 0.7
  alone = trainer.run(children[2:3], keys[2:3], [0.02], 50)
  for name, values in alone.metrics.items():
    np.testing.assert_array_equal(values[0], together.metrics[name][2])
  assert trainer.num_params(children[1]) == (3 + 1) * 8 + 8 + 1


def make_trainer(**changes):
  settings = {
    'make_module': Net,
    'data': make_data(),
    'loss': optax.squared_error,
    'metrics': {'error': optax.squared_error},
    'shape_of': lambda architecture: architecture['width'],
    'program_of': lambda architecture: {'gain': architecture['gain']},
    'block_size': 2,
    'num_devices': 1,
  } | changes
  positional = [
    settings.pop(name) for name in ('make_module', 'data', 'loss', 'metrics')
  ]
  return flax_modules.FlaxTrainer(*positional, **settings)


class WithoutProgram(nn.Module):
  width: int

  @nn.compact
  def __call__(self, inputs):
    return nn.Dense(1)(nn.Dense(self.width)(inputs))[:, 0]


class Wrong(nn.Module):
  width: int

  @nn.compact
  def __call__(self, inputs, program):
    return inputs @ jax.numpy.zeros((self.width, 1))


def test_a_dry_run_tells_the_metrics_and_trains_nothing():
  trainer = make_trainer()
  children = [{'width': width, 'gain': 1.0} for width in (4, 8, 4)]
  found = trainer.dry_run(children, ('validation',))
  assert found.measured == ('error', 'loss')
  assert found.uses_learning_rate
  assert not trainer.compile_seconds


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'loss': 'squared'}, "loss must be a function, got 'squared'"),
    ({'shape_of': 'width'}, "shape_of must be a function, got 'width'"),
    ({'make_module': Net(4)}, 'make_module must be a function, got Net'),
    ({'data': [1, 2]}, 'data must be a mapping'),
  ],
)
def test_bad_arguments_are_named_when_it_is_made(changes, message):
  with pytest.raises(ValueError, match=message):
    make_trainer(**changes)


def fail(*arguments):
  raise RuntimeError('of mine')


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    (
      {'shape_of': lambda each: each['widht']},
      'shape_of failed: KeyError.*widht',
    ),
    ({'shape_of': dict}, 'something that can be hashed.*got {.*width'),
    (
      {
        'shape_of': lambda each: (each['width'], 1),
        'make_module': lambda s: Net(*s),
      },
      r'make_module, called with \(4, 1\), failed: TypeError',
    ),
    ({'make_module': lambda width: width}, 'must return a Flax module.* got 4'),
    ({'make_module': WithoutProgram}, 'no argument `program` to get it'),
    ({'program_of': None}, 'needs a `program`, and FlaxTrainer has no'),
    ({'program_of': fail}, 'program_of failed: RuntimeError at .*: of mine'),
    ({'program_of': lambda each: 'relu'}, "numbers or arrays.* got 'relu'"),
    ({'program_of': lambda each: {}}, "Net on inputs of shape .*'gain'"),
    (
      {'make_module': Wrong},
      r'Wrong on inputs of shape \(32, 3\) failed: TypeErr',
    ),
    (
      {'loss': fail},
      r'The loss, called with outputs of shape \(32,\) and targets of shape '
      r'\(32,\), failed: RuntimeError at .*flax_modules_test.py',
    ),
    (
      {'metrics': {'mine': fail}},
      "The metric 'mine', called with .*, failed: RuntimeError at",
    ),
    ({'loss': lambda x, y: (x - y).mean()}, 'The loss must return one number'),
    ({'optimizer': fail}, 'The optimizer failed: RuntimeError at'),
  ],
)
def test_whose_function_failed_is_said(changes, message):
  with pytest.raises(ValueError, match=message) as caught:
    make_trainer(**changes).dry_run(
      [{'width': 4, 'gain': 1.0}], ('validation',)
    )
  assert '\n' not in str(caught.value)


def test_programs_of_a_shape_must_be_alike():
  trainer = make_trainer(
    program_of=lambda each: {'gain': np.ones(each['size'])}
  )
  children = [{'width': 4, 'size': size} for size in (1, 2)]
  with pytest.raises(ValueError, match='same shapes for all children'):
    trainer.run(children, jax.random.split(jax.random.key(0), 2), [0.1] * 2, 1)
