# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.strategies import told


@pytest.mark.parametrize(
  ('rewards', 'message'),
  [
    ([0.5, np.nan], 'nan at index 1; give a failed trial the floor'),
    ([[0.0, 1.0], [-np.inf, 1.0]], '-inf at index 1, 0;'),
    ([1e39], 'must be finite as a float32, got inf at index 0'),
    ([10**400], 'got inf at index 0'),
    (['best'], r"Rewards must be an array of numbers, got \['best'\]"),
  ],
)
def test_rewards_that_are_not_finite_are_named(rewards, message):
  with pytest.raises(ValueError, match=message):
    told.check(rewards)


@pytest.mark.parametrize('rewards', [[], [0.0, -3.0], jnp.ones((2, 2)), 1])
def test_finite_rewards_of_any_sign_and_shape_pass(rewards):
  told.check(rewards)


def test_traced_rewards_are_not_checked():
  @jax.jit
  def learn(rewards):
    told.check(rewards)
    return rewards

  assert np.isnan(learn(jnp.array([jnp.nan]))).all()


@pytest.mark.parametrize(
  ('rewards', 'expected'), [([1.0, 2.0], 'after'), ([1.0, np.inf], 'before')]
)
def test_a_state_stays_where_one_reward_is_not_finite(rewards, expected):
  states = {
    'after': {'params': jnp.ones(3), 'count': jnp.array(2)},
    'before': {'params': jnp.zeros(3), 'count': jnp.array(1)},
  }
  kept = jax.jit(told.keep_where_finite)(
    jnp.array(rewards), states['after'], states['before']
  )
  for name, value in states[expected].items():
    np.testing.assert_array_equal(kept[name], value)
