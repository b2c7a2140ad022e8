# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Draws the matrices of a recurrent cell."""

from flax import linen as nn
import jax
import jax.numpy as jnp


def orthogonal_blocks(key, shape, dtype=jnp.float32):
  """Draws square orthogonal matrices side by side, `[rows, blocks * rows]`."""
  rows, columns = shape
  draw_block = nn.initializers.orthogonal()
  keys = jax.random.split(key, columns // rows)
  blocks = [draw_block(key, (rows, rows), dtype) for key in keys]
  return jnp.concatenate(blocks, axis=1)
