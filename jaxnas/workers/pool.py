# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A pool of processes that call one function, and survives its failures.

Each worker has its own pipe and thread, so a killed process takes nothing down
with it: no lock, no queue, no other call.
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

from jaxnas import errors
from jaxnas.types import Status
from jaxnas.workers import process as worker_lib
from jaxnas.workers import process_tree


class Outcome(NamedTuple):
  """How a call ended.

  Attributes:
    status: how it ended; `OK` if there is a reward.
    values: the numbers that the function returned, by name, including the
      `'reward'`; empty if it failed.
    reason: one line on why it failed.
  """

  status: Status
  values: Mapping[str, float]
  reason: str


_POLL_SECONDS = 0.2

_AGAIN = (Status.FAILED, Status.CRASHED, Status.TIMED_OUT)


class Workers:
  """Runs calls in threads, each with its own process, started on demand."""

  def __init__(
    self,
    function: bytes,
    name: str,
    num_workers: int,
    timeout_seconds: float | None,
  ):
    """Creates the workers without starting a process.

    Args:
      function: the pickled function, `(value, seed) -> reward`, which returns a
        number or a mapping.
      name: the name of the function, for error messages.
      num_workers: the number of calls that run at a time.
      timeout_seconds: the time limit of a call, in seconds; `None` for no
        limit.
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
    """Returns the outcomes of calls, in order.

    Args:
      calls: the arguments of each call: a value, a seed and named arguments.
      num_retries: the number of times a failed call is retried.

    Raises:
      ValueError: the first worker cannot start or cannot import the function.
        For a later worker, that counts as a crash.
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
      # An interruption, or a worker that cannot start: no call may continue.
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
        _warn(call, outcome, attempt, num_retries, self._name)
      if outcome.status not in _AGAIN or is_stopped.is_set():
        break
    return outcome

  def _call(self, call, is_stopped) -> Outcome:
    worker = self._idle.get()
    try:
      # A worker may also have been killed while idle.
      if worker is None or not worker.is_alive:
        if worker is not None:
          worker.kill()
        worker = None
        try:
          worker = _Worker(
            self._function, self._name, self._lookout, is_stopped
          )
        except (ValueError, OSError) as error:
          # Since one has started before, the function is not at fault: the
          # machine may be out of memory or processes.
          if self._has_started.is_set():
            return _failure(Status.CRASHED, str(error))
          raise
        self._has_started.set()
      return worker.call(call, self._timeout, is_stopped)
    finally:
      self._idle.put(worker)


class _Worker:
  """A process that runs a function, one call at a time."""

  def __init__(self, function, name, lookout, is_stopped):
    self._lookout = lookout
    self._children: set[process_tree.Process] = set()
    self._number = 0
    # A fork would copy JAX's threads in an unusable state.
    spawn = multiprocessing.get_context('spawn')
    self._pipe, theirs = spawn.Pipe()
    # Not a daemon, since daemons may not start processes.
    self._process = spawn.Process(
      target=worker_lib.serve, args=(theirs, function)
    )
    self._process.start()
    theirs.close()
    answer = self._receive(math.inf, is_stopped)
    if isinstance(answer, Status):
      raise ValueError(
        f'A worker process ended while starting ({self._exit()}): either the '
        f'import of {name} ends it, or the main script starts workers outside '
        "of `if __name__ == '__main__':`; start them there."
      )
    if answer.error:
      self.kill()
      raise ValueError(
        f'A worker process cannot import {name} ({answer.error}); put it into '
        'a file of its own that a fresh Python can import.'
      )

  def call(self, call, timeout, is_stopped) -> Outcome:
    """Returns how a call ended; ends the process if the call did not finish."""
    self._number += 1
    with contextlib.suppress(OSError):  # A dead process is detected below.
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
    """Whether the process can take a call."""
    return self._process.is_alive()

  def kill(self) -> None:
    """Ends the process and those that it started."""
    pid = self._process.pid
    # The id of a process that has ended may belong to another by now.
    is_there = self._process.exitcode is None
    if pid is not None and is_there and hasattr(signal, 'SIGSTOP'):
      # A stopped process starts nothing while its descendants are searched for.
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
    """Returns an answer; otherwise ends the process and returns the reason."""
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
          # The pipe has ended, perhaps in the middle of an answer.
          self._process.join(_POLL_SECONDS)
          break
        if (
          isinstance(answer, worker_lib.Answer)
          and answer.number == self._number
        ):
          return answer
        continue
      self._look()
      # Descendants can hold the sentinel open after the process has ended.
      if ready or self._process.exitcode is not None:
        break
      if left <= 0:
        status = Status.TIMED_OUT
        break
    self.kill()
    return status

  def _look(self) -> None:
    """Records the process's descendants, unknown once it has ended."""
    pid = self._process.pid
    if pid is not None and self._process.is_alive():
      self._children = self._lookout.descendants(pid, self._children)

  def _exit(self) -> str:
    """Returns a description of how the process ended."""
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
  except OverflowError:  # An integer beyond the range of a float.
    return False


def _failure(status: Status, reason: str) -> Outcome:
  return Outcome(status, {}, reason)


def _warn(call, outcome, attempt, num_retries, name):
  """Says what happened to a call, and what happens next."""
  if outcome.status in _AGAIN and attempt < num_retries:
    following = 'it is called again'
  elif attempt:
    following = f'it was called {attempt + 1} times, and the trial fails'
  else:
    following = 'the trial fails'
  value, seed, _ = call
  logging.warning(
    '%s(%s, seed=%d) %s: %s; %s.',
    name.rpartition('.')[2],
    errors.shorten(repr(value)),
    seed,
    outcome.status.name.lower().replace('_', ' '),
    outcome.reason,
    following,
  )
