# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import jax
import jax.numpy as jnp
import pytest

from jaxnas.children import initializers


@pytest.mark.parametrize('scale', [0.05, 2.0])
def test_weights_spread_evenly_on_both_sides_of_zero(scale):
  weights = initializers.uniform(scale)(jax.random.key(0), (40, 50))
  assert weights.shape == (40, 50)
  assert weights.dtype == jnp.float32
  assert abs(weights).max() <= scale
  assert weights.max() > 0.99 * scale
  assert weights.min() < -0.99 * scale
  assert abs(weights.mean()) < 0.05 * scale
