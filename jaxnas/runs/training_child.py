# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The single child of a long training, trained a few steps at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.runs import stopwatch
from jaxnas.trainers import compiled, memory
from jaxnas.types import Kept, Status, Task, Trained


class Child:
  """A child and the trainer that trains it, on one device.

  Attributes:
    metrics: the metrics that training reported after the latest steps.
  """

  def __init__(
    self,
    task: Task,
    architecture: Any,
    key: jax.Array,
    learning_rate: float,
    num_steps: int,
  ):
    """Makes the description of the child; the child itself is made later.

    Args:
      task: the task by which the child is made, trained and measured; its
        program is `None`.
      architecture: the child's architecture.
      key: the child's random key.
      learning_rate: the child's learning rate.
      num_steps: the length of the whole training.
    """
    self._trainer = compiled.CompiledTrainer(
      lambda _: task, block_size=1, num_devices=1
    )
    rates = np.array([learning_rate], np.float32)
    self._kept = Kept([architecture], key[None], rates, num_steps, 0, [])
    self._blank = jax.eval_shape(
      functools.partial(task.init, None), key, jnp.float32(0)
    )
    self.metrics: Mapping[str, Any] = {}

  @property
  def num_trained(self) -> int:
    """The number of steps taken so far."""
    return self._kept.num_trained

  @property
  def state(self) -> Any:
    """The state, in the host's memory; abstract until the child is made."""
    return self._kept.states[0] if self._kept.states else self._blank

  @property
  def spent(self) -> stopwatch.Spent:
    """The time spent compiling and running so far."""
    return stopwatch.Spent(
      self._trainer.compile_seconds, self._trainer.run_seconds
    )

  def restore(self, num_trained: int, state: Any) -> None:
    """Restores the state that the child had after `num_trained` steps."""
    self._kept = self._kept._replace(num_trained=num_trained, states=[state])

  def train(self, num_steps: int) -> bool:
    """Trains the child further.

    Args:
      num_steps: the number of steps to take; 0 only makes the child and
        compiles its programs.

    Returns:
      Whether the child is alive afterwards.

    Raises:
      NotEnoughMemoryError: the training does not fit into memory.
    """
    stop = self.num_trained + num_steps
    trained = self._call(self._kept, (), stop, keep=True)
    self.metrics = {name: each[0] for name, each in trained.metrics.items()}
    if trained.kept is not None:
      self._kept = trained.kept
    return bool(trained.status[0] != Status.DIVERGED)

  def measure(self, state: Any, split: str) -> dict[str, float]:
    """Returns the metrics of a state of the child on a split.

    Args:
      state: the state.
      split: the name of the split.

    Raises:
      NotEnoughMemoryError: the training does not fit into memory.
    """
    kept = self._kept._replace(states=[state])
    # The state is not fetched again, since measuring does not change it.
    measured = self._call(kept, (split,), kept.num_trained, keep=False)
    return {
      name.removeprefix(f'{split}_'): float(each[0])
      for name, each in measured.metrics.items()
      if name.startswith(f'{split}_')
    }

  def _call(
    self, kept: Kept, splits: Sequence[str], stop: int, keep: bool
  ) -> Trained:
    if kept.states:
      trained = self._trainer.resume(kept, splits=splits, stop=stop, keep=keep)
    else:
      trained = self._trainer.run(
        kept.architectures,
        kept.keys,
        kept.learning_rates,
        kept.num_steps,
        splits=splits,
        stop=stop,
        keep=keep,
      )
    if trained.status[0] == Status.OUT_OF_MEMORY:
      raise memory.NotEnoughMemoryError(
        f'The training does not fit into memory ({trained.reasons[0]}); use a '
        'smaller --batch_size or a smaller network.'
      )
    return trained
