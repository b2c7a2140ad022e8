# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Trainers whose children are trained by all processes of a pod, in lock step.

Process 0 has the run: its strategies, its records and its output. The other
processes `follow`: they make the same trainers, and train their shares of each
block on their own devices with programs of their own. A child's result is
therefore that of a run on one machine.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
import contextlib
import pickle
import time
from typing import Any

import numpy as np

from jaxnas import errors
from jaxnas.trainers import gathering, remote
from jaxnas.trainers import training_servant as servant_lib
from jaxnas.trainers.training_servant import TrainedBlock, TrainingBlock
from jaxnas.types import Status, Trained, Trainer
from jaxnas.workers import pod as pod_lib
from jaxnas.workers.tasks import Part

_Outcome = tuple[Any, str]
"""What a process has to tell, and the reason if it has nothing to tell."""


class PodTrainers:
  """The processes of a pod, and the trainers that use them, in process 0.

  Attributes:
    num_workers: the number of processes.
    shares_blocks: true.
    compile_seconds: the seconds that process 0 spent compiling, by the name of
      the trainer.
    run_seconds: the seconds that process 0 spent training, by the name of the
      trainer.
  """

  shares_blocks = True

  def __init__(
    self,
    make_trainers: Callable[[], servant_lib.Trainers],
    pod: pod_lib.Pod,
    *,
    facts: Mapping[str, str] | None = None,
  ):
    """Makes no trainers yet; other processes make theirs at the first block.

    Args:
      make_trainers: the function that makes the trainers in another process;
        it can be pickled.
      pod: the pod, whose other processes `follow`.
      facts: the facts that must be the same in all processes, such as a hash of
        the data.
    """
    self._pod = pod
    self._make_trainers = make_trainers
    self._locals: dict[Hashable, Trainer] = {}
    self._servant = servant_lib.TrainingServant(
      lambda: servant_lib.Trainers(self._locals.__getitem__, facts or {})
    )
    self._waiting: dict[int, TrainingBlock] = {}
    self._finished: dict[int, Trained] = {}
    self._last_number = 0
    self._is_begun = False
    self.num_workers = pod.num_processes
    self.compile_seconds: dict[Hashable, float] = {}
    self.run_seconds: dict[Hashable, float] = {}

  @property
  def num_wanted(self) -> int:
    """The number of further blocks that would keep every process busy now."""
    return 0 if self._waiting else 1

  def wrap(self, name: Hashable, local: Trainer) -> remote.RemoteTrainer:
    """Returns the trainer that the processes know by a name.

    Args:
      name: the name.
      local: the trainer of that name in this process, which trains its share.
    """
    self._locals[name] = local
    return remote.RemoteTrainer(self, name, local)

  def tell_lag(self, lag: Callable[[], float | None]) -> None:
    """Does nothing: nothing is printed on processes in lock step."""

  def submit(self, block: TrainingBlock, block_size: int) -> int:
    """Adds children for a later `wait` to train; see `gathering.Remotes`."""
    del block_size  # Each process cuts its share by itself.
    self._last_number += 1
    self._waiting[self._last_number] = block
    return self._last_number

  def wait(self) -> None:
    """Trains the children that were submitted first, if there are any.

    Raises:
      ValueError: the processes differ, or one cannot train its children.
    """
    if not self._waiting:
      return
    number = min(self._waiting)
    block = self._waiting.pop(number)
    # An interruption leaves the other processes in the middle of their work.
    self._pod.is_in_step = False
    if not self._is_begun:
      self._begin()
    self._pod.lead(pickle.dumps(block))
    own, outcomes = _train(self._pod, self._servant, block)
    self._pod.is_in_step = True
    if own is not None:
      raise own
    _check(outcomes)
    self._finished[number] = self._join(block, outcomes)

  def take(self, number: int) -> Trained | None:
    """Returns the outcome of submitted children, once, if all are finished."""
    return self._finished.pop(number, None)

  def close(self) -> None:
    """Lets the other processes end."""
    self._pod.dismiss()

  def __enter__(self) -> PodTrainers:
    return self

  def __exit__(self, *exc_info: object) -> None:
    self.close()

  def _begin(self) -> None:
    """Has the other processes make their trainers."""
    self._pod.lead(pickle.dumps(self._make_trainers))
    _compare(self._pod, (dict(self._servant.card()), ''))
    self._is_begun = True

  def _join(
    self, block: TrainingBlock, outcomes: Sequence[_Outcome]
  ) -> Trained:
    """Returns the results of all processes as one."""
    shares = _shares(block, self._pod.num_processes)
    parts = [
      (rows, answer)
      for rows, (answer, _) in zip(shares, outcomes, strict=True)
      if rows
    ]
    joined = gathering.Gathering(block, len(parts))
    for rows, answer in parts:
      part = Part(block.select(rows), Status.OK, answer, '')
      joined.add(rows, [part])
    first: TrainedBlock = parts[0][1]
    for seconds, spent in (
      (self.compile_seconds, first.compile_seconds),
      (self.run_seconds, first.run_seconds),
    ):
      seconds[block.trainer] = seconds.get(block.trainer, 0.0) + spent
    return joined.join()


