# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Maps functions of one row over blocks of rows on the local devices.

A row is one of the things to map over, such as a child to train or the key of a
search. A block has a fixed number of rows, so one compiled program serves any
number of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import time
from typing import Any

import jax
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
import numpy as np

from jaxnas.trainers import compiler_options as options_lib
from jaxnas.trainers import waiting

_ROWS = 'rows'


def choose_devices(num_devices: int | None) -> list[jax.Device]:
  """Returns the first local devices.

  Args:
    num_devices: the number of devices; all by default.

  Raises:
    ValueError: there are fewer devices.
  """
  devices = jax.local_devices()
  if num_devices is None:
    return devices
  if not 1 <= num_devices <= len(devices):
    raise ValueError(
      f'num_devices must be from 1 to {len(devices)}, the number of '
      f'local devices, got {num_devices}.'
    )
  return devices[:num_devices]


def place(data: Any, num_devices: int | None = None) -> Any:
  """Copies data to every device, where all programs of a process share it.

  Args:
    data: a pytree of arrays; those already in place are not copied.
    num_devices: the number of local devices to copy to; all by default.
  """
  mesh = Mesh(np.array(choose_devices(num_devices)), (_ROWS,))
  return jax.device_put(data, NamedSharding(mesh, PartitionSpec()))


