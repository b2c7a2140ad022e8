# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.training import guard


@pytest.mark.parametrize('bad', [np.nan, np.inf, -np.inf])
def test_a_loss_or_a_gradient_that_is_not_finite_is_seen(bad):
  grads = {'a': jnp.ones((2, 3)), 'b': [jnp.zeros(2)]}
  assert guard.is_finite(jnp.float32(1), grads)
  assert not guard.is_finite(jnp.float32(bad), grads)
  grads['b'][0] = grads['b'][0].at[1].set(bad)
  assert not guard.is_finite(jnp.float32(1), grads)


def test_a_dead_child_stays_and_its_neighbor_is_left_alone():
  old = {'x': jnp.arange(6.0).reshape(2, 3), 'n': jnp.array([4, 5])}
  new = {'x': jnp.full((2, 3), jnp.nan).at[0].set(9), 'n': jnp.array([6, 7])}
  kept = jax.vmap(guard.keep)(jnp.array([True, False]), new, old)
  np.testing.assert_array_equal(kept['x'], [[9, 9, 9], [3, 4, 5]])
  np.testing.assert_array_equal(kept['n'], [6, 5])


def test_what_is_kept_has_the_dtype_of_the_old_state():
  kept = guard.keep(
    jnp.array(True), jnp.ones(2, jnp.float32), jnp.zeros(2, jnp.bfloat16)
  )
  assert kept.dtype == jnp.bfloat16