def follow(pod: pod_lib.Pod) -> None:
  """Trains the blocks that process 0 sends until it ends; for the others.

  Args:
    pod: the pod.

  Raises:
    ValueError: this process differs from process 0, or another one does.
  """
  made = pod.lead()
  if made:
    outcome, servant = _make(made)
    _compare(pod, outcome)
    while message := pod.lead():
      _train(pod, servant, pickle.loads(message))
  pod.leave()


def _make(made: bytes) -> tuple[_Outcome, Any]:
  """Makes the trainers; returns their card, and the servant with them."""
  try:
    servant = servant_lib.TrainingServant(pickle.loads(made))
    return (dict(servant.card()), ''), servant
  except Exception as error:
    return (None, _line(error)), None


def _compare(pod: pod_lib.Pod, outcome: _Outcome) -> None:
  """Raises the same `ValueError` in all processes if they cannot begin."""
  with pod.hurried(0.0):
    outcomes = [
      pickle.loads(each) for each in pod.exchange(pickle.dumps(outcome))
    ]
  try:
    _check(outcomes)
    for number, (card, _) in enumerate(outcomes):
      first = outcomes[0][0]
      for name in sorted(first.keys() | card.keys()):
        if first.get(name) != card.get(name):
          raise ValueError(
            f'Process {number} of the pod differs from process 0: {name} is '
            f'{card.get(name)!r} instead of {first.get(name)!r}; make the '
            'hosts alike.'
          )
  except ValueError:
    pod.leave()
    raise


def _train(
  pod: pod_lib.Pod, servant: Any, block: TrainingBlock
) -> tuple[Exception | None, Sequence[_Outcome]]:
  """Trains this process's share; returns its error, and all outcomes."""
  rows = _shares(block, pod.num_processes)[pod.process_id]
  started = time.perf_counter()
  own: Exception | None = None
  outcome: _Outcome = None, ''
  if rows:
    try:
      outcome = servant(block.select(rows)), ''
    except Exception as error:
      own, outcome = error, (None, _line(error))
  seconds = time.perf_counter() - started
  # A process without children does not know how long children take.
  with pod.hurried(seconds) if rows else contextlib.nullcontext():
    messages = pod.exchange(pickle.dumps(outcome))
  return own, [pickle.loads(each) for each in messages]


def _shares(block: TrainingBlock, num_processes: int) -> list[list[int]]:
  """Returns the indices of the children of each process."""
  order = np.arange(block.num_children)
  if block.durations is not None:
    order = np.argsort(-np.asarray(block.durations), kind='stable')
  return [
    order[number::num_processes].tolist() for number in range(num_processes)
  ]


def _check(outcomes: Sequence[_Outcome]) -> None:
  for number, (_, reason) in enumerate(outcomes):
    if reason:
      raise ValueError(f'Process {number} of the pod: {reason}')


def _line(error: Exception) -> str:
  """Returns an error as one line."""
  if isinstance(error, ValueError):
    return ' '.join(str(error).split()) or type(error).__name__
  return f'{errors.describe(error)}.'
