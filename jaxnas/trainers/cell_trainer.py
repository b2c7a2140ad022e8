# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Trains recurrent cells for their learning curves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import functools
from typing import Any
import zlib

import jax
import numpy as np

from jaxnas.children import recurrent_cell, recurrent_interpreter
from jaxnas.trainers import blocks, local_queue
from jaxnas.training import dataset_tasks, text_task
from jaxnas.types import SearchSpace, Status, Trained, Trainer

SPLITS = ('validation', 'report')
"""The splits that the children are measured on."""


class CellTrainer:
  """Trains any cells of a search space with one compiled program.

  A child is determined by the run's key, a seed and the cell, so it is the same
  wherever and whenever the cell occurs.

  Attributes:
    num_params: the number of parameters of every child.
    trainer: the trainer that trains the children.
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
    """Makes a trainer without compiling anything yet.

    Args:
      space: the search space, recurrent cells with the same base number.
      tasks: the tasks on the text.
      recipe: the recipe by which a child is built and trained.
      learning_rate: the learning rate of every child.
      fractions: the fractions of the training after which a child is measured,
        `P` of them.
      block_size: the number of children per call.
      num_devices: the number of local devices to use; all by default.
      seed: the seed of the run's key.

    Raises:
      ValueError: a number is out of range.
    """
    if not learning_rate > 0:
      raise ValueError(f'learning_rate must be positive, got {learning_rate}.')
    self._space, self._learning_rate = space, learning_rate
    self._key = jax.random.key(seed)
    self.trainer: Trainer = blocks.BlockTrainer(
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
    """Trains cells and returns their learning curves.

    Args:
      tokens: the cells, `int32[N, T]`.
      seeds: the seed of each training, `[N]`.
      num_steps: the length of each training; the curves' points lie at
        fractions of it.

    Returns:
      The perplexities `validation float32[N, P]` and `report float32[N, P]`,
      NaN from the point where a child failed, and `num_trained int32[N]`, the
      number of steps before it failed.

    Raises:
      ValueError: a worker was lost or took too long, which says nothing about
        the cells.
    """
    children = self._children(tokens, seeds)
    return _curves(self.trainer.run(*children, num_steps, splits=()))

  def train_each(
    self, tokens: np.ndarray, seeds: Sequence[int] | np.ndarray, num_steps: int
  ) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """Yields the learning curves of cells, block by block as they finish.

    If several workers train, none waits for the blocks of the others.

    Args:
      tokens: the cells, `int32[N, T]`.
      seeds: the seed of each training, `[N]`.
      num_steps: the length of each training, as in `train`.

    Yields:
      The rows of a block, and what `train` returns for them.

    Raises:
      ValueError: as `train`.
    """
    tokens, seeds = np.asarray(tokens), np.asarray(seeds)
    queue = local_queue.queue_of(self.trainer)
    rows = np.arange(len(tokens))
    parts = np.split(rows, rows[queue.block_size :: queue.block_size])

    def submit(queue, part):
      children = self._children(tokens[part], seeds[part])
      return queue.submit(*children, num_steps, splits=())

    named = [('cells', part) for part in parts if len(part)]
    for part, trained in local_queue.finished({'cells': queue}, named, submit):
      # Every block is submitted, so every block has an outcome.
      assert trained is not None
      yield part, _curves(trained)

  def _children(self, tokens, seeds) -> tuple[list[Any], jax.Array, np.ndarray]:
    """Returns the architectures, keys and learning rates of trainings."""
    canonical = [self._space.canonical(row) for row in np.asarray(tokens)]
    return (
      [self._space.decode(row) for row in canonical],
      child_keys(self._key, canonical, seeds),
      np.full(len(canonical), self._learning_rate),
    )


_LOST = Status.CRASHED, Status.TIMED_OUT


def _curves(trained: Trained) -> dict[str, np.ndarray]:
  """Returns the curves of children; refuses what a machine's fault cut off."""
  metrics = trained.metrics
  is_lost = np.isin(trained.status, _LOST)
  if is_lost.any() or not metrics:
    (*_, reason) = ('', *filter(None, trained.reasons))
    raise ValueError(
      f'{is_lost.sum() or len(is_lost)} of {len(is_lost)} cells could not be '
      f'trained ({reason or "no reason is known"}); start again, and what is '
      'not recorded yet is trained again.'
    )
  curves = {name: metrics[f'{name}_perplexity'] for name in SPLITS}
  return {**curves, 'num_trained': metrics['num_trained']}


def child_keys(
  key: jax.Array,
  canonical: Sequence[np.ndarray],
  seeds: Sequence[int] | np.ndarray,
) -> jax.Array:
  """Returns the key that each cell's child is made from, `[N]`.

  Args:
    key: the run's key.
    canonical: the tokens of the cells in canonical form, `int32[N, T]`.
    seeds: the seed of each child, `[N]`.
  """
  names = [zlib.crc32(np.asarray(row, np.int32).tobytes()) for row in canonical]
  return jax.vmap(
    lambda seed, name: jax.random.fold_in(jax.random.fold_in(key, seed), name)
  )(np.asarray(seeds, np.uint32), np.asarray(names, np.uint32))
