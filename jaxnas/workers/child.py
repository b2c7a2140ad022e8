# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The parent's side of one spawned process with a servant; see `process`.

This module does not import JAX.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import contextlib
import multiprocessing
from multiprocessing import resource_tracker
import os
import pickle
import signal
import threading
from typing import Any, NamedTuple

from jaxnas.workers import process as process_lib
from jaxnas.workers import process_tree

# A pipe takes this much from a writer even if nobody reads.
_SMALL_BYTES = 2**15
_JOIN_SECONDS = 0.2
_environment_lock = threading.Lock()


class Ended(NamedTuple):
  """The last message of a process: it has ended.

  Attributes:
    reason: how it ended, such as `'signal SIGKILL'`.
  """

  reason: str


Message = process_lib.Ready | process_lib.Answer | Ended


class Child:
  """A process that makes a servant and passes it one request at a time.

  Nothing here waits for the process. To wait, give `waitables` to
  `multiprocessing.connection.wait` for at most `POLL_SECONDS`, since processes
  that a servant has started can hold them back; then call `receive`.
  """

  POLL_SECONDS = 0.2

  def __init__(
    self,
    factory: bytes,
    environment: Mapping[str, str] | None = None,
    lookout: process_tree.Lookout | None = None,
  ):
    """Starts the process.

    Args:
      factory: a pickled function without arguments that makes the servant.
      environment: environment variables that the process has besides those of
        this process.
      lookout: what tracks the processes that servants start, if several
        children share one.

    Raises:
      OSError: no process can be started.
    """
    self._lookout = lookout or process_tree.Lookout()
    self._descendants: set[process_tree.Process] = set()
    self._read = process_lib.make_reader()
    self._number: int | None = None
    self._has_ended = False
    self._writer: threading.Thread | None = None
    # A fork would copy JAX's threads in an unusable state.
    spawn = multiprocessing.get_context('spawn')
    # One pipe each way, whose small writes come as a whole.
    theirs, self._requests = spawn.Pipe(duplex=False)
    self._answers, their_answers = spawn.Pipe(duplex=False)
    # Not a daemon, since daemons may not start processes.
    self._process = spawn.Process(
      target=process_lib.serve, args=(theirs, their_answers, factory)
    )
    try:
      with _variables(environment or {}), _without_interrupts():
        self._process.start()
    except BaseException:
      if self._process.pid is not None:
        # An interruption; nobody else knows the process.
        self._process.kill()
        self._process.join()
      self._requests.close()
      self._answers.close()
      raise
    finally:
      theirs.close()
      their_answers.close()

  @property
  def pid(self) -> int:
    """The process's id."""
    assert self._process.pid is not None
    return self._process.pid

  @property
  def number(self) -> int | None:
    """The number of the request that is not answered yet."""
    return self._number

  @property
  def has_ended(self) -> bool:
    """Whether the process is known to have ended."""
    return self._has_ended

  @property
  def waitables(self) -> list[Any]:
    """What becomes ready when `receive` may have something."""
    return [] if self._has_ended else [self._answers, self._process.sentinel]

  def send(self, number: int, request: bytes) -> None:
    """Passes a request to the servant, which must have no other.

    Args:
      number: the number that identifies the request.
      request: the pickled request.
    """
    self._number = number
    data = pickle.dumps((number, request))
    if len(data) < _SMALL_BYTES:
      self._write(data)
    else:
      # A stopped process does not read, and must not stop this one.
      self._writer = threading.Thread(
        target=self._write, args=(data,), daemon=True
      )
      self._writer.start()

  def receive(self) -> list[Message]:
    """Returns what has come from the process, without waiting.

    A `Ready` comes first, and an `Answer` for each request. `Ended` is the
    last, unless the process was ended by `kill`.
    """
    if self._has_ended:
      return []
    # What the process sent before it ended is read below.
    has_ended = self._process.exitcode is not None
    messages: list[Message] = []
    try:
      while self._answers.poll():
        message = self._read(self._answers.recv_bytes())
        if isinstance(message, process_lib.Ready):
          messages.append(message)
        elif (
          isinstance(message, process_lib.Answer)
          and message.number == self._number
        ):
          self._number = None
          messages.append(message)
    except Exception:
      # The pipe has ended, or somebody wrote nonsense to it.
      self._process.join(_JOIN_SECONDS)
      has_ended = True
    if has_ended:
      self.kill()
      messages.append(Ended(self._exit()))
    return messages

  def look(self) -> None:
    """Notes which processes the servant has started.

    They cannot be told once the process has ended; call this about once a
    second while the servant works.
    """
    if not self._has_ended and self._process.is_alive():
      self._descendants = self._lookout.descendants(self.pid, self._descendants)

  def kill(self) -> None:
    """Ends the process and all that it has started."""
    if self._has_ended:
      return
    self._has_ended = True
    pid = self.pid
    # The id of a process that has ended may belong to another by now.
    is_there = self._process.exitcode is None
    if is_there and hasattr(signal, 'SIGSTOP'):
      # A stopped process starts nothing while its descendants are searched for.
      with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGSTOP)
    process_tree.end(pid if is_there else None, self._descendants)
    if hasattr(os, 'killpg'):
      with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    self._process.kill()
    self._process.join()
    if self._writer is not None:
      self._writer.join(_JOIN_SECONDS)
    self._requests.close()
    self._answers.close()

  def _write(self, data: bytes) -> None:
    # That a process has ended is found by `receive`.
    with contextlib.suppress(OSError):
      self._requests.send_bytes(data)

  def _exit(self) -> str:
    """Returns a description of how the process ended."""
    code = self._process.exitcode
    if code is not None and code < 0:
      with contextlib.suppress(ValueError):
        return f'signal {signal.Signals(-code).name}'
    return f'exit code {code}'


@contextlib.contextmanager
def _variables(environment: Mapping[str, str]) -> Iterator[None]:
  """Sets environment variables for a process that is being started.

  The process imports the main script before anything else, which may import
  JAX, so that it could not set them itself in time.
  """
  with _environment_lock:
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
      yield
    finally:
      for name, value in before.items():
        if value is None:
          os.environ.pop(name, None)
        else:
          os.environ[name] = value


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
  """Keeps Ctrl-C from a process that is being started.

  The process imports the main script before it has a session of its own. If
  Ctrl-C reached it meanwhile, it would print where it was.
  """
  if not hasattr(signal, 'pthread_sigmask'):
    yield
    return
  # The first process of a program starts it, which lets Ctrl-C through again.
  resource_tracker.ensure_running()
  before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
  try:
    yield
  finally:
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
