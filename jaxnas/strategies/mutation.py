# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""How evolution makes a child: one random change of one decision.

All decisions that can change are equally likely to be the one. A `Choice` takes
any other value; an `AnchorPoint` has one connection flipped; a `Range` makes a
step whose probability falls exponentially with its length. Steps lead only to
levels that exist, so no probability piles up at the ends.

Shape letters here: `N` children, `P` parents, `T` tokens, `K` values of a
token.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.types import Decision, Range


class Mutation:
  """The distribution of children given their parent.

  A token changes from `a` to another of its values, `b`, with a probability
  proportional to `exp(-decay * (abs(b - a) - 1))`; the decay is zero for values
  without an order.

  Attributes:
    num_choices: the number of values of each token, `int32[T]`.
    decision_of_token: the index of each token's decision, `int32[T]`.
  """

  def __init__(self, decisions: tuple[Decision, ...], range_scale: float):
    """Precomputes what does not depend on parents.

    Args:
      decisions: the decisions of the search space, of any kind.
      range_scale: the typical length of a step on a `Range`, as a fraction of
        its levels.
    """
    num_tokens = np.array([decision.num_tokens for decision in decisions])
    num_choices = np.array([decision.num_choices for decision in decisions])
    # Decisions are equally likely to change, however many tokens they have.
    share = np.where(num_choices > 1, 1 / np.maximum(1, num_tokens), 0.0)
    is_range = np.array([isinstance(each, Range) for each in decisions])
    decay = np.where(is_range, 1 / (range_scale * num_choices), 0.0)
    self.decision_of_token = np.repeat(np.arange(len(decisions)), num_tokens)
    self.num_choices, self._share, self._decay = (
      np.repeat(values, num_tokens).astype(dtype)
      for values, dtype in (
        (num_choices, np.int32),
        (share, np.float32),
        (decay, np.float32),
      )
    )
    self._log_total = _log_totals(self.num_choices, self._decay)

  def draw(
    self, key: jax.Array, parents: jax.Array, is_active: jax.Array
  ) -> jax.Array:
    """Draws one child of each parent.

    Args:
      key: a random key.
      parents: the parents, `int32[N, T]`; tokens that a parent lacks are
        negative.
      is_active: whether each token can change, `bool[T]`.

    Returns:
      The children, `int32[N, T]`; meaningless where the parent lacks a token.
    """
    place_key, value_key = jax.random.split(key)
    rows = np.arange(len(parents))
    chances = jnp.log(jnp.where(is_active, self._share, 0.0))
    places = jax.random.categorical(place_key, chances, shape=rows.shape)
    num_choices, decay = (
      jnp.asarray(values)[places][:, None]
      for values in (self.num_choices, self._decay)
    )
    values = np.arange(self.num_choices.max())[None]
    steps = jnp.abs(values - parents[rows, places][:, None])
    is_value = (steps > 0) & (values < num_choices)
    logits = jnp.where(is_value, -(steps - 1) * decay, -jnp.inf)
    new = jax.random.categorical(value_key, logits).astype(jnp.int32)
    return parents.at[rows, places].set(new)

  def log_prob(
    self, children: jax.Array, parents: jax.Array, is_active: jax.Array
  ) -> jax.Array:
    """Returns the log-probability of every child given every parent.

    Args:
      children: the children, `int32[N, T]`.
      parents: the parents, `int32[P, T]`; tokens that a parent lacks are
        negative, and the child's tokens there count as drawn uniformly.
      is_active: whether each token can change, `bool[T]`.

    Returns:
      The log-probabilities, `float32[N, P]`, nats.
    """
    parents = jnp.where(is_active[None], parents, -1)
    chances = jnp.where(is_active, self._share, 0.0)
    # Each decision that can change adds 1, so the sum is at least 1 unless none
    # can.
    log_chances = jnp.log(chances) - jnp.log(jnp.maximum(1.0, jnp.sum(chances)))
    is_made = parents >= 0
    is_fresh = is_active[None] & ~is_made
    # A child equals its parent in all of the parent's tokens if the change fell
    # on a token that the parent lacks, or if nothing can change.
    same = jax.nn.logsumexp(
      jnp.where(is_fresh, log_chances[None], -jnp.inf), axis=-1
    )
    same = jnp.where(jnp.any(chances > 0), same, 0.0)
    fresh = jnp.where(is_fresh, np.log(self.num_choices)[None], 0.0)

    steps = jnp.abs(children[:, None] - parents[None])
    is_changed = (steps > 0) & is_made[None]
    columns = np.arange(len(self.num_choices))[None]
    log_total = jnp.asarray(self._log_total)[columns, jnp.maximum(parents, 0)]
    change = (log_chances[None] - log_total)[None]
    change -= (steps - 1) * self._decay[None, None]
    change = jnp.sum(jnp.where(is_changed, change, 0.0), axis=-1)
    num_changed = jnp.sum(is_changed, axis=-1)
    by_parent = jnp.where(num_changed == 1, change, -jnp.inf)
    by_parent = jnp.where(num_changed == 0, same[None], by_parent)
    return by_parent - jnp.sum(fresh, axis=-1)[None]


def _log_totals(num_choices: np.ndarray, decay: np.ndarray) -> np.ndarray:
  """Returns the log of the total weight of all steps away from each value.

  Args:
    num_choices: the number of values of each token, `int[T]`.
    decay: the decay of each token's weights, `float[T]`.

  Returns:
    The logs, `float32[T, K]`; 0 for a value that does not exist or is the only
    one.
  """
  values = np.arange(num_choices.max())
  weights = np.exp(-values * decay[:, None])
  # Sums over the steps to one side, indexed by the number of these steps. A
  # table of all pairs of values would exhaust memory for tens of thousands of
  # values.
  sums = np.cumsum(weights, axis=1) - weights
  num_above = num_choices[:, None] - 1 - values
  totals = sums + np.take_along_axis(sums, np.maximum(num_above, 0), axis=1)
  is_known = (num_above >= 0) & (totals > 0)
  return np.log(np.where(is_known, totals, 1.0)).astype(np.float32)
