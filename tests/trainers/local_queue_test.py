# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest

from jaxnas.trainers import local_queue
from jaxnas.types import Trained


class Trainer:
  """A trainer whose metric is the architecture itself."""

  block_size = 4

  def __init__(self):
    self.blocks = []

  def run(self, architectures, keys, learning_rates, num_steps, **settings):
    del keys, learning_rates, num_steps, settings
    self.blocks.append(list(architectures))
    return Trained(
      {'value': np.array(architectures)}, np.zeros(len(architectures), np.int32)
    )


def test_one_block_at_a_time():
  trainer = Trainer()
  queue = local_queue.queue_of(trainer)
  assert (queue.block_size, queue.num_wanted, queue.collect()) == (4, 1, [])
  first = queue.submit([1, 2], None, [0.1] * 2, 3, splits=('report',))
  assert queue.num_wanted == 0
  # Nothing is trained before somebody waits for it.
  assert not trainer.blocks
  with pytest.raises(ValueError, match='one block at a time'):
    queue.submit([3], None, [0.1], 3)
  ((number, trained),) = queue.collect()
  assert number == first
  assert trained.metrics['value'].tolist() == [1, 2]
  assert queue.submit([3], None, [0.1], 3) != first


def test_a_trainer_with_a_queue_keeps_it():
  trainer = Trainer()
  trainer.queue = object()
  assert local_queue.queue_of(trainer) is trainer.queue


class Backwards:
  """A queue of three workers, of which the last one is the fastest."""

  def __init__(self):
    self.blocks = {}
    self.num_submitted = 0

  @property
  def num_wanted(self):
    return 3 - len(self.blocks)

  def submit(self, block):
    self.num_submitted += 1
    self.blocks[self.num_submitted] = block
    return self.num_submitted

  def collect(self):
    number = max(self.blocks)
    stranger = [(99, 'of another')]
    return [*stranger, (number, self.blocks.pop(number))]


def test_blocks_of_all_trainers_are_in_flight_at_once():
  opened = {'a': Backwards(), 'b': Backwards()}
  blocks = [('a', 1), ('a', 2), ('a', 0), ('b', 3), ('b', 4)]
  order = []
  for block, trained in local_queue.finished(
    opened, blocks, lambda queue, block: queue.submit(block) if block else None
  ):
    order.append(block)
    assert trained == (block or None)
  # Each trainer's last one before its first; that which needs no training after
  # those before it.
  assert order == [2, 1, 0, 4, 3]
