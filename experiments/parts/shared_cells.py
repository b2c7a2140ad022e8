# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Recurrent cells that share weights, as a search asks about them."""

from __future__ import annotations

from collections.abc import Sequence
import functools
import math
from typing import Any

import jax
import numpy as np

from experiments.parts import shared_weights
from jaxnas.children import soft_program
from jaxnas.trainers import mapping, memory
from jaxnas.trainers import shared as shared_trainers
from jaxnas.training import dataset_tasks, shared, text_task
from jaxnas.types import SearchSpace

# A device judges a few cells at a time, whose states stay in its cache.
_CELLS_A_DEVICE = 8


class SharedCells(shared_weights.SharedWeights):
  """One set of weights for all recurrent cells; a `shared_search.Supernet`.

  Cells are judged by the perplexity of minibatches of the validation text, each
  read from a recurrent state of zeros.
  """

  def __init__(
    self,
    config: Any,
    space: SearchSpace,
    tasks: dataset_tasks.TextTasks,
    recipe: text_task.Recipe,
  ):
    """Makes the weights' functions; nothing is compiled yet.

    Args:
      config: the complete settings of a search for cells.
      space: the search space.
      tasks: the tasks on the text.
      recipe: the recipe by which the weights are made and trained.
    """
    num_devices = config.num_host_devices
    trainer = shared_trainers.SharedTrainer(
      tasks.make_shared_cells(
        recipe,
        space,
        config.learning_rate,
        sharing=config.sharing,
        is_relaxed=config.is_relaxed,
        combiners=config.combiners,
        activations=config.activations,
      ),
      config.shared_cells,
      _CELLS_A_DEVICE * num_devices,
      num_devices,
    )
    super().__init__(trainer, config.ranked_minibatches)
    self._soften = functools.partial(
      soft_program.soften,
      base=config.base,
      num_combiners=len(config.combiners),
      num_activations=len(config.activations),
    )
    self._relaxed: dict[int, tuple[mapping.BlockMapping, Any]] = {}

  def init(self, key: jax.Array, num_steps: int) -> shared.SharedState:
    """Returns untrained weights, whose learning rate is always the same."""
    del num_steps
    return self.trainer.init(key)

  def judge(
    self,
    state: shared.SharedState,
    architectures: Sequence[Any],
    minibatch: int,
  ) -> dict[str, np.ndarray]:
    """Returns the metrics of cells on one minibatch, each `[N]`."""
    losses = self.trainer.losses(
      state.params, architectures, shared_weights.SPLIT, int(minibatch)
    )
    return self._metrics(state, losses)

  def measure(
    self, state: shared.SharedState, architectures: Sequence[Any]
  ) -> dict[str, np.ndarray]:
    """Returns the metrics of cells on what they are ranked by, each `[N]`."""
    losses = [
      self.trainer.losses(
        state.params, architectures, shared_weights.SPLIT, int(number)
      )
      for number in self.ranked_on
    ]
    return self._metrics(state, np.mean(losses, axis=0))

  def slopes(
    self, state: shared.SharedState, probabilities: Any, minibatch: int
  ) -> tuple[np.ndarray, np.ndarray]:
    """Returns minus the losses of mixtures, and their derivatives.

    Args:
      state: the weights.
      probabilities: the distributions of all decisions, `float[N, V]`.
      minibatch: the number of the minibatch.

    Returns:
      The values, `float32[N]`, and slopes, `float32[N, V]`.
    """
    blocks, program = self._relaxed_of(len(probabilities))
    data = mapping.place(
      (self.task.splits[shared_weights.SPLIT], state.params),
      len(blocks.devices),
    )
    values, slopes = blocks.call(
      program,
      data,
      np.asarray(probabilities),
      np.int32(minibatch),
      check=lambda compiled: memory.check(
        compiled,
        blocks.devices,
        f'{len(probabilities)} mixtures of cells',
        'give fewer --judged_cells or make the cells smaller',
      ),
    )
    return np.asarray(values), np.asarray(slopes)

  @property
  def compile_seconds(self) -> float:
    """The time spent compiling so far, in seconds."""
    return super().compile_seconds + sum(
      blocks.compile_seconds for blocks, _ in self._relaxed.values()
    )

  @property
  def run_seconds(self) -> float:
    """The time spent running so far, in seconds."""
    return super().run_seconds + sum(
      blocks.run_seconds for blocks, _ in self._relaxed.values()
    )

  def _metrics(self, state, losses) -> dict[str, np.ndarray]:
    with np.errstate(over='ignore'):
      perplexity = np.exp(np.asarray(losses, np.float32))
    trained = np.full(len(perplexity), int(state.num_steps), np.int32)
    return {'num_trained': trained, 'validation_perplexity': perplexity}

  def _relaxed_of(self, count: int):
    """Returns the program for a number of mixtures."""
    if count not in self._relaxed:
      num_devices = math.gcd(count, self.trainer.num_devices)
      blocks = mapping.BlockMapping(count, num_devices)

      def value(row, data, number):
        split, params = data
        mixture = self._soften(row)
        return -self.task.judge(split, mixture, params, number)['loss']

      def values_and_slopes(data, rows, number):
        return jax.vmap(jax.value_and_grad(value), (0, None, None))(
          rows, data, number
        )

      program = blocks.shard(values_and_slopes, (None, 0, None))
      self._relaxed[count] = blocks, program
    return self._relaxed[count]
