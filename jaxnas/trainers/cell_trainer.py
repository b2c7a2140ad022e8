# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Trains recurrent cells for their learning curves, each by its own key."""

from __future__ import annotations

from collections.abc import Sequence
import functools
from typing import Any
import zlib

import jax
import numpy as np

from jaxnas.children import recurrent_cell, recurrent_interpreter
from jaxnas.trainers import blocks
from jaxnas.training import dataset_tasks, text_task
from jaxnas.types import SearchSpace

SPLITS = ('validation', 'report')
"""What the children are measured on."""


class CellTrainer:
  """Trains any cells of a space, in one compiled program.

  A child follows from the run's key, a seed and the cell, so it is the same
  wherever and whenever the cell comes up.

  Attributes:
    num_params: how many parameters every child has.
    trainer: what trains the children.
  """

  def __init__(
    self,
    space: SearchSpace,
    tasks: dataset_tasks.TextTasks,
    recipe: text_task.Recipe,
    *,
    learning_rate: float,
    fractions: Sequence[float],
    block_size: int,
    num_devices: int | None = None,
    seed: int = 0,
  ):
    """Makes a trainer; nothing is compiled yet.

    Args:
      space: recurrent cells of one base.
      tasks: the text.
      recipe: how a child is built and trained.
      learning_rate: of every child.
      fractions: after which parts of its steps a child is measured, `P`.
      block_size: how many children share a call.
      num_devices: how many local devices to use; all by default.
      seed: of the run's key.

    Raises:
      ValueError: a number is out of range.
    """
    if not learning_rate > 0:
      raise ValueError(f'learning_rate must be positive, got {learning_rate}.')
    self._space, self._learning_rate = space, learning_rate
    self._key = jax.random.key(seed)
    self.trainer = blocks.BlockTrainer(
      tasks.make_curve(
        recipe,
        recurrent_interpreter.InterpretedCell,
        fractions,
        recurrent_interpreter.assemble,
        recurrent_interpreter.BATCH_AXES,
      ),
      block_size,
      num_devices,
    )
    any_cell: Any = space.decode(np.zeros(space.num_tokens, np.int32))
    self.num_params = text_task.num_params(
      recipe,
      tasks.dataset.vocab_size,
      functools.partial(recurrent_cell.GrammarCell, architecture=any_cell),
    )

  def train(
    self, tokens: np.ndarray, seeds: Sequence[int] | np.ndarray, num_steps: int
  ) -> dict[str, np.ndarray]:
    """Trains some cells.

    Args:
      tokens: the cells, `int32[N, T]`.
      seeds: of each training, `N`.
      num_steps: how long they are trained; the points lie at its fractions.

    Returns:
      `validation float32[N, P]` and `report`: perplexities, NaN from where a
      child has failed; and `num_trained int32[N]`, the steps before it did.
    """
    canonical = [
      np.asarray(self._space.canonical(row), np.int32)
      for row in np.asarray(tokens)
    ]
    names = [zlib.crc32(row.tobytes()) for row in canonical]
    keys = jax.vmap(
      lambda seed, name: jax.random.fold_in(
        jax.random.fold_in(self._key, seed), name
      )
    )(np.asarray(seeds, np.uint32), np.asarray(names, np.uint32))
    metrics = self.trainer.run(
      [self._space.decode(row) for row in canonical],
      keys,
      np.full(len(canonical), self._learning_rate),
      num_steps,
      splits=(),
    ).metrics
    curves = {name: metrics[f'{name}_perplexity'] for name in SPLITS}
    return {**curves, 'num_trained': metrics['num_trained']}
