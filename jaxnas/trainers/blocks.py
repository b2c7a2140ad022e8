# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Trains many children with one program, in blocks over the local devices.

Children whose operations are alike are mapped with `vmap`. Children whose
programs branch run one after another in a loop on each device, since under
`vmap` every child would execute both sides of a branch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.children import platforms
from jaxnas.trainers import dry_runs, memory, outcomes, resumable
from jaxnas.trainers import mapping as mapping_lib
from jaxnas.types import Span, Task, Trained


def default_block_size(num_devices: int, platform: str = '') -> int:
  """Returns the number of children to train at once.

  Args:
    num_devices: the number of devices that they are spread over.
    platform: the platform of the devices; `platforms.default()` by default.
  """
  platform = platform or platforms.default()
  # A few children keep a CPU busy, and more would only fill its cache; an
  # accelerator needs many to hide the latency of a recurrence's small steps.
  return num_devices * (4 if platform == 'cpu' else 128)


class BlockTrainer(resumable.ResumableTrainer):
  """Trains any number of children of a task with one compiled program.

  Children are trained in blocks of a fixed size, spread over the local devices;
  the last block is padded with repeats. A child's result therefore does not
  depend on the number of children. The whole training is one call: parameters
  are initialized, trained and, unless they are kept, dropped on the device.
  A different number of steps needs no new program.

  If the children have several architectures and a block of them does not fit
  into memory, `run` and `resume` raise a `ValueError`. If there is only one
  architecture, the lack of memory is the children's status instead.

  Attributes:
    block_size: the number of children in a block.
    num_devices: the number of devices that a block is spread over.
  """

  def __init__(
    self,
    task: Task,
    block_size: int,
    num_devices: int | None = None,
    *,
    mapping: Literal['vmap', 'loop'] = 'vmap',
    compiler_options: Mapping[str, Any] | None = None,
  ):
    """Makes a trainer without compiling anything yet.

    Args:
      task: the task to train every child on.
      block_size: the number of children per call; a multiple of `num_devices`.
      num_devices: the number of local devices to use; all by default.
      mapping: the way in which a device trains its part of a block: all
        children at once, by `jax.vmap`, or one after another.
      compiler_options: options for XLA, by name.

    Raises:
      ValueError: there are fewer devices, or `block_size` is not a multiple of
        `num_devices`.
    """
    self._mapping = mapping_lib.BlockMapping(block_size, num_devices)
    self.block_size = block_size
    self.num_devices = len(self._mapping.devices)
    self._assemble = task.assemble
    self._program_axes = axes = task.program_axes
    self._compiler_options = dict(compiler_options or {})
    self._train_data, self._splits = mapping_lib.place(
      (task.train_data, dict(task.splits)), self.num_devices
    )
    self.task = task._replace(train_data=self._train_data, splits=self._splits)

    self._init = jax.vmap(task.init, (axes, 0, 0))
    self._blank: Any = None

    def shard(function, axes, donated=()):
      mapped = mapping_lib.MAPPINGS[mapping](function, axes)
      return self._mapping.shard(mapped, axes, donated)

    self._train = shard(
      outcomes.train_from(task), (None, axes, 0, 0, 0, None), donated=(2,)
    )
    self._measure = shard(outcomes.measure_of(task), (None, axes, 0))

  @property
  def compile_seconds(self) -> float:
    """The time spent compiling so far, in seconds."""
    return self._mapping.compile_seconds

  @property
  def run_seconds(self) -> float:
    """The time spent running so far, in seconds."""
    return self._mapping.run_seconds

  def dry_run(
    self, architectures: Sequence[Any], splits: Sequence[str]
  ) -> dry_runs.DryRun:
    """Returns the names of a training's results without any training.

    Args:
      architectures: architectures to be trained; only the first is traced,
        since all share a program.
      splits: the names of the splits that children would be measured on.

    Raises:
      ValueError: a split is missing. Errors of the task's functions are passed
        on.
    """
    return dry_runs.trace(self.task, architectures[0], splits)

  def needed_bytes(self, architecture: Any) -> int | None:
    """Compiles the training, and returns the memory that it needs.

    Nothing is trained, and no lack of memory is an error.

    Args:
      architecture: any architecture to be trained.

    Returns:
      The bytes on each device; `None` if the platform does not report them.
    """
    programs = None
    if self._assemble is not None:
      programs = self._assemble([architecture] * self.block_size)
    keys = jax.eval_shape(
      lambda: jax.random.split(jax.random.key(0), self.block_size)
    )
    rates = jax.ShapeDtypeStruct((self.block_size,), np.float32)
    program = self._mapping.compile(
      self._train,
      self._train_data,
      programs,
      jax.eval_shape(self._init, programs, keys, rates),
      keys,
      rates,
      Span(*(np.int32(0),) * len(Span._fields)),
      compiler_options=self._compiler_options,
    )
    return memory.needed(program)

  def _train_all(self, children, span, splits, durations, keep) -> Trained:
    """Trains children block by block, starting from their states."""
    num_children = len(children.keys)
    programs = None
    if self._assemble is not None:
      programs = self._assemble(children.architectures)
    try:
      blocks = [
        (rows, *self._train_block(children, programs, rows, span, splits, keep))
        for rows in self._blocks(num_children, durations)
      ]
    except Exception as error:
      # With a single architecture, the architecture itself does not fit.
      if self._assemble is not None or not memory.is_exhausted(error):
        raise
      reason = outcomes.out_of_memory_reason(error)
      return outcomes.join([(range(num_children), reason)], num_children)
    places = np.concatenate([rows for rows, _, _ in blocks])
    # A child that occurs more than once has equal results each time.
    _, first = np.unique(places, return_index=True)
    trained = outcomes.judge(
      {
        name: np.concatenate([metrics[name] for _, metrics, _ in blocks])[first]
        for name in blocks[0][1]
      }
    )
    if not keep:
      return trained
    states = [state for _, _, block in blocks for state in block]
    kept = children._replace(
      num_trained=span.stop, states=[states[place] for place in first]
    )
    return trained._replace(kept=kept)

  def _blocks(self, num_children, durations) -> Iterator[np.ndarray]:
    """Yields the indices of each block's children."""
    order = np.arange(num_children)
    if durations is not None:
      order = np.argsort(-np.asarray(durations), kind='stable')
    for start in range(0, num_children, self.block_size):
      rows = np.arange(start, start + self.block_size)
      rows = order[np.minimum(rows, num_children - 1)]
      yield rows if durations is None else _share_out(rows, self.num_devices)

  def _train_block(self, children, programs, rows, span, splits, keep):
    """Returns metrics `[block_size]`, and all states if they are kept."""
    programs = mapping_lib.map_rows(
      lambda leaf: leaf[rows], self._program_axes, programs
    )
    given = children.keys[rows], children.learning_rates[rows]
    if span.start:
      states = _stack([children.states[row] for row in rows])
    else:
      if self._blank is None:
        self._blank = jax.eval_shape(self._init, programs, *given)
      states = outcomes.blank(self._blank)
    states, metrics = self._call(
      self._train,
      self._train_data,
      programs,
      states,
      *given,
      Span(*map(np.int32, span)),
    )
    metrics = _to_numpy(metrics)
    for split in splits:
      data = outcomes.split_of(self._splits, split)
      measured = self._call(self._measure, data, programs, states)
      metrics |= {
        f'{split}_{name}': values
        for name, values in _to_numpy(measured).items()
      }
    return metrics, _unstack(states, len(rows)) if keep else []

  def _call(self, function, *arguments):
    return self._mapping.call(
      function,
      *arguments,
      check=self._check_memory,
      compiler_options=self._compiler_options,
    )

  def _check_memory(self, program):
    memory.check(
      program,
      self._mapping.devices,
      f'A block of {self.block_size} children on {self.num_devices} devices',
      'make the block or the children smaller',
    )


def _share_out(rows: np.ndarray, num_devices: int) -> np.ndarray:
  """Reorders a block, sorted costliest first, to balance its equal parts."""
  turns = rows.reshape(-1, num_devices).copy()
  turns[1::2] = turns[1::2, ::-1]
  return turns.T.reshape(-1)


def _to_numpy(metrics: Mapping[str, jax.Array]) -> dict[str, np.ndarray]:
  return {name: np.asarray(values) for name, values in metrics.items()}


def _unstack(states: Any, count: int) -> list[Any]:
  """Returns the state of each child of a block, in host memory."""
  states = jax.device_get(states)
  return [jax.tree.map(lambda leaf: leaf[row], states) for row in range(count)]  # noqa: B023  # Called immediately.


def _stack(states: Sequence[Any]) -> Any:
  def stack(*leaves):
    # NumPy cannot represent typed keys.
    is_key = jax.dtypes.issubdtype(leaves[0].dtype, jax.dtypes.prng_key)
    return jnp.stack(leaves) if is_key else np.stack(leaves)

  return jax.tree.map(stack, *states)
