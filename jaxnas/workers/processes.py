# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Workers that are processes of this machine.

This module does not import JAX.
"""

from __future__ import annotations

import atexit
from collections.abc import Mapping, Sequence
import dataclasses
from multiprocessing import connection
import time
from typing import Any

from jaxnas import errors
from jaxnas.workers import child as child_lib
from jaxnas.workers import process as process_lib
from jaxnas.workers import process_tree
from jaxnas.workers.engine import Event, Kind

REFUSED_SECONDS = 5.0
"""How long a worker that was refused waits until it is tried again."""


@dataclasses.dataclass
class _Worker:
  """A worker, and the process that it has at present, if any.

  Attributes:
    environment: environment variables of its processes.
    child: the process.
    is_ready: whether the process can take a request.
    starts_at: when the next process may be started, by the monotonic clock.
    num_unused: how many processes in a row have ended without a request.
  """

  environment: Mapping[str, str]
  child: child_lib.Child | None = None
  is_ready: bool = False
  starts_at: float = 0.0
  num_unused: int = 0


class ProcessEngine:
  """Workers that are processes of this machine; see `engine.Engine`.

  One thread serves all: it waits for pipes and for the ends of processes.
  """

  def __init__(
    self,
    num_workers: int,
    environments: Sequence[Mapping[str, str]] = (),
  ):
    """Makes an engine without starting a process yet.

    Args:
      num_workers: the number of workers.
      environments: environment variables of each worker, besides those of this
        process; none by default.
    """
    environments = environments or [{}] * num_workers
    self._workers = {
      f'process {number}': _Worker(environment)
      for number, environment in enumerate(environments, start=1)
    }
    self._num_workers = num_workers
    self._lookout = process_tree.Lookout()
    self._factory = b''
    self._events: list[Event] = []

  @property
  def num_workers(self) -> int:
    """The number of workers there should be."""
    return self._num_workers

  @property
  def num_starting(self) -> int:
    """The number of workers that are being started."""
    return sum(
      each.child is not None and not each.is_ready
      for each in self._workers.values()
    )

  @property
  def waitables(self) -> list[Any]:
    """What becomes ready when `wait` may have something."""
    return [
      each
      for worker in self._workers.values()
      if worker.child is not None
      for each in worker.child.waitables
    ]

  def start(self, factory: bytes) -> None:
    """Begins to start the workers; see `engine.Engine`."""
    self._factory = factory
    # A program that forgets to close must not wait for its workers at its end.
    atexit.register(self.close)
    for name in list(self._workers):
      self._start(name)

  def send(self, worker: str, number: int, request: bytes) -> None:
    """Gives a request to a worker that has none."""
    child = self._workers[worker].child
    assert child is not None
    self._workers[worker].num_unused = 0
    child.send(number, request)

  def wait(self, timeout: float) -> list[Event]:
    """Returns what has happened, as soon as there is something."""
    deadline = time.monotonic() + timeout
    while True:
      self._start_again()
      for name, worker in self._workers.items():
        self._receive(name, worker)
        if worker.child is not None and worker.child.number is not None:
          worker.child.look()
      left = deadline - time.monotonic()
      if self._events or left <= 0:
        events, self._events = self._events, []
        return events
      waitables = self.waitables
      seconds = min(left, child_lib.Child.POLL_SECONDS)
      if waitables:
        connection.wait(waitables, seconds)
      else:
        time.sleep(seconds)

  def stop(self, worker: str) -> None:
    """Ends what a worker does, and starts it again."""
    child = self._workers[worker].child
    if child is not None:
      number = child.number
      child.kill()
      self._events.append(Event(worker, Kind.STOPPED, number))
      self._start(worker)

  def dismiss(self, worker: str) -> None:
    """Ends a worker for good."""
    child = self._workers.pop(worker).child
    if child is not None:
      child.kill()

  def close(self) -> None:
    """Ends all workers, with all processes that they have started."""
    atexit.unregister(self.close)
    for worker in self._workers.values():
      if worker.child is not None:
        worker.child.kill()
        worker.child = None
    self._workers.clear()

  def _start(self, name: str) -> None:
    worker = self._workers[name]
    worker.is_ready = False
    try:
      worker.child = child_lib.Child(
        self._factory, worker.environment, self._lookout
      )
    except (OSError, ValueError) as error:
      # The machine may be out of memory or of processes.
      self._refuse(name, errors.describe(error))

  def _refuse(self, name: str, reason: str) -> None:
    worker = self._workers[name]
    if worker.child is not None:
      worker.child.kill()
      worker.child = None
    worker.starts_at = time.monotonic() + REFUSED_SECONDS
    self._events.append(Event(name, Kind.REFUSED, reason=reason))

  def _start_again(self) -> None:
    """Starts the workers that were refused, after a while."""
    for name, worker in self._workers.items():
      if worker.child is None and worker.starts_at <= time.monotonic():
        self._start(name)

  def _receive(self, name: str, worker: _Worker) -> None:
    if worker.child is None:
      return
    number = worker.child.number
    for message in worker.child.receive():
      if isinstance(message, process_lib.Ready):
        if message.reason:
          self._refuse(name, message.reason)
          return
        worker.is_ready = True
        self._events.append(Event(name, Kind.JOINED, card=message.card))
      elif isinstance(message, process_lib.Answer):
        kind = Kind.RAISED if message.reason else Kind.ANSWERED
        self._events.append(
          Event(
            name,
            kind,
            message.number,
            message.answer,
            message.reason,
            seconds=message.seconds,
          )
        )
        number = None
      elif worker.is_ready:
        reason = f'its process ended with {message.reason}'
        self._events.append(Event(name, Kind.DIED, number, reason=reason))
        worker.num_unused += number is None
        if worker.num_unused < 2:
          self._start(name)
        else:
          # A process that ends by itself would be started again for ever.
          worker.child = None
          worker.starts_at = time.monotonic() + REFUSED_SECONDS
      else:
        self._refuse(name, f'it ended while starting with {message.reason}')
