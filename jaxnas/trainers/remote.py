# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Trainers whose children are trained by workers, here or on other machines.

The trainers of a run share its workers: each worker makes the same trainers as
this process would, and trains one block at a time. Programs and results are
therefore those of a run without workers.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
import functools
import pickle
from typing import Any

import jax
import numpy as np

from jaxnas import queues
from jaxnas.trainers import gathering, outcomes
from jaxnas.trainers import training_servant as servant_lib
from jaxnas.trainers.training_servant import TrainedBlock, TrainingBlock
from jaxnas.types import Kept, Trained, Trainer
from jaxnas.workers import dispatcher as dispatcher_lib
from jaxnas.workers import policies
from jaxnas.workers.engine import Engine
from jaxnas.workers.tasks import Part


class RemoteTrainers:
  """The workers of a run, and the trainers that use them.

  Attributes:
    dispatcher: the dispatcher that gives blocks to workers.
    shares_blocks: false, since a block is trained by one worker.
    compile_seconds: the seconds that a worker spent compiling, on average, by
      the name of the trainer.
    run_seconds: the seconds that a worker spent training, on average, by the
      name of the trainer.
  """

  shares_blocks = False

  def __init__(
    self,
    make_trainers: Callable[[], servant_lib.Trainers],
    engine: Engine,
    *,
    facts: Mapping[str, str] | None = None,
    worker_timeout: float = 600.0,
    policy: policies.Policy | None = None,
    write_event: Callable[[Mapping[str, Any]], None] = lambda event: None,
  ):
    """Makes the dispatcher; workers are started by the first block.

    Args:
      make_trainers: the function that makes the trainers in a worker; it can be
        pickled.
      engine: the engine that starts and reaches the workers.
      facts: the facts that must be the same in all workers, such as a hash of
        the data.
      worker_timeout: the longest time to wait while there is no worker, in
        seconds.
      policy: the policy for blocks that fail or take long; `Blocks` by default.
      write_event: the function that takes a record of each event.
    """
    self.dispatcher = dispatcher_lib.Dispatcher(
      engine,
      pickle.dumps(
        functools.partial(servant_lib.TrainingServant, make_trainers)
      ),
      policy or policies.Blocks(),
      worker_timeout=worker_timeout,
      expected={**servant_lib.code_facts(), **(facts or {})},
      write_event=write_event,
    )
    self.compile_seconds: dict[Hashable, float] = {}
    self.run_seconds: dict[Hashable, float] = {}
    self._groups: dict[int, gathering.Gathering] = {}
    self._owners: dict[int, tuple[int, Sequence[int]]] = {}
    self._finished: dict[int, Trained] = {}
    self._last_number = 0

  @property
  def num_workers(self) -> int:
    """The number of workers."""
    return self.dispatcher.num_workers

  @property
  def num_wanted(self) -> int:
    """The number of further blocks that would keep every worker busy now."""
    return self.dispatcher.num_wanted

  def tell_lag(self, lag: Callable[[], float | None]) -> None:
    """Makes the line on workers say how many groups a search is behind.

    Args:
      lag: a function that returns the number; see `queues.EvaluationQueue`.
    """
    self.dispatcher.lag = lag

  def wrap(self, name: Hashable, local: Trainer) -> RemoteTrainer:
    """Returns the trainer that workers know by a name.

    Args:
      name: the name.
      local: the trainer of that name in this process, which trains nothing.
    """
    return RemoteTrainer(self, name, local)

  def submit(self, block: TrainingBlock, block_size: int) -> int:
    """Gives children to workers, in blocks.

    Args:
      block: the children.
      block_size: the number of children in a block.

    Returns:
      The number by which `take` knows these children.
    """
    order = np.arange(block.num_children)
    if block.durations is not None:
      # The longest trainings begin first.
      order = np.argsort(-np.asarray(block.durations), kind='stable')
    self._last_number += 1
    group = gathering.Gathering(block, len(range(0, len(order), block_size)))
    self._groups[self._last_number] = group
    try:
      for start in range(0, len(order), block_size):
        rows = order[start : start + block_size].tolist()
        number = self.dispatcher.submit(block.select(rows))
        self._owners[number] = self._last_number, rows
    except BaseException:
      # An interruption must not leave blocks without an owner.
      self.cancel()
      raise
    return self._last_number

  def wait(self) -> None:
    """Waits until at least one block is finished, if there are any."""
    try:
      finished = self.dispatcher.collect()
    except BaseException:
      self.cancel()
      raise
    for number, parts in finished:
      owner, rows = self._owners.pop(number)
      group = self._groups[owner]
      group.add(rows, parts)
      self._count(group.block.trainer, parts)
      if group.num_missing == 0:
        del self._groups[owner]
        self._finished[owner] = group.join()

  def take(self, number: int) -> Trained | None:
    """Returns the outcome of submitted children, once, if all are finished."""
    return self._finished.pop(number, None)

  def cancel(self) -> None:
    """Drops all blocks, and ends the work on them."""
    self.dispatcher.cancel()
    self._groups.clear()
    self._owners.clear()
    self._finished.clear()

  def close(self) -> None:
    """Ends all workers."""
    self.dispatcher.close()

  def __enter__(self) -> RemoteTrainers:
    return self

  def __exit__(self, *exc_info: object) -> None:
    self.close()

  def _count(self, name: Hashable, parts: Sequence[Part]) -> None:
    """Adds the time that a block took."""
    num_workers = max(1, self.dispatcher.num_workers)
    for part in parts:
      answer: TrainedBlock | None = part.answer
      if answer is not None:
        for seconds, spent in (
          (self.compile_seconds, answer.compile_seconds),
          (self.run_seconds, answer.run_seconds),
        ):
          seconds[name] = seconds.get(name, 0.0) + spent / num_workers


