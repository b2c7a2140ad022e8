# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Hyperparameters: named values out of choices and real ranges.

A space of one's own is a dict:

    make_space({
      'learning_rate': Range(1e-4, 1, log=True),
      'num_layers': Range(1, 8, integer=True),
      'activation': Choice(('relu', 'tanh')),
    })

Every name is one decision and takes one token: the index of a `Choice`'s value,
or the level of a `Range` on a grid from its low end to its high end, both
included. An architecture of the space, a `Hyperparameters`, is a mapping of
plain Python values, so that `f(**hyperparameters)` calls a function with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
import dataclasses
import json
import math
from typing import Any

import numpy as np

from jaxnas import types

Value = None | bool | int | float | str | tuple['Value', ...]
"""What a hyperparameter can be."""


@dataclasses.dataclass(frozen=True)
class Range:
  """A number between two bounds.

  A range of real numbers has `num_levels` values, evenly spaced or evenly
  spaced in the logarithm. A range of integers has every integer, each by one
  level, if it is linear and there are at most `num_levels` of them; otherwise
  the levels' values are rounded to the nearest integer, so that a logarithmic
  range gives a small integer several levels: its share of the logarithm.

  Attributes:
    low: the smallest value.
    high: the largest value.
    log: whether the levels are spaced evenly in the logarithm.
    num_levels: how many levels there are, at most.
    integer: whether the values are integers; otherwise they are floats.
  """

  low: float
  high: float
  log: bool = False
  num_levels: int = 256
  integer: bool = False


@dataclasses.dataclass(frozen=True)
class Choice:
  """A value out of a few, in no order.

  Attributes:
    values: None, booleans, numbers, strings, or tuples of these; NumPy's
      scalars become Python's, and lists tuples.
  """

  values: Sequence[Any] | np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Hyperparameters(Mapping[str, Value]):
  """One value for each name; equal to any mapping with the same items.

  Attributes:
    pairs: the names and their values.
  """

  pairs: tuple[tuple[str, Value], ...]

  def __getitem__(self, name: str) -> Value:
    return dict(self.pairs)[name]

  def __iter__(self) -> Iterator[str]:
    return (name for name, _ in self.pairs)

  def __len__(self) -> int:
    return len(self.pairs)

  def __hash__(self) -> int:
    return hash(frozenset(self.pairs))

  def to_dict(self) -> dict[str, Value]:
    """Returns a plain dict."""
    return dict(self.pairs)

  def to_json(self) -> dict[str, Any]:
    """Returns a dict that `json.dumps` accepts; tuples are lists in it."""
    return json.loads(json.dumps(self.to_dict()))

  @classmethod
  def from_json(cls, fields: Mapping[str, Any]) -> Hyperparameters:
    """Returns what `to_json` gave; raises `ValueError` otherwise."""
    if not isinstance(fields, Mapping):
      raise ValueError(
        f'Hyperparameters are a dict of names and values; got {fields!r}.'
      )
    return cls(
      tuple((str(name), _plain(name, value)) for name, value in fields.items())
    )


def make_space(
  decisions: Mapping[str, Range | Choice]
  | Iterable[tuple[str, Range | Choice]],
) -> types.SearchSpace:
  """Makes a space of hyperparameters.

  The space's `encode` takes any mapping with a value for each name. A value of
  a range that lies between two levels becomes the nearer one (in the logarithm,
  if the range is logarithmic; the lower one, if they are equally near).

  `canonical` is the identity, except that of the levels of an integer range
  which stand for the same integer it gives the first.

  Args:
    decisions: what to decide, by name, in order: a dict, or pairs.

  Returns:
    A space of `Hyperparameters`, one token each.

  Raises:
    ValueError: there is no decision, a name is not a string of its own, a bound
      is not a finite number, or not an integer in a range of integers, `low >=
      high`, the logarithm of a bound does not exist, a range has fewer than 2
      levels or more than there are floats between its bounds, a choice has no
      values, equal ones or no order of them, or a value is not of a kind that
      JSON can hold.
  """
  pairs = decisions.items() if isinstance(decisions, Mapping) else decisions
  grids = tuple(_grid(name, decision) for name, decision in pairs)
  names = [grid.decision.name for grid in grids]
  if not grids:
    raise ValueError('A space of hyperparameters needs at least one decision.')
  if len(set(names)) != len(names):
    raise ValueError(
      f'Hyperparameters need distinct names, got {", ".join(names)}.'
    )

  def checked(tokens) -> list[int]:
    tokens = np.asarray(tokens)
    if not np.issubdtype(tokens.dtype, np.integer):
      raise ValueError(f'Tokens must be integers, got {tokens.dtype}.')
    if tokens.shape != (len(grids),):
      raise ValueError(
        f'Hyperparameters {", ".join(names)} have {len(grids)} tokens, got an '
        f'array of shape {tokens.shape}.'
      )
    for token, grid in zip(tokens.tolist(), grids, strict=True):
      if not 0 <= token < len(grid.values):
        raise ValueError(
          f'Token {token} is out of range for decision '
          f'{grid.decision.name!r}, which has {len(grid.values)} choices.'
        )
    return tokens.tolist()

  def decode(tokens) -> Hyperparameters:
    return Hyperparameters(
      tuple(
        (grid.decision.name, grid.values[token])
        for token, grid in zip(checked(tokens), grids, strict=True)
      )
    )

  def encode(values: Mapping[str, Any]) -> np.ndarray:
    if not isinstance(values, Mapping) or set(values) != set(names):
      raise ValueError(
        f'Expected a mapping with values for {", ".join(names)}; got '
        f'{values!r}.'
      )
    return np.asarray(
      [grid.token(values[grid.decision.name]) for grid in grids], np.int32
    )

  def canonical(tokens) -> np.ndarray:
    return np.asarray(
      [
        grid.values.index(grid.values[token])
        for token, grid in zip(checked(tokens), grids, strict=True)
      ],
      np.int32,
    )

  return types.SearchSpace(
    name='hyperparameters',
    decisions=tuple(grid.decision for grid in grids),
    decode=decode,
    encode=encode,
    canonical=canonical,
    size=math.prod(len(grid.values) for grid in grids),
  )


