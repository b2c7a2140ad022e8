# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""What a child that was stopped at a rung of successive halving is worth.

Rewards at different rungs are not alike: most grow with the steps. `Scale`
holds what the reward at each rung tells about the next, and `told_rewards`
is what a strategy learns from.

Letters: `N` children, `K` rungs.
"""

from __future__ import annotations

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

MIN_PAIRS = 8
"""The fewest children that a line is fitted to; see `expected_rewards`."""


class Scale(NamedTuple):
  """What the reward at each rung tells about that at the next; a pytree.

  It is a fold over the batches of an arm, in the order in which they are told:
  the moments of the rewards `(x, y)` at a rung and the next, of all children
  that have both. A linear fit is right although only the best have both, since
  it was by `x` that they were chosen.

  Attributes:
    num_pairs: how many children have both, `float32[K - 1]`.
    x_mean: the mean at the rung, `float32[K - 1]`.
    y_mean: the mean at the next rung, `float32[K - 1]`.
    xx: the sum of the squares of `x - x_mean`, `float32[K - 1]`.
    xy: the sum of `(x - x_mean) (y - y_mean)`, `float32[K - 1]`.
  """

  num_pairs: jax.Array
  x_mean: jax.Array
  y_mean: jax.Array
  xx: jax.Array
  xy: jax.Array


def init_scale(num_rungs: int) -> Scale:
  """Returns the scale before any child.

  Args:
    num_rungs: the number of rungs, `K`.
  """
  nothing = jnp.zeros(num_rungs - 1, jnp.float32)
  return Scale(*[nothing] * len(Scale._fields))


def extend_scale(scale: Scale, curves: jax.Array) -> Scale:
  """Returns the scale with another batch of children; pure.

  Args:
    scale: the scale so far.
    curves: the rewards of the children at the rungs, `[N, K]`; NaN where a
      child was not trained to the rung, or had failed.
  """
  chex.assert_shape(curves, (None, len(scale.num_pairs) + 1))
  x, y = curves[:, :-1], curves[:, 1:]
  is_pair = jnp.isfinite(x) & jnp.isfinite(y)
  count = jnp.sum(is_pair, axis=0).astype(jnp.float32)

  def mean_of(values):
    total = jnp.sum(jnp.where(is_pair, values, 0.0), axis=0)
    return total / jnp.maximum(count, 1.0)

  x_mean, y_mean = mean_of(x), mean_of(y)
  x = jnp.where(is_pair, x - x_mean[None], 0.0)
  y = jnp.where(is_pair, y - y_mean[None], 0.0)
  # Means and central moments of two samples joined; sums of squares themselves
  # would lose what matters where rewards are nearly the same.
  total = scale.num_pairs + count
  share = count / jnp.maximum(total, 1.0)
  x_shift, y_shift = x_mean - scale.x_mean, y_mean - scale.y_mean
  weight = scale.num_pairs * share
  return Scale(
    total,
    scale.x_mean + share * x_shift,
    scale.y_mean + share * y_shift,
    scale.xx + jnp.sum(x * x, axis=0) + weight * x_shift * x_shift,
    scale.xy + jnp.sum(x * y, axis=0) + weight * x_shift * y_shift,
  )


def expected_rewards(
  scale: Scale, rewards: jax.Array, rungs: jax.Array, floor: float
) -> jax.Array:
  """Returns the rewards expected at the end of the training; pure.

  From rung to rung it is a line that does not fall, fitted by least squares.
  With fewer pairs than `MIN_PAIRS`, or where all are alike, it is a shift by
  their mean difference: the slope between a few of the best, whose rewards are
  close together, is mostly noise, and would throw the children far below them
  to the floor. Before the first pair it is the reward itself. The reward of a
  full training stays as it is.

  Args:
    scale: what is known so far.
    rewards: the rewards of children at the rungs where they stopped, `[N]`; NaN
      for those that failed.
    rungs: the indices of those rungs, `int32[N]`.
    floor: the reward of a child that failed, below which nobody is expected.
  """
  rewards = jnp.asarray(rewards, jnp.float32)
  rungs = jnp.asarray(rungs)
  chex.assert_equal_shape([rewards, rungs])
  has_line = (scale.num_pairs >= MIN_PAIRS) & (scale.xx > 0)
  slope = jnp.where(
    has_line, scale.xy / jnp.where(has_line, scale.xx, 1.0), 1.0
  )
  slope = jnp.maximum(slope, 0.0)
  for rung in range(len(scale.num_pairs)):
    line = scale.y_mean[rung] + slope[rung] * (rewards - scale.x_mean[rung])
    line = jnp.maximum(line, floor)
    rewards = jnp.where(rung >= rungs, line, rewards)
  return jnp.where(jnp.isfinite(rewards), rewards, floor)


def told_rewards(
  scale: Scale, rewards: jax.Array, rungs: jax.Array, floor: float
) -> jax.Array:
  """Returns the rewards that a strategy is told; pure.

  A stopped child counts as its reward where it stopped, or as the one expected
  at the end if that is lower: it gets no credit for what it has not shown, and
  no early reward outshines those of full trainings. Other scales are compared
  with it in `docs/results/halving.md`.

  Args:
    scale: what is known so far.
    rewards: the rewards of children at the rungs where they stopped, `[N]`; NaN
      for those that failed.
    rungs: the indices of those rungs, `int32[N]`.
    floor: the reward of a child that failed.
  """
  expected = expected_rewards(scale, rewards, rungs, floor)
  rewards = jnp.asarray(rewards, jnp.float32)
  # NaN is no minimum here.
  return jnp.fmin(rewards, expected)
