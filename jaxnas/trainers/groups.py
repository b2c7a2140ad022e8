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

from jaxnas.trainers import dry_runs, memory, outcomes, resumable
from jaxnas.types import Trained, Trainer

# A trace takes tenths of a second, and every search may take this many.
_MAX_DRY_RUNS = 8


class GroupTrainer(resumable.ResumableTrainer):
  """Trains the children of each shape with a trainer for that shape.

  A child's result depends neither on the other shapes nor on their order. The
  status of a child whose shape does not fit into memory says so; if no shape
  fits, there are no metrics.

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
      make_trainer: a function `shape -> trainer`. All trainers must have the
        same metrics.
      shape_of: a function `architecture -> shape`; children of equal shape
        share a trainer.
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
    self._too_large: dict[Hashable, str] = {}

  @property
  def compile_seconds(self) -> float:
    """The time spent compiling so far, in seconds, over all shapes."""
    return sum(each.compile_seconds for each in self._trainers.values())

  @property
  def run_seconds(self) -> float:
    """The time spent running so far, in seconds, over all shapes."""
    return sum(each.run_seconds for each in self._trainers.values())

  def dry_run(
    self, architectures: Sequence[Any], splits: Sequence[str]
  ) -> dry_runs.DryRun | None:
    """Returns the names of a training's results without any training.

    Args:
      architectures: architectures to be trained; the first of each shape is
        traced, for at most `_MAX_DRY_RUNS` shapes.
      splits: the names of the splits that children would be measured on.

    Returns:
      The names that all shapes share; `None` if a shape's trainer has no dry
      run.

    Raises:
      ValueError: a split is missing. Errors of the task's functions are passed
        on.
    """
    firsts: dict[Hashable, Any] = {}
    for each in architectures:
      # Called for all, since it may fail for one whose shape is not traced.
      shape = self._shape_of(each)
      if len(firsts) < _MAX_DRY_RUNS:
        firsts.setdefault(shape, each)
    found = []
    for shape, each in firsts.items():
      trainer: Any = self._trainer(shape)
      if not hasattr(trainer, 'dry_run'):
        return None
      found.append(trainer.dry_run([each], splits))
    return found[0]._replace(
      uses_learning_rate=any(each.uses_learning_rate for each in found)
    )

  def _train_all(self, children, span, splits, durations, keep) -> Trained:
    """Trains the children of each shape and joins the results."""
    groups: dict[Hashable, list[int]] = {}
    for row, architecture in enumerate(children.architectures):
      groups.setdefault(self._shape_of(architecture), []).append(row)
    parts = []
    for shape, rows in groups.items():
      group = children.select(rows)
      own = None if durations is None else [durations[row] for row in rows]
      trained = self._train_group(shape, group, span, splits, own, keep)
      parts.append((rows, trained))
    trained = outcomes.join(parts, len(children.keys))
    if trained.kept is None:
      return trained
    return trained._replace(
      kept=children._replace(num_trained=span.stop, states=trained.kept.states)
    )

  def _train_group(self, shape, group, *settings) -> Trained | str:
    """Returns the results of one shape, or the reason why it does not fit."""
    if shape in self._too_large:
      return self._too_large[shape]
    try:
      return _train(self._trainer(shape), group, *settings)
    except Exception as error:
      if not memory.is_exhausted(error):
        raise
      reason = outcomes.out_of_memory_reason(error)
      return self._too_large.setdefault(shape, reason)

  def _trainer(self, shape: Any) -> Trainer:
    if shape not in self._trainers:
      self._trainers[shape] = self._make_trainer(shape)
    return self._trainers[shape]


def _train(trainer, group, span, splits, durations, keep) -> Trained:
  if span.start:
    return trainer.resume(group, splits=splits, stop=span.stop, keep=keep)
  return trainer.run(
    group.architectures,
    group.keys,
    group.learning_rates,
    group.num_steps,
    splits=splits,
    durations=durations,
    stop=span.stop,
    keep=keep,
  )