@dataclasses.dataclass(frozen=True)
class _Grid:
  """A decision, and the value of each of its tokens."""

  decision: types.Choice | types.Range
  values: tuple[Value, ...]

  def token(self, value: Any) -> int:
    """Returns the token of a value, or of the one nearest to it in a range."""
    if isinstance(self.decision, types.Choice):
      value = _plain(self.decision.name, value)
      if value not in self.values:
        raise ValueError(
          f'{value!r} is not a value of decision {self.decision.name!r}, which '
          f'has {", ".join(map(repr, self.values))}.'
        )
      return self.values.index(value)
    value = _number(self.decision.name, value)
    if not self.values[0] <= value <= self.values[-1]:
      raise ValueError(
        f'{value} is out of range for decision {self.decision.name!r}, which '
        f'goes from {self.values[0]} to {self.values[-1]}.'
      )
    scale = np.log if self.decision.log else np.asarray
    distance = scale(np.asarray(self.values, float)) - scale(float(value))
    return int(np.argmin(np.abs(distance)))


def _grid(name: Any, decision: Any) -> _Grid:
  """Returns the decision of a name with its values."""
  if not isinstance(name, str) or not name:
    raise ValueError(
      f'The name of a hyperparameter must be a string, got {name!r}.'
    )
  if isinstance(decision, Range):
    return _range_grid(name, decision)
  if isinstance(decision, Choice):
    return _choice_grid(name, decision)
  raise ValueError(
    f'Hyperparameter {name!r} must be a Range or a Choice of '
    f'{__name__}, got {decision!r}.'
  )


def _range_grid(name: str, levels: Range) -> _Grid:
  low, high = _number(name, levels.low), _number(name, levels.high)
  if not isinstance(levels.num_levels, int | np.integer):
    raise ValueError(
      f'num_levels of Range {name!r} must be an integer, got '
      f'{levels.num_levels!r}.'
    )
  num_levels = int(levels.num_levels)
  if levels.integer and not (low == int(low) and high == int(high)):
    raise ValueError(
      f'Range {name!r} has integers and needs bounds that are, got {low} and '
      f'{high}.'
    )
  if levels.integer and not levels.log and low < high:
    num_levels = min(num_levels, int(high) - int(low) + 1)
  decision = types.Range(name, low, high, levels.log, num_levels)
  values = [decision.value(token) for token in range(num_levels)]
  if levels.integer:
    return _Grid(decision, tuple(round(value) for value in values))
  if not np.all(np.diff(values) > 0):
    raise ValueError(
      f'Range {name!r} from {low} to {high} is too narrow for {num_levels} '
      'levels: some of them would be equal; give fewer.'
    )
  return _Grid(decision, tuple(values))


def _choice_grid(name: str, choice: Choice) -> _Grid:
  given = choice.values
  if isinstance(given, np.ndarray):
    given = given.tolist()
  # The order of a set of strings is another one in every process.
  if isinstance(given, str | bytes) or not isinstance(given, Sequence):
    raise ValueError(
      f'Choice {name!r} needs a tuple or a list of values, got {given!r}.'
    )
  values = tuple(_plain(name, value) for value in given)
  return _Grid(types.Choice(name, values), values)


def _number(name: str, value: Any) -> float:
  """Returns a finite Python number; raises `ValueError` for others."""
  value = _plain(name, value)
  if isinstance(value, bool) or not isinstance(value, int | float):
    raise ValueError(f'Range {name!r} has numbers only, got {value!r}.')
  return value


def _plain(name: Any, value: Any) -> Value:
  """Returns a value as plain Python; raises `ValueError` if it has no JSON."""
  if isinstance(value, np.generic):
    value = value.item()
  if isinstance(value, list | tuple):
    return tuple(_plain(name, part) for part in value)
  is_finite = not isinstance(value, float) or math.isfinite(value)
  if is_finite and isinstance(value, None | bool | int | float | str):
    return value
  # The arrays of many libraries spell themselves on several lines.
  given = ' '.join(repr(value).split())
  raise ValueError(
    f'Values of hyperparameter {name!r} must be None, booleans, finite '
    f'numbers, strings or tuples of these, which JSON can hold; got {given}.'
  )
