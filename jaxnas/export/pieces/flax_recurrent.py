# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""How the matrices of a recurrent cell are drawn."""

from flax import linen as nn
import jax
import jax.numpy as jnp


def orthogonal_blocks(key, shape, dtype=jnp.float32):
  """Draws an orthogonal matrix for each block, `[blocks, rows, columns]`."""
  draw_block = nn.initializers.orthogonal()
  keys = jax.random.split(key, shape[0])
  return jax.vmap(lambda key: draw_block(key, shape[1:], dtype))(keys)
