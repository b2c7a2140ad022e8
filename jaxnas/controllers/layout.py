# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Where decisions and their tokens stand in a sequence."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.types import AnchorPoint, Decision


class Layout:
  """The positions of decisions and tokens, known before any parameter.

  Letters: `C` decisions of one token, of at most `K` choices; `L` anchor
  points, `S` of which later ones can read; `V` outcomes of all decisions.

  Attributes:
    num_steps: the number of decisions.
    num_tokens: the number of tokens.
    num_anchors: `L`.
    num_sources: `S`.
    is_anchor: which decisions are anchor points, `bool[steps]`.
    numbers: which anchor point, or which of the others, each decision is,
      `int32[steps]`.
    slots: where each decision's state is kept, `int32[steps]`. All but the `S`
      anchor points overwrite each other in a last slot that is never read.
    first_rows: where each decision's table starts in the embeddings,
      `int32[steps]`. The last decision's table is never read, and its rows
      would lie beyond the end.
    choice_steps: the decisions of one token, `int32[C]`.
    choice_tokens: where their tokens are, `int32[C]`.
    is_choice: which choices each of them has, `bool[C, K]`.
    anchor_steps: the anchor points, `int32[L]`.
    anchor_tokens: where their tokens are, `int32[L, S]`; 0 where there is no
      pair.
    is_pair: which anchor point can read which, `bool[L, S]`.
    token_steps: the decision of each token, `int32[T]`.
    token_places: which of its decision's tokens each token is, `int32[T]`.
    outcome_steps: the decision of each outcome, `int32[V]`.
  """

  def __init__(self, decisions: tuple[Decision, ...]):
    num_tokens = np.asarray([d.num_tokens for d in decisions], np.int32)
    num_choices = np.asarray([d.num_choices for d in decisions], np.int32)
    is_anchor = np.asarray([isinstance(d, AnchorPoint) for d in decisions])
    starts = _starts(num_tokens)
    self.num_steps = len(decisions)
    self.num_tokens = int(num_tokens.sum())
    self.num_anchors = int(is_anchor.sum())
    self.num_sources = max(self.num_anchors - 1, 0)

    self.is_anchor = is_anchor
    self.numbers = np.where(is_anchor, _starts(is_anchor), _starts(~is_anchor))
    last = np.int32(self.num_sources)
    self.slots = np.minimum(np.where(is_anchor, self.numbers, last), last)
    self.first_rows = 1 + _starts(np.where(is_anchor, 0, num_choices))

    self.choice_steps = _places(~is_anchor)
    self.choice_tokens = starts[self.choice_steps]
    num_choices = num_choices[self.choice_steps]
    choices = np.arange(num_choices.max(initial=1))
    self.is_choice = choices[None] < num_choices[:, None]

    self.anchor_steps = _places(is_anchor)
    sources = np.arange(self.num_sources, dtype=np.int32)[None]
    self.is_pair = sources < np.arange(self.num_anchors)[:, None]
    self.anchor_tokens = np.where(
      self.is_pair, starts[self.anchor_steps, None] + sources, np.int32(0)
    )

    steps = np.arange(self.num_steps, dtype=np.int32)
    self.token_steps = np.repeat(steps, num_tokens)
    tokens = np.arange(self.num_tokens, dtype=np.int32)
    self.token_places = tokens - starts[self.token_steps]

    num_outcomes = np.asarray([d.num_outcomes for d in decisions], np.int32)
    self.outcome_steps = np.repeat(steps, num_outcomes)
    outcomes = np.arange(num_outcomes.sum(), dtype=np.int32)
    places = outcomes - _starts(num_outcomes)[self.outcome_steps]
    # Where each is when all `[C, K]` and then all `[L, S]` are in one row.
    num_columns = np.where(is_anchor, self.num_sources, len(choices))
    first = np.where(is_anchor, self.is_choice.size, 0)
    rows = first + self.numbers * num_columns
    self._outcomes = rows[self.outcome_steps] + places

  def join(self, choices: jax.Array, anchors: jax.Array) -> jax.Array:
    """Puts decisions in order, `[..., C], [..., L] -> [..., steps]`."""
    steps = np.concatenate([self.choice_steps, self.anchor_steps])
    order = np.argsort(steps).astype(np.int32)
    return jnp.concatenate([choices, anchors], axis=-1)[..., order]

  def outcomes(self, choices: jax.Array, anchors: jax.Array) -> jax.Array:
    """Puts outcomes in order, `[..., C, K], [..., L, S] -> [..., V]`."""
    flat = [x.reshape(*x.shape[:-2], -1) for x in (choices, anchors)]
    return jnp.concatenate(flat, axis=-1)[..., self._outcomes]

  def is_made(self, tokens: jax.Array) -> jax.Array:
    """Returns which decisions have all their tokens, `bool[..., steps]`."""
    if not self.num_anchors:
      return tokens >= 0
    is_token = tokens >= 0
    pairs = is_token[..., self.anchor_tokens]
    is_pair = jnp.broadcast_to(self.is_pair, pairs.shape)
    return self.join(
      is_token[..., self.choice_tokens], jnp.all(pairs | ~is_pair, axis=-1)
    )


def _starts(counts: np.ndarray) -> np.ndarray:
  """Returns the sums of all counts before each, `int32`."""
  return np.cumsum([0, *counts[:-1]], dtype=np.int32)


def _places(is_there: np.ndarray) -> np.ndarray:
  """Returns where it is true, `int32`."""
  return np.flatnonzero(is_there).astype(np.int32)
