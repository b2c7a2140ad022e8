# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The check that every strategy makes of the rewards it is told.

A single reward that is not finite would turn a policy's parameters into NaN,
and from then on the policy would propose nothing but zeros. Under `jit` or
`vmap` a reward has no value yet, so no error can be raised. There, a batch with
such a reward leaves a strategy's state unchanged; its `mean_reward` gives the
batch away, and `search.scan` raises an error at the end.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np


def check(rewards: jax.typing.ArrayLike) -> None:
  """Checks that rewards that are not traced are finite as float32.

  Args:
    rewards: the rewards, of any shape.

  Raises:
    ValueError: a reward is not finite or not a number.
  """
  if isinstance(rewards, jax.core.Tracer):
    return
  try:
    with np.errstate(over='ignore'):
      values = np.asarray(rewards).astype(np.float32)
  except OverflowError:  # An integer beyond the range of a float.
    values = np.array([np.inf], np.float32)
  except (TypeError, ValueError):
    raise ValueError(
      f'Rewards must be an array of numbers, got {rewards!r}.'
    ) from None
  is_bad = ~np.isfinite(values)
  if is_bad.any():
    place = tuple(np.argwhere(is_bad)[0].tolist())
    raise ValueError(
      f'A reward must be finite as a float32, got {values[place]} at index '
      f'{", ".join(map(str, place))}; give a failed trial the floor reward.'
    )


def keep_where_finite(rewards: jax.Array, after, before):
  """Returns the state after a batch, or before it if a reward is not finite.

  Args:
    rewards: the rewards of the batch, `[N]`; may be traced.
    after: the state that has learned from the batch, a pytree of arrays.
    before: the state that has not, with the same structure.
  """
  is_finite = jnp.isfinite(rewards).all()
  return jax.tree.map(
    lambda new, old: jnp.where(is_finite, new, old), after, before
  )
