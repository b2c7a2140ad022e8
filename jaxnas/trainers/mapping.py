# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Functions of one row, mapped over blocks of rows on the local devices.

A row is whatever is mapped: a child to train, or the key of a search. A block
has a fixed number of them, so that one compiled program serves any number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import time
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
import numpy as np

_ROWS = 'rows'


def choose_devices(num_devices: int | None) -> list[jax.Device]:
  """Returns the first local devices.

  Args:
    num_devices: how many; all by default.

  Raises:
    ValueError: there are not so many.
  """
  devices = jax.local_devices()
  if num_devices is None:
    return devices
  if not 1 <= num_devices <= len(devices):
    raise ValueError(
      f'num_devices must be from 1 to {len(devices)}, the devices there are, '
      f'got {num_devices}.'
    )
  return devices[:num_devices]


def place(data: Any, num_devices: int | None = None) -> Any:
  """Copies data to every device, where all programs of a process share it.

  Args:
    data: a pytree of arrays; those that are there already are not copied.
    num_devices: how many local devices get it; all by default.
  """
  mesh = Mesh(np.array(choose_devices(num_devices)), (_ROWS,))
  return jax.device_put(data, NamedSharding(mesh, PartitionSpec()))


class BlockMapping:
  """Runs programs on blocks of rows, spread over the local devices.

  Attributes:
    block_size: how many rows a block has.
    devices: the devices over which a block is spread.
    compile_seconds: time spent compiling so far.
    run_seconds: time spent running so far.
  """

  def __init__(self, block_size: int, num_devices: int | None = None):
    """Compiles nothing yet.

    Args:
      block_size: how many rows share a call; a multiple of `num_devices`.
      num_devices: how many local devices to use; all by default.

    Raises:
      ValueError: there are fewer devices, or the block does not divide.
    """
    self.devices = choose_devices(num_devices)
    if block_size < 1 or block_size % len(self.devices):
      raise ValueError(
        f'block_size must be a multiple of num_devices ({len(self.devices)}), '
        f'got {block_size}.'
      )
    self.block_size = block_size
    self.compile_seconds = 0.0
    self.run_seconds = 0.0
    self._mesh = Mesh(np.array(self.devices), (_ROWS,))
    self._compiled: dict[Any, jax.stages.Compiled] = {}

  def shard(
    self,
    function: Callable[..., Any],
    axes: tuple[Any, ...],
    donated: tuple[int, ...] = (),
  ) -> jax.stages.Wrapped:
    """Makes a program of which each device runs its part of a block.

    Args:
      function: takes the rows of one device, and gives as many results.
      axes: for each argument 0 where it has a row for each, else `None`; or a
        pytree of these.
      donated: the arguments whose memory the program may reuse.
    """
    specs = map_axes(
      lambda axis: PartitionSpec(_ROWS) if axis == 0 else PartitionSpec(), axes
    )
    return jax.jit(
      jax.shard_map(
        function,
        mesh=self._mesh,
        in_specs=specs,
        out_specs=PartitionSpec(_ROWS),
        # The check of varying axes refuses loops whose state starts equal on
        # all shards and ends different.
        check_vma=False,
      ),
      in_shardings=jax.tree.map(
        lambda spec: NamedSharding(self._mesh, spec), specs
      ),
      donate_argnums=donated,
    )

  def call(
    self,
    program: jax.stages.Wrapped,
    *arguments: Any,
    check: Callable[[jax.stages.Compiled], None] | None = None,
    compiler_options: Mapping[str, Any] | None = None,
  ) -> Any:
    """Compiles a program if it must, runs it, and waits for the result.

    Args:
      program: from `shard`; it is compiled for each shape of its first
        argument.
      *arguments: the program's.
      check: raises an error if the program cannot be run here.
      compiler_options: for XLA, by name.
    """
    key = program, *shapes_of(arguments[0])
    if key not in self._compiled:
      started = time.perf_counter()
      lowered = program.lower(*arguments)
      compiled = lowered.compile(dict(compiler_options or {}))
      if check is not None:
        check(compiled)
      self._compiled[key] = compiled
      self.compile_seconds += time.perf_counter() - started
    started = time.perf_counter()
    result = jax.block_until_ready(self._compiled[key](*arguments))
    self.run_seconds += time.perf_counter() - started
    return result


def map_axes(function: Callable[..., Any], axes: Any, *trees: Any) -> Any:
  """Maps a function of an axis, and of the parts of trees that it stands for.

  Args:
    function: `(axis, *parts) -> result`; an axis is 0 or `None`.
    axes: a pytree of axes; one may stand for all arrays below it.
    *trees: pytrees that the axes are a prefix of.
  """
  return jax.tree.map(function, axes, *trees, is_leaf=lambda axis: axis is None)


def shapes_of(data: Any) -> tuple[Any, ...]:
  """Returns what decides which compiled program data goes to, hashable."""
  leaves, structure = jax.tree.flatten(data)
  return (structure, *((leaf.shape, leaf.dtype) for leaf in leaves))
