# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The guard of a child that dies: nothing of it reaches its neighbours."""

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
  """Returns the new state of a child that is alive, and else the old one.

  Args:
    is_alive: `bool[]`.
    new: a pytree of arrays.
    old: one of the same structure.
  """
  return jax.tree.map(lambda x, y: jnp.where(is_alive, x, y), new, old)
