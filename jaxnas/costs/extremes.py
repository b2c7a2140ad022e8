# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The least and the greatest cost in a search space."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import itertools
import math
from typing import NamedTuple

import numpy as np

from jaxnas import errors
from jaxnas.types import Cost, SearchSpace

MAX_ENUMERATED = 10_000
"""The size up to which a space is enumerated."""

_NUM_DRAWN = 256
_PARTLY = 'that were looked at, not of all'
_NONE_DECODED = 'No architecture of the space could be decoded.'


class Extremes(NamedTuple):
  """The bounds of a cost in a space.

  Attributes:
    low: the least cost.
    high: the greatest cost.
    low_how: the way in which the least cost was found, in words.
    high_how: the way in which the greatest cost was found, in words.
  """

  low: float
  high: float
  low_how: str
  high_how: str

  def with_low(self, low: float | None) -> Extremes:
    """Returns the bounds, with the least cost replaced by an exact count.

    Args:
      low: the least cost; `None` changes nothing.
    """
    if low is None:
      return self
    return self._replace(low=low, low_how='counted exactly')

  def deviation(self, target: float) -> float:
    """Returns the largest relative deviation of a cost from a target.

    Args:
      target: the target, positive.
    """
    return max(abs(each / target - 1) for each in (self.low, self.high))


def is_exact(how: str) -> bool:
  """Returns whether a bound holds for all architectures of the space.

  Args:
    how: the way in which the bound was found; see `Extremes`.
  """
  return not how.endswith(_PARTLY)


def find(
  space: SearchSpace,
  cost: Cost,
  *,
  num_active: int | None = None,
  num_drawn: int = _NUM_DRAWN,
  climbs: bool = True,
) -> Extremes:
  """Returns the least and the greatest cost of the architectures of a space.

  A small space is enumerated. In a large one, architectures are drawn, and the
  cheapest and the most expensive of them are changed token by token for as long
  as that helps. A cost that is NaN, as where it is not defined, bounds nothing.

  Args:
    space: the search space.
    cost: the cost.
    num_active: the number of decisions to make; all by default.
    num_drawn: the number of architectures drawn from a large space.
    climbs: whether tokens are changed one by one; false for a cost that takes
      long to compute.

  Raises:
    ValueError: the cost failed or is NaN for all architectures, or no
      architecture could be decoded.
  """
  radixes = _radixes(space, num_active)
  found: dict[bytes, float] = {}

  def value(tokens: np.ndarray) -> float | None:
    key = tokens.tobytes()
    if key not in found:
      padded = np.full(space.num_tokens, -1, np.int32)
      padded[: len(tokens)] = tokens
      try:
        architecture = space.decode(padded)
      # A user's own space may not allow every combination.
      except ValueError:
        return None
      with errors.calling('The cost'):
        found[key] = float(cost(architecture))
    return found[key]

  if climbs and math.prod(map(int, radixes)) <= MAX_ENUMERATED:
    for row in itertools.product(*map(range, radixes)):
      value(np.array(row, np.int32))
    return _bounds(found, f'of all {len(found):,} architectures')
  for tokens in _draw(radixes, num_drawn):
    value(tokens)
  known = _numbers(found)
  if climbs:
    for sign in (1, -1):
      start = min(known, key=lambda key: sign * known[key])
      _climb(np.frombuffer(start, np.int32), radixes, value, sign)
  return _bounds(found, f'of {len(found):,} architectures {_PARTLY}')


def share_within(
  space: SearchSpace,
  is_within: Callable[[np.ndarray], bool],
  num_active: int | None = None,
  num_drawn: int = 1000,
) -> float:
  """Returns the share of random architectures that meet a condition.

  Args:
    space: the search space.
    is_within: the condition, `tokens int32[T] -> bool`.
    num_active: the number of decisions to make; all by default.
    num_drawn: the number of draws; draws that cannot be decoded, which a user's
      own space may have, do not count towards the share.

  Raises:
    ValueError: no architecture could be decoded.
  """
  radixes = _radixes(space, num_active)
  count = met = 0
  for tokens in _draw(radixes, num_drawn):
    padded = np.full(space.num_tokens, -1, np.int32)
    padded[: len(tokens)] = tokens
    try:
      space.decode(padded)
    except ValueError:
      continue
    count += 1
    met += is_within(padded)
  if not count:
    raise ValueError(_NONE_DECODED)
  return met / count


def _radixes(space: SearchSpace, num_active: int | None) -> list[int]:
  """Returns the number of choices of each token of the active decisions."""
  decisions = space.decisions[:num_active]
  return [d.num_choices for d in decisions for _ in range(d.num_tokens)]


def _draw(radixes: list[int], num_drawn: int) -> Iterator[np.ndarray]:
  generator = np.random.default_rng(0)
  for _ in range(num_drawn):
    yield generator.integers(0, radixes).astype(np.int32)


def _climb(tokens, radixes, value, sign) -> None:
  """Changes one token at a time for as long as the cost gets better."""
  best = value(tokens)
  is_better = True
  while is_better:
    is_better = False
    for place, radix in enumerate(radixes):
      for token in range(radix):
        changed = tokens.copy()
        changed[place] = token
        cost = value(changed)
        if cost is not None and sign * cost < sign * best:
          tokens, best, is_better = changed, cost, True


def _numbers(found: dict[bytes, float]) -> dict[bytes, float]:
  """Returns the costs that are numbers, which there must be; NaN is none."""
  if not found:
    raise ValueError(_NONE_DECODED)
  numbers = {key: cost for key, cost in found.items() if not math.isnan(cost)}
  if not numbers:
    raise ValueError('The cost of no architecture of the space is a number.')
  return numbers


def _bounds(found: dict[bytes, float], how: str) -> Extremes:
  costs = _numbers(found).values()
  return Extremes(min(costs), max(costs), how, how)
