# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Runs a search for many seeds, in blocks over the local devices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import dataclasses
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas import npz, pure_search, versions
from jaxnas.datasets import reward_table as tables
from jaxnas.trainers import mapping
from jaxnas.types import Strategy


class ManySearches:
  """Runs a pure function of a row, such as a key, for many rows.

  Rows are run in blocks of a fixed size, the last of which is padded with
  repeats, and each device maps its part of a block with `vmap`. Only one
  program is compiled, memory is bounded, and a row's result does not depend on
  the number of rows.

  Attributes:
    block_size: the number of rows in a block.
    num_devices: the number of devices that a block is spread over.
  """

  def __init__(
    self,
    function: Callable[..., Any],
    block_size: int,
    num_devices: int | None = None,
  ):
    """Prepares the program; nothing is compiled yet.

    Args:
      function: the function of one row: a key, or any pytree of arrays.
      block_size: the number of rows per call; a multiple of `num_devices`.
      num_devices: the number of local devices to use; all by default.

    Raises:
      ValueError: there are fewer devices, or `block_size` is not a multiple of
        `num_devices`.
    """
    self._mapping = mapping.BlockMapping(block_size, num_devices)
    self._program = self._mapping.shard(jax.vmap(function), (0,))
    self.block_size = block_size
    self.num_devices = len(self._mapping.devices)

  @property
  def compile_seconds(self) -> float:
    """The time spent compiling so far, in seconds."""
    return self._mapping.compile_seconds

  @property
  def run_seconds(self) -> float:
    """The time spent running so far, in seconds."""
    return self._mapping.run_seconds

  def blocks(self, rows: Any, first: int = 0) -> Iterator[Any]:
    """Yields the results of one block after another, as NumPy arrays.

    Args:
      rows: the rows, a pytree of arrays `[S, ...]`.
      first: the index of the first block to run.
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
    """Returns the results of all rows, NumPy arrays `[S, ...]`."""
    results = list(self.blocks(rows))
    return jax.tree.map(lambda *parts: np.concatenate(parts), *results)


@dataclasses.dataclass(frozen=True, eq=False)
class Searches:
  """The entries of a table that searches tried.

  Attributes:
    entries: the indices of the entries, `int32[seeds, trials]`.
    seconds: the duration of the searches without compiling, in seconds.
  """

  entries: np.ndarray
  seconds: float

  @classmethod
  def load(
    cls, path: pathlib.Path, shape: tuple[int, int], origin: str = ''
  ) -> Searches:
    """Reads searches that `save` wrote.

    Args:
      path: the file.
      shape: the expected shape of the entries.
      origin: the expected description of the searches; not checked if the file
        has none, as files of older versions do not.

    Raises:
      ValueError: the file is damaged, has another shape or holds other
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
    """Writes the searches to a file atomically.

    Args:
      path: the file.
      origin: a description of the table and the strategy.
    """
    path.parent.mkdir(exist_ok=True)
    arrays = {'entries': self.entries, 'seconds': self.seconds}
    npz.write(path, {**arrays, 'origin': origin} if origin else arrays)


def seed_keys(seed: int, num_seeds: int) -> jax.Array:
  """Returns a key per seed; more seeds do not change the first ones."""
  key = jax.random.key(seed)
  return jax.vmap(lambda number: jax.random.fold_in(key, number))(
    jnp.arange(num_seeds)
  )


DURATION_SPREAD = 0.5
"""The standard deviation of the logarithm of a group's duration."""


def make_table_search(
  table: tables.Table,
  strategy: Strategy,
  num_trials: int,
  batch_size: int,
  replicas: int = 1,
  replicas_per_update: int = 1,
) -> Callable[[jax.Array], jax.Array]:
  """Makes a function that runs a whole search of a table.

  Args:
    table: the table of rewards.
    strategy: the search strategy.
    num_trials: the number of trials; a multiple of `batch_size *
      replicas_per_update`.
    batch_size: the number of trials in a group.
    replicas: the number of groups in flight, which finish in the order that
      `draw_order` returns.
    replicas_per_update: the number of groups between updates of the strategy.

  Returns:
    A function `key -> entries int32[num_trials]`, in the order of finishing.

  Raises:
    ValueError: `num_trials` is not such a multiple, or not positive.
  """
  each = batch_size * replicas_per_update
  if min(batch_size, replicas_per_update, num_trials) < 1 or num_trials % each:
    times = '' if replicas_per_update == 1 else ' times replicas_per_update'
    raise ValueError(
      f'num_trials must be a positive multiple of trials_per_update{times} '
      f'({each}), got {num_trials}.'
    )

  def search(key: jax.Array) -> jax.Array:
    found = pure_search.scan(
      strategy,
      table.look_up,
      key,
      num_trials // each,
      batch_size,
      replicas=replicas,
      replicas_per_update=replicas_per_update,
      order=draw_order(key, num_trials // batch_size, replicas),
    )
    return tables.index(table.cardinalities, found.tokens).reshape(-1)

  return search


def draw_order(key: jax.Array, num_groups: int, replicas: int) -> jax.Array:
  """Returns the order in which a search's groups finish, `int32[num_groups]`.

  Durations are lognormal, as those of trainings roughly are, and the same for
  every number of replicas.

  Args:
    key: the key of the search.
    num_groups: the number of groups of the whole search.
    replicas: the number of groups in flight.
  """
  if replicas == 1:
    return jnp.arange(num_groups, dtype=jnp.int32)
  # Beyond the numbers of rounds, so that no round has this key.
  key = jax.random.fold_in(key, np.uint32(2**32 - 1))
  logs = DURATION_SPREAD * jax.random.normal(key, (num_groups,))
  return pure_search.finishing_order(jnp.exp(logs), replicas)


def mean_lag(
  keys: jax.Array, num_groups: int, replicas: int, replicas_per_update: int
) -> float:
  """Returns how many versions older than its update a proposal is, on average.

  Args:
    keys: the keys of the searches, `[S]`.
    num_groups: the number of groups of a search.
    replicas: the number of groups in flight.
    replicas_per_update: the number of groups between updates.
  """
  orders = jax.jit(jax.vmap(lambda key: draw_order(key, num_groups, replicas)))(
    keys
  )
  told = np.arange(num_groups) // replicas_per_update
  proposed = versions.proposing_version(
    np.asarray(orders), replicas, replicas_per_update
  )
  return float(np.mean(told - proposed))
