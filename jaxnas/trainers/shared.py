# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Trains one set of weights on many architectures, and judges them by it.

Letters: `S` steps, `M` children of a step, `N` architectures to judge.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import functools
import math
from typing import Any, Literal

import jax
from jax import lax
import numpy as np

from jaxnas.trainers import mapping as mapping_lib
from jaxnas.trainers import memory, outcomes
from jaxnas.training import shared

# The least number of steps that a program of training is compiled for.
_MIN_LENGTH = 8


class SharedTrainer:
  """Trains shared weights over the local devices, and judges children by them.

  Each device computes the gradients of its part of a step's children; all
  devices then take the same mean in the same order. Children are judged in
  blocks of a fixed size, so memory is bounded and one program serves any
  number. Both are compiled once for all architectures. Results depend on the
  number of devices in their last bits at most.

  Attributes:
    task: the task, with its data on the devices.
    num_children: the number `M` of children of a step.
    block_size: the number of children that are judged at once.
    num_devices: the number of devices that a block is spread over.
  """

  def __init__(
    self,
    task: shared.SharedTask,
    num_children: int,
    block_size: int,
    num_devices: int | None = None,
    *,
    mapping: Literal['vmap', 'loop'] = 'vmap',
    compiler_options: Mapping[str, Any] | None = None,
  ):
    """Makes a trainer without compiling anything yet.

    Args:
      task: the task.
      num_children: the number of children of a step. The most devices that
        divide it are used for training.
      block_size: the number of children that are judged at once; a multiple of
        `num_devices`.
      num_devices: the number of local devices to use; all by default.
      mapping: how a device computes its children: all at once, by `jax.vmap`,
        or one after another.
      compiler_options: options for XLA, by name.

    Raises:
      ValueError: there are fewer devices, `block_size` is not a multiple of
        `num_devices`, or there is no child.
    """
    if num_children < 1:
      raise ValueError(f'num_children must be at least 1, got {num_children}.')
    self._blocks = mapping_lib.BlockMapping(block_size, num_devices)
    self.num_children, self.block_size = num_children, block_size
    self.num_devices = len(self._blocks.devices)
    self._steps = mapping_lib.BlockMapping(
      num_children, math.gcd(num_children, self.num_devices)
    )
    self._compiler_options = dict(compiler_options or {})
    self.task = task = task._replace(
      train_data=mapping_lib.place(task.train_data, len(self._steps.devices)),
      splits=mapping_lib.place(dict(task.splits), self.num_devices),
    )
    self._init = jax.jit(
      functools.partial(shared.init, task, num_children=num_children)
    )
    # What shapes may differ in comes first, since a program is compiled for
    # each shape of its first argument.
    first = None, task.program_axes
    map_children = mapping_lib.MAPPINGS[mapping]
    # One child is trained as it would be alone.
    map_slots = map_children if num_children > 1 else mapping_lib.alone
    functions = _make_functions(task, map_slots, map_children)
    self._train = self._steps.shard(
      functions['train'],
      (first, shared.STATE_AXES, None),
      out_axes=shared.STATE_AXES,
    )
    self._judge = self._blocks.shard(functions['judge'], (first, None, None))
    self._measure = self._blocks.shard(functions['measure'], (first, None))

  @property
  def compile_seconds(self) -> float:
    """The time spent compiling so far, in seconds."""
    return self._blocks.compile_seconds + self._steps.compile_seconds

  @property
  def run_seconds(self) -> float:
    """The time spent running so far, in seconds."""
    return self._blocks.run_seconds + self._steps.run_seconds

  def init(self, key: jax.Array) -> shared.SharedState:
    """Returns untrained weights, which follow from the key alone."""
    return self._init(key)

  def train(
    self,
    state: shared.SharedState,
    architectures: Sequence[Sequence[Any]],
  ) -> shared.SharedState:
    """Trains the weights further, in one call for all steps.

    Steps are padded to a power of two, each of which is a program of its own.

    Args:
      state: the weights.
      architectures: the children of each step, `S` sequences of `M`.

    Returns:
      The new state, after `S` more steps.

    Raises:
      ValueError: a step has another number of children.
    """
    for children in architectures:
      if len(children) != self.num_children:
        raise ValueError(
          f'A step trains {self.num_children} children, got {len(children)}.'
        )
    if not architectures:
      return state
    num_steps = len(architectures)
    # Repeats of the last step, which is not taken again, so that few lengths
    # are compiled.
    length = max(_MIN_LENGTH, 1 << (num_steps - 1).bit_length())
    rows = np.minimum(np.arange(length), num_steps - 1)
    # Slot by slot, since slots are what devices share among them.
    programs = self._assemble(
      [
        children[slot]
        for slot in range(self.num_children)
        for children in architectures
      ],
      lambda leaf: leaf.reshape(self.num_children, -1, *leaf.shape[1:])[
        :, rows
      ],
    )
    arguments = self._steps.put(
      self._train,
      (self.task.train_data, programs),
      state,
      np.int32(num_steps),
    )
    return self._call(self._steps, self._train, *arguments)

  def judge(
    self,
    params: Any,
    architectures: Sequence[Any],
    split: str = 'validation',
    number: int = 0,
    follow: Callable[[int], None] = lambda num_done: None,
  ) -> dict[str, np.ndarray]:
    """Returns the metrics of `N` architectures on one minibatch.

    Args:
      params: the weights.
      architectures: the architectures, `N` of them, at least one.
      split: the name of the split.
      number: the number of the minibatch, from 0 to one less than the split's
        `num_batches`; any number is the same program.
      follow: a function that is called after every block, with the number of
        architectures done so far.

    Returns:
      A dict of arrays `[N]`; the `'loss'` of a dead child is not finite.

    Raises:
      ValueError: there is no such split or minibatch.
    """
    data = outcomes.split_of(self.task.splits, split)
    count = self.task.num_batches[split]
    if not 0 <= number < count:
      raise ValueError(
        f'The split {split!r} has minibatches 0 to {count - 1}, got {number}.'
      )
    return self._in_blocks(
      self._judge, architectures, follow, data, params, np.int32(number)
    )

  def losses(
    self,
    params: Any,
    architectures: Sequence[Any],
    split: str = 'validation',
    number: int = 0,
    follow: Callable[[int], None] = lambda num_done: None,
  ) -> np.ndarray:
    """Returns the mean losses of `N` architectures, as `judge` does.

    Args:
      params: the weights.
      architectures: the architectures, `N` of them; there may be none.
      split: the name of the split.
      number: the number of the minibatch.
      follow: the function that is called after every block.

    Returns:
      The losses, `float32[N]`; not finite where a child is dead.
    """
    if not architectures:
      return np.zeros(0, np.float32)
    return self.judge(params, architectures, split, number, follow)['loss']

  def measure(
    self,
    params: Any,
    architectures: Sequence[Any],
    split: str = 'validation',
  ) -> dict[str, np.ndarray]:
    """Returns what the task measures of architectures on a whole split.

    Args:
      params: the weights.
      architectures: the architectures, `N` of them, at least one.
      split: the name of the split.

    Returns:
      A dict of arrays `[N]`, whose values may not be finite.

    Raises:
      ValueError: there is no such split.
    """
    data = outcomes.split_of(self.task.splits, split)
    return self._in_blocks(
      self._measure, architectures, lambda _: None, data, params
    )

  def _in_blocks(
    self, program, architectures, follow, data, params, *rest
  ) -> dict[str, np.ndarray]:
    """Returns the results of all blocks, without the rows that pad the last."""
    params = mapping_lib.place(params, self.num_devices)
    num_rows, size = len(architectures), self.block_size
    found = []
    for start in range(0, num_rows, size):
      some = architectures[start : start + size]
      rows = np.minimum(np.arange(size), len(some) - 1)
      programs = self._assemble(some, lambda leaf: leaf[rows])  # noqa: B023  # Called immediately.
      block = self._call(self._blocks, program, (data, programs), params, *rest)
      found.append(jax.device_get(block))
      follow(start + len(some))
    return jax.tree.map(lambda *parts: np.concatenate(parts)[:num_rows], *found)

  def _assemble(self, architectures, arrange):
    """Returns programs, with a function mapped over arrays that have rows."""
    return mapping_lib.map_rows(
      arrange, self.task.program_axes, self.task.assemble(architectures)
    )

  def _call(self, blocks, program, *arguments):
    def check(compiled):
      memory.check(
        compiled,
        blocks.devices,
        f'{blocks.block_size} children on {len(blocks.devices)} devices',
        'take fewer children at once or make them smaller',
      )

    return blocks.call(
      program,
      *arguments,
      check=check,
      compiler_options=self._compiler_options,
    )


def _make_functions(
  task: shared.SharedTask,
  map_slots: Callable[..., Any],
  map_children: Callable[..., Any],
) -> dict[str, Callable[..., Any]]:
  """Makes what each device runs, of its part of the children."""

  def train(given, state, num_steps):
    data, programs = given

    def step(index, state):
      now = mapping_lib.map_rows(
        lambda leaf: lax.dynamic_index_in_dim(leaf, index, 1, keepdims=False),
        task.program_axes,
        programs,
      )
      return shared.train(
        task,
        data,
        state,
        now,
        map_children=map_slots,
        gather=mapping_lib.gather,
      )

    # A traced bound, so that a training is the same however it is cut.
    return lax.fori_loop(0, num_steps, step, state)

  def judge(given, params, number):
    return shared.judge(
      task, given[0], params, given[1], number, map_children=map_children
    )

  def measure(given, params):
    return shared.measure(
      task, given[0], params, given[1], map_children=map_children
    )

  return {'train': train, 'judge': judge, 'measure': measure}
