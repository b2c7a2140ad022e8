# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tables of rewards: arrays of known rewards, indexed by tokens.

Evaluating with a table costs nothing, so strategies can be compared over
hundreds of searches; see `search.scan`. A table has a search space of its own,
with one decision for each of its axes.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import errno
import hashlib
import itertools
import math
import os
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jaxnas import npz
from jaxnas.datasets import prepared
from jaxnas.decisions import check_token, check_tokens
from jaxnas.types import Choice, Evaluation, Evaluator, SearchSpace, Status

_MAX_SIZE = np.iinfo(np.int32).max
_BLOCK_SIZE = 1024


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
  """The reward of every token sequence.

  Sequences are ordered as numbers in mixed radix whose first digit is the most
  significant, which is the order of a C array of shape `cardinalities`.

  Attributes:
    cardinalities: the number of choices of each of the `T` decisions.
    rewards: the reward of each sequence, `float32[prod(cardinalities)]`, all
      finite; a read-only copy.
  """

  cardinalities: tuple[int, ...]
  rewards: np.ndarray

  def __post_init__(self):
    cardinalities = _check_cardinalities(self.cardinalities)
    rewards = _check_rewards(self.rewards, cardinalities)
    rewards.flags.writeable = False
    object.__setattr__(self, 'cardinalities', cardinalities)
    object.__setattr__(self, 'rewards', rewards)

  @property
  def size(self) -> int:
    """The number of token sequences."""
    return len(self.rewards)

  def look_up(self, tokens: jax.Array) -> jax.Array:
    """Returns rewards, `int32[..., T] -> float32[...]`; see `look_up`."""
    return look_up(self.cardinalities, jnp.asarray(self.rewards), tokens)


@dataclasses.dataclass(frozen=True, eq=False)
class Curves:
  """The rewards of every token sequence at several points of a training.

  Attributes:
    cardinalities: the number of choices of each of the `T` decisions.
    points: the numbers of steps of the points, `P` of them, growing.
    rewards: the reward of each sequence at each point, `float32[A, P]`, ordered
      as in `Table`; NaN where a training has failed by then. A read-only copy.
  """

  cardinalities: tuple[int, ...]
  points: Sequence[int]
  rewards: np.ndarray

  def __post_init__(self):
    cardinalities = _check_cardinalities(self.cardinalities)
    steps = np.asarray(self.points)
    if steps.ndim != 1 or steps.dtype.kind not in 'iu':
      raise ValueError(
        'points must be a list of integers, got '
        f'{steps.dtype} of shape {steps.shape}.'
      )
    points = tuple(steps.tolist())
    rewards = np.array(self.rewards, np.float32)
    shape = math.prod(cardinalities), len(points)
    if rewards.shape != shape or not points:
      raise ValueError(
        f'curves must have the shape {shape}, one row for each entry and one '
        f'column for each point; got {rewards.shape}.'
      )
    if points[0] < 1 or any(a >= b for a, b in itertools.pairwise(points)):
      raise ValueError(f'points must grow, from 1 or more, got {points}.')
    rewards.flags.writeable = False
    object.__setattr__(self, 'cardinalities', cardinalities)
    object.__setattr__(self, 'points', points)
    object.__setattr__(self, 'rewards', rewards)

  @property
  def fingerprint(self) -> str:
    """A hash of the content."""
    content = hashlib.sha256(repr((self.cardinalities, self.points)).encode())
    content.update(self.rewards.tobytes())
    return content.hexdigest()[:16]

  def at(self, points: Sequence[int]) -> Curves:
    """Returns the curves at some of the points.

    Args:
      points: the numbers of steps, growing.

    Raises:
      ValueError: nothing was measured at one of them.
    """
    for point in points:
      if point not in self.points:
        raise ValueError(
          f'The table has rewards after {", ".join(map(str, self.points))} '
          f'steps, and none after {point}.'
        )
    places = [self.points.index(point) for point in points]
    return Curves(self.cardinalities, tuple(points), self.rewards[:, places])

  def look_up(self, tokens: jax.Array) -> jax.Array:
    """Returns rewards, `int32[..., T] -> float32[..., P]`; pure.

    A sequence that is not in the table fails from the start; see `index`.
    """
    places = index(self.cardinalities, tokens)
    rewards = jnp.asarray(self.rewards)[places]
    return jnp.where((places < 0)[..., None], jnp.nan, rewards)


