# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Freezes a child that fails at its last finite state.

A child in a block takes every step that the others take, dead or alive. Values
are selected with `where`, never multiplied by 0, so that no NaN of a dead child
reaches its neighbors.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax


def is_finite(loss: jax.Array, grads: Any) -> jax.Array:
  """Returns whether a loss and its whole gradient are finite, `bool[]`."""
  norm = optax.tree.norm(grads, squared=True)
  return jnp.isfinite(loss) & jnp.isfinite(norm)


def keep(is_alive: jax.Array, new: Any, old: Any) -> Any:
  """Returns the new state of a child if it is alive, else its old state.

  Args:
    is_alive: whether the child is alive, `bool[]`.
    new: the new state, a pytree of arrays.
    old: the old state, with the same structure; the result has its dtypes.
  """
  return jax.tree.map(
    # Under `jax_enable_x64` a 64-bit learning rate makes 64-bit updates.
    lambda x, y: jnp.where(is_alive, x, y).astype(y.dtype),
    new,
    old,
  )
