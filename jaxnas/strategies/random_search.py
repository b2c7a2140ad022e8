# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Random search: all values of a decision are equally likely.

The baseline that every other strategy must beat at equal budget; see "Random
Search and Reproducibility for Neural Architecture Search", Li and Talwalkar,
2019 (https://arxiv.org/abs/1902.07638).
"""

from __future__ import annotations

from collections.abc import Mapping
import functools
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.decisions import check_decisions
from jaxnas.strategies import told
from jaxnas.types import Decision, Proposals, Strategy


class RandomSearchState(NamedTuple):
  """The state of random search.

  Attributes:
    num_trials: the number of rewards told so far, a scalar.
  """

  num_trials: jax.Array


def make_random_search(decisions: tuple[Decision, ...]) -> Strategy:
  """Makes the strategy that draws every token uniformly.

  An anchor point's tokens are fair coins, so each subset of the earlier layers
  is equally likely. Nothing is learned. The metrics are `mean_reward` and
  `entropy`, that of the uniform distribution over the decisions made, in nats.

  Args:
    decisions: the decisions of the search space, of any kind.

  Returns:
    A strategy whose state is a `RandomSearchState`.

  Raises:
    ValueError: an entry is not a decision, or no decision has a token.
  """
  check_decisions(decisions)
  num_tokens = [decision.num_tokens for decision in decisions]
  if not sum(num_tokens):
    raise ValueError(
      f'decisions needs at least one decision with a token, got {decisions}.'
    )
  num_choices = np.repeat(
    [decision.num_choices for decision in decisions], num_tokens
  ).astype(np.int32)
  decision_of_token = np.repeat(np.arange(len(decisions)), num_tokens)

  def init(key: jax.Array) -> RandomSearchState:
    del key
    return RandomSearchState(num_trials=jnp.zeros((), jnp.int32))

  @functools.partial(jax.jit, static_argnames='num_trials')
  def draw(key, num_active, num_trials) -> Proposals:
    shape = (num_trials, len(num_choices))
    tokens = jax.random.randint(key, shape, 0, num_choices[None])
    is_active = decision_of_token < num_active
    log_prob = -jnp.sum(jnp.where(is_active, np.log(num_choices), 0.0))
    return Proposals(
      tokens=jnp.where(is_active[None], tokens, -1),
      log_prob=jnp.broadcast_to(log_prob, (num_trials,)),
    )

  def ask(
    state: RandomSearchState,
    key: jax.Array,
    num_trials: int,
    num_active: jax.Array | int | None = None,
  ) -> Proposals:
    del state
    num_active = len(decisions) if num_active is None else num_active
    return draw(key, jnp.asarray(num_active, jnp.int32), num_trials)

  @jax.jit
  def learn(
    state: RandomSearchState, proposals: Proposals, rewards: jax.Array
  ) -> tuple[RandomSearchState, Mapping[str, jax.Array]]:
    chex.assert_equal_shape([proposals.log_prob, rewards])
    metrics = {
      'mean_reward': jnp.mean(rewards),
      # All draws are equally likely, so each has the same -log_prob, which is
      # the entropy.
      'entropy': -jnp.mean(proposals.log_prob),
    }
    return RandomSearchState(state.num_trials + rewards.shape[0]), metrics

  def tell(state, proposals, rewards):
    told.check(rewards)
    return learn(state, proposals, rewards)

  return Strategy(init, ask, tell)
