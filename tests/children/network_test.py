# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import jax.numpy as jnp
import numpy as np

from jaxnas.children import network


def test_momentum_is_nesterovs_and_weights_decay_before_it():
  optimizer = network.make_optimizer(0.5, 0.1)
  params, grads = jnp.array([2.0]), jnp.array([1.0])
  state = optimizer.init(params)
  decayed = 1 + 0.1 * 2
  trace = 0.0
  for _ in range(3):
    updates, state = optimizer.update(grads, state, params)
    trace = decayed + 0.5 * trace
    np.testing.assert_allclose(updates, [decayed + 0.5 * trace], rtol=1e-6)
