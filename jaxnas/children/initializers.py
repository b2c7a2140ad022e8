# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Weight initializers that Flax lacks."""

from __future__ import annotations

from flax import linen as nn
import jax
import jax.numpy as jnp


def uniform(scale: float) -> nn.initializers.Initializer:
  """Makes an initializer that draws uniformly from `[-scale, scale)`.

  Flax's own `uniform` draws from `[0, scale)`.

  Args:
    scale: the maximum magnitude of a weight.
  """

  def init(key, shape, dtype=jnp.float32):
    return jax.random.uniform(key, shape, dtype, -scale, scale)

  return init
