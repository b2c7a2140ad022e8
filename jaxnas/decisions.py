# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Decisions: the steps in which an architecture is described.

A search space is a sequence of decisions. Each takes one or more integer
*tokens*, so that an architecture is an `int32[T]` that a controller can emit
and a log can store. There are three kinds: a `Choice` among a few values, an
`AnchorPoint` that selects earlier layers, and a `Range` of numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import sys
from typing import Any

import numpy as np


class Decision:
  """One step in the description of an architecture, of one of three kinds.

  `Choice` selects one of a few values, `Range` a number between two bounds, and
  `AnchorPoint` the earlier layers that feed a layer. `space.decisions` of a
  `SearchSpace` is a tuple of them, which controllers and strategies are made
  from.

  Attributes:
    name: the name of the decision in errors and logs.
  """

  name: str

  @property
  def num_tokens(self) -> int:
    """The number of tokens the decision takes."""
    raise NotImplementedError

  @property
  def num_choices(self) -> int:
    """The number of values each of its tokens can take."""
    raise NotImplementedError

  @property
  def num_outcomes(self) -> int:
    """The number of outcomes that a policy gives a probability.

    They are the values of a choice and the levels of a range; of an anchor
    point they are the earlier layers, each chosen or not on its own.
    """
    return self.num_choices


@dataclasses.dataclass(frozen=True, init=False)
class Choice(Decision):
  """A choice among a few unordered values; its one token is an index into them.

  Attributes:
    values: the alternatives; token `i` stands for `values[i]`.
    name: the decision's name in errors and logs, such as `'node_1/combiner'`;
      empty where a mapping from names to decisions supplies it.
  """

  values: tuple[Any, ...]
  name: str

  def __init__(self, values: Sequence[Any] | np.ndarray, name: str = ''):
    """Makes the decision.

    Args:
      values: distinct, hashable values. NumPy scalars become Python scalars,
        and lists become tuples.
      name: the decision's name.

    Raises:
      ValueError: the values are not an ordered sequence, there are none, two
        are equal, or one cannot be hashed.
    """
    object.__setattr__(self, 'name', name)
    given = values.tolist() if isinstance(values, np.ndarray) else values
    # A set is refused because its order may differ from process to process.
    if isinstance(given, str | bytes) or not isinstance(given, Sequence):
      raise ValueError(
        f'{_spell(self)} needs a tuple or a list of values, got {given!r}.'
      )
    object.__setattr__(self, 'values', tuple(map(_plain, given)))
    if not self.values:
      raise ValueError(f'{_spell(self)} needs at least one value.')
    try:
      num_distinct = len(set(self.values))
    except TypeError:
      # Many libraries print arrays over several lines; an error is one line.
      shown = ' '.join(repr(self.values).split())
      raise ValueError(
        f'{_spell(self)} needs values that can be hashed, got {shown}.'
      ) from None
    if num_distinct != len(self.values):
      raise ValueError(
        f'{_spell(self)} needs distinct values, got {self.values}.'
      )

  @property
  def num_tokens(self) -> int:
    """The number of tokens the decision takes."""
    return 1

  @property
  def num_choices(self) -> int:
    """The number of values each of its tokens can take."""
    return len(self.values)


@dataclasses.dataclass(frozen=True)
class AnchorPoint(Decision):
  """The earlier layers that feed a layer; one 0/1 token for each of them.

  Attributes:
    num_previous: the number of earlier layers; any subset may be chosen.
    name: the decision's name in errors and logs.
  """

  num_previous: int
  name: str = ''

  def __post_init__(self):
    if not isinstance(self.num_previous, int | np.integer):
      raise ValueError(
        f'{_spell(self)} needs a number of earlier layers, got '
        f'{self.num_previous!r}.'
      )
    if self.num_previous < 0:
      raise ValueError(
        f'{_spell(self)} needs num_previous >= 0, got {self.num_previous}.'
      )

  @property
  def num_tokens(self) -> int:
    """The number of tokens the decision takes."""
    return self.num_previous

  @property
  def num_choices(self) -> int:
    """The number of values each of its tokens can take."""
    return 2

  @property
  def num_outcomes(self) -> int:
    """The number of earlier layers."""
    return self.num_previous


