# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A pod: processes on several machines in lock step, by `jax.distributed`.

All that the processes do together is `Pod.exchange`, an all-gather of bytes;
whatever they compute, each computes alone on its own devices. A process that is
lost ends all others, each with one line: JAX cannot replace it. The launcher
starts all of them again.

The processes trust each other: what they exchange is pickled, and nothing is
encrypted.
"""

from __future__ import annotations

import collections
from collections.abc import Iterator, Mapping, Sequence
import contextlib
import math
import os
import socket
import sys
import threading
from typing import Any, NamedTuple, NoReturn

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
import numpy as np

CHUNK_BYTES = 1 << 16
"""What is sent at a time, so that one program sends all."""

HEARTBEAT_SECONDS = 100
"""How long JAX waits for a process that has fallen silent, in seconds."""

_HEADER_BYTES = 8
_SHOW_CURSOR = '\x1b[?25h'


class Place(NamedTuple):
  """Where a process stands in its pod.

  Attributes:
    coordinator: the address of process 0, `host:port`.
    num_processes: the number of processes.
    process_id: the number of this process, from 0.
  """

  coordinator: str
  num_processes: int
  process_id: int


class Pod:
  """The processes of a pod, of which this is one.

  Attributes:
    process_id: the number of this process; process 0 leads.
    num_processes: the number of processes.
    patience: how long to wait for others that ought to have answered, besides
      five times as long as this process took, in seconds.
    is_in_step: whether the other processes wait for process 0 to lead.
  """

  def __init__(self, process_id: int, num_processes: int, patience: float):
    """Describes a pod that `join` has made."""
    self.process_id = process_id
    self.num_processes = num_processes
    self.patience = patience
    self.is_in_step = True
    devices = np.array(jax.devices()).reshape(num_processes, -1)
    mesh = Mesh(devices, ('processes', 'devices'))
    self._sharding = NamedSharding(mesh, PartitionSpec('processes'))
    self._share = jax.jit(
      lambda chunks: chunks,
      out_shardings=NamedSharding(mesh, PartitionSpec()),
    )

  def exchange(self, message: bytes) -> list[bytes]:
    """Sends a message to all processes, and returns those of all.

    All processes must call it. If one of them is lost, this one ends.

    Args:
      message: what to send; it may be empty.

    Returns:
      The messages in the order of the processes.
    """
    content = len(message).to_bytes(_HEADER_BYTES, 'little') + message
    try:
      chunks = [self._gather(content[:CHUNK_BYTES])]
      sizes = [
        int.from_bytes(row[:_HEADER_BYTES].tobytes(), 'little')
        for row in chunks[0]
      ]
      for start in range(CHUNK_BYTES, max(sizes) + _HEADER_BYTES, CHUNK_BYTES):
        chunks.append(self._gather(content[start : start + CHUNK_BYTES]))
    # The runtime's own kind of error, which is a RuntimeError.
    except RuntimeError:
      _end('another process of the pod has ended')
    return [
      b''.join(chunk[number].tobytes() for chunk in chunks)[
        _HEADER_BYTES : _HEADER_BYTES + size
      ]
      for number, size in enumerate(sizes)
    ]

  def lead(self, message: bytes = b'') -> bytes:
    """Returns the message of process 0; all processes must call it.

    Args:
      message: what to send, in process 0.
    """
    return self.exchange(message)[0]

  @contextlib.contextmanager
  def hurried(self, seconds: float) -> Iterator[None]:
    """Ends this process if the context takes too long, as when one is stuck.

    Args:
      seconds: how long this process took for what others must do meanwhile.

    Yields:
      Nothing.
    """
    limit = self.patience + 5 * seconds
    with _watched(
      limit, f'another process of the pod has not answered for {limit:.0f} s'
    ):
      yield

  def dismiss(self) -> None:
    """Lets the other processes leave, if they wait for process 0 to lead."""
    if self.is_in_step:
      self.is_in_step = False
      self.lead()
      self.leave()

  def leave(self) -> None:
    """Waits for all processes to come here, and ends the pod."""
    self.is_in_step = False
    with self.hurried(0.0):
      jax.distributed.shutdown()

  def _gather(self, content: bytes) -> np.ndarray:
    chunk = np.zeros((1, CHUNK_BYTES), np.uint8)
    chunk[0, : len(content)] = np.frombuffer(content, np.uint8)
    chunks = self._share(
      jax.make_array_from_process_local_data(self._sharding, chunk)
    )
    # All devices, of which the first might be ahead.
    jax.block_until_ready(chunks)
    return np.asarray(chunks.addressable_data(0))


def join(place: Place | None = None, patience: float = 600.0) -> Pod:
  """Joins a pod, and waits for all of its processes.

  Must be called before JAX looks for devices.

  Args:
    place: where this process stands; by default, JAX finds it out on a TPU pod
      and in a SLURM job.
    patience: how long to wait for processes that have not come, or have not
      answered when they should, in seconds.

  Raises:
    ValueError: the place is impossible, or there is none to be found out.
    OSError: the processes did not come together.
  """
  # Otherwise JAX catches SIGTERM, and the process would not end.
  jax.config.update('jax_enable_preemption_service', False)
  # Warnings of JAX's network, whose failures are told here.
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
  settings: dict[str, Any] = {}
  if place is not None:
    settings = _settings_of(place)
  elif (ids := _slurm_devices(os.environ)) is not None:
    settings['local_device_ids'] = ids
  try:
    with _watched(
      patience,
      f'the processes of the pod did not come together within {patience:.0f} s',
    ):
      jax.distributed.initialize(
        **settings,
        # JAX itself would abort.
        initialization_timeout=math.ceil(patience) + HEARTBEAT_SECONDS,
        heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
      )
  except ValueError:
    raise ValueError(
      'No pod is found here: this is neither a TPU pod nor a SLURM job. Give '
      '--coordinator=host:port, --num_processes and --process_id.'
    ) from None
  except RuntimeError as error:
    line = ' '.join(str(error).split())
    raise OSError(
      f'The processes of the pod did not come together ({line}).'
    ) from None
  # The first exchange opens connections, which libraries tell on standard
  # output.
  with (
    _unseen_output(),
    _watched(patience, f'the devices of the pod are not there ({patience} s)'),
  ):
    _check_devices([device.process_index for device in _find_devices()])
    pod = Pod(jax.process_index(), jax.process_count(), patience)
    pod.exchange(b'')
  return pod


def _find_devices() -> list[jax.Device]:
  try:
    return jax.devices()
  except RuntimeError as error:
    line = ' '.join(str(error).split())
    raise OSError(f'The devices of the pod are not found: {line}') from None


def _check_devices(owners: Sequence[int]) -> None:
  """Checks that all processes have equally many devices.

  Args:
    owners: the process of each device.
  """
  counts = collections.Counter(owners)
  for number, count in sorted(counts.items()):
    if count != counts[0]:
      raise ValueError(
        f'Process {number} of the pod has {count} devices, and process 0 has '
        f'{counts[0]}; give each the same --num_host_devices or number of GPUs.'
      )


def _settings_of(place: Place) -> dict[str, Any]:
  """Returns the arguments of `jax.distributed.initialize`, after checks."""
  host, _, port = place.coordinator.rpartition(':')
  if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
    raise ValueError(
      'coordinator must be the address of process 0, host:port, got '
      f'{place.coordinator!r}.'
    )
  if place.num_processes < 1:
    raise ValueError(
      f'num_processes must be at least 1, got {place.num_processes}.'
    )
  if not 0 <= place.process_id < place.num_processes:
    raise ValueError(
      f'process_id must be from 0 to {place.num_processes - 1}, got '
      f'{place.process_id}.'
    )
  if place.process_id == 0:
    _check_address(host, int(port))
  return {
    'coordinator_address': place.coordinator,
    'num_processes': place.num_processes,
    'process_id': place.process_id,
    # By default it would listen to every network of the machine.
    'coordinator_bind_address': place.coordinator,
    'cluster_detection_method': 'deactivate',
  }


def _check_address(host: str, port: int) -> None:
  """Checks that process 0 can listen there, since JAX would abort."""
  host = host.strip('[]')
  try:
    family, kind, number, _, address = socket.getaddrinfo(
      host, port, type=socket.SOCK_STREAM
    )[0]
    with socket.socket(family, kind, number) as listener:
      listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
      listener.bind(address)
  except OSError as error:
    raise ValueError(
      f'Process 0 cannot listen at {host}:{port} ({error.strerror}); '
      'coordinator must be an address of its machine with a free port.'
    ) from None


def _slurm_devices(environment: Mapping[str, str]) -> Sequence[int] | None:
  """Returns the GPUs of this process, where JAX would take too few.

  In a SLURM job, JAX supposes a process for each GPU of a machine.

  Args:
    environment: the environment variables.

  Returns:
    The numbers of the GPUs; `None` where JAX chooses well.
  """
  tasks = environment.get('SLURM_STEP_TASKS_PER_NODE', '')
  # Such as `1(x2)`, or `1,1`.
  if not tasks or {part.partition('(')[0] for part in tasks.split(',')} != {
    '1'
  }:
    return None
  visible = environment.get('CUDA_VISIBLE_DEVICES')
  if visible:
    return range(len(visible.split(',')))
  count = environment.get('SLURM_GPUS_ON_NODE', '')
  return range(int(count)) if count.isdecimal() and int(count) else None


@contextlib.contextmanager
def _watched(seconds: float, reason: str) -> Iterator[None]:
  """Ends this process if the context takes longer."""
  # A thread's longest wait is about three centuries.
  watchdog = threading.Timer(min(seconds, 1e9), _end, [reason])
  watchdog.daemon = True
  watchdog.start()
  try:
    yield
  finally:
    watchdog.cancel()


@contextlib.contextmanager
def _unseen_output() -> Iterator[None]:
  """Hides what C++ prints to standard output."""
  sys.stdout.flush()
  before = os.dup(1)
  nowhere = os.open(os.devnull, os.O_WRONLY)
  os.dup2(nowhere, 1)
  try:
    yield
  finally:
    os.dup2(before, 1)
    os.close(before)
    os.close(nowhere)


def _end(reason: str) -> NoReturn:
  """Ends this process at once, for JAX would wait for the others."""
  with contextlib.suppress(OSError, ValueError):
    if sys.__stdout__ is not None and sys.__stdout__.isatty():
      sys.__stdout__.write(_SHOW_CURSOR)
      sys.__stdout__.flush()
    print(
      f'error: {reason}; the same command on every host continues the run.',
      file=sys.__stderr__,
      flush=True,
    )
  os._exit(1)
