# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Ends a process with all that it started, whatever session that is in.

A process group holds only what did not leave it, and what lost its parent
belongs to nobody. On Linux a process can adopt such orphans, and /proc tells
whose child each process is. Elsewhere nothing is found, and only the group of a
process ends with it.

This module imports no jax: worker processes use it.
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

_PR_SET_CHILD_SUBREAPER = 36
_LOOK_SECONDS = 1.0


class Process(NamedTuple):
  """A process, told from a later one of the same number by its start.

  Attributes:
    pid: its number.
    started: when it began, as the kernel counts.
  """

  pid: int
  started: int


Parents = Mapping[Process, int]
"""The number of each process's parent."""


def adopt_orphans() -> None:
  """Makes this process the parent of what its descendants leave behind."""
  if sys.platform == 'linux':
    # A C library without it is one of those where nothing can be adopted.
    with contextlib.suppress(OSError, AttributeError):
      ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def read_parents() -> Parents:
  """Returns all processes that can be seen; none where there is no /proc."""
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
  """Returns what some processes started, and what that started, and so on.

  Args:
    pids: the numbers of the processes, which are not in the result.
    parents: whose child each process is.
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
  """Ends all that a process started, and what that started; not itself.

  Args:
    pid: the process; `None` where it is no more.
    known: other processes to end, and what they started.
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
    # What is stopped starts nothing while the others are looked for.
    for process in found - stopped:
      _send(process, signal.SIGSTOP)
    stopped |= found
  for process in stopped:
    _send(process, signal.SIGKILL)


class Lookout:
  """Knows what processes have started, also once they are no more."""

  def __init__(self):
    """Sees nothing yet."""
    self._lock = threading.Lock()
    self._parents: Parents = {}
    self._looked = -_LOOK_SECONDS

  def descendants(self, pid: int, known: set[Process]) -> set[Process]:
    """Returns what a process had started, as of a second ago at most.

    Args:
      pid: the process.
      known: what it was known to have started before, of which those that are
        still there are in the result.
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
  """Returns a process's state, parent and what follows; `None` if it ended."""
  try:
    with open(f'/proc/{pid}/stat', 'rb') as file:
      stat = file.read()
  except OSError:
    return None
  # The name before it may hold anything.
  fields = stat.rpartition(b')')[2].decode('ascii').split()
  return fields if fields and fields[0] not in 'ZX' else None