@dataclasses.dataclass(frozen=True)
class Range(Decision):
  """A number between two bounds; its one token is a level of an ordered grid.

  A range of real numbers has `num_levels` levels, evenly spaced on a linear or
  a logarithmic scale. A linear range of integers has one level for each
  integer, as long as there are at most `num_levels` of them. Any other range
  of integers has `num_levels` levels whose values are rounded, so that several
  levels may stand for the same integer: on a logarithmic scale, the smaller
  ones.

  Attributes:
    low: the smallest value, that of token 0.
    high: the largest value, that of the last token.
    log: whether the levels are evenly spaced on a logarithmic scale.
    num_levels: the largest number of levels.
    integer: whether the values are integers rather than floats.
    name: the decision's name in errors and logs; empty where a mapping from
      names to decisions supplies it.
  """

  low: float
  high: float
  log: bool = False
  num_levels: int = 256
  integer: bool = False
  name: str = ''

  def __post_init__(self):
    for field in ('low', 'high', 'num_levels'):
      object.__setattr__(self, field, _plain(getattr(self, field)))
    for bound in (self.low, self.high):
      if isinstance(bound, bool) or not isinstance(bound, int | float):
        raise ValueError(f'{_spell(self)} needs numeric bounds, got {bound!r}.')
    if not isinstance(self.num_levels, int):
      raise ValueError(
        f'num_levels of {_spell(self)} must be an integer, got '
        f'{self.num_levels!r}.'
      )
    bounds = f'{self.low} and {self.high}'
    if not self.low < self.high:
      raise ValueError(f'{_spell(self)} needs low < high, got {bounds}.')
    if not max(abs(self.low), abs(self.high)) <= sys.float_info.max:
      raise ValueError(f'{_spell(self)} needs finite bounds, got {bounds}.')
    if self.log and self.low <= 0:
      raise ValueError(
        f'{_spell(self)} is logarithmic and needs low > 0, got {self.low}.'
      )
    if self.num_levels < 2:
      raise ValueError(
        f'{_spell(self)} needs at least 2 levels, got {self.num_levels}.'
      )
    if self.integer and not (
      self.low == int(self.low) and self.high == int(self.high)
    ):
      raise ValueError(
        f'{_spell(self)} of integers needs integer bounds, got {bounds}.'
      )

  @property
  def num_tokens(self) -> int:
    """The number of tokens the decision takes."""
    return 1

  @property
  def num_choices(self) -> int:
    """The number of values its token can take."""
    if self.integer and not self.log:
      return min(self.num_levels, int(self.high) - int(self.low) + 1)
    return self.num_levels

  def value(self, token: int) -> float:
    """Returns the number that `token` stands for."""
    fraction = token / (self.num_choices - 1)
    # Written so that both ends are exact in floating point.
    if self.log:
      value = self.low ** (1 - fraction) * self.high**fraction
    else:
      value = (1 - fraction) * self.low + fraction * self.high
    return round(value) if self.integer else value


def _spell(decision: Decision) -> str:
  """Returns what errors call a decision, which may have no name yet."""
  kind = type(decision).__name__
  return f'{kind} {decision.name!r}' if decision.name else kind


def _plain(value: Any) -> Any:
  """Converts NumPy scalars to Python scalars, and lists to tuples."""
  if isinstance(value, np.generic):
    return value.item()
  if isinstance(value, list | tuple):
    return tuple(map(_plain, value))
  return value


def check_decisions(decisions: Sequence[Decision]) -> None:
  """Checks the decisions given to a controller or a strategy.

  Args:
    decisions: the decisions, not the space that has them.

  Raises:
    ValueError: this is not a sequence of decisions.
  """
  # A space cannot be named here: `types`, where it is made, imports this.
  if hasattr(decisions, 'decisions'):
    raise ValueError(
      f'Decisions were expected, got the {type(decisions).__name__} '
      f'{getattr(decisions, "name", "")!r}; pass space.decisions.'
    )
  if not isinstance(decisions, Sequence) or not all(
    isinstance(each, Choice | AnchorPoint | Range) for each in decisions
  ):
    raise ValueError(
      'Decisions must be a sequence of Choice, AnchorPoint and Range, got '
      f'{decisions!r}.'
    )


def check_tokens(tokens: Any, num_tokens: int, what: str) -> np.ndarray:
  """Returns the tokens of one architecture as an array; not their ranges.

  Args:
    tokens: the tokens to check.
    num_tokens: the number of tokens that an architecture has, `T`.
    what: the beginning of the error's sentence, such as `'A cell of base 8
      has'`.

  Returns:
    The tokens, an integer array `[T]`.

  Raises:
    ValueError: the tokens are not integers, or the shape is another.
  """
  array = np.asarray(tokens)
  if not np.issubdtype(array.dtype, np.integer):
    raise ValueError(f'Tokens must be integers, got {array.dtype}.')
  if array.shape != (num_tokens,):
    raise ValueError(
      f'{what} {num_tokens} tokens, got an array of shape {array.shape}.'
    )
  return array


def check_token(token: int, num_choices: int, name: str) -> None:
  """Raises `ValueError` if a token is out of range.

  Args:
    token: the token.
    num_choices: the number of values it can take.
    name: the name of its decision.
  """
  if not 0 <= token < num_choices:
    raise ValueError(
      f'Token {token} is out of range for decision {name!r}, which has '
      f'{num_choices} choices.'
    )
