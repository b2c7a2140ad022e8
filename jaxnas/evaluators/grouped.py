# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Children of different shapes, in groups of one shape each.

What is only a number, such as a learning rate, is data, and children that
differ in it train in one call of one program. What makes arrays larger, such
as a width or a batch size, needs a program of its own: one for each shape that
comes up, and not for each child.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxnas.evaluators import memory, rewards
from jaxnas.types import Runner


class GroupedRunner:
  """Runs children of each shape with a runner of that shape.

  A child's result depends neither on the other shapes nor on their order, if
  the runners keep that of children of their own shape, as a `BlockRunner` does.

  Attributes:
    block_size: how many children a caller should run at a time; the more, the
      fuller are the blocks of each shape.
    num_devices: over how many devices they are spread.
    compile_seconds: time spent compiling so far, all shapes together.
    run_seconds: time spent running so far, all shapes together.
  """

  def __init__(
    self,
    make_runner: Callable[[Any], Runner],
    shape_of: Callable[[Any], Hashable],
    assemble: Callable[[Sequence[Any]], Any],
    block_size: int,
    num_devices: int = 1,
  ):
    """Makes a runner; those of the shapes are made when they come up.

    Args:
      make_runner: `shape -> runner`. Runners must agree in the metrics.
      shape_of: `architecture -> shape`; children of equal shape share a runner.
      assemble: makes of architectures of one shape what its runner calls
        programs.
      block_size: how many children a caller should run at a time.
      num_devices: over how many devices the runners spread children.

    Raises:
      ValueError: `block_size` is not positive.
    """
    if block_size < 1:
      raise ValueError(f'block_size must be at least 1, got {block_size}.')
    self.block_size = block_size
    self.num_devices = num_devices
    self.compile_seconds = 0.0
    self.run_seconds = 0.0
    self._make_runner = make_runner
    self._shape_of = shape_of
    self._assemble = assemble
    self._runners: dict[Hashable, Runner] = {}
    self._too_large: set[Hashable] = set()

  def run(
    self,
    keys: jax.Array,
    programs: Sequence[Any],
    learning_rates: np.ndarray | Sequence[float],
    num_steps: int,
    splits: Sequence[str] = ('validation',),
    costs: Sequence[float] | None = None,
  ) -> dict[str, np.ndarray]:
    """Trains and measures `N` children; see `types.Runner`.

    A child whose shape does not fit into memory gets NaN for every metric, and
    0 for those that are whole numbers; where none fits, there are no metrics.

    Args:
      keys: one random key a child, `[N]`.
      programs: `N` architectures.
      learning_rates: `[N]`.
      num_steps: how long each child trains.
      splits: what each child is measured on.
      costs: of the children in relation to each other.

    Returns:
      The metrics, each `[N]`; `is_out_of_memory` is among them.
    """
    if not len(keys):
      raise ValueError('A runner needs at least one child to run.')
    groups: dict[Hashable, list[int]] = {}
    for row, architecture in enumerate(programs):
      groups.setdefault(self._shape_of(architecture), []).append(row)
    learning_rates = np.asarray(learning_rates, np.float32)
    measured = []
    for shape, rows in groups.items():
      metrics = self._run_group(
        shape,
        keys[np.array(rows)],
        [programs[row] for row in rows],
        learning_rates[rows],
        num_steps,
        splits,
        None if costs is None else [costs[row] for row in rows],
      )
      measured.append((rows, metrics))
    runners = self._runners.values()
    self.compile_seconds = sum(runner.compile_seconds for runner in runners)
    self.run_seconds = sum(runner.run_seconds for runner in runners)
    return _join(measured, len(keys))

  def _run_group(
    self, shape, keys, architectures, rates, num_steps, splits, costs
  ) -> Mapping[str, np.ndarray] | None:
    """Returns the metrics of one shape; `None` if it does not fit."""
    if shape in self._too_large:
      return None
    try:
      if shape not in self._runners:
        self._runners[shape] = self._make_runner(shape)
      return self._runners[shape].run(
        keys, self._assemble(architectures), rates, num_steps, splits, costs
      )
    except Exception as error:
      if not memory.is_exhausted(error):
        raise
      self._too_large.add(shape)
      return None


def _join(
  measured: Sequence[tuple[list[int], Mapping[str, np.ndarray] | None]],
  num_children: int,
) -> dict[str, np.ndarray]:
  """Joins the metrics of groups, given with the rows of their children."""
  joined = {
    'is_alive': np.zeros(num_children, bool),
    rewards.OUT_OF_MEMORY: np.ones(num_children, bool),
  }
  for rows, metrics in measured:
    if metrics is None:
      continue
    joined[rewards.OUT_OF_MEMORY][rows] = False
    for name, values in metrics.items():
      if name not in joined:
        is_real = jax.dtypes.issubdtype(values.dtype, np.floating)
        joined[name] = np.full(
          num_children, np.nan if is_real else 0, values.dtype
        )
      joined[name][rows] = values
  return joined
