# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A process that talks to Ray for `ray_engine`.

Ray replaces a program's handlers of signals, writes to its terminal, and ends
the whole process a minute after the head of a cluster has gone. So it gets a
process of its own, which ends with its parent, and with it every process of a
private Ray.

This module does not import JAX.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import contextlib
import dataclasses
import functools
import logging
import math
from multiprocessing import connection
import os
import queue
import secrets
import socket
import threading
import time
from typing import Any, NamedTuple, NoReturn

from jaxnas import errors
from jaxnas.workers import main_program, process_tree, processes, ray_worker
from jaxnas.workers import process as process_lib
from jaxnas.workers.engine import Event, Kind

STOP_SECONDS = 10.0
"""How long an actor has to end its process, until it is ended itself."""

_HEAD_SECONDS = 1.0
_HEAD_MISSES = 5
_SOCKET_SECONDS = 5.0
_CLOSE_SECONDS = 2.0

# Without these, Ray binds to the address of the machine, where everybody on the
# network may run programs, or everybody on the machine.
_PRIVATE = {
  'RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER': '0',
  'RAY_AUTH_MODE': 'token',
  # The memory of a machine of one's own is its owner's business.
  'RAY_memory_monitor_refresh_ms': '0',
}


class Settings(NamedTuple):
  """What a gateway is told.

  Attributes:
    address: `'auto'`, or host and port, of a cluster to join; empty for a
      private Ray.
    cpus_per_worker: the number of CPU cores that Ray reserves for each.
    gpus_per_worker: the number of GPUs that Ray reserves for each.
    environments: environment variables of each worker's process.
    program: the program that started the workers.
    folder: a folder of its own for a private Ray and for what is written to
      the terminal.
  """

  address: str
  cpus_per_worker: float
  gpus_per_worker: float
  environments: Sequence[Mapping[str, str]]
  program: main_program.Program
  folder: str


class Connected(NamedTuple):
  """The first message of a gateway that has joined or started a Ray.

  Attributes:
    address: the address of the cluster's head.
  """

  address: str


class Failure(NamedTuple):
  """The last message of a gateway: there is no Ray any more, or yet.

  Attributes:
    reason: one line.
    has_logs: whether Ray's logs may tell more.
  """

  reason: str
  has_logs: bool


LOG_NAME = 'gateway.log'
"""The file of a gateway's folder that has what Ray wrote to the terminal."""


def name_of(number: int) -> str:
  """Returns the name of a worker, counted from 1."""
  return f'ray {number}'


@dataclasses.dataclass(eq=False)
class _Slot:
  """A worker, and the actor that it has at present."""

  name: str
  environment: Mapping[str, str]
  actor: Any
  node: str = ''
  is_ready: bool = False
  is_stopping: bool = False


def serve(pipe: connection.Connection, settings: Settings) -> None:
  """Carries requests to the workers and their events back.

  Args:
    pipe: delivers tuples of a method's name and its arguments; takes a
      `Connected` or a `Failure`, and then lists of events.
    settings: the workers and their Ray.
  """
  process_lib.leave_with_parent()
  process_tree.adopt_orphans()
  log = os.open(
    os.path.join(settings.folder, LOG_NAME), os.O_WRONLY | os.O_CREAT, 0o600
  )
  for stream in (1, 2):
    os.dup2(log, stream)
  Gateway(pipe, settings).run()


