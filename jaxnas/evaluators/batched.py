# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Many children in one program, in full blocks, over the local devices.

Children are mapped with `vmap` where their operations are alike, and run one
after another in a loop on each device where their programs branch: a branch
under `vmap` would run every side for every child.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import time
from typing import Any, Literal

import jax
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
import numpy as np

from jaxnas.evaluators import memory, rewards
from jaxnas.types import Evaluator, ProxyTask, Runner, SearchSpace

_CHILDREN = 'children'


def default_block_size(num_devices: int) -> int:
  """Returns how many children to train at once.

  Args:
    num_devices: over how many devices they are spread.
  """
  # A CPU is busy with a few, and more only cost cache; an accelerator needs
  # many to hide the latency of a recurrence's small steps.
  return num_devices * (4 if jax.default_backend() == 'cpu' else 128)


def choose_devices(num_devices: int | None) -> list[jax.Device]:
  """Returns the first so many local devices; all for `None`.

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


class BlockRunner:
  """Runs a task for any number of children with one compiled program.

  Children are run in blocks of one size, spread over the local devices; the
  last block is filled up with repeats. So a child's result does not depend on
  how many there are. The whole training is one call: parameters are made,
  trained and dropped on the device.

  Attributes:
    block_size: how many children a block has.
    num_devices: over how many devices a block is spread.
    compile_seconds: time spent compiling so far.
    run_seconds: time spent running so far.
  """

  def __init__(
    self,
    task: ProxyTask,
    block_size: int,
    num_devices: int | None = None,
    *,
    mapping: Literal['vmap', 'loop'] = 'vmap',
    compiler_options: Mapping[str, Any] | None = None,
  ):
    """Makes a runner; nothing is compiled yet.

    Args:
      task: what is done with each child.
      block_size: how many children share a call; a multiple of `num_devices`.
      num_devices: how many local devices to use; all by default.
      mapping: how a device runs its part of a block: all at once by `jax.vmap`,
        or one after another.
      compiler_options: for XLA, by name.

    Raises:
      ValueError: there are fewer devices, or the block does not divide.
    """
    devices = choose_devices(num_devices)
    num_devices = len(devices)
    if block_size < 1 or block_size % num_devices:
      raise ValueError(
        f'block_size must be a multiple of num_devices ({num_devices}), got '
        f'{block_size}.'
      )
    self.block_size = block_size
    self.num_devices = num_devices
    self.compile_seconds = 0.0
    self.run_seconds = 0.0
    self._program_axes = task.program_axes
    self._map = _MAPPINGS[mapping]
    self._compiler_options = dict(compiler_options or {})
    self._mesh = Mesh(np.array(devices), (_CHILDREN,))
    everywhere = NamedSharding(self._mesh, PartitionSpec())
    self._train_data = jax.device_put(task.train_data, everywhere)
    self._splits = jax.device_put(dict(task.splits), everywhere)
    self._train = self._shard(task.train, (None, task.program_axes, 0, 0, None))
    self._measure = self._shard(task.measure, (None, task.program_axes, 0))
    self._compiled: dict[Any, Callable[..., Any]] = {}

  def run(
    self,
    keys: jax.Array,
    programs: Any,
    learning_rates: np.ndarray | Sequence[float],
    num_steps: int,
    splits: Sequence[str] = ('validation',),
    costs: Sequence[float] | None = None,
  ) -> dict[str, np.ndarray]:
    """Trains and measures `N` children; see `types.Runner`.

    Args:
      keys: one random key a child, `[N]`.
      programs: a batch of `N` programs, or `None` where the task has none.
      learning_rates: `[N]`.
      num_steps: how long each child trains; another value needs no new program.
      splits: what each child is measured on.
      costs: of the children in relation to each other; all alike by default.

    Returns:
      The metrics, each `[N]`.

    Raises:
      ValueError: there is no child, or the block needs more memory than there
        is.
    """
    if not len(keys):
      raise ValueError('A runner needs at least one child to run.')
    learning_rates = np.asarray(learning_rates, np.float32)
    blocks = []
    order = np.arange(len(keys))
    if costs is not None:
      order = np.argsort(-np.asarray(costs), kind='stable')
    for start in range(0, len(keys), self.block_size):
      rows = np.arange(start, start + self.block_size)
      rows = order[np.minimum(rows, len(keys) - 1)]
      if costs is not None:
        rows = _share_out(rows, self.num_devices)
      block_programs = _map_axes(
        lambda axis, leaf: leaf[rows] if axis == 0 else leaf,  # noqa: B023  # Called at once.
        self._program_axes,
        programs,
      )
      children, metrics = self._call(
        self._train,
        self._train_data,
        block_programs,
        keys[rows],
        learning_rates[rows],
        np.int32(num_steps),
      )
      for split in splits:
        measured = self._call(
          self._measure, self._splits[split], block_programs, children
        )
        metrics |= {f'{split}_{name}': x for name, x in measured.items()}
      blocks.append((rows, metrics))
    places = np.concatenate([rows for rows, _ in blocks])
    # Where a child stands more than once, its results are the same.
    _, first = np.unique(places, return_index=True)
    return {
      name: np.concatenate([metrics[name] for _, metrics in blocks])[first]
      for name in blocks[0][1]
    }

  def _shard(self, function, axes):
    specs = _map_axes(
      lambda axis: PartitionSpec(_CHILDREN) if axis == 0 else PartitionSpec(),
      axes,
    )
    return jax.jit(
      jax.shard_map(
        self._map(function, axes),
        mesh=self._mesh,
        in_specs=specs,
        out_specs=PartitionSpec(_CHILDREN),
        # The check of varying axes refuses loops whose state starts equal on
        # all shards and ends different.
        check_vma=False,
      ),
      in_shardings=jax.tree.map(
        lambda spec: NamedSharding(self._mesh, spec), specs
      ),
    )

  def _call(self, function, *arguments):
    """Compiles if it must, runs, and waits; metrics come back in numpy."""
    # A measure has a program for each shape of a split.
    key = function, *shapes_of(arguments[0])
    if key not in self._compiled:
      started = time.perf_counter()
      program = function.lower(*arguments).compile(self._compiler_options)
      memory.check(
        program,
        list(self._mesh.devices.flat),
        f'A block of {self.block_size} children on {self.num_devices} devices',
        'make the block or the children smaller',
      )
      self._compiled[key] = program
      self.compile_seconds += time.perf_counter() - started
    started = time.perf_counter()
    result = self._compiled[key](*arguments)
    if isinstance(result, tuple):
      children, metrics = result
      result = children, jax.tree.map(np.asarray, metrics)
    else:
      result = jax.tree.map(np.asarray, result)
    self.run_seconds += time.perf_counter() - started
    return result


def shapes_of(data: Any) -> tuple[Any, ...]:
  """Returns what decides which program data goes to, hashable."""
  leaves, structure = jax.tree.flatten(data)
  return (structure, *((leaf.shape, leaf.dtype) for leaf in leaves))


def make_evaluator(
  space: SearchSpace,
  assemble: Callable[[Sequence[Any]], Any],
  runner: Runner,
  reward: rewards.Reward,
  learning_rate: float | Callable[[Any], float],
  num_steps: int,
  cost: Callable[[Any], float] | None = None,
) -> Evaluator:
  """Makes an evaluator of what a runner measures.

  Args:
    space: what the tokens mean.
    assemble: makes of architectures what the runner calls programs.
    runner: trains and measures the children.
    reward: what the task's metrics are worth.
    learning_rate: of every child, or `architecture -> learning rate` where it
      is part of the architecture.
    num_steps: how long every child trains.
    cost: of an architecture's training in relation to others; all alike by
      default.
  """

  def evaluate(keys, tokens):
    architectures = [space.decode(row) for row in np.asarray(tokens)]
    metrics = runner.run(
      keys,
      assemble(architectures),
      [
        learning_rate(each) if callable(learning_rate) else learning_rate
        for each in architectures
      ],
      num_steps,
      costs=None if cost is None else [cost(each) for each in architectures],
    )
    return rewards.judge(metrics, reward)

  return Evaluator(evaluate, runner.block_size, reward.floor)


def _loop(function, axes):
  """Maps as `jax.vmap` does, but runs one child after another."""

  def run(*arguments):
    def choose(axis, argument, row):
      return row if axis == 0 else argument

    mapped = _map_axes(
      lambda axis, argument: choose(axis, None, argument), axes, arguments
    )
    return lax.map(
      lambda rows: function(*_map_axes(choose, axes, arguments, rows)), mapped
    )

  return run


_MAPPINGS: Mapping[str, Callable[..., Any]] = {
  'vmap': jax.vmap,
  'loop': _loop,
}


def _share_out(rows: np.ndarray, num_devices: int) -> np.ndarray:
  """Orders a block, costliest first, so that its equal parts cost the same."""
  turns = rows.reshape(-1, num_devices).copy()
  turns[1::2] = turns[1::2, ::-1]
  return turns.T.reshape(-1)


def _map_axes(function, axes, *trees):
  return jax.tree.map(function, axes, *trees, is_leaf=lambda axis: axis is None)