def index(cardinalities: tuple[int, ...], tokens: jax.Array) -> jax.Array:
  """Returns the positions of token sequences in a table; pure.

  Args:
    cardinalities: the number of choices of each of the `T` decisions.
    tokens: the sequences, `int32[..., T]`.

  Returns:
    The positions, `int32[...]`; -1 for a sequence that is not in the table: one
    with a token out of range, or with a decision that was not made (-1).
  """
  chex.assert_type(tokens, int)
  chex.assert_axis_dimension(tokens, -1, len(cardinalities))
  shape = (1,) * (tokens.ndim - 1) + (-1,)
  limits = np.asarray(cardinalities, np.int32).reshape(shape)
  strides = _strides(cardinalities).reshape(shape)
  is_inside = jnp.all((tokens >= 0) & (tokens < limits), axis=-1)
  return jnp.where(is_inside, jnp.sum(tokens * strides, axis=-1), -1)


def look_up(
  cardinalities: tuple[int, ...], rewards: jax.Array, tokens: jax.Array
) -> jax.Array:
  """Returns the rewards of token sequences; pure, for `jit` and `vmap`.

  Compiled code cannot raise an error, so a sequence that is not in the table
  gets NaN; see `index`.

  Args:
    cardinalities: the number of choices of each of the `T` decisions.
    rewards: a table's rewards, `float32[prod(cardinalities)]`; may be traced.
    tokens: the sequences, `int32[..., T]`.

  Returns:
    The rewards, `float32[...]`.
  """
  chex.assert_shape(rewards, (math.prod(cardinalities),))
  places = index(cardinalities, tokens)
  return jnp.where(places < 0, jnp.nan, rewards[places])


def load(path: str | os.PathLike[str]) -> Table:
  """Reads a table from a file written by `numpy.savez`.

  Args:
    path: an NPZ file with the arrays `cardinalities`, `int[T]`, and `rewards`,
      `float[prod(cardinalities)]`.

  Raises:
    OSError: the file cannot be read.
    ValueError: the file does not hold a table; the message names it.
  """
  path = os.fspath(prepared.expand(path))
  if not os.path.isfile(path):
    raise FileNotFoundError(
      errno.ENOENT,
      'There is no such table; expected an NPZ file with the arrays '
      'cardinalities and rewards',
      path,
    )
  arrays = _read_arrays(path)
  try:
    cardinalities = _check_cardinalities(arrays['cardinalities'])
    return Table(cardinalities, arrays['rewards'])
  except ValueError as error:
    raise ValueError(f'Table {path}: {error}') from None


def load_curves(path: str | os.PathLike[str]) -> Curves | None:
  """Reads the rewards at several points of the training, if a file has them.

  Args:
    path: a file for `load` that may have besides the arrays `points`, `int[P]`,
      the numbers of steps, and `curves`, `float[prod(cardinalities), P]`, the
      rewards after so many steps, NaN where a training has failed.

  Raises:
    OSError: the file cannot be read.
    ValueError: the arrays do not belong together; the message names the file.
  """
  path = os.fspath(prepared.expand(path))
  arrays = _read_arrays(path, optional=('points', 'curves'))
  if 'points' not in arrays or 'curves' not in arrays:
    return None
  try:
    return Curves(
      _check_cardinalities(arrays['cardinalities']),
      np.atleast_1d(arrays['points']).tolist(),
      arrays['curves'],
    )
  except (TypeError, ValueError) as error:
    raise ValueError(f'Table {path}: {error}') from None


@dataclasses.dataclass(frozen=True)
class Entry:
  """An entry of a table, of which only its tokens are known.

  Attributes:
    tokens: the `T` tokens.
  """

  tokens: tuple[int, ...]

  def to_json(self) -> dict[str, Any]:
    """Returns the entry as a dict that `json.dumps` accepts."""
    return {'tokens': list(self.tokens)}


def make_decisions(cardinalities: tuple[int, ...]) -> tuple[Choice, ...]:
  """Returns the decisions that lead to a table's entries."""
  return tuple(
    Choice(range(cardinality), f'decision_{number}')
    for number, cardinality in enumerate(_check_cardinalities(cardinalities))
  )


