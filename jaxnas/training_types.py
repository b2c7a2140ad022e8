# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The nouns of training: a task, who trains by it, and what comes out.

They are imported from `jaxnas.types`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

# Only annotations need JAX, as in `jaxnas.types`.
if TYPE_CHECKING:
  import jax


class Span(NamedTuple):
  """The steps of a training that one call takes: `start` to `stop - 1`.

  Attributes:
    start: the number of steps taken before.
    stop: the number of steps taken afterwards.
    num_steps: the length of the whole training, which a learning-rate schedule
      may depend on.
  """

  start: jax.typing.ArrayLike
  stop: jax.typing.ArrayLike
  num_steps: jax.typing.ArrayLike


class Task(NamedTuple):
  """How one child is made, trained and measured, as pure functions.

  All functions take one child; trainers map them over many. A training cut into
  consecutive spans is bitwise the same as the uncut one.

  Attributes:
    init: `(program, key, learning_rate) -> state`, an untrained child as a
      pytree of arrays. `program` is the architecture as data, made by
      `assemble`, or `None` where the architecture is static.
    train: `(data, program, state, key, learning_rate, span) -> state`, with
      `train_data` as `data`.
    train_metrics: `state -> metrics`, a dict of what training itself tells.
      Its `'is_alive'` is a boolean scalar, false where the child has failed;
      the others must be scalars for a search, while a caller that only trains
      may also get arrays, such as a learning curve.
    measure: `(split, program, state) -> metrics`, a dict of scalars.
    train_data: the data that every child trains on, a pytree of arrays.
    splits: the data that children can be measured on, by name, such as
      `'validation'`. Splits of equal shapes share a compiled program.
    assemble: `architectures -> program`, which stacks `N` programs along
      `program_axes`; `None` where the architecture is static.
    program_axes: the batch axes of stacked programs, as `in_axes` of
      `jax.vmap`.
  """

  init: Callable[[Any, jax.Array, jax.Array], Any]
  train: Callable[[Any, Any, Any, jax.Array, jax.Array, Span], Any]
  train_metrics: Callable[[Any], Mapping[str, jax.Array]]
  measure: Callable[[Any, Any, Any], Mapping[str, jax.Array]]
  train_data: Any
  splits: Mapping[str, Any]
  assemble: Callable[[Sequence[Any]], Any] | None = None
  program_axes: Any = None


class Kept(NamedTuple):
  """`N` children that a trainer kept, for the same trainer to train on.

  Attributes:
    architectures: the children's architectures, `N` of them.
    keys: the children's random keys, `[N]`.
    learning_rates: the children's learning rates, `float32[N]`.
    num_steps: the length of their whole training.
    num_trained: the number of steps taken so far.
    states: the children's states, `N` of them, each as the trainer's task makes
      it, in the host's memory.
  """

  architectures: Sequence[Any]
  keys: jax.Array
  learning_rates: np.ndarray
  num_steps: int
  num_trained: int
  states: Sequence[Any]

  def select(self, rows: Sequence[int]) -> Kept:
    """Returns the children at the given indices, in that order."""
    indices = np.asarray(rows, np.int32)
    return self._replace(
      architectures=[self.architectures[row] for row in rows],
      keys=self.keys[indices],
      learning_rates=self.learning_rates[indices],
      states=[self.states[row] for row in rows],
    )


class Trained(NamedTuple):
  """The outcome of training `N` children.

  Attributes:
    metrics: a dict of arrays `[N]`. A measurement on a split is named after the
      split, such as `'validation_perplexity'`. A child that was not trained has
      NaN, or 0 in an integer array.
    status: how each training ended, `int32[N]`, values of `Status`.
    reasons: why each child failed, `N` lines, empty where it did not or where
      nobody knows; an empty sequence if no reason is known at all.
    kept: the children, if the caller asked to keep them.
  """

  metrics: Mapping[str, np.ndarray]
  status: np.ndarray
  reasons: Sequence[str] = ()
  kept: Kept | None = None


class Trainer(Protocol):
  """Trains and measures many children.

  A child's result depends only on its own architecture, key, learning rate and
  number of steps: neither on the children beside it nor on its position.
  """

  @property
  def block_size(self) -> int:
    """The number of children trained by one call of the program.

    A caller that records results as they arrive trains this many at a time.
    """

  @property
  def num_devices(self) -> int:
    """The number of devices over which children are spread."""

  @property
  def compile_seconds(self) -> float:
    """The time spent compiling so far, in seconds."""

  @property
  def run_seconds(self) -> float:
    """The time spent running so far, in seconds."""

  def run(
    self,
    architectures: Sequence[Any],
    keys: jax.Array,
    learning_rates: np.ndarray | Sequence[float],
    num_steps: int,
    *,
    splits: Sequence[str] = ('validation',),
    durations: Sequence[float] | None = None,
    stop: int | None = None,
    keep: bool = False,
  ) -> Trained:
    """Trains and measures `N` children.

    Args:
      architectures: the children's architectures, `N` of them.
      keys: one random key per child, `[N]`.
      learning_rates: one learning rate per child, `[N]`.
      num_steps: the length of the whole training.
      splits: the names of the splits that each child is measured on.
      durations: the expected duration of each training relative to the others,
        `[N]`, used to balance the devices' loads; results do not depend on it.
      stop: the number of steps after which to pause; `num_steps` by default.
      keep: whether to keep the children, to train them further.
    """

  def resume(
    self,
    kept: Kept,
    *,
    splits: Sequence[str] = ('validation',),
    stop: int | None = None,
    keep: bool = False,
  ) -> Trained:
    """Trains children further that `run` or `resume` kept.

    Args:
      kept: the children.
      splits: the names of the splits that each child is measured on.
      stop: the number of steps, counted from the start of the training, after
        which to pause; the training's end by default.
      keep: whether to keep the children again.
    """