class RemoteTrainer:
  """A `types.Trainer` whose children are trained by workers.

  Attributes:
    block_size: the number of children that keep all workers busy.
    num_workers: the number of workers.
    num_devices: the number of workers' devices.
    task: the task of the trainer in this process, or that trainer if it has no
      task; it decides a child's result.
  """

  def __init__(
    self, remotes: gathering.Remotes, name: Hashable, local: Trainer
  ):
    """Makes the trainer.

    Args:
      remotes: the workers.
      name: the name by which workers know the trainer.
      local: the trainer of that name in this process, which trains nothing.
    """
    self._remotes = remotes
    self._name = name
    self._local: Any = local
    self._queue: _Queue | None = None
    self.task = getattr(local, 'task', local)

  @property
  def block_size(self) -> int:
    """The number of children that keep all workers busy."""
    return self._local.block_size * max(1, self.num_workers)

  @property
  def num_workers(self) -> int:
    """The number of workers."""
    return self._remotes.num_workers

  @property
  def num_devices(self) -> int:
    """The number of workers' devices."""
    return self._local.num_devices * self.num_workers

  @property
  def compile_seconds(self) -> float:
    """The mean time that a worker has spent compiling, in seconds."""
    return self._remotes.compile_seconds.get(self._name, 0.0)

  @property
  def run_seconds(self) -> float:
    """The mean time that a worker has spent training, in seconds."""
    return self._remotes.run_seconds.get(self._name, 0.0)

  @property
  def queue(self) -> queues.TrainingQueue:
    """The queue of the blocks in training; a trainer has only one."""
    if self._queue is None:
      shares = self._remotes.shares_blocks
      block_size = self.block_size if shares else self._local.block_size
      self._queue = _Queue(self._remotes, self, block_size)
    return self._queue

  @property
  def can_pause(self) -> bool:
    """Whether children can be trained part of the way, and resumed later."""
    return getattr(self._local, 'can_pause', True)

  def dry_run(self, architectures: Sequence[Any], splits: Sequence[str]) -> Any:
    """Returns the names of a training's results without any training.

    Args:
      architectures: architectures to be trained.
      splits: the names of the splits that children would be measured on.

    Returns:
      The result of the trainer in this process; `None` if it has no dry runs.
    """
    dry_run = getattr(self._local, 'dry_run', None)
    return None if dry_run is None else dry_run(architectures, splits)

  def run(self, *children: Any, **settings: Any) -> Trained:
    """Trains and measures `N` children.

    Args:
      *children: the architectures, keys, learning rates and number of steps, as
        in `types.Trainer`.
      **settings: the other arguments of `types.Trainer.run`.

    Raises:
      ValueError: there is no child, the arguments have different lengths,
        `stop` is out of range, or no worker can train the children.
    """
    return self._wait_for(self.submit(*children, **settings))

  def resume(
    self,
    kept: Kept,
    *,
    splits: Sequence[str] = ('validation',),
    stop: int | None = None,
    keep: bool = False,
  ) -> Trained:
    """Trains kept children further; see `types.Trainer`.

    Raises:
      ValueError: there is no child, or `stop` is out of range.
    """
    rates = outcomes.check(kept.architectures, kept.keys, kept.learning_rates)
    outcomes.span(kept.num_trained, stop, kept.num_steps)
    block = TrainingBlock(
      self._name,
      list(kept.architectures),
      servant_lib.pack(kept.keys),
      rates,
      kept.num_steps,
      tuple(splits),
      None,
      stop,
      keep,
      kept.num_trained,
      servant_lib.pack(list(kept.states)),
    )
    return self._wait_for(self._remotes.submit(block, self._local.block_size))

  def submit(
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
  ) -> int:
    """Gives children to workers; see `types.Trainer`.

    Returns:
      The number by which `Remotes.take` knows them.

    Raises:
      ValueError: there is no child, the arguments have different lengths, or
        `stop` is out of range.
    """
    outcomes.span(0, stop, num_steps)
    rates = outcomes.check(architectures, keys, learning_rates)
    block = TrainingBlock(
      self._name,
      list(architectures),
      servant_lib.pack(keys),
      rates,
      num_steps,
      tuple(splits),
      None if durations is None else [float(each) for each in durations],
      stop,
      keep,
    )
    return self._remotes.submit(block, self._local.block_size)

  def _wait_for(self, number: int) -> Trained:
    while (trained := self._remotes.take(number)) is None:
      self._remotes.wait()
    return trained


