# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""One search for many seeds: in full blocks, over the local devices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import dataclasses
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas import npz
from jaxnas import search as search_lib
from jaxnas.datasets import reward_table as tables
from jaxnas.trainers import mapping
from jaxnas.types import Strategy


class ManySearches:
  """Runs a pure function of a key, or of a row, for any number of them.

  Rows are run in blocks of one size, the last of which is filled up with
  repeats, and a block is mapped by `vmap` on every device. So one program is
  compiled, memory is bounded, and a row's result does not depend on how many
  there are.

  Attributes:
    block_size: how many rows a block has.
    num_devices: over how many devices a block is spread.
  """

  def __init__(
    self,
    function: Callable[..., Any],
    block_size: int,
    num_devices: int | None = None,
  ):
    """Compiles nothing yet.

    Args:
      function: of one row: a key, or any pytree of arrays.
      block_size: how many rows share a call; a multiple of `num_devices`.
      num_devices: how many local devices to use; all by default.

    Raises:
      ValueError: there are fewer devices, or the block does not divide.
    """
    self._mapping = mapping.BlockMapping(block_size, num_devices)
    self._program = self._mapping.shard(jax.vmap(function), (0,))
    self.block_size = block_size
    self.num_devices = len(self._mapping.devices)

  @property
  def compile_seconds(self) -> float:
    """Time spent compiling so far."""
    return self._mapping.compile_seconds

  @property
  def run_seconds(self) -> float:
    """Time spent running so far."""
    return self._mapping.run_seconds

  def blocks(self, rows: Any, first: int = 0) -> Iterator[Any]:
    """Yields the results of one block after the other, as numpy arrays.

    Args:
      rows: a pytree of arrays, each `[S, ...]`.
      first: the first block that is wanted.
    """
    num_rows = len(jax.tree.leaves(rows)[0])
    for start in range(first * self.block_size, num_rows, self.block_size):
      places = np.arange(start, start + self.block_size)
      block = jax.tree.map(
        lambda leaf: leaf[np.minimum(places, num_rows - 1)],  # noqa: B023  # Called at once.
        rows,
      )
      result = jax.tree.map(
        np.asarray, self._mapping.call(self._program, block)
      )
      num_wanted = min(self.block_size, num_rows - start)
      yield jax.tree.map(lambda leaf: leaf[:num_wanted], result)  # noqa: B023  # Called at once.

  def run(self, rows: Any) -> Any:
    """Returns the results of all rows, numpy arrays `[S, ...]`."""
    results = list(self.blocks(rows))
    return jax.tree.map(lambda *parts: np.concatenate(parts), *results)


@dataclasses.dataclass(frozen=True, eq=False)
class Searches:
  """What searches of a table tried.

  Attributes:
    entries: of the table, `int32[seeds, trials]`.
    seconds: how long they took, without compiling.
  """

  entries: np.ndarray
  seconds: float

  @classmethod
  def load(
    cls, path: pathlib.Path, shape: tuple[int, int], origin: str = ''
  ) -> Searches:
    """Reads what `save` wrote.

    Args:
      path: the file.
      shape: that the entries must have.
      origin: what the file must say of itself, if it says anything; files of
        older versions do not.

    Raises:
      ValueError: the file is damaged, has another shape or is of other
        searches.
    """
    hint = 'delete it, and the same command makes it again'
    try:
      arrays = npz.read(path, ('entries', 'seconds'), optional=('origin',))
      entries, seconds = arrays['entries'], float(arrays['seconds'])
    except (ValueError, TypeError) as error:
      reason = getattr(error, 'reason', error)
      raise ValueError(f'{path} is damaged ({reason}); {hint}.') from None
    if entries.shape != shape:
      raise ValueError(
        f'{path} holds {entries.shape} trials and not {shape}; {hint}.'
      )
    found = str(arrays.get('origin', origin))
    if origin and found != origin:
      raise ValueError(f'{path} holds {found} and not {origin}; {hint}.')
    return cls(entries, seconds)

  def save(self, path: pathlib.Path, origin: str = '') -> None:
    """Writes them to a file that is there whole or not at all.

    Args:
      path: the file.
      origin: says what was searched by what.
    """
    path.parent.mkdir(exist_ok=True)
    arrays = {'entries': self.entries, 'seconds': self.seconds}
    npz.write(path, {**arrays, 'origin': origin} if origin else arrays)


def seed_keys(seed: int, num_seeds: int) -> jax.Array:
  """Returns a key for each seed; more seeds change none of the first."""
  key = jax.random.key(seed)
  return jax.vmap(lambda number: jax.random.fold_in(key, number))(
    jnp.arange(num_seeds)
  )


def make_table_search(
  table: tables.Table, strategy: Strategy, num_trials: int, batch_size: int
) -> Callable[[jax.Array], jax.Array]:
  """Makes `key -> entries int32[num_trials]`: a whole search of a table.

  Args:
    table: the rewards.
    strategy: who proposes.
    num_trials: the budget; a multiple of `batch_size`.
    batch_size: how many trials are proposed before the strategy learns.

  Raises:
    ValueError: the batches do not spend the budget.
  """
  if min(batch_size, num_trials) < 1 or num_trials % batch_size:
    raise ValueError(
      f'num_trials must be a positive multiple of trials_per_update '
      f'({batch_size}), got {num_trials}.'
    )

  def search(key: jax.Array) -> jax.Array:
    num_rounds = num_trials // batch_size
    found = search_lib.scan(
      strategy, table.look_up, key, num_rounds, batch_size
    )
    return tables.index(table.cardinalities, found.tokens).reshape(-1)

  return search
