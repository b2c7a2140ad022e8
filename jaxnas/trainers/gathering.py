# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Children whose blocks are trained elsewhere, and the joining of results."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Protocol

import numpy as np

from jaxnas.trainers import outcomes
from jaxnas.trainers import training_servant as servant_lib
from jaxnas.trainers.training_servant import TrainedBlock, TrainingBlock
from jaxnas.types import Kept, Trained
from jaxnas.workers.tasks import Part


class Remotes(Protocol):
  """What a `RemoteTrainer` must know about the workers that train for it."""

  @property
  def compile_seconds(self) -> Mapping[Hashable, float]:
    """The seconds that a worker spent compiling, by the name of the trainer."""

  @property
  def run_seconds(self) -> Mapping[Hashable, float]:
    """The seconds that a worker spent training, by the name of the trainer."""

  @property
  def num_workers(self) -> int:
    """The number of workers."""

  @property
  def num_wanted(self) -> int:
    """The number of further blocks that would keep every worker busy now."""

  @property
  def shares_blocks(self) -> bool:
    """Whether all workers train parts of the same block, in lock step."""

  def tell_lag(self, lag: Callable[[], float | None]) -> None:
    """Makes the line on workers say how many groups a search is behind.

    Args:
      lag: a function that returns the number; see `queues.EvaluationQueue`.
    """

  def submit(self, block: TrainingBlock, block_size: int) -> int:
    """Gives children to workers, in blocks.

    Args:
      block: the children.
      block_size: the number of children in a block.

    Returns:
      The number by which `take` knows these children.
    """

  def wait(self) -> None:
    """Waits until at least one block is finished, if there are any."""

  def take(self, number: int) -> Trained | None:
    """Returns the outcome of submitted children, once, if all are finished."""


class Gathering:
  """Children that were submitted together, and their outcomes.

  Attributes:
    block: the children.
    num_missing: the number of blocks that are not finished.
  """

  def __init__(self, block: TrainingBlock, num_blocks: int):
    """Begins without results.

    Args:
      block: the children.
      num_blocks: the number of blocks that they are trained in.
    """
    self.block = block
    self.num_missing = num_blocks
    self._parts: list[tuple[Sequence[int], Trained]] = []

  def add(self, rows: Sequence[int], parts: Sequence[Part]) -> None:
    """Adds a finished block, which may consist of several parts.

    Args:
      rows: the indices of the block's children.
      parts: the parts, in the order of the children.
    """
    self.num_missing -= 1
    start = 0
    for part in parts:
      count = part.request.num_children
      own = rows[start : start + count]
      start += count
      self._parts.append((own, self._trained(part)))

  def join(self) -> Trained:
    """Returns the outcome of all children, in their order."""
    block = self.block
    trained = outcomes.join(self._parts, block.num_children)
    if not block.keep:
      return trained
    stop = block.num_steps if block.stop is None else block.stop
    kept = trained.kept
    states = [None] * block.num_children if kept is None else kept.states
    return trained._replace(
      kept=Kept(
        block.architectures,
        servant_lib.unpack(block.keys),
        block.learning_rates,
        block.num_steps,
        stop,
        states,
      )
    )

  def _trained(self, part: Part) -> Trained:
    """Returns the outcome of a part."""
    answer: TrainedBlock | None = part.answer
    if answer is None:
      count = part.request.num_children
      return Trained(
        {}, np.full(count, part.status, np.int32), (part.reason,) * count
      )
    if answer.states is None:
      return answer.trained
    request: TrainingBlock = part.request
    kept = Kept(
      request.architectures,
      servant_lib.unpack(request.keys),
      request.learning_rates,
      request.num_steps,
      answer.num_trained,
      servant_lib.unpack(answer.states),
    )
    return answer.trained._replace(kept=kept)
