# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The interface between a dispatcher and the workers of one kind.

An *engine* keeps workers, on this machine or on others. Each worker holds a
*servant*, made once in the worker by a pickled factory, which answers one
request at a time. A `Dispatcher` decides which request goes where and what
happens when one is not answered; an engine only starts workers, carries
requests and answers, and tells what becomes of its workers.

This module does not import JAX, so a worker without it starts in a fraction of
a second.
"""

from __future__ import annotations

from collections.abc import Mapping
import enum
from typing import Any, NamedTuple, Protocol


class Servant(Protocol):
  """What a worker holds: it answers requests, one at a time."""

  def card(self) -> Mapping[str, str]:
    """Returns what must agree between workers, such as a version, by name."""

  def __call__(self, request: Any) -> Any:
    """Returns the answer to a request; both can be pickled."""


class Kind(enum.Enum):
  """What has happened to a worker.

  Attributes:
    JOINED: the worker is ready for its first request, or for one after it was
      started again.
    REFUSED: the worker cannot be started: its factory raised an error or ended
      the process, or the machine has no room for it. It is tried again after a
      while.
    ANSWERED: the servant returned an answer.
    RAISED: the servant raised an error; the worker is ready again.
    DIED: the worker's process ended by itself. If it had a request, that is to
      blame. It is started again.
    STOPPED: the worker's process was ended by `Engine.stop`. It is started
      again.
    LOST: the worker's machine left, which is no fault of its request.
  """

  JOINED = 'joined'
  REFUSED = 'refused'
  ANSWERED = 'answered'
  RAISED = 'raised'
  DIED = 'died'
  STOPPED = 'stopped'
  LOST = 'lost'


class Event(NamedTuple):
  """Something that happened to a worker.

  Attributes:
    worker: the worker's name, such as `'process 1'`. A worker that is started
      again keeps its name.
    kind: what has happened.
    number: the number of the request that it happened to; `None` if the worker
      had none.
    answer: the pickled answer of an `ANSWERED` request.
    reason: one line on why the request was not answered, or the worker does not
      start.
    card: the servant's card, of a worker that joined.
    seconds: how long the servant worked on the request.
  """

  worker: str
  kind: Kind
  number: int | None = None
  answer: bytes = b''
  reason: str = ''
  card: Mapping[str, str] = {}
  seconds: float = 0.0


class Engine(Protocol):
  """Workers of one kind. All methods are called from one thread."""

  @property
  def num_workers(self) -> int:
    """The number of workers there should be."""

  @property
  def num_starting(self) -> int:
    """The number of workers that are being started or wait for a machine."""

  def start(self, factory: bytes) -> None:
    """Begins to start the workers, and returns without waiting for them.

    Args:
      factory: a pickled function without arguments that makes a servant.
    """

  def send(self, worker: str, number: int, request: bytes) -> None:
    """Gives a request to a worker that has none.

    Args:
      worker: the worker's name.
      number: the number that identifies the request.
      request: the pickled request.
    """

  def wait(self, timeout: float) -> list[Event]:
    """Returns what has happened, as soon as there is something.

    Args:
      timeout: the longest time to wait, in seconds; then the list is empty.
    """

  def stop(self, worker: str) -> None:
    """Ends what a worker does, with all processes that it has started.

    A `STOPPED` event follows, and the worker is started again; an answer that
    was under way is dropped.
    """

  def dismiss(self, worker: str) -> None:
    """Ends a worker for good, such as one that must not take part."""

  def close(self) -> None:
    """Ends all workers, with all processes that they have started."""