def make_space(table: Table, name: str = 'table') -> SearchSpace:
  """Makes the search space of a table, whose architectures are its entries.

  A space that knows what the tokens mean can be searched with the same table,
  if its decisions have the table's cardinalities.

  Args:
    table: the table.
    name: the space's name.
  """
  decisions = make_decisions(table.cardinalities)

  def decode(tokens) -> Entry:
    return Entry(tuple(_check_tokens(table.cardinalities, tokens).tolist()))

  def encode(entry: Entry) -> np.ndarray:
    return _check_tokens(table.cardinalities, entry.tokens).astype(np.int32)

  def canonical(tokens) -> np.ndarray:
    return encode(decode(tokens))

  return SearchSpace(name, decisions, decode, encode, canonical, table.size)


def make_evaluator(table: Table) -> Evaluator:
  """Makes an evaluator that looks rewards up and ignores keys.

  Its `evaluate` raises `ValueError` for tokens that are not in the table, such
  as those of a shallower network. No entry fails, so the floor, which is the
  smallest reward, never replaces another one.

  Args:
    table: the table of rewards.
  """
  limits = np.asarray(table.cardinalities)

  def evaluate(keys, tokens) -> Evaluation:
    del keys
    tokens = np.asarray(tokens)
    for row in tokens[np.any((tokens < 0) | (tokens >= limits), axis=-1)]:
      _check_tokens(table.cardinalities, row)
    places = np.ravel_multi_index(tuple(tokens.T), table.cardinalities)
    return Evaluation(
      rewards=table.rewards[places],
      metrics={},
      status=np.full(len(tokens), Status.OK, np.int32),
    )

  return Evaluator(
    evaluate,
    _BLOCK_SIZE,
    float(table.rewards.min()),
    (table.cardinalities, table.rewards),
  )


def _strides(cardinalities: tuple[int, ...]) -> np.ndarray:
  """Returns the stride in the table of each decision's token."""
  products = np.cumprod([1, *cardinalities[:0:-1]], dtype=np.int64)
  return products[::-1].astype(np.int32)


def _read_arrays(
  path: str, optional: tuple[str, ...] = ()
) -> dict[str, np.ndarray]:
  """Returns the two arrays of an NPZ file, and others that it may have."""
  names = ('cardinalities', 'rewards')
  try:
    return npz.read(path, names, optional=optional)
  except npz.NpzError as error:
    raise ValueError(
      f'{path} is not an NPZ file written by numpy.savez: {error.reason}.'
    ) from None


def _check_cardinalities(cardinalities: Any) -> tuple[int, ...]:
  """Returns the cardinalities as Python integers, after checking them."""
  array = np.asarray(cardinalities)
  if array.ndim != 1 or not array.size or array.dtype.kind not in 'iu':
    raise ValueError(
      'cardinalities must be a list of at least one integer, got '
      f'{array.dtype} of shape {array.shape}.'
    )
  result = tuple(int(each) for each in array)
  if min(result) < 1:
    raise ValueError(
      f'cardinalities must be at least 1, got {min(result)} at place '
      f'{result.index(min(result))}.'
    )
  if math.prod(result) > _MAX_SIZE:
    raise ValueError(
      f'cardinalities may have a product of up to {_MAX_SIZE:,}, got '
      f'{math.prod(result):,}.'
    )
  return result


def _check_rewards(rewards: Any, cardinalities: tuple[int, ...]) -> np.ndarray:
  """Returns a copy of the rewards as `float32`, after checking them."""
  array = np.asarray(rewards)
  if array.dtype.kind not in 'fiu':
    raise ValueError(f'rewards must be real numbers, got {array.dtype}.')
  size = math.prod(cardinalities)
  if array.shape != (size,):
    raise ValueError(
      f'rewards must have the shape ({size},), the product of the '
      f'cardinalities {list(cardinalities)}; got {array.shape}.'
    )
  with np.errstate(over='ignore'):
    array = array.astype(np.float32)
  is_bad = ~np.isfinite(array)
  if is_bad.any():
    first = int(np.flatnonzero(is_bad)[0])
    raise ValueError(
      f'rewards must be finite in float32, got {array[first]} at place '
      f'{first} ({is_bad.sum()} in all); give failures a floor reward.'
    )
  return array


def _check_tokens(cardinalities: tuple[int, ...], tokens: Any) -> np.ndarray:
  """Returns tokens as an array; raises `ValueError` if not in the table."""
  array = check_tokens(tokens, len(cardinalities), 'An entry of the table has')
  for number, (token, limit) in enumerate(
    zip(array.tolist(), cardinalities, strict=True)
  ):
    check_token(token, limit, f'decision_{number}')
  return array
