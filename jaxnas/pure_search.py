# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A whole search as one pure function, where rewards are one of tokens."""

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
    tokens: what was proposed, `int32[R, N, T]`.
    rewards: `float32[R, N]`.
    metrics: the strategy's, each `[R]`.
    state: the strategy's, after the last round.
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

  It proposes what `search.run` proposes in an arm with this key, see
  `search.arm_key`, if the rewards are the same. Nothing is cached: an
  architecture that is proposed again gets its reward again, which is the same
  by definition.

      best = jax.vmap(
        lambda key: scan(strategy, table.look_up, key, 25, 20).rewards.max()
      )(keys)

  The numbers that `make_reinforce` takes can be mapped too, and those of
  `make_ppo` but for its epochs, by making the strategy in the mapped function:
  `jax.vmap(lambda key, rate: scan(make_reinforce(controller, rate), ...))`.

  Args:
    strategy: who proposes.
    reward: `tokens int32[N, T] -> rewards [N]`, a pure function.
    key: everything random follows from it.
    num_rounds: how often the strategy is asked and told.
    batch_size: how many architectures it proposes each time.
    num_active: how many decisions are made: one number, or one for each round,
      `[R]`; all decisions by default.

  Returns:
    What was proposed and what it was worth, round by round.

  Raises:
    ValueError: a reward is not finite. Under `jit` or `vmap` nothing is raised:
      look at the rewards that come back; a strategy that learns has learnt
      nothing from the rounds that have such a one.
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
  """Returns the key that an arm's strategy is made with, of the arm's key."""
  return jax.random.fold_in(key, 0)


def round_key(key: jax.Array, round_index: jax.Array | int) -> jax.Array:
  """Returns the key that a strategy is asked with, of the arm's key."""
  return jax.random.fold_in(key, 1 + round_index)
