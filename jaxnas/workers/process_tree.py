# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Ends a process and all of its descendants, whatever session they are in.

Processes can leave their process group, and a process whose parent has ended
belongs to nobody. On Linux a process can adopt such orphans, and /proc lists
the parent of each process. Elsewhere no descendants are found, and only the
process group ends.

This module does not import JAX, since worker processes use it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
from typing import NamedTuple

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LOOK_SECONDS = 1.0


class Process(NamedTuple):
  """A process, identified by its id and start, since ids are reused.

  Attributes:
    pid: the process id.
    started: the start time, in clock ticks of the kernel.
  """

  pid: int
  started: int


Parents = Mapping[Process, int]
"""The process id of each process's parent."""


def adopt_orphans() -> None:
  """Makes this process the parent of its orphaned descendants."""
  if sys.platform == 'linux':
    # Without this call in the C library, orphans cannot be adopted.
    with contextlib.suppress(OSError, AttributeError):
      ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def wake_with_parent() -> None:
  """Makes the end of this process's parent continue it if it is stopped.

  A parent may be killed while it ends this process, just after it stopped it; a
  stopped process would never see that its parent has ended.
  """
  if sys.platform == 'linux':
    with contextlib.suppress(OSError, AttributeError):
      ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGCONT, 0, 0, 0)


def read_parents() -> Parents:
  """Returns the parents of all visible processes; empty without /proc."""
  parents = {}
  numbers: list[str] = []
  if sys.platform == 'linux':
    with contextlib.suppress(OSError):
      numbers = [name for name in os.listdir('/proc') if name.isdigit()]
  for number in numbers:
    fields = _read_stat(int(number))
    if fields is not None:
      process = Process(int(number), int(fields[19]))
      parents[process] = int(fields[1])
  return parents


def descendants(pids: Iterable[int], parents: Parents) -> set[Process]:
  """Returns the descendants of the given processes.

  Args:
    pids: the ids of the processes, which are not part of the result.
    parents: the parent of each process, from `read_parents`.
  """
  children: dict[int, list[Process]] = {}
  for process, parent in parents.items():
    children.setdefault(parent, []).append(process)
  found: set[Process] = set()
  waiting = list(pids)
  while waiting:
    new = {*children.get(waiting.pop(), ())} - found
    found |= new
    waiting.extend(process.pid for process in new)
  return found


def end(pid: int | None, known: Iterable[Process] = ()) -> None:
  """Ends all descendants of a process, but not the process itself.

  Args:
    pid: the id of the process; `None` if it has ended.
    known: further processes to end, together with their descendants.
  """
  roots = [] if pid is None else [pid]
  stopped: set[Process] = set()
  while True:
    parents = read_parents()
    alive = {each for each in known if each in parents}
    found = alive | descendants(
      [*roots, *(each.pid for each in alive)], parents
    )
    if found <= stopped:
      break
    # Stopped processes start nothing while the others are searched for.
    for process in found - stopped:
      _send(process, signal.SIGSTOP)
    stopped |= found
  for process in stopped:
    _send(process, signal.SIGKILL)


class Lookout:
  """Tracks descendants of processes, even of those that have ended."""

  def __init__(self):
    """Starts with no process known."""
    self._lock = threading.Lock()
    self._parents: Parents = {}
    self._looked = -_LOOK_SECONDS

  def descendants(self, pid: int, known: set[Process]) -> set[Process]:
    """Returns a process's descendants, as of at most a second ago.

    Args:
      pid: the process.
      known: the descendants found earlier; those still alive are part of the
        result.
    """
    with self._lock:
      if time.monotonic() - self._looked >= _LOOK_SECONDS:
        self._parents = read_parents()
        self._looked = time.monotonic()
      alive = {each for each in known if each in self._parents}
      return alive | descendants([pid], self._parents)


def _send(process: Process, number: int) -> None:
  fields = _read_stat(process.pid)
  if fields is not None and int(fields[19]) == process.started:
    with contextlib.suppress(ProcessLookupError, PermissionError):
      os.kill(process.pid, number)


def _read_stat(pid: int) -> list[str] | None:
  """Returns a process's state, parent and later fields; `None` if it ended."""
  try:
    with open(f'/proc/{pid}/stat', 'rb') as file:
      stat = file.read()
  except OSError:
    return None
  # The name that comes first may contain anything, even a parenthesis.
  fields = stat.rpartition(b')')[2].decode('ascii').split()
  return fields if fields and fields[0] not in 'ZX' else None
