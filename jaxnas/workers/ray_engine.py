# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Workers on Ray: on a cluster, or on a Ray of this machine that is private.

This module imports neither JAX nor Ray.
"""

from __future__ import annotations

import atexit
from collections.abc import Mapping, Sequence
import contextlib
from importlib import util
import multiprocessing
import os
import re
import shutil
import signal
import tempfile
import time
from typing import Any

from jaxnas import errors
from jaxnas.workers import main_program, process_tree, ray_gateway
from jaxnas.workers.engine import Event, Kind

JOIN_SECONDS = 60.0
"""How long a Ray at an address has to answer."""

_PRIVATE_SECONDS = 120.0
# Without an address, nothing tells early that nobody is there.
_AUTO_SECONDS = 18.0
_CLOSE_SECONDS = 10.0
_ADDRESS = re.compile(r'auto|(\[[0-9a-fA-F:.%]+\]|[^\s:/\[\]]+):[0-9]{1,5}')


class RayEngine:
  """Workers that are actors of Ray; see `engine.Engine`.

  A process of its own, the *gateway*, talks to Ray. A private Ray listens on
  the loopback address alone, asks for a token, and ends with this process.
  """

  def __init__(
    self,
    num_workers: int,
    address: str = '',
    *,
    cpus_per_worker: float = 1.0,
    gpus_per_worker: float = 0.0,
    environments: Sequence[Mapping[str, str]] = (),
  ):
    """Makes an engine without starting or joining a Ray yet.

    Args:
      num_workers: the number of workers. Those for which a cluster has no room
        wait until it grows.
      address: `'auto'`, or host and port, of a cluster to join; empty for a
        private Ray.
      cpus_per_worker: the number of CPU cores that Ray reserves for each
        worker.
      gpus_per_worker: the number of GPUs that Ray reserves for each worker.
        Workers without one are told to use the CPU.
      environments: environment variables of each worker's process, on top of
        those of its machine's Ray; none by default.

    Raises:
      ValueError: Ray is not installed, or the address is malformed.
    """
    if util.find_spec('ray') is None:
      raise ValueError(
        "Ray is not installed; install it with `pip install 'jaxnas[ray]'`."
      )
    if address and not _ADDRESS.fullmatch(address):
      name = errors.choose('--ray_address', 'address')
      raise ValueError(
        f"{name} must be 'auto' or host:port, such as 10.0.0.1:6379, got "
        f'{address!r}.'
      )
    self._num_workers = num_workers
    self._address = address
    # An empty name is JAX's own choice.
    platforms = {'JAX_PLATFORMS': '' if gpus_per_worker else 'cpu'}
    self._settings = {
      'cpus_per_worker': cpus_per_worker,
      'gpus_per_worker': gpus_per_worker,
      'environments': [
        {**platforms, **each} for each in environments or [{}] * num_workers
      ],
    }
    names = map(ray_gateway.name_of, range(1, num_workers + 1))
    self._is_starting = dict.fromkeys(names, True)
    self._numbers: dict[str, int] = {}
    self._stopping: set[str] = set()
    self._lookout = process_tree.Lookout()
    self._descendants: set[process_tree.Process] = set()
    self._gateway: Any = None
    self._is_connected = False
    self._is_closed = False
    self._failure = ''
    self._folder = ''
    self._deadline = 0.0

  @property
  def num_workers(self) -> int:
    """The number of workers there should be."""
    return self._num_workers

  @property
  def num_starting(self) -> int:
    """The number of workers that are being started or wait for a machine."""
    return sum(self._is_starting.values())

  def start(self, factory: bytes) -> None:
    """Begins to start the workers; see `engine.Engine`."""
    self._folder = tempfile.mkdtemp(prefix='ray-')
    settings = ray_gateway.Settings(
      address=self._address,
      program=main_program.read(),
      folder=self._folder,
      **self._settings,  # type: ignore[arg-type]
    )
    spawn = multiprocessing.get_context('spawn')
    self._pipe, theirs = spawn.Pipe()
    self._gateway = spawn.Process(
      target=ray_gateway.serve, args=(theirs, settings)
    )
    # A program that forgets to close must not wait for its workers at its end.
    atexit.register(self.close)
    with main_program.hidden():
      self._gateway.start()
    theirs.close()
    seconds = {'': _PRIVATE_SECONDS, 'auto': _AUTO_SECONDS}
    self._deadline = time.monotonic() + seconds.get(self._address, JOIN_SECONDS)
    self._ask('start', factory)

  def send(self, worker: str, number: int, request: bytes) -> None:
    """Gives a request to a worker that has none."""
    self._numbers[worker] = number
    self._ask('send', worker, number, request)

  def wait(self, timeout: float) -> list[Event]:
    """Returns what has happened, as soon as there is something.

    Raises:
      ConnectionError: there is no Ray, or it has gone.
    """
    deadline = time.monotonic() + timeout
    events: list[Event] = []
    while True:
      left = max(0.0, deadline - time.monotonic())
      self._look()
      try:
        while self._pipe.poll(0.0 if events else min(left, 1.0)):
          events.extend(self._read(self._pipe.recv()))
      except (EOFError, OSError):
        self._fail(f'The process that talks to Ray has ended{self._exit()}.')
      if not self._is_connected and time.monotonic() > self._deadline:
        self._fail(
          'Ray did not answer in time; `ray status` tells whether a cluster '
          'is running.'
          if self._address
          else 'Ray did not start in time.'
        )
      if self._failure:
        raise ConnectionError(self._failure)
      if events or not left:
        return events

  def stop(self, worker: str) -> None:
    """Ends what a worker does, and starts it again."""
    self._stopping.add(worker)
    self._is_starting[worker] = True
    self._ask('stop', worker, self._numbers.get(worker))

  def dismiss(self, worker: str) -> None:
    """Ends a worker for good."""
    del self._is_starting[worker]
    self._numbers.pop(worker, None)
    self._ask('dismiss', worker)

  def close(self) -> None:
    """Ends all workers, with all processes that they have started."""
    atexit.unregister(self.close)
    if self._gateway is None or self._is_closed:
      return
    self._is_closed = True
    self._is_starting.clear()
    if self._failure:
      return
    if self._is_connected:
      self._ask('close')
      self._gateway.join(_CLOSE_SECONDS)
    self._kill()
    shutil.rmtree(self._folder, ignore_errors=True)

  def _ask(self, *command: Any) -> None:
    # That the gateway has ended is found by `wait`.
    with contextlib.suppress(OSError):
      self._pipe.send(command)

  def _read(self, message: Any) -> list[Event]:
    """Returns the events of a message that are news to the dispatcher."""
    if isinstance(message, ray_gateway.Connected):
      self._is_connected = True
      return []
    if isinstance(message, ray_gateway.Failure):
      self._fail(message.reason, message.has_logs)
      return []
    return [new for event in message for new in self._update(event)]

  def _update(self, event: Event) -> list[Event]:
    """Notes an event; returns it if it is news, with the request's number.

    A worker far away may have died before a request reaches it, and answer
    while it is told to stop; what counts is what was asked here.
    """
    worker = event.worker
    if worker not in self._is_starting:
      return []
    if event.kind in (Kind.ANSWERED, Kind.RAISED):
      number = self._numbers.get(worker)
      if worker in self._stopping or event.number != number:
        return []
      del self._numbers[worker]
      return [event]
    self._is_starting[worker] = event.kind not in (Kind.JOINED, Kind.REFUSED)
    if event.kind in (Kind.DIED, Kind.STOPPED, Kind.LOST):
      if worker in self._stopping and event.kind is Kind.DIED:
        event = event._replace(kind=Kind.STOPPED)
      self._stopping.discard(worker)
      event = event._replace(number=self._numbers.pop(worker, None))
    return [event]

  def _look(self) -> None:
    """Notes which processes the gateway has started."""
    if self._gateway.is_alive():
      self._descendants = self._lookout.descendants(
        self._gateway.pid, self._descendants
      )

  def _fail(self, reason: str, has_logs: bool = True) -> None:
    """Ends the gateway; from now on, nothing but the reason is told."""
    if self._failure:
      return
    self._kill()
    if has_logs:
      reason = f"{reason.rstrip('.')} (Ray's logs are in {self._folder})."
    else:
      shutil.rmtree(self._folder, ignore_errors=True)
    self._failure = reason

  def _kill(self) -> None:
    """Ends the gateway, and with it all processes of a private Ray."""
    is_there = self._gateway.exitcode is None
    pid = self._gateway.pid if is_there else None
    process_tree.end(pid, self._descendants)
    if hasattr(os, 'killpg'):
      with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(self._gateway.pid, signal.SIGKILL)
    self._gateway.kill()
    self._gateway.join()

  def _exit(self) -> str:
    self._gateway.join(1.0)
    code = self._gateway.exitcode
    return '' if code is None else f' with exit code {code}'
