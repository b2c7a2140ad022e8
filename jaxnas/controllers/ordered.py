# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""How a controller chooses among the ordered levels of a `Range`.

With a softmax of free logits, nothing that is learnt of one level tells
anything of its neighbours. Here the logits are a smooth function of the level,
a sum of a few waves with learnt amplitudes `a_m`,

    logit(x) = sum_m a_m b_m(x),   b_m(x) = scale m^-decay sqrt(2) cos(pi m x),

where `x`, from 0 to 1, is the level's place. What is drawn is a level, with its
exact probability; nothing is clipped at the ends, where the waves are flat, and
there can be more than one peak. The long waves are the loudest, so that a
policy gradient finds the region first and sharpens it later. In the same way
the embedding of a level is a sum of waves, so that the network reads a level
that it never saw as something between its neighbours.

Shape letters here: `M` waves, `K` levels or choices, `C` decisions of one
token, `D` features.
"""

from __future__ import annotations

from collections.abc import Callable
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.controllers import layout as layouts
from jaxnas.types import AnchorPoint, Choice, Decision, Params, Range


class OrderedHead(NamedTuple):
  """What the logits and the embeddings of a range's levels are sums of.

  Attributes:
    logits: `num_levels -> float32[M, K]`.
    embeddings: `num_levels -> float32[M, K]`, as many functions.
  """

  logits: Callable[[int], np.ndarray]
  embeddings: Callable[[int], np.ndarray]


def make_cosine(
  num_waves: int = 16, scale: float = 4.0, decay: float = 2.0
) -> OrderedHead:
  """Makes the head whose logits and embeddings are sums of cosine waves.

  The defaults are measured ones, for the default controller and REINFORCE as it
  is by default, on paraboloids over one and three ranges of 256 levels. Waves
  that are equally loud (`decay=0`), or too loud, settle on a peak beside the
  best one; too quiet ones take longer to find it. In the searches of
  `tests/controllers/ordered_test.py`, of 320 trials each, the best level of one
  range is first drawn in trial 128 on average (softmaxes of free logits, which
  learn at a rate of 0.03 there, 214; random search 176), and one within 10
  levels of it in each of three ranges in trial 196 (267 and 301). A search that
  never draws it counts as 320.

  Args:
    num_waves: the most waves of a range; one of `K` levels has no more than
      `K - 1`.
    scale: of the logits' waves: how fast they are learnt.
    decay: how much quieter the logits' shorter waves are; 0 makes all equal.

  Raises:
    ValueError: a number is out of its range.
  """
  if num_waves < 1:
    raise ValueError(f'num_waves must be at least 1, got {num_waves}.')
  if not scale > 0:
    raise ValueError(f'scale must be greater than 0, got {scale}.')
  if not decay >= 0:
    raise ValueError(f'decay must be at least 0, got {decay}.')

  def waves(num_levels: int, scale: float, decay: float) -> np.ndarray:
    numbers = np.arange(1.0, min(num_waves, num_levels - 1) + 1)[:, None]
    # In the middles of K equal parts they are orthogonal, also to a constant.
    places = (np.arange(num_levels) + 0.5)[None] / num_levels
    cosines = np.sqrt(2) * np.cos(np.pi * numbers * places)
    return (scale * numbers**-decay * cosines).astype(np.float32)

  return OrderedHead(
    logits=functools.partial(waves, scale=scale, decay=decay),
    # A sum of squares of 1.6, so about as loud as the row of a table.
    embeddings=functools.partial(waves, scale=1.0, decay=1.0),
  )


class Waves:
  """The parameters of a controller with ranges, and what they stand for.

  Where a table has a row or a column for each level of a range, the parameters
  have one for each wave. Other decisions have the same in both.

  Attributes:
    layout: of the parameters: of decisions with a choice for each wave.
    is_random: which outputs have parameters that start at random, `bool[C,
      M]`. Those of a range start at zero: all levels are equally likely.
  """

  def __init__(self, decisions: tuple[Decision, ...], head: OrderedHead | None):
    """Finds the ranges; without a head they are like choices."""
    parts = []
    for decision in decisions:
      if head is None or not isinstance(decision, Range):
        parts.append(_Part(decision, None, None))
        continue
      logits = head.logits(decision.num_choices)
      waves = Choice(range(len(logits)), decision.name)
      embeddings = head.embeddings(decision.num_choices)
      parts.append(_Part(waves, logits, embeddings))
    self._parts = tuple(parts)
    self.layout = layouts.Layout(tuple(part.decision for part in parts))
    is_choice = np.asarray([part.logits is None for part in parts])
    is_choice = is_choice[self.layout.choice_steps]
    self.is_random = self.layout.is_choice & is_choice[:, None]

  def expand(self, params: Params) -> Params:
    """Returns the parameters with a row or a column for each level."""
    if all(part.logits is None for part in self._parts):
      return params
    outputs = self._outputs()
    return params | {
      'embeddings': self._embeddings(params['embeddings']),
      'kernel': _contract('cdm,cmk->cdk', params['kernel'], outputs),
      'bias': _contract('cm,cmk->ck', params['bias'], outputs),
    }

  def _outputs(self) -> np.ndarray:
    """Returns the basis of every softmax's logits, `[C, M, K]`."""
    num_outputs = self.layout.is_choice.shape[1]
    parts = [self._parts[step] for step in self.layout.choice_steps]
    num_levels = [
      part.decision.num_choices if part.logits is None else part.logits.shape[1]
      for part in parts
    ]
    result = np.zeros((len(parts), num_outputs, max(num_levels)), np.float32)
    for basis, part in zip(result, parts, strict=True):
      if part.logits is None:
        np.fill_diagonal(basis, 1)
      else:
        basis[: len(part.logits), : part.logits.shape[1]] = part.logits
    return result

  def _embeddings(self, rows: jax.Array) -> jax.Array:
    """Returns the whole table, for all decisions but the last."""
    pieces, end = [rows[:1]], 1
    for part in self._parts[:-1]:
      if isinstance(part.decision, AnchorPoint):
        continue
      start, end = end, end + part.decision.num_choices
      piece = rows[start:end]
      if part.embeddings is not None:
        piece = _contract('md,mk->kd', piece, part.embeddings)
      pieces.append(piece)
    return jnp.concatenate(pieces)


class _Part(NamedTuple):
  """A decision.

  Attributes:
    decision: with a choice for each wave, if it is a range.
    logits: its basis `[M, K]`, if it is a range.
    embeddings: its basis `[M, K]`, if it is a range.
  """

  decision: Decision
  logits: np.ndarray | None
  embeddings: np.ndarray | None


def _contract(equation: str, values: jax.Array, basis: np.ndarray) -> jax.Array:
  # Choices pass through an identity, which is to leave them as they are.
  return jnp.einsum(equation, values, basis, precision='highest')
