# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""What every strategy checks of the rewards that it is told.

One reward that is not finite would make a policy's parameters NaN, which then
proposes zeros for ever. Under `jit` or `vmap` a reward has no value yet and
nothing can be raised: there a strategy that learns is left as it was by such a
batch, which `mean_reward` shows, and `search.scan` raises at its end.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np


def check(rewards: jax.typing.ArrayLike) -> None:
  """Checks that rewards are finite as float32; traced ones are not checked.

  Args:
    rewards: of any shape.

  Raises:
    ValueError: one is not.
  """
  if isinstance(rewards, jax.core.Tracer):
    return
  try:
    with np.errstate(over='ignore'):
      values = np.asarray(rewards).astype(np.float32)
  except OverflowError:  # An integer of more digits than a float can have.
    values = np.array([np.inf], np.float32)
  except (TypeError, ValueError):
    raise ValueError(
      f'Rewards must be an array of numbers, got {rewards!r}.'
    ) from None
  is_bad = ~np.isfinite(values)
  if is_bad.any():
    place = tuple(np.argwhere(is_bad)[0].tolist())
    raise ValueError(
      f'A reward must be finite as a float32, got {values[place]} at place '
      f'{", ".join(map(str, place))}; a failed trial gets the floor reward.'
    )


def keep_where_finite(rewards: jax.Array, after, before):
  """Returns a state as it was before a batch that has no finite rewards.

  Args:
    rewards: what the batch was worth, which may be traced.
    after: the state that learnt from it, a pytree of arrays.
    before: the state that has not.
  """
  is_finite = jnp.isfinite(rewards).all()
  return jax.tree.map(
    lambda new, old: jnp.where(is_finite, new, old), after, before
  )
