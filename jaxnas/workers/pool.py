# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Worker processes that run one function, and survive whatever it does.

Each worker has a pipe and a thread of its own, so a process that is killed
takes nothing with it: no lock, no queue, no other call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import concurrent.futures
import contextlib
import math
import multiprocessing
from multiprocessing import connection
import os
import pickle
import queue
import signal
import threading
import time
from typing import Any, NamedTuple

from absl import logging
import numpy as np

from jaxnas.types import Status
from jaxnas.workers import process as worker_lib
from jaxnas.workers import process_tree


class Outcome(NamedTuple):
  """How a call ended.

  Attributes:
    status: `OK` where there is a reward.
    values: what the function returned, by name, the `'reward'` among them;
      nothing where it failed.
    reason: a line that says why it failed.
  """

  status: Status
  values: Mapping[str, float]
  reason: str


_POLL_SECONDS = 0.2

_AGAIN = (Status.FAILED, Status.CRASHED, Status.TIMED_OUT)


class Workers:
  """Runs calls, each thread by a process of its own that is made at need."""

  def __init__(
    self,
    function: bytes,
    name: str,
    num_workers: int,
    timeout_seconds: float | None,
  ):
    """Makes the workers; no process is started yet.

    Args:
      function: `(value, seed) -> reward`, a number or a mapping, pickled.
      name: the function's, for errors.
      num_workers: how many calls run at a time.
      timeout_seconds: how long a call may take; any time for `None`.
    """
    self._function = function
    self._name = name
    self._timeout = math.inf if timeout_seconds is None else timeout_seconds
    self._threads = concurrent.futures.ThreadPoolExecutor(num_workers)
    self._has_started = threading.Event()
    self._lookout = process_tree.Lookout()
    self._idle: queue.SimpleQueue[_Worker | None] = queue.SimpleQueue()
    for _ in range(num_workers):
      self._idle.put(None)

  def run(
    self, calls: Sequence[tuple[Any, int, Mapping[str, Any]]], num_retries: int
  ) -> list[Outcome]:
    """Returns the outcomes of calls, in their order.

    Args:
      calls: the arguments of each: a value, a seed and named ones.
      num_retries: how often a call that failed is tried again.

    Raises:
      ValueError: the first worker cannot start, or not import the function. A
        later one that cannot is a crash.
    """
    is_stopped = threading.Event()
    futures: list[concurrent.futures.Future[Outcome]] = []
    try:
      futures.extend(
        self._threads.submit(self._try, call, num_retries, is_stopped)
        for call in calls
      )
      return [future.result() for future in futures]
    except BaseException:
      # An interruption, or a worker that cannot start: no call may go on.
      is_stopped.set()
      for future in futures:
        future.cancel()
      concurrent.futures.wait(futures)
      raise

  def close(self) -> None:
    """Ends all processes."""
    self._threads.shutdown()
    while not self._idle.empty():
      worker = self._idle.get()
      if worker is not None:
        worker.kill()

  def _try(self, call, num_retries, is_stopped) -> Outcome:
    for attempt in range(num_retries + 1):
      outcome = self._call(call, is_stopped)
      if outcome.status is not Status.OK and not is_stopped.is_set():
        _warn(call, outcome, attempt, num_retries)
      if outcome.status not in _AGAIN or is_stopped.is_set():
        break
    return outcome

  def _call(self, call, is_stopped) -> Outcome:
    worker = self._idle.get()
    try:
      # A worker can also have been killed while it waited.
      if worker is None or not worker.is_alive:
        if worker is not None:
          worker.kill()
        worker = None
        try:
          worker = _Worker(
            self._function, self._name, self._lookout, is_stopped
          )
        except (ValueError, OSError) as error:
          # One has started before, so that it is not the function's fault: the
          # machine may be out of memory, or of processes.
          if self._has_started.is_set():
            return _failure(Status.CRASHED, str(error))
          raise
        self._has_started.set()
      return worker.call(call, self._timeout, is_stopped)
    finally:
      self._idle.put(worker)


