# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Strategies whose proposals are redrawn if they exceed a limit."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.types import Proposals, Strategy


def make_redrawn(
  strategy: Strategy,
  is_allowed: Callable[[np.ndarray], bool],
  max_redraws: int = 16,
) -> Strategy:
  """Makes a strategy that redraws the proposals that are not allowed.

  Each proposal that is not allowed is replaced by another draw of the same
  state, at most `max_redraws` times; the last draw then stays as it is. Up to
  that bound this is rejection sampling, so the allowed architectures keep their
  relative probabilities. The keys of all draws follow from that of `ask`, so a
  resumed search makes the same proposals again.

  A `log_prob` is that of the strategy's own distribution, not of the one that
  results from redraws. A policy gradient therefore learns from an accepted
  proposal as if it had been the first draw; one that remains infeasible teaches
  it the floor.

  Args:
    strategy: the strategy whose proposals are redrawn.
    is_allowed: `tokens int32[T] -> bool`, a pure function of one architecture;
      it is called outside `jit`, so `search.scan` cannot run the result.
    max_redraws: the largest number of redraws of one proposal; 0 for none.

  Raises:
    ValueError: `max_redraws` is negative.
  """
  if max_redraws < 0:
    raise ValueError(f'max_redraws must be at least 0, got {max_redraws}.')

  def ask(
    state,
    key: jax.Array,
    num_trials: int,
    num_active: jax.Array | int | None = None,
  ) -> Proposals:
    proposals = strategy.ask(state, key, num_trials, num_active)
    tokens, log_prob = map(np.array, proposals[:2])
    left = _refused(is_allowed, tokens, np.arange(num_trials))
    # Strategies split their key, and `split` and `fold_in` of small numbers can
    # give the same keys.
    beyond = jax.random.fold_in(key, _REDRAWS)
    for attempt in range(max_redraws):
      if not left.size:
        break
      again = strategy.ask(
        state, jax.random.fold_in(beyond, attempt), num_trials, num_active
      )
      tokens[left] = np.asarray(again.tokens)[left]
      log_prob[left] = np.asarray(again.log_prob)[left]
      left = _refused(is_allowed, tokens, left)
    return proposals._replace(
      tokens=jnp.asarray(tokens), log_prob=jnp.asarray(log_prob)
    )

  # What draws and learns at once would redraw nothing.
  return strategy._replace(ask=ask, ask_and_teller=None)


_REDRAWS = 2**32 - 2


def _refused(is_allowed, tokens: np.ndarray, rows: np.ndarray) -> np.ndarray:
  """Returns the rows, out of those given, whose tokens are not allowed."""
  return np.array([row for row in rows if not is_allowed(tokens[row])], int)
