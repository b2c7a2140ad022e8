# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The far side of a worker on Ray: what an actor does; see `ray_gateway`.

An actor holds one spawned process. A crash or a stop ends that process, frees
what it had of a GPU and of memory, and leaves the actor where it is.

This module imports neither JAX nor, until asked where it is, Ray.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import multiprocessing
from multiprocessing import connection
import os
import queue
import threading
import traceback

from jaxnas.workers import child, main_program, processes
from jaxnas.workers.engine import Event, Kind


class RayWorker:
  """One process, as an actor whose `wait` has a thread of its own."""

  def __init__(
    self,
    name: str,
    factory: bytes,
    environment: Mapping[str, str],
    program: main_program.Program,
  ):
    """Begins to start the process.

    Args:
      name: the worker's name.
      factory: a pickled function without arguments that makes the servant.
      environment: environment variables of the process.
      program: the program that started the workers.
    """
    main_program.take_on(program)
    self._name = name
    self._engine = processes.ProcessEngine(1, [environment])
    self._process = ''
    self._last: int | None = None
    self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    self._commands: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
    self._wakes, self._waker = multiprocessing.Pipe(duplex=False)
    self._is_closed = False
    # That of Ray on this machine.
    self._parent = os.getppid()
    self._thread = threading.Thread(
      target=self._run, args=(factory,), daemon=True
    )
    self._thread.start()

  def node(self) -> str:
    """Returns the id of the machine's node in Ray."""
    import ray

    return ray.get_runtime_context().get_node_id()

  def wait(self) -> list[Event]:
    """Returns what has happened, as soon as there is something."""
    events = [self._events.get()]
    while not self._events.empty():
      events.append(self._events.get())
    return events

  def send(self, number: int, request: bytes) -> None:
    """Gives a request to the process, which must have none.

    Args:
      number: the number that identifies the request.
      request: the pickled request.
    """
    self._command(lambda: self._send(number, request))

  def stop(self, number: int | None) -> None:
    """Ends the process, and starts it again.

    Args:
      number: the number of the request that it was given last. A process that
        has since died is not ended again.
    """
    self._command(lambda: self._stop(number))

  def close(self) -> None:
    """Ends the process for good, and returns when it has ended."""
    self._command(self._close)
    self._thread.join()

  def _command(self, command: Callable[[], None]) -> None:
    self._commands.put(command)
    self._waker.send_bytes(b'.')

  def _run(self, factory: bytes) -> None:
    """Serves the process; the engine is touched by this thread alone."""
    try:
      self._engine.start(factory)
      # Without a head, Ray ends its own only after a minute.
      while not self._is_closed and os.getppid() == self._parent:
        connection.wait(
          [self._wakes, *self._engine.waitables], child.Child.POLL_SECONDS
        )
        self._note()
        while self._wakes.poll():
          self._wakes.recv_bytes()
          self._commands.get()()
        self._note()
      if not self._is_closed:
        self._engine.close()
        os._exit(1)
    except BaseException:
      # Without this thread the actor would be silent for ever.
      traceback.print_exc()
      os._exit(1)

  def _note(self) -> None:
    if self._is_closed:
      return
    for event in self._engine.wait(0):
      if event.kind is Kind.JOINED:
        self._process = event.worker
      elif event.kind in (Kind.DIED, Kind.STOPPED, Kind.REFUSED):
        self._process, self._last = '', None
      self._events.put(event._replace(worker=self._name))

  def _send(self, number: int, request: bytes) -> None:
    # If the process has just died, an event that says so is on its way.
    if self._process:
      self._last = number
      self._engine.send(self._process, number, request)

  def _stop(self, number: int | None) -> None:
    if self._process and self._last == number:
      self._engine.stop(self._process)

  def _close(self) -> None:
    self._is_closed = True
    self._engine.close()
