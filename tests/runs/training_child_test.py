# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.runs import training_child
from jaxnas.trainers import memory
from jaxnas.types import Task

KEY = jax.random.key(3)
NUM_STEPS = 10


def init(program, key, learning_rate):
  return {'at': jax.random.normal(key), 'num_trained': jnp.int32(0)}


def train(data, program, state, key, learning_rate, span):
  num_steps = span.stop - span.start
  return {
    'at': state['at'] + learning_rate * data * num_steps,
    'num_trained': state['num_trained'] + num_steps,
  }


TASK = Task(
  init=init,
  train=train,
  train_metrics=lambda state: {**state, 'is_alive': state['at'] < 100},
  measure=lambda split, program, state: {'sum': state['at'] + split},
  train_data=jnp.float32(2),
  splits={'validation': jnp.float32(0), 'report': jnp.float32(1)},
)


def make(task=TASK, learning_rate=0.5):
  return training_child.Child(task, 'net', KEY, learning_rate, NUM_STEPS)


def test_a_child_is_made_trained_and_measured():
  child = make()
  assert child.state['at'] == jax.ShapeDtypeStruct((), np.float32)
  assert child.spent.compile == 0
  assert child.train(0)
  assert child.spent.compile > 0
  start = jax.random.normal(KEY)
  np.testing.assert_array_equal(child.state['at'], start)
  assert child.train(3)
  assert child.train(4)
  assert child.num_trained == 7
  assert child.metrics['num_trained'] == 7
  np.testing.assert_allclose(child.state['at'], start + 7, rtol=1e-6)
  # What is measured may be another state, and the child stays as it is.
  other = {**child.state, 'at': np.float32(5)}
  assert child.measure(other, 'report') == {'sum': 6.0}
  np.testing.assert_allclose(child.state['at'], start + 7, rtol=1e-6)
  with pytest.raises(ValueError, match=r'stop must be from 7.* to 10'):
    child.train(4)


def test_a_restored_child_goes_on():
  child, other = make(), make()
  child.train(2)
  state = jax.device_put(child.state)
  other.restore(2, state)
  # Twice from the same state: what is restored is not given away.
  assert other.measure(state, 'validation') == child.measure(
    child.state, 'validation'
  )
  for each in (child, other):
    each.train(8)
  assert child.state == other.state


def test_a_child_that_dies_is_told():
  child = make(learning_rate=50.0)
  assert child.train(0)
  assert not child.train(2)


def test_a_child_that_does_not_fit_is_an_error(monkeypatch):
  monkeypatch.setattr(memory, 'available', lambda device: 8)
  with pytest.raises(
    memory.NotEnoughMemoryError, match=r'would need about .* a smaller --batch'
  ):
    make().train(0)
