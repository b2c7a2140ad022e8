# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Many children in one program, in full blocks, over the local devices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import time
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
import numpy as np

from jaxnas.evaluators import rewards
from jaxnas.types import Evaluator, ProxyTask, SearchSpace

_CHILDREN = 'children'


def default_block_size(num_devices: int) -> int:
  """Returns how many children to train at once.

  Args:
    num_devices: over how many devices they are spread.
  """
  # A CPU is busy with a few, and more only cost cache; an accelerator needs
  # many to hide the latency of a recurrence's small steps.
  return num_devices * (4 if jax.default_backend() == 'cpu' else 128)


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
    self, task: ProxyTask, block_size: int, num_devices: int | None = None
  ):
    """Makes a runner; nothing is compiled yet.

    Args:
      task: what is done with each child.
      block_size: how many children share a call; a multiple of `num_devices`.
      num_devices: how many local devices to use; all by default.

    Raises:
      ValueError: there are fewer devices, or the block does not divide.
    """
    devices = jax.local_devices()
    num_devices = len(devices) if num_devices is None else num_devices
    if not 1 <= num_devices <= len(devices):
      raise ValueError(
        f'num_devices must be from 1 to {len(devices)}, the devices there are, '
        f'got {num_devices}.'
      )
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
    self._mesh = Mesh(np.array(devices[:num_devices]), (_CHILDREN,))
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
  ) -> dict[str, np.ndarray]:
    """Trains and measures `N` children.

    Args:
      keys: one random key a child, `[N]`.
      programs: a batch of `N` programs, or `None` where the task has none.
      learning_rates: `[N]`.
      num_steps: how long each child trains; another value needs no new program.
      splits: what each child is measured on.

    Returns:
      The metrics, each `[N]`; what was measured on a split is named after it,
      as `'validation_perplexity'`.
    """
    if not len(keys):
      raise ValueError('A runner needs at least one child to run.')
    learning_rates = np.asarray(learning_rates, np.float32)
    blocks = []
    for start in range(0, len(keys), self.block_size):
      rows = np.arange(start, start + self.block_size)
      rows = np.minimum(rows, len(keys) - 1)
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
      blocks.append(metrics)
    return {
      name: np.concatenate([block[name] for block in blocks])[: len(keys)]
      for name in blocks[0]
    }

  def _shard(self, function, axes):
    specs = _map_axes(
      lambda axis: PartitionSpec(_CHILDREN) if axis == 0 else PartitionSpec(),
      axes,
    )
    return jax.jit(
      jax.shard_map(
        jax.vmap(function, in_axes=axes),
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
    if function not in self._compiled:
      started = time.perf_counter()
      self._compiled[function] = function.lower(*arguments).compile()
      self.compile_seconds += time.perf_counter() - started
    started = time.perf_counter()
    result = self._compiled[function](*arguments)
    if isinstance(result, tuple):
      children, metrics = result
      result = children, jax.tree.map(np.asarray, metrics)
    else:
      result = jax.tree.map(np.asarray, result)
    self.run_seconds += time.perf_counter() - started
    return result


def make_evaluator(
  space: SearchSpace,
  assemble: Callable[[Sequence[Any]], Any],
  runner: BlockRunner,
  reward: rewards.Reward,
  learning_rate: float,
  num_steps: int,
  floor_reward: float = 0.0,
) -> Evaluator:
  """Makes an evaluator that trains architectures as data.

  Args:
    space: what the tokens mean.
    assemble: makes a batch of programs of architectures.
    runner: runs the task for a batch of programs.
    reward: what the task's metrics are worth.
    learning_rate: of every child.
    num_steps: how long every child trains.
    floor_reward: what a child that failed is given.
  """

  def evaluate(keys, tokens):
    architectures = [space.decode(row) for row in np.asarray(tokens)]
    metrics = runner.run(
      keys,
      assemble(architectures),
      np.full(len(architectures), learning_rate),
      num_steps,
    )
    return rewards.judge(metrics, reward, floor_reward)

  return Evaluator(evaluate, runner.block_size, floor_reward)


def _map_axes(function, axes, *trees):
  return jax.tree.map(function, axes, *trees, is_leaf=lambda axis: axis is None)
