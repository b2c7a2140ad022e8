# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A whole search as one pure function, for rewards that are one of tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

from jaxnas.strategies import told
from jaxnas.types import Strategy


class Scan(NamedTuple):
  """A whole search: `R` rounds of `N` trials.

  Attributes:
    tokens: the proposals, `int32[R, N, T]`.
    rewards: the proposals' rewards, `float32[R, N]`.
    metrics: the strategy's metrics, each `[R]`.
    state: the strategy's state after the last round.
  """

  tokens: jax.Array
  rewards: jax.Array
  metrics: Mapping[str, jax.Array]
  state: Any


def scan(
  strategy: Strategy,
  reward: Callable[[jax.Array], jax.Array],
  key: jax.Array,
  num_rounds: int,
  batch_size: int,
  num_active: jax.Array | Sequence[int] | int | None = None,
) -> Scan:
  """Runs a whole search as one pure function, for `jit` and `vmap`.

  Given the same rewards, it proposes what `search.run` proposes in an arm with
  this key; see `search.arm_key`. Nothing is cached: an architecture that is
  proposed again is rewarded again, with the same reward by definition.

      best = jax.vmap(
        lambda key: scan(strategy, table.look_up, key, 25, 20).rewards.max()
      )(keys)

  To map over the numeric settings of `make_reinforce`, or those of `make_ppo`
  except its epochs, make the strategy inside the mapped function:
  `jax.vmap(lambda key, rate: scan(make_reinforce(controller, rate), ...))`.

  Args:
    strategy: the strategy that proposes.
    reward: `tokens int32[N, T] -> rewards [N]`, a pure function.
    key: the random key that all randomness follows from.
    num_rounds: the number of times the strategy is asked and told, `R`.
    batch_size: the number of architectures proposed each time, `N`.
    num_active: the number of decisions to make: one number, or one per round,
      `[R]`; all decisions by default.

  Returns:
    The proposals and their rewards, round by round.

  Raises:
    ValueError: a reward is not finite. Under `jit` or `vmap` nothing is raised,
      so check the returned rewards; no strategy learns from a round with such a
      reward.
  """
  if num_active is not None:
    num_active = jnp.asarray(num_active, jnp.int32)
    if not num_active.ndim:
      num_active = jnp.broadcast_to(num_active, (num_rounds,))
    chex.assert_shape(num_active, (num_rounds,))

  def play(state, inputs):
    index, active = inputs
    proposals = strategy.ask(state, round_key(key, index), batch_size, active)
    rewards = jnp.asarray(reward(proposals.tokens), jnp.float32)
    chex.assert_shape(rewards, (batch_size,))
    state, metrics = strategy.tell(state, proposals, rewards)
    return state, (proposals.tokens, rewards, metrics)

  state, (tokens, rewards, metrics) = jax.lax.scan(
    play,
    strategy.init(init_key(key)),
    (jnp.arange(num_rounds, dtype=jnp.int32), num_active),
    num_rounds,
  )
  told.check(rewards)
  return Scan(tokens, rewards, metrics, state)


def init_key(key: jax.Array) -> jax.Array:
  """Returns the key for a strategy's `init`, given its arm's key."""
  return jax.random.fold_in(key, 0)


def round_key(key: jax.Array, round_index: jax.Array | int) -> jax.Array:
  """Returns the key for a strategy's `ask` in a round, given its arm's key."""
  return jax.random.fold_in(key, 1 + round_index)
