# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Strategies whose first proposals are given, such as a scored pool's best.

Letters: `F` first proposals, `T` tokens.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
from jax import lax
import jax.numpy as jnp

from jaxnas.types import Proposals, Strategy


class StartedState(NamedTuple):
  """The state of a strategy whose first proposals are given.

  Attributes:
    inner: the state of the strategy that goes on.
    first: the first proposals, `int32[F, T]`.
    num_told: the number of proposals told so far, `int32[]`.
  """

  inner: Any
  first: jax.Array
  num_told: jax.Array


def start_from(strategy: Strategy, first: jax.Array) -> Strategy:
  """Makes a strategy that proposes given architectures first.

  The strategy is told of these architectures as if it had drawn them; their
  `log_prob` is that of its own proposals, so it must be a strategy that does
  not learn from log-probabilities, such as evolution. In a search with
  replicas, groups that are asked for before others are told would get the same
  architectures.

  Args:
    strategy: the strategy that goes on.
    first: the first proposals, `int32[F, T]`; may be traced.

  Returns:
    A strategy whose state is a `StartedState`. Its `ask` raises a `ValueError`
    if a batch does not divide the number of first proposals.
  """

  def init(key):
    return StartedState(strategy.init(key), first, jnp.zeros((), jnp.int32))

  def ask(state, key, num_trials, num_active=None):
    if len(first) % num_trials:
      raise ValueError(
        f'{len(first)} first proposals are not whole batches of {num_trials}.'
      )
    proposals = strategy.ask(state.inner, key, num_trials, num_active)
    given = lax.dynamic_slice_in_dim(state.first, state.num_told, num_trials)
    tokens = jnp.where(state.num_told < len(first), given, proposals.tokens)
    return proposals._replace(tokens=tokens)

  def tell(state, proposals: Proposals, rewards):
    inner, metrics = strategy.tell(state.inner, proposals, rewards)
    num_told = state.num_told + len(rewards)
    return StartedState(inner, state.first, num_told), metrics

  return Strategy(init, ask, tell)
