# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Blocks of trials in evaluation, whatever the evaluator is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxnas import queues
from jaxnas.types import Evaluation, Evaluator, Trained

if TYPE_CHECKING:
  import jax


def open_queue(
  evaluator: Evaluator, is_in_order: bool = False
) -> queues.EvaluationQueue:
  """Returns a queue of an evaluator, empty.

  Args:
    evaluator: the evaluator; one without a queue of its own evaluates one block
      at a time, in `collect`.
    is_in_order: whether any evaluator does so.
  """
  if evaluator.open_queue is not None and not is_in_order:
    return evaluator.open_queue()
  return _Local(evaluator)


class _Local:
  """A queue that takes one block, which `collect` evaluates."""

  def __init__(self, evaluator: Evaluator):
    self.block_size = evaluator.block_size
    self._evaluate = evaluator.evaluate
    self._block: tuple[jax.Array, np.ndarray] | None = None
    self._number = -1

  @property
  def num_wanted(self) -> int:
    return int(self._block is None)

  def submit(self, keys: jax.Array, tokens: np.ndarray) -> int:
    self._block = keys, tokens
    self._number += 1
    return self._number

  def collect(self) -> list[tuple[int, Evaluation]]:
    if self._block is None:
      return []
    block, self._block = self._block, None
    return [(self._number, self._evaluate(*block))]


class Block(NamedTuple):
  """`N` children as a trainer takes them.

  Attributes:
    architectures: the children's architectures.
    learning_rates: the children's learning rates.
    num_steps: the number of steps of each training.
    durations: the expected durations of the trainings, if known.
  """

  architectures: Sequence[Any]
  learning_rates: Sequence[float]
  num_steps: int
  durations: Sequence[float] | None


class OfTrainer:
  """A queue of trials over a queue of children; see `queues.EvaluationQueue`.

  Blocks of others in the queue of children are left alone by `submit`, and
  dropped by `collect`.
  """

  def __init__(
    self,
    queue: queues.TrainingQueue,
    prepare: Callable[[np.ndarray], Block],
    judge: Callable[[Sequence[Any], Trained], Evaluation],
  ):
    """Opens the queue.

    Args:
      queue: the queue of children.
      prepare: the function that decodes the tokens of `N` trials.
      judge: the function that evaluates architectures that were trained.
    """
    self._queue, self._prepare, self._judge = queue, prepare, judge
    # What those who wait for workers are told; see `EvaluationQueue`.
    self.tell_lag = getattr(queue, 'tell_lag', lambda lag: None)
    self._architectures: dict[int, Sequence[Any]] = {}

  @property
  def block_size(self) -> int:
    """The largest number of trials in a block."""
    return self._queue.block_size

  @property
  def num_wanted(self) -> int:
    """The number of further blocks that would keep every worker busy."""
    return self._queue.num_wanted

  def submit(self, keys: jax.Array, tokens: np.ndarray) -> int:
    """Adds a block; returns its number."""
    block = self._prepare(tokens)
    number = self._queue.submit(
      block.architectures,
      keys,
      block.learning_rates,
      block.num_steps,
      durations=block.durations,
    )
    self._architectures[number] = block.architectures
    return number

  def collect(self) -> list[tuple[int, Evaluation]]:
    """Waits for at least one block."""
    return [
      (number, self._judge(self._architectures.pop(number), trained))
      for number, trained in self._queue.collect()
      if number in self._architectures
    ]
