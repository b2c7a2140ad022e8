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
