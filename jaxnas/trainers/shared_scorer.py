# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Scores recurrent cells by their losses with one set of weights."""

from __future__ import annotations

from collections.abc import Callable
import functools
import math
import time
from typing import Any

import jax
import numpy as np

from jaxnas.trainers import proxy_scorer, shared
from jaxnas.training import dataset_tasks, shared_text, text_task
from jaxnas.types import SearchSpace

# The most steps in one call; fewer if they would leave a rest.
_STEPS_A_CALL = 32


class SharedScorer:
  """Trains shared weights on uniformly drawn cells, and scores cells by them.

  A score is the mean loss on the first minibatches of the validation split, the
  same for all cells. Cells that are equal in canonical form are scored once.
  """

  def __init__(
    self,
    space: SearchSpace,
    tasks: dataset_tasks.TextTasks,
    recipe: text_task.Recipe,
    *,
    learning_rate: float,
    num_steps: int,
    num_batches: int,
    block_size: int,
    num_devices: int | None = None,
  ):
    """Makes a scorer without compiling anything yet.

    Args:
      space: the search space, recurrent cells with the same base number.
      tasks: the tasks on the text.
      recipe: the recipe by which the weights are made and trained.
      learning_rate: the learning rate of the weights.
      num_steps: the number of steps that the weights are trained for.
      num_batches: the number of minibatches that cells are scored on.
      block_size: the number of cells that are scored per call.
      num_devices: the number of local devices to use; all by default.

    Raises:
      ValueError: `block_size` is not a multiple of the number of devices.
    """
    self._space = space
    self._num_steps, self._num_batches = num_steps, num_batches

    def make(sharing: str, num_children: int) -> shared.SharedTrainer:
      task = tasks.make_shared_cells(
        recipe, space, learning_rate, sharing=sharing
      )
      return shared.SharedTrainer(task, num_children, block_size, num_devices)

    self._make_trainer = functools.cache(make)

  def score(
    self,
    sharing: str,
    num_children: int,
    tokens: np.ndarray,
    seed: int = 0,
    follow: Callable[[int], None] = lambda num_done: None,
  ) -> proxy_scorer.Scored:
    """Trains weights from the start, and scores cells by them.

    Args:
      sharing: what shares weights, a key of `shared_text.SHARINGS`.
      num_children: the number of cells that a step trains on.
      tokens: the cells, `int32[N, T]`, at least one.
      seed: the seed of the weights and of the cells that they are trained on.
      follow: a function that is called after every block, with the number of
        different cells scored so far, on average over the minibatches.

    Returns:
      The mean losses in nats per token, not finite where a cell is dead, and
      the core-seconds of training and scoring together.

    Raises:
      ValueError: there is no such sharing.
    """
    if sharing not in shared_text.SHARINGS:
      raise ValueError(
        f'Unknown sharing {sharing!r}; expected one of '
        f'{", ".join(shared_text.SHARINGS)}.'
      )
    trainer = self._make_trainer(sharing, num_children)
    compiled = trainer.compile_seconds
    canonical = np.array([self._space.canonical(row) for row in tokens])
    # In some numpy versions the inverse of an array has its shape.
    rows, place = np.unique(canonical, axis=0, return_inverse=True)
    cells = [self._space.decode(row) for row in rows]
    steps = self._draw_steps(num_children, seed)
    state = trainer.init(jax.random.key(seed))
    size = math.gcd(self._num_steps, _STEPS_A_CALL)
    if not compiled:
      # What is compiled here is no part of the cost.
      trainer.train(state, steps[:size])
      trainer.losses(state.params, cells[:1])
    before = time.process_time()
    for first in range(0, self._num_steps, size):
      state = trainer.train(state, steps[first : first + size])
    losses = np.zeros(len(cells), np.float64)
    for number in range(self._num_batches):
      losses += trainer.losses(
        state.params,
        cells,
        number=number,
        follow=self._follow_batch(follow, number * len(cells)),
      )
    return proxy_scorer.Scored(
      (losses / self._num_batches)[place.reshape(-1)].astype(np.float32),
      time.process_time() - before,
      trainer.compile_seconds - compiled,
    )

  def _follow_batch(
    self, follow: Callable[[int], None], num_before: int
  ) -> Callable[[int], None]:
    """Returns what follows one minibatch, of which all count together."""

    def follow_batch(num_done: int) -> None:
      follow((num_before + num_done) // self._num_batches)

    return follow_batch

  def _draw_steps(self, num_children: int, seed: int) -> list[list[Any]]:
    """Returns the cells of each step, drawn uniformly from all tokens."""
    rng = np.random.default_rng([seed, num_children])
    sizes = [decision.num_choices for decision in self._space.decisions]
    shape = self._num_steps, num_children, len(sizes)
    drawn = rng.integers(sizes, size=shape)
    return [
      [self._space.decode(tokens.astype(np.int32)) for tokens in step]
      for step in drawn
    ]