class BlockMapping:
  """Runs programs on blocks of rows, spread over the local devices.

  Attributes:
    block_size: the number of rows in a block.
    devices: the devices that a block is spread over.
    compile_seconds: the time spent compiling so far, in seconds.
    run_seconds: the time spent running so far, in seconds.
  """

  def __init__(self, block_size: int, num_devices: int | None = None):
    """Chooses the devices; nothing is compiled yet.

    Args:
      block_size: the number of rows per call; a multiple of `num_devices`.
      num_devices: the number of local devices to use; all by default.

    Raises:
      ValueError: there are fewer devices, or `block_size` is not a multiple of
        `num_devices`.
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
    self._shardings: dict[Any, Any] = {}

  def shard(
    self,
    function: Callable[..., Any],
    axes: tuple[Any, ...],
    donated: tuple[int, ...] = (),
    out_axes: Any = 0,
  ) -> jax.stages.Wrapped:
    """Makes a program with which each device runs its part of a block.

    Args:
      function: a function of the rows of one device that returns one result per
        row.
      axes: the axis of each argument: 0 if it has rows, `None` if not, or a
        pytree of these.
      donated: the arguments whose memory the program may reuse.
      out_axes: the axes of the result, likewise; what has no rows must be the
        same on all devices, as what follows from `gather` is.
    """

    def spec_of(axis):
      return PartitionSpec(_ROWS) if axis == 0 else PartitionSpec()

    specs = map_axes(spec_of, axes)
    shardings = jax.tree.map(
      lambda spec: NamedSharding(self._mesh, spec), specs
    )
    program = jax.jit(
      jax.shard_map(
        function,
        mesh=self._mesh,
        in_specs=specs,
        out_specs=map_axes(spec_of, out_axes),
        # The check of varying axes rejects loops whose state starts equal on
        # all shards and ends up different.
        check_vma=False,
      ),
      in_shardings=shardings,
      donate_argnums=donated,
    )
    self._shardings[program] = shardings
    return program

  def call(
    self,
    program: jax.stages.Wrapped,
    *arguments: Any,
    check: Callable[[jax.stages.Compiled], None] | None = None,
    compiler_options: Mapping[str, Any] | None = None,
  ) -> Any:
    """Runs a program, compiling it first if needed, and waits for the result.

    Args:
      program: the program, made by `shard`; it is compiled once per shape of
        its first argument.
      *arguments: the program's arguments.
      check: a function that raises an error if the compiled program cannot be
        run here.
      compiler_options: further options for XLA, by name.
    """
    if jax.process_count() > 1:
      # With other processes, a program takes no NumPy arrays to be sharded.
      arguments = self.put(program, *arguments)
    compiled = self.compile(
      program, *arguments, check=check, compiler_options=compiler_options
    )
    started = time.perf_counter()
    result = jax.block_until_ready(compiled(*arguments))
    self.run_seconds += time.perf_counter() - started
    return result

  def put(self, program: jax.stages.Wrapped, *arguments: Any) -> Any:
    """Returns a program's arguments where it takes them.

    Args:
      program: the program, made by `shard`.
      *arguments: the program's arguments; what is in place is not copied.
    """
    return jax.device_put(arguments, self._shardings[program])

  def compile(
    self,
    program: jax.stages.Wrapped,
    *arguments: Any,
    check: Callable[[jax.stages.Compiled], None] | None = None,
    compiler_options: Mapping[str, Any] | None = None,
  ) -> jax.stages.Compiled:
    """Returns the compiled form of a program; the arguments are as in `call`.

    `jax.ShapeDtypeStruct`s may stand for arrays.
    """
    key = program, *shapes_of(arguments[0])
    if key not in self._compiled:
      started = time.perf_counter()
      with waiting.told('compiling a program'):
        lowered = program.lower(*arguments)
        options = options_lib.of_children(self.devices[0].platform)
        compiled = lowered.compile({**options, **(compiler_options or {})})
      if check is not None:
        check(compiled)
      self._compiled[key] = compiled
      self.compile_seconds += time.perf_counter() - started
    return self._compiled[key]


def gather(rows: Any) -> Any:
  """Returns the rows of all devices, in order, within a function of `shard`.

  Args:
    rows: a pytree of arrays with the rows of this device.
  """
  return jax.tree.map(lambda x: lax.all_gather(x, _ROWS, tiled=True), rows)


def loop(function: Callable[..., Any], axes: Any) -> Callable[..., Any]:
  """Maps like `jax.vmap`, but runs one row after another.

  Args:
    function: a function of one row.
    axes: the axis of each argument, as in `BlockMapping.shard`.
  """

  def run(*arguments):
    def choose(axis, argument, row):
      return row if axis == 0 else argument

    mapped = map_axes(
      lambda axis, argument: choose(axis, None, argument), axes, arguments
    )
    return lax.map(
      lambda rows: function(*map_axes(choose, axes, arguments, rows)), mapped
    )

  return run


def alone(function: Callable[..., Any], axes: Any) -> Callable[..., Any]:
  """Maps like `jax.vmap` over a single row, which is computed as if unmapped.

  Args:
    function: a function of one row.
    axes: the axis of each argument, as in `BlockMapping.shard`.
  """

  def run(*arguments):
    row = map_rows(lambda x: x.reshape(x.shape[1:]), axes, arguments)
    return jax.tree.map(lambda x: x[None], function(*row))

  return run


MAPPINGS: Mapping[str, Callable[..., Any]] = {'vmap': jax.vmap, 'loop': loop}
"""The ways to map a function over the rows of one device."""


def map_axes(function: Callable[..., Any], axes: Any, *trees: Any) -> Any:
  """Maps a function over axes and the parts of trees that they apply to.

  Args:
    function: the function to map, `(axis, *parts) -> result`, where an axis is
      0 or `None`.
    axes: a pytree of axes; one axis may apply to all arrays below it.
    *trees: pytrees that have `axes` as a prefix.
  """
  return jax.tree.map(function, axes, *trees, is_leaf=lambda axis: axis is None)


def map_rows(function: Callable[..., Any], axes: Any, tree: Any) -> Any:
  """Maps a function over the arrays of a tree that have rows.

  Args:
    function: the function to map, `array -> array`.
    axes: the axes, as in `map_axes`.
    tree: a pytree that has `axes` as a prefix.
  """
  return map_axes(
    lambda axis, part: jax.tree.map(function, part) if axis == 0 else part,
    axes,
    tree,
  )


def shapes_of(data: Any) -> tuple[Any, ...]:
  """Returns the structure, shapes and dtypes of data, as a hashable key."""
  leaves, structure = jax.tree.flatten(data)
  return (structure, *((leaf.shape, leaf.dtype) for leaf in leaves))
