# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The ranking of NSGA-II, with fixed shapes, for `jit` and `vmap`.

"A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II", Deb et al., 2002
(IEEE Transactions on Evolutionary Computation 6). More is better in every
objective here.

Letters: `N` points, `M` objectives.
"""

from __future__ import annotations

import chex
import jax
import jax.numpy as jnp


def dominates(values: jax.Array) -> jax.Array:
  """Returns which point dominates which other, `bool[N, N]`.

  One that is at least as good in all objectives and better in one does.

  Args:
    values: the points, `[N, M]`.
  """
  chex.assert_rank(values, 2)
  one, other = values[:, None], values[None]
  return (one >= other).all(-1) & (one > other).any(-1)


def ranks(values: jax.Array, is_valid: jax.Array | None = None) -> jax.Array:
  """Returns the non-dominated rank of every point, `int32[N]`.

  Points of rank 0 are dominated by none, those of rank 1 only by points of rank
  0, and so on (section III-A of the paper).

  Args:
    values: the points, `[N, M]`.
    is_valid: which points there are, `bool[N]`; the others have rank `N` and
      dominate nothing. All by default.
  """
  chex.assert_rank(values, 2)
  count = len(values)
  if is_valid is None:
    is_valid = jnp.ones(count, bool)
  is_above = dominates(values) & is_valid[:, None] & is_valid[None]

  def peel(state):
    rank, found, left = state
    is_free = left & ~(is_above & left[:, None]).any(0)
    return rank + 1, jnp.where(is_free, rank, found), left & ~is_free

  found = jnp.full(count, count, jnp.int32)
  start = jnp.int32(0), found, is_valid
  return jax.lax.while_loop(lambda state: state[2].any(), peel, start)[1]


def crowding(values: jax.Array, rank: jax.Array) -> jax.Array:
  """Returns the crowding distance of every point in its rank, `float32[N]`.

  It is the sum, over objectives, of the distance between a point's neighbors,
  relative to the span of its rank; the ends of a rank are infinitely far
  (section III-B of the paper).

  Args:
    values: the points, `[N, M]`.
    rank: the ranks, `int32[N]`, from 0 to `N`.
  """
  count = len(values)
  chex.assert_shape(rank, (count,))

  def along(value):
    order = jnp.lexsort((value, rank))
    sorted_value, sorted_rank = value[order], rank[order]
    is_first = jnp.append(True, sorted_rank[1:] != sorted_rank[:-1])
    is_last = jnp.append(sorted_rank[1:] != sorted_rank[:-1], True)
    below = jnp.roll(sorted_value, 1)
    above = jnp.roll(sorted_value, -1)
    least = jax.ops.segment_min(value, rank, count + 1)
    most = jax.ops.segment_max(value, rank, count + 1)
    span = (most - least)[sorted_rank]
    gap = jnp.where(span > 0, (above - below) / span, 0.0)
    gap = jnp.where(is_first | is_last, jnp.inf, gap)
    return jnp.zeros(count, gap.dtype).at[order].set(gap)

  return jax.vmap(along, 1)(values).sum(0)


def order(values: jax.Array, is_valid: jax.Array | None = None) -> jax.Array:
  """Returns the points, best first: by rank, then the least crowded first.

  Args:
    values: the points, `[N, M]`.
    is_valid: which points there are, `bool[N]`; the others come last. All by
      default.

  Returns:
    The indices, `int32[N]`; of equals the first comes first.
  """
  rank = ranks(values, is_valid)
  return jnp.lexsort((-crowding(values, rank), rank))
