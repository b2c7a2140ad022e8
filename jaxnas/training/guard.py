# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The guard of a child that fails: it is frozen at its last finite state.

A child in a block goes through every step of the others, dead or alive. Values
are chosen with `where`, never multiplied by 0, so that no NaN of a dead child
reaches its neighbours.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax


def is_finite(loss: jax.Array, grads: Any) -> jax.Array:
  """Returns whether a loss and all of its gradient are finite, `bool[]`."""
  norm = optax.tree.norm(grads, squared=True)
  return jnp.isfinite(loss) & jnp.isfinite(norm)


def keep(is_alive: jax.Array, new: Any, old: Any) -> Any:
  """Returns the new state of a child that is alive, else its old one.

  Args:
    is_alive: whether the child is alive, `bool[]`.
    new: a pytree of arrays.
    old: a pytree of the same structure, whose dtypes the result has.
  """
  return jax.tree.map(
    # Under `jax_enable_x64` a learning rate of 64 bits makes such updates.
    lambda x, y: jnp.where(is_alive, x, y).astype(y.dtype),
    new,
    old,
  )
