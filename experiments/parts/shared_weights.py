# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Shared weights in training, as a search asks about them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxnas.trainers import shared as shared_trainers
from jaxnas.training import shared

SPLIT = 'validation'
"""The split that architectures are judged on."""


class SharedWeights:
  """What any `shared_search.Supernet` with a `SharedTrainer` has.

  Attributes:
    task: what trains and judges architectures.
    trainer: the trainer of the weights.
    num_minibatches: the number of minibatches of the validation split.
    ranked_on: the numbers of those that architectures are ranked on.
  """

  def __init__(
    self, trainer: shared_trainers.SharedTrainer, ranked_minibatches: int
  ):
    """Takes a trainer.

    Args:
      trainer: the trainer of the weights.
      ranked_minibatches: how many minibatches to rank on; 0 for all.
    """
    self.trainer = trainer
    self.task = trainer.task
    self.num_minibatches = self.task.num_batches[SPLIT]
    self.ranked_on = spread(ranked_minibatches, self.num_minibatches)

  def train(
    self, state: shared.SharedState, architectures: Sequence[Any]
  ) -> shared.SharedState:
    """Returns the weights after one more step."""
    return self.trainer.train(state, [architectures])

  def num_dropped(self, state: shared.SharedState) -> int:
    """Returns how many gradients were dropped, of dead architectures."""
    return int(state.num_dropped)

  @property
  def compile_seconds(self) -> float:
    """The time spent compiling so far, in seconds."""
    return self.trainer.compile_seconds

  @property
  def run_seconds(self) -> float:
    """The time spent running so far, in seconds."""
    return self.trainer.run_seconds


def spread(count: int, total: int) -> np.ndarray:
  """Returns the numbers of minibatches that are spread over a split.

  Args:
    count: how many to choose; 0 for all.
    total: the number of minibatches of the split.
  """
  count = min(count or total, total)
  return np.arange(count) * total // count