class _Worker:
  """A process that runs a function, call by call."""

  def __init__(self, function, name, lookout, is_stopped):
    self._lookout = lookout
    self._children: set[process_tree.Process] = set()
    self._number = 0
    # A fork would copy the threads of jax in a state that nothing can use.
    spawn = multiprocessing.get_context('spawn')
    self._pipe, theirs = spawn.Pipe()
    # No daemon, for those may not have processes of their own.
    self._process = spawn.Process(
      target=worker_lib.serve, args=(theirs, function)
    )
    self._process.start()
    theirs.close()
    answer = self._receive(math.inf, is_stopped)
    if isinstance(answer, Status):
      raise ValueError(
        f'A worker process ended while it started ({self._exit()}): either the '
        f'import of {name} ends it, or the main script starts workers, which '
        "must be done under `if __name__ == '__main__':`."
      )
    if answer.error:
      self.kill()
      raise ValueError(
        f'A worker process cannot import {name} ({answer.error}); put it into '
        'a file of its own that a fresh Python can import.'
      )

  def call(self, call, timeout, is_stopped) -> Outcome:
    """Returns how a call ended; ends the process where the call did not."""
    self._number += 1
    with contextlib.suppress(OSError):  # It has ended, which is seen below.
      self._pipe.send(worker_lib.Call(self._number, pickle.dumps(call)))
    answer = self._receive(timeout, is_stopped)
    if answer is Status.TIMED_OUT:
      return _failure(answer, f'it took longer than {timeout:g} s')
    if isinstance(answer, Status):
      return _failure(answer, f'its process ended with {self._exit()}')
    if answer.error:
      return _failure(Status.FAILED, answer.error)
    reward = answer.values['reward']
    if not is_finite(reward):
      return _failure(
        Status.NOT_FINITE,
        f'the reward is {reward}, which is not finite as a float32',
      )
    return Outcome(Status.OK, answer.values, '')

  @property
  def is_alive(self) -> bool:
    """Whether it can be called."""
    return self._process.is_alive()

  def kill(self) -> None:
    """Ends the process, and those that it started."""
    pid = self._process.pid
    # A process that has ended may have left its number to another.
    is_there = self._process.exitcode is None
    if pid is not None and is_there and hasattr(signal, 'SIGSTOP'):
      # It starts nothing more while what it started is looked for.
      with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGSTOP)
    process_tree.end(pid if is_there else None, self._children)
    if pid is not None and hasattr(os, 'killpg'):
      with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    self._process.kill()
    self._process.join()
    self._pipe.close()

  def _receive(
    self, timeout: float, is_stopped: threading.Event
  ) -> worker_lib.Answer | Status:
    """Returns an answer, or why there is none: then the process is no more."""
    deadline = time.monotonic() + timeout
    status = Status.CRASHED
    while not is_stopped.is_set():
      left = deadline - time.monotonic()
      ready = connection.wait(
        [self._pipe, self._process.sentinel],
        max(0.0, min(left, _POLL_SECONDS)),
      )
      if self._pipe in ready:
        try:
          answer = self._pipe.recv()
        except Exception:
          # The end of the pipe, or of a process in the middle of its answer.
          self._process.join(_POLL_SECONDS)
          break
        if (
          isinstance(answer, worker_lib.Answer)
          and answer.number == self._number
        ):
          return answer
        continue
      self._look()
      # What it started can hold the sentinel open when it has ended.
      if ready or self._process.exitcode is not None:
        break
      if left <= 0:
        status = Status.TIMED_OUT
        break
    self.kill()
    return status

  def _look(self) -> None:
    """Remembers what it started, which nobody knows when it has ended."""
    pid = self._process.pid
    if pid is not None and self._process.is_alive():
      self._children = self._lookout.descendants(pid, self._children)

  def _exit(self) -> str:
    """Spells how the process ended."""
    code = self._process.exitcode
    if code is not None and code < 0:
      with contextlib.suppress(ValueError):
        return f'signal {signal.Signals(-code).name}'
    return f'exit code {code}'


def is_finite(value: float) -> bool:
  """Returns whether a number is finite as a float32, as rewards are."""
  try:
    with np.errstate(over='ignore'):
      return bool(np.isfinite(np.float32(value)))
  except OverflowError:  # An integer of more digits than a float can have.
    return False


def _failure(status: Status, reason: str) -> Outcome:
  return Outcome(status, {}, reason)


def _warn(call, outcome, attempt, num_retries):
  logging.warning(
    'A trial %s (attempt %d of %d): %s; f(%s, seed=%d)',
    outcome.status.name.lower().replace('_', ' '),
    attempt + 1,
    num_retries + 1 if outcome.status in _AGAIN else attempt + 1,
    outcome.reason,
    *(worker_lib.shorten(repr(call[0])), call[1]),
  )
