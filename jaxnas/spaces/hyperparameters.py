# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Hyperparameters: named values from choices and ranges.

A dict makes a space:

    make_space({
      'learning_rate': Range(1e-4, 1, log=True),
      'num_layers': Range(1, 8, integer=True),
      'activation': Choice(('relu', 'tanh')),
    })

Each name is one decision of one token: the index of a `Choice`'s value, or the
level of a `Range` on a grid that includes both ends. The architectures of the
space, `Hyperparameters`, are mappings to plain Python values, so that
`f(**hyperparameters)` calls a function with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
import dataclasses
import json
import math
import reprlib
import typing
from typing import Any, ClassVar

import numpy as np

from jaxnas import errors
from jaxnas.decisions import check_token, check_tokens
from jaxnas.types import Choice, Range, SearchSpace

__all__ = ('Choice', 'Hyperparameters', 'Range', 'Value', 'make_space')

Value = None | bool | int | float | str | tuple['Value', ...]
"""The type of a hyperparameter."""


@dataclasses.dataclass(frozen=True, eq=False)
class Hyperparameters(Mapping[str, Value]):
  """A mapping from names to values; equal to any mapping with the same items.

  Attributes:
    pairs: the names with their values.
    kind: the name of such architectures in files.
  """

  kind: ClassVar[str] = 'hyperparameters'

  pairs: tuple[tuple[str, Value], ...]

  def __getitem__(self, name: str) -> Value:
    values = dict(self.pairs)
    if name not in values:
      raise errors.UnknownNameError('hyperparameter', name, values)
    return values[name]

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
    """Returns a dict that `json.dumps` accepts, with tuples as lists."""
    return json.loads(json.dumps(self.to_dict()))

  @classmethod
  def from_json(cls, fields: Mapping[str, Any]) -> Hyperparameters:
    """Returns the hyperparameters that `to_json` described.

    Args:
      fields: the result of `to_json`, perhaps from an untrusted file.

    Raises:
      ValueError: this is not a dict, or a value has no JSON.
    """
    if not isinstance(fields, Mapping):
      raise ValueError(
        'Hyperparameters are a dict from names to values; got '
        f'{reprlib.repr(fields)}.'
      )
    return cls(
      tuple((str(name), _plain(name, value)) for name, value in fields.items())
    )


@typing.overload
def make_space(decisions: Mapping[str, Range | Choice]) -> SearchSpace: ...


@typing.overload
def make_space(
  decisions: Iterable[tuple[str, Range | Choice]],
) -> SearchSpace: ...


def make_space(
  decisions: Mapping[str, Range | Choice]
  | Iterable[tuple[str, Range | Choice]],
) -> SearchSpace:
  """Makes a space of hyperparameters.

  The space's `encode` takes any mapping with a value for each name. A value of
  a range that lies between two levels becomes the nearer one, on the range's
  linear or logarithmic scale, and the lower one in a tie.

  `canonical` maps all levels of an integer range that stand for the same
  integer to the first of them, and is the identity otherwise.

  Args:
    decisions: the decisions by name, in order: a dict, or pairs.

  Returns:
    A space of `Hyperparameters`, one token each.

  Raises:
    ValueError: there is no decision, a name is empty or given twice, a range
      has more levels than there are floats between its bounds, or JSON cannot
      hold a value.
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
    tokens = check_tokens(
      tokens, len(grids), f'Hyperparameters {", ".join(names)} have'
    )
    for token, grid in zip(tokens.tolist(), grids, strict=True):
      check_token(token, len(grid.values), grid.decision.name)
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

  return SearchSpace(
    name='hyperparameters',
    decisions=tuple(grid.decision for grid in grids),
    decode=decode,
    encode=encode,
    canonical=canonical,
    size=math.prod(len(grid.values) for grid in grids),
  )


@dataclasses.dataclass(frozen=True)
class _Grid:
  """A decision, with the value of each of its tokens."""

  decision: Choice | Range
  values: tuple[Value, ...]

  def token(self, value: Any) -> int:
    """Returns the token of a value, or of the one nearest to it in a range."""
    if isinstance(self.decision, Choice):
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
  if not isinstance(decision, Choice | Range):
    raise ValueError(
      f'Hyperparameter {name!r} must be a Range or a Choice of jaxnas, got '
      f'{decision!r}.'
    )
  if decision.name not in ('', name):
    raise ValueError(
      f'The decision of hyperparameter {name!r} is called '
      f'{decision.name!r}; leave that name out.'
    )
  if isinstance(decision, Range):
    return _range_grid(dataclasses.replace(decision, name=name))
  values = tuple(_plain(name, value) for value in decision.values)
  return _Grid(Choice(values, name), values)


def _range_grid(decision: Range) -> _Grid:
  values = tuple(map(decision.value, range(decision.num_choices)))
  if not decision.integer and not np.all(np.diff(values) > 0):
    raise ValueError(
      f'Range {decision.name!r} from {decision.low} to {decision.high} is too '
      f'narrow for {decision.num_choices} levels: some of them would be equal; '
      'give fewer.'
    )
  return _Grid(decision, values)


def _number(name: str, value: Any) -> float:
  """Returns a finite Python number; raises `ValueError` for others."""
  value = _plain(name, value)
  if isinstance(value, bool) or not isinstance(value, int | float):
    raise ValueError(f'Range {name!r} takes numbers, got {value!r}.')
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
  # Many libraries print arrays over several lines; an error is one line.
  given = ' '.join(repr(value).split())
  raise ValueError(
    f'Values of hyperparameter {name!r} must be None, booleans, finite '
    f'numbers, strings or tuples of these, which JSON can hold; got {given}.'
  )
