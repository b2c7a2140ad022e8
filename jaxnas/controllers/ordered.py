# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""How a controller chooses among the ordered levels of a `Range`.

With a softmax of free logits, what is learned about one level says nothing
about its neighbors. Here the logits are a smooth function of the level, a sum
of a few waves with learned amplitudes `a_m`,

    logit(x) = sum_m a_m b_m(x),   b_m(x) = scale m^-decay sqrt(2) cos(pi m x),

where `x`, from 0 to 1, is the level's position. Levels are drawn with exact
probabilities; nothing is clipped at the ends, where the waves are flat, and
there may be several peaks. Long waves are the loudest, so that a policy
gradient first finds a region and then sharpens it. The embedding of a level is
also a sum of waves, so that the network reads a level it has never seen as
something between its neighbors.

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
  """The functions whose sums are a range's logits and embeddings.

  Attributes:
    logits: `num_levels -> float32[M, K]`, the functions for logits.
    embeddings: `num_levels -> float32[M, K]`, as many for embeddings.
  """

  logits: Callable[[int], np.ndarray]
  embeddings: Callable[[int], np.ndarray]


def make_cosine(
  num_waves: int = 16, scale: float = 4.0, decay: float = 2.0
) -> OrderedHead:
  """Makes the head whose logits and embeddings are sums of cosine waves.

  For the measurements behind the defaults see `docs/results/strategies.md`.

  Args:
    num_waves: the largest number of waves of a range; a range of `K` levels has
      at most `K - 1`.
    scale: the amplitude of the logits' waves, which sets how fast they are
      learned.
    decay: the exponent by which shorter waves of the logits are quieter; 0
      makes all equally loud.

  Raises:
    ValueError: a number is out of range.
  """
  if num_waves < 1:
    raise ValueError(f'num_waves must be at least 1, got {num_waves}.')
  if not scale > 0:
    raise ValueError(f'scale must be greater than 0, got {scale}.')
  if not decay >= 0:
    raise ValueError(f'decay must be at least 0, got {decay}.')

  def waves(num_levels: int, scale: float, decay: float) -> np.ndarray:
    numbers = np.arange(1.0, min(num_waves, num_levels - 1) + 1)[:, None]
    # At the centers of K equal parts, cosines are orthogonal to each other and
    # to a constant.
    places = (np.arange(num_levels) + 0.5)[None] / num_levels
    cosines = np.sqrt(2) * np.cos(np.pi * numbers * places)
    return (scale * numbers**-decay * cosines).astype(np.float32)

  return OrderedHead(
    logits=functools.partial(waves, scale=scale, decay=decay),
    # Their squares sum to 1.6, so they are about as loud as a row of a table.
    embeddings=functools.partial(waves, scale=1.0, decay=1.0),
  )


class Waves:
  """The parameters of a controller with ranges, and how they expand to levels.

  Where the expanded tables have a row or a column for each level of a range,
  the parameters have one for each wave. Other decisions are the same in both.

  Attributes:
    layout: the layout of the parameters, in which a range is a decision with a
      choice for each wave.
    is_random: which outputs' parameters start at random values, `bool[C, M]`.
      Those of a range start at zero, so that all levels are equally likely.
  """

  def __init__(self, decisions: tuple[Decision, ...], head: OrderedHead | None):
    """Finds the ranges; without a head they are treated as choices."""
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
  """A decision and its basis.

  Attributes:
    decision: the decision, or for a range one with a choice for each wave.
    logits: the basis of a range's logits, `[M, K]`.
    embeddings: the basis of a range's embeddings, `[M, K]`.
  """

  decision: Decision
  logits: np.ndarray | None
  embeddings: np.ndarray | None


def _contract(equation: str, values: jax.Array, basis: np.ndarray) -> jax.Array:
  # Choices pass through an identity matrix, which must not round them.
  return jnp.einsum(equation, values, basis, precision='highest')