class Gateway:
  """Actors of Ray, and what is told of them; all methods are of one thread."""

  def __init__(self, pipe: connection.Connection, settings: Settings):
    """Joins or starts a Ray; ends the process if there is none.

    Args:
      pipe: see `serve`.
      settings: see `serve`.
    """
    self._pipe = pipe
    self._lock = threading.Lock()
    self._settings = settings
    self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
    self._slots: dict[str, _Slot] = {}
    self._factory: Any = None
    self._is_closed = False
    try:
      self._ray, address = _connect(settings)
    except ConnectionError as error:
      self._leave(str(error), has_logs=False)
    except BaseException as error:
      self._leave(f'Ray does not start: {errors.describe(error)}.')
    resources = {
      'num_cpus': settings.cpus_per_worker,
      'num_gpus': settings.gpus_per_worker,
    }
    self._remote = self._ray.remote(
      max_restarts=0,
      max_task_retries=0,
      max_concurrency=1,
      concurrency_groups={'wait': 1},
      **resources,
    )(ray_worker.RayWorker)
    self._tell(Connected(address))
    for target, arguments in ((self._watch_head, (address,)), (self._read, ())):
      threading.Thread(target=target, args=arguments, daemon=True).start()

  def run(self) -> None:
    """Does what is asked and tells what happens, until it is closed."""
    while not self._is_closed:
      self._calls.get()()

  def start(self, factory: bytes) -> None:
    """Begins to start the workers; see `engine.Engine`."""
    # The store of objects carries it once to each machine.
    self._factory = self._ray.put(factory)
    for number, environment in enumerate(self._settings.environments, start=1):
      self._start(name_of(number), environment)

  def send(self, worker: str, number: int, request: bytes) -> None:
    """Gives a request to a worker."""
    if slot := self._slots.get(worker):
      slot.actor.send.options(num_returns=0).remote(number, request)

  def stop(self, worker: str, number: int | None) -> None:
    """Ends what a worker does; see `RayWorker.stop`."""
    if slot := self._slots.get(worker):
      slot.is_stopping = True
      slot.actor.stop.options(num_returns=0).remote(number)
      self._call_later(STOP_SECONDS, functools.partial(self._insist, slot))

  def dismiss(self, worker: str) -> None:
    """Ends a worker for good."""
    if slot := self._slots.pop(worker, None):
      self._end(slot)

  def close(self) -> None:
    """Ends all workers, and the Ray if it is private."""
    self._is_closed = True
    slots, self._slots = list(self._slots.values()), {}
    closing = [each.actor.close.remote() for each in slots if each.node]
    if closing:
      self._ray.wait(closing, num_returns=len(closing), timeout=_CLOSE_SECONDS)
    self._ray.shutdown()

  def _start(self, name: str, environment: Mapping[str, str]) -> None:
    actor = self._remote.remote(
      name, self._factory, environment, self._settings.program
    )
    slot = self._slots[name] = _Slot(name, environment, actor)
    self._hear(slot, actor.node.remote(), self._place)
    self._wait(slot)

  def _wait(self, slot: _Slot) -> None:
    method = slot.actor.wait.options(concurrency_group='wait')
    self._hear(slot, method.remote(), self._take)

  def _hear(
    self, slot: _Slot, result: Any, take: Callable[[_Slot, Any], None]
  ) -> None:
    """Takes what an actor returns, once it does."""

    def act(future):
      # An actor that was replaced has no more to say.
      if self._slots.get(slot.name) is slot:
        error = future.exception()
        if error is None:
          take(slot, future.result())
        else:
          self._lose(slot, error)

    result.future().add_done_callback(
      lambda future: self._calls.put(functools.partial(act, future))
    )

  def _place(self, slot: _Slot, node: str) -> None:
    slot.node = node

  def _take(self, slot: _Slot, events: list[Event]) -> None:
    for event in events:
      if event.kind is Kind.JOINED:
        slot.is_ready = True
      elif event.kind in (Kind.DIED, Kind.STOPPED, Kind.REFUSED):
        slot.is_ready = slot.is_stopping = False
    self._tell(events)
    self._wait(slot)

  def _insist(self, slot: _Slot) -> None:
    """Ends an actor that has not done what it was asked to."""
    if self._slots.get(slot.name) is slot and slot.is_stopping:
      self._end(slot)
      self._tell([Event(slot.name, Kind.STOPPED)])
      self._start(slot.name, slot.environment)

  def _lose(self, slot: _Slot, error: BaseException) -> None:
    """Takes note of an actor that has gone, and starts another."""
    self._end(slot)
    kind, reason = fate(self._ray, error, slot.is_ready, slot.node)
    if kind is not Kind.LOST or slot.is_ready:
      self._tell([Event(slot.name, kind, reason=reason)])
    if kind is not Kind.REFUSED:
      self._start(slot.name, slot.environment)
      return
    del self._slots[slot.name]
    self._call_later(
      processes.REFUSED_SECONDS,
      functools.partial(self._start, slot.name, slot.environment),
    )

  def _end(self, slot: _Slot) -> None:
    with contextlib.suppress(Exception):
      self._ray.kill(slot.actor)

  def _call_later(self, seconds: float, call: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, self._calls.put, (call,))
    timer.daemon = True
    timer.start()

  def _read(self) -> None:
    """Reads what is asked; runs in a thread of its own."""
    with contextlib.suppress(EOFError, OSError):
      while True:
        name, *arguments = self._pipe.recv()
        self._calls.put(functools.partial(getattr(self, name), *arguments))

  def _watch_head(self, address: str) -> None:
    """Ends the process if the head has gone; runs in a thread of its own."""
    misses = 0
    while misses < _HEAD_MISSES:
      time.sleep(_HEAD_SECONDS)
      try:
        _reach(address)
        misses = 0
      except OSError:
        misses += 1
    self._leave(
      f'The head of Ray at {address} has gone; start a cluster again, and the '
      'same command continues.'
    )

  def _tell(self, message: Any) -> None:
    with self._lock:
      self._pipe.send(message)

  def _leave(self, reason: str, has_logs: bool = True) -> NoReturn:
    with contextlib.suppress(OSError):
      self._tell(Failure(reason, has_logs))
    os._exit(1)