class _Queue:
  """The blocks of a trainer; see `queues.TrainingQueue`.

  Attributes:
    block_size: the number of children in a block.
  """

  def __init__(
    self, remotes: gathering.Remotes, trainer: RemoteTrainer, block_size: int
  ):
    self._remotes = remotes
    self._trainer = trainer
    self.block_size = block_size
    self._numbers: list[int] = []

  @property
  def num_wanted(self) -> int:
    """The number of further blocks that would keep every worker busy now."""
    return self._remotes.num_wanted

  def tell_lag(self, lag: Callable[[], float | None]) -> None:
    """Makes the line on workers say how many groups a search is behind.

    Args:
      lag: a function that returns the number; see `queues.EvaluationQueue`.
    """
    self._remotes.tell_lag(lag)

  def submit(self, *children: Any, **settings: Any) -> int:
    """Adds a block; see `queues.TrainingQueue`."""
    number = self._trainer.submit(*children, **settings)
    self._numbers.append(number)
    return number

  def collect(self) -> list[tuple[int, Trained]]:
    """Waits for at least one block; see `queues.TrainingQueue`."""
    finished: list[tuple[int, Trained]] = []
    while self._numbers:
      for number in self._numbers:
        trained = self._remotes.take(number)
        if trained is not None:
          finished.append((number, trained))
      if finished:
        break
      try:
        self._remotes.wait()
      except BaseException:
        # All blocks have been dropped.
        self._numbers.clear()
        raise
    done = {number for number, _ in finished}
    self._numbers = [each for each in self._numbers if each not in done]
    return finished
