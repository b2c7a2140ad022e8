# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Blocks of children in flight: submitted one by one, finished in any order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from jaxnas.types import Evaluation, Trained

if TYPE_CHECKING:
  import jax


class TrainingQueue(Protocol):
  """Blocks of children in training, wherever they train.

  Blocks are finished in any order. A child's result is that of `Trainer.run`.
  """

  @property
  def block_size(self) -> int:
    """The number of children that a worker trains at a time."""

  @property
  def num_wanted(self) -> int:
    """The number of further blocks that would keep every worker busy now."""

  def submit(
    self,
    architectures: Sequence[Any],
    keys: jax.Array,
    learning_rates: np.ndarray | Sequence[float],
    num_steps: int,
    *,
    splits: Sequence[str] = ('validation',),
    durations: Sequence[float] | None = None,
  ) -> int:
    """Adds a block of at most `block_size` children.

    The arguments are those of `Trainer.run`.

    Returns:
      The number by which `collect` identifies the block.
    """

  def collect(self) -> list[tuple[int, Trained]]:
    """Waits for at least one block to be finished.

    Returns:
      The numbers and outcomes of all blocks finished since the last call; empty
      if no block is in training.
    """


class EvaluationQueue(Protocol):
  """Blocks of trials in evaluation; see `TrainingQueue`.

  A queue that tells what its workers do may also have `tell_lag(lag)`, which
  gets a function that returns how many groups a search is behind, or `None`.
  """

  @property
  def block_size(self) -> int:
    """The largest number of trials in a block."""

  @property
  def num_wanted(self) -> int:
    """The number of further blocks that would keep every worker busy now."""

  def submit(self, keys: jax.Array, tokens: np.ndarray) -> int:
    """Adds a block of at most `block_size` trials.

    Args:
      keys: one random key per trial, `[N]`.
      tokens: the architectures, `int32[N, T]`.

    Returns:
      The number by which `collect` identifies the block.
    """

  def collect(self) -> list[tuple[int, Evaluation]]:
    """Waits for at least one block, as `TrainingQueue.collect`."""