def _connect(settings: Settings) -> tuple[Any, str]:
  """Joins or starts a Ray.

  Returns:
    The module `ray`, and the address of the head.

  Raises:
    ConnectionError: there is no Ray where it should be.
  """
  address = settings.address
  if address == 'auto':
    # Ray itself would look there.
    address = os.environ.get('RAY_ADDRESS') or address
  os.environ['RAY_USAGE_STATS_ENABLED'] = '0'
  if not address:
    os.environ.update(_PRIVATE)
    os.environ['RAY_AUTH_TOKEN'] = secrets.token_hex(32)
    os.environ.pop('RAY_ADDRESS', None)
  elif address != 'auto':
    try:
      _reach(address)
    except OSError as error:
      raise ConnectionError(
        f'No Ray can be reached at {address} ({error}); `ray start --head` on '
        'one machine starts a cluster, and `ray status` tells its address.'
      ) from None
  import ray

  options: dict[str, Any] = {'address': address}
  if not address:
    options = {
      'address': 'local',
      'num_cpus': math.ceil(
        len(settings.environments) * settings.cpus_per_worker
      ),
      'num_gpus': None if settings.gpus_per_worker else 0,
      'include_dashboard': False,
      '_temp_dir': settings.folder,
    }
  try:
    ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
  except ConnectionError as error:
    raise ConnectionError(
      f'Ray at {address} cannot be joined; `ray status` tells whether it runs. '
      'One that asks for a token needs RAY_AUTH_MODE=token and the same '
      f'RAY_AUTH_TOKEN here ({errors.describe(error)}).'
    ) from None
  return ray, ray.get_runtime_context().gcs_address


def _reach(address: str) -> None:
  """Raises an `OSError` if nothing listens at an address."""
  host, _, port = address.rpartition(':')
  socket.create_connection(
    (host.strip('[]'), int(port)), _SOCKET_SECONDS
  ).close()


def fate(
  ray: Any, error: BaseException, is_ready: bool, node: str
) -> tuple[Kind, str]:
  """Returns what became of an actor, and one line on why.

  Args:
    ray: the module, which is connected.
    error: what Ray raises instead of an answer of the actor.
    is_ready: whether the actor had a process that could be given requests.
    node: the id of the machine's node in Ray.

  Returns:
    `LOST` if its machine has left, which is no fault of a request; else `DIED`,
    or `REFUSED` if it had yet to be ready.
  """
  exceptions, reason = ray.exceptions, _reason(error)
  if isinstance(error, exceptions.OutOfMemoryError):
    # Ray's own line advises on Ray.
    reason = 'Ray ended it for lack of memory on its machine'
    return (Kind.DIED if is_ready else Kind.REFUSED), reason
  has_gone = isinstance(error, exceptions.RayActorError) and (
    not error.actor_init_failed
  )
  is_there = isinstance(error, exceptions.ActorDiedError) and any(
    each['Alive'] for each in ray.nodes() if each['NodeID'] == node
  )
  if has_gone and not is_there:
    return Kind.LOST, f'its machine left ({reason})'
  if is_ready:
    return Kind.DIED, f'its actor died ({reason})'
  return Kind.REFUSED, reason


def _reason(error: BaseException) -> str:
  """Returns the last line of what Ray says of an error, which is the cause."""
  lines = [line.strip() for line in str(error).splitlines() if line.strip()]
  return errors.shorten(lines[-1] if lines else type(error).__name__)
