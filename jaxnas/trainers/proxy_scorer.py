# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Scores many recurrent cells by training-free proxies, block by block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import functools
import time
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnas.children import proxies, recurrent_interpreter
from jaxnas.trainers import cell_trainer, mapping
from jaxnas.training import dataset_tasks, text_task
from jaxnas.types import SearchSpace


class Scored(NamedTuple):
  """The scores of cells.

  Attributes:
    scores: the score of each cell, `float32[N]`; not finite where a child is
      dead from the start or the proxy is undefined.
    core_seconds: the core-seconds that the scores took, without compiling.
    compile_seconds: the time spent compiling the program, in seconds.
  """

  scores: np.ndarray
  core_seconds: float
  compile_seconds: float


class ProxyScorer:
  """Scores the untrained children of a search space's recurrent cells.

  The children are those that a `CellTrainer` with the same key, recipe and text
  would train, and the batch is the first that these children would see. A proxy
  is one compiled program for all cells, mapped with `jax.vmap`. Cells that are
  equal in canonical form are scored once.
  """

  def __init__(
    self,
    space: SearchSpace,
    tasks: dataset_tasks.TextTasks,
    recipe: text_task.Recipe,
    *,
    block_size: int,
    num_devices: int | None = None,
    seed: int = 0,
  ):
    """Makes a scorer without compiling anything yet.

    Args:
      space: the search space, recurrent cells with the same base number.
      tasks: the tasks on the text, whose first training segment is the batch.
      recipe: the recipe by which a child is built.
      block_size: the number of children per call.
      num_devices: the number of local devices to use; all by default.
      seed: the seed of the run's key.

    Raises:
      ValueError: `block_size` is not a multiple of the number of devices.
    """
    self._space, self._recipe = space, recipe
    self._vocab_size = tasks.dataset.vocab_size
    self._key = jax.random.key(seed)
    self._batch = tasks.train.inputs[0], tasks.train.targets[0]
    self._mapping = mapping.BlockMapping(block_size, num_devices)

  def score(
    self,
    name: str,
    tokens: np.ndarray,
    seeds: Sequence[int] | np.ndarray | None = None,
    follow: Callable[[int], None] = lambda num_done: None,
  ) -> Scored:
    """Scores cells by one proxy.

    Args:
      name: the proxy's name, a key of `proxies.PROXIES`.
      tokens: the cells, `int32[N, T]`, at least one.
      seeds: the seed of each child, `[N]`; 0 by default.
      follow: a function that is called after every block, with the number of
        different cells scored so far.

    Raises:
      ValueError: there is no such proxy.
    """
    if name not in proxies.PROXIES:
      raise ValueError(
        f'Unknown proxy {name!r}; expected one of {", ".join(proxies.PROXIES)}.'
      )
    canonical = np.array([self._space.canonical(row) for row in tokens])
    seeds = np.zeros(len(canonical), int) if seeds is None else seeds
    rows = np.concatenate([canonical, np.reshape(seeds, (-1, 1))], 1)
    # In some numpy versions the inverse of an array has its shape.
    rows, place = np.unique(rows, axis=0, return_inverse=True)
    found = self._score(name, rows[:, :-1], rows[:, -1], follow)
    return found._replace(scores=found.scores[place.reshape(-1)])

  def _score(self, name, tokens, seeds, follow) -> Scored:
    """Scores cells in canonical form, no two of them equal."""
    axes = recurrent_interpreter.BATCH_AXES
    program = self._mapping.shard(
      jax.vmap(
        functools.partial(
          score_child, name, self._recipe, self._vocab_size, self._batch
        ),
        (axes, 0),
      ),
      (axes, 0),
    )
    keys = cell_trainer.child_keys(self._key, tokens, seeds)
    architectures: list[Any] = [self._space.decode(row) for row in tokens]
    programs = recurrent_interpreter.assemble(architectures)
    compiled = self._mapping.compile_seconds
    core_seconds = 0.0
    blocks = []
    size = self._mapping.block_size
    for start in range(0, len(tokens), size):
      rows = np.minimum(np.arange(start, start + size), len(tokens) - 1)
      given = jax.tree.map(
        lambda leaf: leaf[rows] if leaf.ndim else leaf,  # noqa: B023  # Called immediately.
        (programs, keys),
      )
      if not start:
        # This call compiles, which is not part of the cost of each cell.
        self._mapping.call(program, *given)
      before = time.process_time()
      blocks.append(np.asarray(self._mapping.call(program, *given)))
      core_seconds += time.process_time() - before
      follow(min(start + size, len(tokens)))
    return Scored(
      np.concatenate(blocks)[: len(tokens)],
      core_seconds,
      self._mapping.compile_seconds - compiled,
    )


def score_child(
  name: str,
  recipe: text_task.Recipe,
  vocab_size: int,
  batch: tuple[jax.Array, jax.Array],
  program: recurrent_interpreter.CellProgram,
  key: jax.Array,
) -> jax.Array:
  """Returns the score of one untrained cell, a scalar; a pure function.

  Args:
    name: the proxy's name, a key of `proxies.PROXIES`.
    recipe: the recipe by which the child is built.
    vocab_size: the size `V` of the vocabulary.
    batch: the tokens to read and to predict, each `int32[T, B]`.
    program: the program of the cell.
    key: the key that the child is initialized with.
  """
  model = text_task.make_program_model(
    recipe, vocab_size, recurrent_interpreter.InterpretedCell, True, program
  )
  inputs, targets = batch
  params = text_task.init(model, recipe, key, inputs.shape[1]).params
  return proxies.PROXIES[name](
    proxies.of_language_model(model, params, inputs, targets)
  )
