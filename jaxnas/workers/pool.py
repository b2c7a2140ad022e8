# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A pool of processes that call one function, and survives its failures.

Each worker has its own pipe and thread, so a killed process takes nothing down
with it: no lock, no queue, no other call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import concurrent.futures
import functools
import math
from multiprocessing import connection
import pickle
import queue
import threading
import time
from typing import Any, NamedTuple

from absl import logging
import numpy as np

from jaxnas import errors
from jaxnas.types import Status
from jaxnas.workers import child as child_lib
from jaxnas.workers import function_servant, process_tree


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
    self._number = 0
    factory = functools.partial(function_servant.FunctionServant, function)
    self._child = child_lib.Child(pickle.dumps(factory), lookout=lookout)
    ready = self._receive(math.inf, is_stopped)
    if isinstance(ready, child_lib.Ended) or ready is None:
      how = 'interrupted' if ready is None else ready.reason
      raise ValueError(
        f'A worker process ended while starting ({how}): either the '
        f'import of {name} ends it, or the main script starts workers outside '
        "of `if __name__ == '__main__':`; start them there."
      )
    if ready.reason:
      self.kill()
      raise ValueError(
        f'A worker process cannot import {name} ({ready.reason}); put it into '
        'a file of its own that a fresh Python can import.'
      )

  def call(self, call, timeout, is_stopped) -> Outcome:
    """Returns how a call ended; ends the process if the call did not finish."""
    self._number += 1
    self._child.send(self._number, pickle.dumps(call))
    answer = self._receive(timeout, is_stopped)
    if answer is None:
      return _failure(Status.TIMED_OUT, f'it took longer than {timeout:g} s')
    if isinstance(answer, child_lib.Ended):
      return _failure(Status.CRASHED, f'its process ended with {answer.reason}')
    if answer.reason:
      return _failure(Status.FAILED, answer.reason)
    values = pickle.loads(answer.answer)
    reward = values['reward']
    if not is_finite(reward):
      return _failure(
        Status.NOT_FINITE,
        f'the reward is {reward}, which is not finite as a float32',
      )
    return Outcome(Status.OK, values, '')

  @property
  def is_alive(self) -> bool:
    """Whether the process can take a call."""
    self._child.receive()
    return not self._child.has_ended

  def kill(self) -> None:
    """Ends the process and those that it started."""
    self._child.kill()

  def _receive(self, timeout: float, is_stopped: threading.Event) -> Any:
    """Returns a message; ends the process and returns `None` if none comes."""
    deadline = time.monotonic() + timeout
    while not is_stopped.is_set():
      for message in self._child.receive():
        return message
      self._child.look()
      left = deadline - time.monotonic()
      if left <= 0:
        break
      connection.wait(
        self._child.waitables, min(left, child_lib.Child.POLL_SECONDS)
      )
    self._child.kill()
    return None


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
