# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Trains children of different shapes, grouped by shape.

A setting that is only a number, such as a learning rate, is data: children that
differ in it train in one call of one program. A setting that changes the shapes
of arrays, such as a width or a batch size, needs another program: one per shape
that occurs, not one per child.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import jax
import numpy as np

from jaxnas.trainers import memory, outcomes
from jaxnas.types import Kept, Trained, Trainer


class GroupTrainer:
  """Trains the children of each shape with a trainer for that shape.

  A child's result depends neither on the other shapes nor on their order.

  Attributes:
    block_size: the number of children that a caller should train at a time; the
      more, the fuller the blocks of each shape.
    num_devices: the number of devices that they are spread over.
    compile_seconds: the time spent compiling so far, in seconds, over all
      shapes.
    run_seconds: the time spent running so far, in seconds, over all shapes.
  """

  def __init__(
    self,
    make_trainer: Callable[[Any], Trainer],
    shape_of: Callable[[Any], Hashable],
    block_size: int,
    num_devices: int = 1,
  ):
    """Makes a trainer; the trainer of a shape is made when it first occurs.

    Args:
      make_trainer: `shape -> trainer`. All trainers must have the same metrics.
      shape_of: `architecture -> shape`; children of equal shape share a
        trainer.
      block_size: the number of children that a caller should train at a time.
      num_devices: the number of devices that the trainers spread children over.

    Raises:
      ValueError: `block_size` is not positive.
    """
    if block_size < 1:
      raise ValueError(f'block_size must be at least 1, got {block_size}.')
    self.block_size = block_size
    self.num_devices = num_devices
    self.task: Any = make_trainer
    self._make_trainer = make_trainer
    self._shape_of = shape_of
    self._trainers: dict[Hashable, Trainer] = {}
    self._too_large: set[Hashable] = set()

  @property
  def compile_seconds(self) -> float:
    """The time spent compiling so far, in seconds, over all shapes."""
    return sum(each.compile_seconds for each in self._trainers.values())

  @property
  def run_seconds(self) -> float:
    """The time spent running so far, in seconds, over all shapes."""
    return sum(each.run_seconds for each in self._trainers.values())

  def run(
    self,
    architectures: Sequence[Any],
    keys: jax.Array,
    learning_rates: np.ndarray | Sequence[float],
    num_steps: int,
    *,
    splits: Sequence[str] = ('validation',),
    durations: Sequence[float] | None = None,
    stop: int | None = None,
    keep: bool = False,
  ) -> Trained:
    """Trains and measures `N` children; see `types.Trainer`.

    A child whose shape does not fit into memory has that as its status; if none
    fits, there are no metrics.
    """
    rates = outcomes.check(architectures, keys, learning_rates)
    children = Kept(
      architectures, keys, rates, num_steps, 0, [None] * len(keys)
    )

    def train(trainer: Trainer, group: Kept, rows: list[int]) -> Trained:
      return trainer.run(
        group.architectures,
        group.keys,
        group.learning_rates,
        num_steps,
        splits=splits,
        durations=None
        if durations is None
        else [durations[row] for row in rows],
        stop=stop,
        keep=keep,
      )

    return self._train(children, train)

  def resume(
    self,
    kept: Kept,
    *,
    splits: Sequence[str] = ('validation',),
    stop: int | None = None,
    keep: bool = False,
  ) -> Trained:
    """Trains kept children further; see `types.Trainer`."""
    outcomes.check(kept.architectures, kept.keys, kept.learning_rates)

    def train(trainer: Trainer, group: Kept, rows: list[int]) -> Trained:
      del rows
      return trainer.resume(group, splits=splits, stop=stop, keep=keep)

    return self._train(kept, train)

  def _train(self, children: Kept, train: Callable[..., Trained]) -> Trained:
    """Trains the children of each shape and joins the results."""
    groups: dict[Hashable, list[int]] = {}
    for row, architecture in enumerate(children.architectures):
      groups.setdefault(self._shape_of(architecture), []).append(row)
    parts = []
    for shape, rows in groups.items():
      group = children.select(rows)
      parts.append((rows, self._train_group(shape, group, rows, train)))
    trained = outcomes.join(parts, len(children.keys))
    if trained.kept is None:
      return trained
    return trained._replace(
      kept=children._replace(
        num_trained=trained.kept.num_trained, states=trained.kept.states
      )
    )

  def _train_group(self, shape, group, rows, train) -> Trained | None:
    """Returns the results of one shape; `None` if it does not fit."""
    if shape in self._too_large:
      return None
    try:
      if shape not in self._trainers:
        self._trainers[shape] = self._make_trainer(shape)
      return train(self._trainers[shape], group, rows)
    except Exception as error:
      if not memory.is_exhausted(error):
        raise
      self._too_large.add(shape)
      return None
