# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

from flax import linen as nn
import numpy as np
import optax
import pytest

from jaxnas.trainers import dry_runs
from jaxnas.training import flax_task


class Line(nn.Module):
  @nn.compact
  def __call__(self, inputs):
    return nn.Dense(1)(inputs)[:, 0]


def make_task(**settings):
  x = np.zeros((8, 2), np.float32)
  data = dict.fromkeys(('train', 'validation'), (x, x[:, 0]))
  metrics = {'error': optax.squared_error}
  return flax_task.make_task(
    Line(), data, optax.squared_error, metrics, batch_size=4, **settings
  )


def test_metrics_are_named_without_a_training():
  found = dry_runs.trace(make_task(), None, ('validation',))
  assert found.metrics == ('num_trained', 'train_loss')
  assert found.measured == ('error', 'loss')
  assert found.names('validation') == (
    'num_trained',
    'train_loss',
    'validation_error',
    'validation_loss',
  )
  with pytest.raises(ValueError, match="no split 'report'"):
    dry_runs.trace(make_task(), None, ('report',))


@pytest.mark.parametrize(
  ('optimizer', 'is_used'),
  [
    (optax.adam, True),
    (lambda rate: optax.adam(1e-3), False),
    (lambda rate: optax.chain(optax.clip(1.0), optax.sgd(rate)), True),
    # Its first steps are the same for all rates.
    (
      lambda rate: optax.sgd(optax.warmup_constant_schedule(0.0, rate, 9)),
      True,
    ),
  ],
)
def test_whether_the_learning_rate_is_used_is_found_out(optimizer, is_used):
  task = make_task(optimizer=optimizer)
  assert dry_runs.trace(task, None, ()).uses_learning_rate == is_used
