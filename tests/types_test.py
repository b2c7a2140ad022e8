# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import math

import jax
import numpy as np
import pytest

from jaxnas import decisions, types


def test_every_noun_is_exported():
  assert sorted(types.__all__) == sorted(
    name
    for name, value in vars(types).items()
    if name in types.__all__
    or getattr(value, '__module__', '') == 'jaxnas.types'
  )
  assert types.Choice is decisions.Choice
  assert types.Range is decisions.Range
  assert types.AnchorPoint is decisions.AnchorPoint


def test_states_have_fixed_numbers():
  # They are written to logs and checkpoints.
  assert [(each.name, each.value) for each in types.Status] == [
    ('OK', 0),
    ('DIVERGED', 1),
    ('OUT_OF_MEMORY', 2),
    ('FAILED', 3),
    ('CRASHED', 4),
    ('TIMED_OUT', 5),
    ('NOT_FINITE', 6),
    ('INFEASIBLE', 7),
  ]


@pytest.mark.parametrize('floor', [math.nan, math.inf, -math.inf, 1e39])
def test_a_floor_is_finite_as_float32(floor):
  with pytest.raises(ValueError, match='must be finite as a float32, got'):
    types.Reward(lambda architectures, metrics: metrics['loss'], floor)


def test_kept_children_are_selected_in_the_order_asked_for():
  kept = types.Kept(
    architectures=['a', 'b', 'c'],
    keys=jax.random.split(jax.random.key(0), 3),
    learning_rates=np.array([0.1, 0.2, 0.3], np.float32),
    num_steps=8,
    num_trained=2,
    states=[10, 11, 12],
  )
  some = kept.select([2, 0])
  assert some.architectures == ['c', 'a']
  assert some.states == [12, 10]
  assert some.learning_rates.tolist() == kept.learning_rates[[2, 0]].tolist()
  assert (some.keys == kept.keys[np.array([2, 0])]).all()
  assert (some.num_steps, some.num_trained) == (8, 2)
  assert not kept.select([]).architectures
