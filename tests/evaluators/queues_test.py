# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import jax
import numpy as np

from jaxnas import evaluators
from jaxnas.evaluators import queues
from jaxnas.spaces import hyperparameters
from jaxnas.types import Choice, Reward, Trained

SPACE = hyperparameters.make_space({'x': Choice((1, 2, 3, 4))})
KEYS = jax.random.split(jax.random.key(0), 4)
TOKENS = np.arange(4, dtype=np.int32)[:, None]


class Trainer:
  """A trainer whose metric is its architecture."""

  block_size, num_devices, compile_seconds, run_seconds = 4, 1, 0.0, 0.0

  def run(self, architectures, keys, learning_rates, num_steps, **settings):
    del keys, num_steps, settings
    values = np.array([each['x'] for each in architectures], np.float32)
    return Trained(
      {'x': values, 'rate': np.array(learning_rates)},
      np.zeros(len(values), np.int32),
    )


class QueueOfTrainer:
  """A queue of two blocks, the last of which finishes first."""

  block_size = 2

  def __init__(self):
    self.blocks = [(0, 'of another')]

  @property
  def num_wanted(self):
    return 3 - len(self.blocks)

  def submit(self, *children, **settings):
    self.blocks.append((len(self.blocks), Trainer().run(*children, **settings)))
    return len(self.blocks) - 1

  def collect(self):
    blocks, self.blocks = self.blocks[::-1], []
    return blocks


def make_evaluator(trainer):
  return evaluators.make_evaluator(
    SPACE,
    trainer,
    Reward(lambda _, metrics: metrics['x'] / 4),
    lambda each: 0.1 * each['x'],
    3,
    costs={'size': lambda each: 10 * each['x']},
  )


def test_an_evaluator_without_a_queue_takes_one_block():
  evaluator = make_evaluator(Trainer())
  queue = queues.open_queue(evaluator)
  assert (queue.block_size, queue.num_wanted, queue.collect()) == (4, 1, [])
  number = queue.submit(KEYS, TOKENS)
  assert queue.num_wanted == 0
  ((found, evaluation),) = queue.collect()
  assert found == number
  assert queue.num_wanted == 1
  np.testing.assert_array_equal(evaluation.rewards, [0.25, 0.5, 0.75, 1.0])


def test_a_queue_of_a_trainer_gives_what_the_evaluator_does():
  trainer = Trainer()
  trainer.queue = QueueOfTrainer()
  evaluator = make_evaluator(trainer)
  assert evaluator.block_size == 4
  assert queues.open_queue(evaluator, is_in_order=True).block_size == 4
  queue = queues.open_queue(evaluator)
  assert queue.block_size == queue.num_wanted == 2
  numbers = [queue.submit(KEYS[:2], TOKENS[:2])]
  numbers.append(queue.submit(KEYS[2:], TOKENS[2:]))
  found = queue.collect()
  # What others have submitted is left out.
  assert [number for number, _ in found] == numbers[::-1]
  for (_, one), rows in zip(found, (slice(2, 4), slice(0, 2)), strict=True):
    other = evaluator.evaluate(KEYS[rows], TOKENS[rows])
    jax.tree.map(np.testing.assert_array_equal, one, other)
    assert one.metrics['size'].tolist() == (10 * one.metrics['x']).tolist()
