# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Processes that measure in bursts, on request.

Frameworks are compared by alternating bursts, each framework in a separate
process with its own thread settings. Between bursts a process waits for a line
on its standard input, so that the others have the machine to themselves.

A request and its reply are one line of JSON each: `{"make": name, "settings":
{...}}` prepares a measurement, including warm-up, and `{"burst": index,
"settings": {...}}` runs it once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import contextlib
import json
import os
import pathlib
import resource
import signal
import subprocess
import sys
import time
from typing import Any

from jaxnas.records import workdir

Facts = dict[str, Any]
"""JSON-compatible values, by name."""

Maker = Callable[..., tuple[Facts, Callable[..., Facts]]]
"""`**settings -> (facts, burst)`, where `burst` is `**settings -> facts`."""

_ROOT = pathlib.Path(__file__).resolve().parents[1]
# Threads that wait for work spin for some milliseconds before they sleep.
_REST_SECONDS = 0.05


class Worker:
  """A process that measures.

  Attributes:
    module: the module that the process runs.
  """

  def __init__(self, module: str, environment: Mapping[str, str]):
    """Starts the process; `facts` waits until it is ready.

    Args:
      module: a module that calls `serve` when run.
      environment: all environment variables of the process except the search
        path.
    """
    self.module = module
    self._facts: Facts | None = None
    paths = [str(_ROOT), environment.get('PYTHONPATH', '')]
    self._process = subprocess.Popen(
      [sys.executable, '-m', module],
      env={**environment, 'PYTHONPATH': os.pathsep.join(filter(None, paths))},
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      text=True,
      # An interruption from the keyboard should reach only the benchmark, which
      # then closes its workers.
      start_new_session=True,
    )

  @property
  def facts(self) -> Facts:
    """The facts that the process reports about itself and its device."""
    if self._facts is None:
      self._facts = self.receive()
    return self._facts

  def make(self, name: str, **settings: Any) -> Measurement:
    """Prepares a measurement; `settings` are the arguments of its maker."""
    assert self.facts
    self.send(make=name, settings=settings)
    facts = self.receive()
    return Measurement(self, facts.pop('index'), facts)

  def send(self, **request: Any) -> None:
    """Sends one request."""
    assert self._process.stdin
    try:
      self._process.stdin.write(json.dumps(request) + '\n')
      self._process.stdin.flush()
    except BrokenPipeError:
      raise self._failure(None) from None

  def receive(self) -> Facts:
    """Waits for the reply; raises `ChildProcessError` if there is none."""
    assert self._process.stdout
    line = self._process.stdout.readline()
    reply = json.loads(line) if line else {}
    if 'facts' not in reply:
      raise self._failure(reply.get('error'))
    return reply['facts']

  def kill(self) -> None:
    """Kills the process and all that it started; `receive` then fails.

    Another thread may call it while this one waits for a reply.
    """
    if self._process.poll() is None:
      # The process leads a group, to which what it starts belongs.
      with contextlib.suppress(ProcessLookupError):
        os.killpg(self._process.pid, signal.SIGKILL)

  def close(self) -> None:
    """Ends the process."""
    self.kill()
    self._process.communicate()

  def __enter__(self) -> Worker:
    return self

  def __exit__(self, *exception: object) -> None:
    self.close()

  def _failure(self, reason: str | None) -> ChildProcessError:
    if reason is None:
      reason = f'it ended with code {self._process.wait()}'
    return ChildProcessError(f'{self.module} failed: {reason}')


class Measurement:
  """Something that a worker measures.

  Attributes:
    facts: the facts from the worker's preparation of the measurement.
  """

  def __init__(self, worker: Worker, index: int, facts: Facts):
    self.facts = facts
    self._worker = worker
    self._index = index

  def burst(self, **settings: Any) -> Facts:
    """Measures once."""
    return burst_together([self], **settings)[0]

  def start(self, **settings: Any) -> None:
    """Starts a burst."""
    self._worker.send(burst=self._index, settings=settings)

  def finish(self) -> Facts:
    """Waits for the burst that was started."""
    return self._worker.receive()


def burst_together(
  measurements: list[Measurement], **settings: Any
) -> list[Facts]:
  """Measures once with several workers at the same time."""
  time.sleep(_REST_SECONDS)
  for measurement in measurements:
    measurement.start(**settings)
  return [measurement.finish() for measurement in measurements]


def alternate(
  bursts: Mapping[str, Callable[[], Any]], num_repeats: int
) -> dict[str, list[Any]]:
  """Runs bursts in turn, repeatedly; returns the results of each."""
  results: dict[str, list[Any]] = {name: [] for name in bursts}
  for _ in range(num_repeats):
    for name, burst in bursts.items():
      results[name].append(burst())
  return results


def peak_bytes() -> int:
  """Returns the peak memory of this process so far, in bytes."""
  unit = 1 if sys.platform == 'darwin' else 1024
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def serve(makers: Mapping[str, Maker], describe: Callable[[], Facts]) -> None:
  """Answers requests on standard input until it ends.

  Args:
    makers: the measurements, by name.
    describe: a function that returns the facts sent before the first request.
  """
  # Replies go to the real standard output, and other prints to standard error.
  replies = os.fdopen(os.dup(1), 'w')
  os.dup2(2, 1)
  bursts: list[Callable[..., Facts]] = []

  def answer(function: Callable[..., Facts], **settings: Any) -> None:
    try:
      reply = {'facts': workdir.plain_json(function(**settings))}
    except Exception as error:  # The other side decides what to do.
      reply = {'error': f'{type(error).__name__}: {error}'}
    replies.write(json.dumps(reply) + '\n')
    replies.flush()

  def make(name: str, settings: Facts) -> Facts:
    facts, burst = makers[name](**settings)
    bursts.append(burst)
    return {**facts, 'index': len(bursts) - 1}

  answer(describe)
  for line in sys.stdin:
    request = json.loads(line)
    if 'make' in request:
      answer(make, name=request['make'], settings=request['settings'])
    else:
      answer(bursts[request['burst']], **request['settings'])
