# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The queue of a trainer that has none: one block at a time."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterator, Mapping, Sequence
import functools
from typing import Any, TypeVar

from jaxnas import queues
from jaxnas.types import Trained, Trainer

Block = TypeVar('Block')


def queue_of(trainer: Trainer) -> queues.TrainingQueue:
  """Returns the queue of a trainer.

  Args:
    trainer: the trainer; one without a queue of its own trains one block at a
      time, in `collect`.
  """
  queue = getattr(trainer, 'queue', None)
  return LocalQueue(trainer) if queue is None else queue


def finished(
  opened: Mapping[str, queues.TrainingQueue],
  blocks: Sequence[tuple[str, Block]],
  submit: Callable[[queues.TrainingQueue, Block], int | None],
) -> Iterator[tuple[Block, Trained | None]]:
  """Yields blocks as they finish, those of all trainers side by side.

  Args:
    opened: the queues of the trainers, by name.
    blocks: the blocks in the order of submission, each with its trainer's name.
    submit: a function that submits a block and returns its number, or `None` if
      nothing in it has to be trained.

  Yields:
    A block and its outcome, or `None` if nothing had to be trained.
  """
  left = collections.deque(blocks)
  in_flight: dict[tuple[str, int], Block] = {}
  while left or in_flight:
    while left and (not in_flight or opened[left[0][0]].num_wanted > 0):
      name, block = left.popleft()
      number = submit(opened[name], block)
      # A block without any training keeps its place, with a negative number.
      in_flight[name, -1 - len(left) if number is None else number] = block
    name, number = next(iter(in_flight))
    if number < 0:
      yield in_flight.pop((name, number)), None
      continue
    for number, trained in opened[name].collect():
      # A queue may also finish blocks that another caller gave up.
      if (name, number) in in_flight:
        yield in_flight.pop((name, number)), trained


class LocalQueue:
  """A queue that takes one block, which `collect` trains.

  Attributes:
    block_size: the largest number of children in a block.
  """

  def __init__(self, trainer: Trainer):
    """Opens the queue.

    Args:
      trainer: the trainer of the blocks.
    """
    self.block_size = trainer.block_size
    self._run = trainer.run
    self._block: Callable[[], Trained] | None = None
    self._number = -1

  @property
  def num_wanted(self) -> int:
    """The number of further blocks that would be trained now."""
    return int(self._block is None)

  def submit(self, *children: Any, **settings: Any) -> int:
    """Adds a block; see `queues.TrainingQueue`.

    Raises:
      ValueError: the queue has a block already.
    """
    if self._block is not None:
      raise ValueError('A local queue takes one block at a time.')
    self._block = functools.partial(self._run, *children, **settings)
    self._number += 1
    return self._number

  def collect(self) -> list[tuple[int, Trained]]:
    """Trains the block, if there is one."""
    if self._block is None:
      return []
    train, self._block = self._block, None
    return [(self._number, train())]
