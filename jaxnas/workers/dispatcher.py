# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Gives requests to workers, and decides what becomes of those that fail.

- A request whose worker died is tried again; when its retries are spent it is
  split into halves, and a single trial has then crashed. A request that takes
  too long is treated in the same way.
- A request is not blamed for a machine that left.
- An error that a block raises twice, on two workers if there are two, stops the
  search; an error of a user's function only fails its trial.
- A block that takes long while a worker is idle is run there too, and the
  first result counts.
- A worker that differs from the others, by its card, is dismissed.

A `Policy` knows which of these apply. This module does not import JAX.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Hashable, Mapping
import pickle
import sys
import time
from typing import Any

from absl import logging

from jaxnas import errors
from jaxnas.types import Status
from jaxnas.workers import roster as roster_lib
from jaxnas.workers import status_line
from jaxnas.workers.engine import Engine, Event, Kind
from jaxnas.workers.policies import Policy
from jaxnas.workers.tasks import Durations, Job, Part, Task

_WAIT_SECONDS = 1.0
# How long a block waits for another worker than the one that it failed on.
_OTHER_SECONDS = 60.0


class Dispatcher:
  """Gives requests to workers; they are finished in any order.

  Attributes:
    lag: what tells how many groups of trials a search is behind, for the line
      that is printed every ten seconds.
  """

  def __init__(
    self,
    engine: Engine,
    factory: bytes,
    policy: Policy,
    *,
    worker_timeout: float = 600.0,
    expected: Mapping[str, str] | None = None,
    write_event: Callable[[Mapping[str, Any]], None] = lambda event: None,
    clock: Callable[[], float] = time.monotonic,
  ):
    """Makes a dispatcher, whose workers are started by the first request.

    Args:
      engine: the workers, which are the dispatcher's own from here on.
      factory: a pickled function without arguments that makes a servant.
      policy: what to do about requests that fail.
      worker_timeout: how long to wait while there is no worker, in seconds.
      expected: what a worker's card must say, by name. What is not in it must
        agree with the first worker's.
      write_event: takes a record of each event.
      clock: returns the time in seconds.
    """
    self.lag: Callable[[], float | None] = lambda: None
    self._engine = engine
    self._factory = factory
    self._policy = policy
    self._worker_timeout = worker_timeout
    self._write_event = write_event
    self._clock = clock
    self._is_started = self._is_closed = False
    self._roster = roster_lib.Roster(expected or {})
    self._queue: collections.deque[Task] = collections.deque()
    self._jobs: dict[int, Job] = {}
    self._finished: list[tuple[int, list[Part]]] = []
    self._durations: dict[Hashable, Durations] = {}
    self._last_number = 0
    self._last_attempt = 0
    self._line = status_line.StatusLine(clock)

  @property
  def num_workers(self) -> int:
    """The number of workers there should be."""
    return self._engine.num_workers - self._roster.num_dismissed

  @property
  def num_wanted(self) -> int:
    """The number of further requests that would keep every worker busy."""
    return max(0, self.num_workers - len(self._jobs))

  def submit(self, request: Any) -> int:
    """Adds a request and returns the number by which `collect` names it.

    Args:
      request: the request, which can be pickled.

    Raises:
      ValueError: the workers have been ended.
    """
    if self._is_closed:
      raise ValueError('The workers have been ended; make new ones.')
    if not self._is_started:
      self._is_started = True
      self._roster.alone_since = self._clock()
      self._engine.start(self._factory)
    was_idle = not self._jobs
    self._last_number += 1
    job = Job(self._last_number)
    job.tasks.append(Task(job, request))
    self._jobs[job.number] = job
    self._queue.append(job.tasks[0])
    if was_idle:
      # A worker may have died while nobody looked.
      for event in self._engine.wait(0):
        self._take(event)
    self._assign()
    return job.number

  def collect(self) -> list[tuple[int, list[Part]]]:
    """Waits until at least one request is finished.

    Returns:
      The numbers of all requests that have been finished since the last call,
      and their parts in order; empty if none is left.

    Raises:
      ValueError: no worker can be started or none came in time, or a block
        raised an error twice.
    """
    while self._jobs and not self._finished:
      for event in self._engine.wait(self._seconds_to_wait()):
        self._take(event)
      # What has come in the meantime is in time.
      self._check_deadlines()
      self._check_workers()
      self._assign()
      self._print_line()
    finished, self._finished = self._finished, []
    return finished

  def cancel(self) -> None:
    """Drops all requests, and ends what workers do for them."""
    for job in self._jobs.values():
      job.is_dropped = True
    self._jobs.clear()
    self._queue.clear()
    self._finished.clear()
    for member in list(self._roster.members.values()):
      if member.task is not None:
        self._stop(member.name)

  def close(self) -> None:
    """Ends all workers."""
    self._is_closed = True
    self._engine.close()

  def _take(self, event: Event) -> None:
    """Takes note of an event."""
    if event.kind is Kind.JOINED:
      self._welcome(event)
    elif event.kind is Kind.REFUSED:
      self._take_refusal(event)
    elif event.kind in (Kind.ANSWERED, Kind.RAISED):
      self._take_answer(event)
    elif event.worker in self._roster.members:  # Else it was stopped from here.
      self._take_loss(event)

  def _welcome(self, event: Event) -> None:
    """Takes a worker in, or dismisses it if it differs."""
    difference = self._roster.find_difference(event.card)
    if not difference:
      self._roster.add(event.worker, event.card)
      self._record(event)
      return
    logging.warning('%s does not take part: %s.', event.worker, difference)
    self._record(event._replace(reason=difference), what='dismissed')
    self._roster.dismiss(event.worker)
    self._engine.dismiss(event.worker)
    if self.num_workers < 1:
      raise ValueError(f'No worker is left: {event.worker}: {difference}.')

  def _take_refusal(self, event: Event) -> None:
    """Takes note of a worker that cannot be started."""
    roster = self._roster
    if roster.refusals.get(event.worker) != event.reason:
      roster.refusals[event.worker] = event.reason
      self._record(event)
      if roster.has_joined:
        logging.warning('%s does not start: %s.', event.worker, event.reason)
    if roster.members or self._engine.num_starting:
      return
    if not roster.has_joined:
      raise ValueError(self._policy.explain(event.reason))
    if not self._policy.stops_at_error and self._queue:
      # A function's module may have changed, or its machine is full.
      reason = self._policy.explain(event.reason).removesuffix('.')
      self._fail(self._queue.popleft(), Status.CRASHED, reason)

  def _take_loss(self, event: Event) -> None:
    """Takes note of a worker that has ended, and of what it worked on."""
    self._record(event, self._roster.members[event.worker].task)
    task = self._roster.remove(event.worker, self._clock())
    if event.kind is Kind.DIED and task is not None and task.is_open:
      self._fail(task, Status.CRASHED, event.reason)
      return
    reason = f': {event.reason}' if event.reason else ''
    following = ''
    if task is not None and task.is_open:
      following = f'; {self._describe(task)} is {self._policy.verb} again'
      self._again(task)
    logging.warning(
      '%s %s%s%s.', event.worker, event.kind.value, reason, following
    )

  def _take_answer(self, event: Event) -> None:
    member = self._roster.members.get(event.worker)
    if member is None or member.number != event.number or member.task is None:
      return
    task, is_first = member.task, self._is_first(member)
    self._line.add_work(task.running[event.worker], event.seconds)
    self._roster.free(event.worker, self._policy.kind(task.request))
    self._record(event, task)
    if not task.is_open:
      return
    reason, answer = event.reason, None
    if event.kind is Kind.ANSWERED:
      try:
        answer = pickle.loads(event.answer)
      except Exception as error:
        reason = f'its answer cannot be read ({errors.describe(error)})'
    if reason:
      self._take_error(task, event.worker, reason)
      return
    self._durations_of(task).add(event.seconds, is_first)
    status, reason = self._policy.judge(answer)
    if status is not Status.OK:
      self._warn(task, status, reason, 'the trial fails')
    self._finish(task, Part(task.request, status, answer, reason))

  def _take_error(self, task: Task, worker: str, reason: str) -> None:
    """Decides what to do about an error that a servant raised."""
    if not self._policy.stops_at_error:
      self._fail(task, Status.FAILED, reason)
      return
    task.raised_by.append(worker)
    task.raised_at = self._clock()
    if len(task.raised_by) > 1:
      places = ' and '.join(dict.fromkeys(task.raised_by))
      raise ValueError(
        f'{self._describe(task)} failed twice, on {places}: {reason}'
      )
    again = f'it is {self._policy.verb} again'
    self._warn(task, Status.FAILED, f'{worker}: {reason}', again)
    self._again(task)

  def _fail(self, task: Task, status: Status, reason: str) -> None:
    """Tries a task again, splits it, or gives it up."""
    if not task.is_open:
      return
    task.num_failures += 1
    verb, retries = self._policy.verb, self._policy.num_retries
    if task.num_failures <= retries:
      self._warn(task, status, reason, f'it is {verb} again')
      self._again(task)
    elif task.running:
      self._warn(task, status, reason, 'a copy of it is still running')
    elif halves := self._policy.split(task.request):
      self._warn(task, status, reason, 'it is split')
      # What is left of it in one piece has had its retries.
      parts = [
        Task(task.job, half, retries if self._policy.size(half) > 1 else 0)
        for half in halves
      ]
      task.replace(parts)
      self._queue.extendleft(reversed(parts))
    else:
      often = task.num_attempts
      times = f'it was {verb} {often} times, and ' if often > 1 else ''
      self._warn(task, status, reason, f'{times}the trial fails')
      self._finish(task, Part(task.request, status, None, reason))

  def _again(self, task: Task) -> None:
    """Puts a task first in the queue, unless it runs elsewhere."""
    if task.is_open and not task.running:
      self._queue.appendleft(task)

  def _finish(self, task: Task, part: Part) -> None:
    task.result = part
    self._line.count(self._policy.size(task.request))
    parts = task.job.parts
    if parts is not None:
      del self._jobs[task.job.number]
      self._finished.append((task.job.number, parts))

  def _assign(self) -> None:
    """Gives tasks to idle workers, and copies of old ones if none waits."""
    left: list[Task] = []
    while self._queue and self._roster.idle:
      task = self._queue.popleft()
      # Those that are being started may never be, on a cluster that is full.
      patience = _OTHER_SECONDS if self._engine.num_starting else 0.0
      has_waited = self._clock() - task.raised_at >= patience
      if names := self._roster.choose(task, has_waited):
        self._send(task, names[0])
      else:
        left.append(task)
    self._queue.extendleft(reversed(left))
    if not self._queue:
      self._copy_old()

  def _copy_old(self) -> None:
    now = self._clock()
    old = []
    for member in self._roster.members.values():
      task = member.task
      if task is not None and task.is_open and len(task.running) == 1:
        age = now - task.running[member.name]
        if age > self._policy.copy_after(self._durations_of(task)):
          old.append((age, member.name, task))
    for age, name, task in sorted(old, key=lambda each: -each[0]):
      for idle in self._roster.choose(task)[:1]:
        what = self._describe(task)
        logging.warning(
          '%s takes %.0f s on %s; a copy runs on %s.', what, age, name, idle
        )
        self._send(task, idle)

  def _send(self, task: Task, name: str) -> None:
    self._last_attempt += 1
    self._roster.give(name, self._last_attempt, task, self._clock())
    self._engine.send(name, self._last_attempt, pickle.dumps(task.request))

  def _stop(self, name: str) -> Task | None:
    task = self._roster.remove(name, self._clock())
    self._engine.stop(name)
    return task

  def _limits(self) -> list[tuple[str, float, float]]:
    """Returns each busy worker, its time limit and when it ends."""
    return [
      (name, limit, member.task.running[name] + limit)
      for name, member in self._roster.members.items()
      if member.task is not None
      for limit in [
        self._policy.deadline(
          self._durations_of(member.task), self._is_first(member)
        )
      ]
    ]

  def _is_first(self, member: roster_lib.Member) -> bool:
    """Returns whether a worker's task may have to be compiled."""
    assert member.task is not None
    return self._policy.kind(member.task.request) not in member.kinds

  def _check_deadlines(self) -> None:
    """Stops workers that take too long."""
    now = self._clock()
    for name, limit, deadline in self._limits():
      if now >= deadline:
        reason = self._policy.explain_limit(limit)
        stopped = Event(name, Kind.STOPPED, reason=reason)
        self._record(stopped, self._roster.members[name].task)
        task = self._stop(name)
        assert task is not None
        if task.is_open:
          self._fail(task, Status.TIMED_OUT, reason)
        else:
          logging.warning('%s stopped: %s, as a late copy.', name, reason)

  def _seconds_to_wait(self) -> float:
    now = self._clock()
    first = min((end for _, _, end in self._limits()), default=now + 1)
    return min(_WAIT_SECONDS, max(0.0, first - now))

  def _check_workers(self) -> None:
    """Checks that there are workers, or that some may still come."""
    if self._roster.members or not self._jobs:
      return
    if self._clock() - self._roster.alone_since > self._worker_timeout:
      refusals = list(self._roster.refusals.values())
      reason = f' The last one: {refusals[-1]}.' if refusals else ''
      raise ValueError(
        f'No worker has been ready for {self._worker_timeout:g} s.{reason} '
        'What was recorded is kept; run the same again to go on.'
      )

  def _durations_of(self, task: Task) -> Durations:
    kind = self._policy.kind(task.request)
    return self._durations.setdefault(kind, Durations())

  def _print_line(self) -> None:
    line = self._line.update(
      num_workers=self.num_workers,
      num_ready=len(self._roster.members),
      num_starting=self._engine.num_starting,
      started=[
        member.task.running[name]
        for name, member in self._roster.members.items()
        if member.task is not None
      ],
      medians=[each.median for each in self._durations.values()],
      lag=self.lag(),
    )
    # A single worker has nothing to tell that its search does not.
    if line and self._engine.num_workers > 1:
      print(line, file=sys.stderr, flush=True)

  def _describe(self, task: Task) -> str:
    return self._policy.describe(task.job.number, task.request)

  def _warn(self, task: Task, status: Status, reason: str, following: str):
    """Says what happened to a task, and what happens next."""
    what = status.name.lower().replace('_', ' ')
    logging.warning(
      '%s %s: %s; %s.', self._describe(task), what, reason, following
    )

  def _record(
    self, event: Event, task: Task | None = None, what: str = ''
  ) -> None:
    """Writes an event, without what is not known."""
    member = self._roster.members.get(event.worker)
    record = {
      'event': what or event.kind.value,
      'worker': event.worker,
      'block': task.job.number if task else None,
      'attempt': task.num_attempts if task else None,
      'reason': event.reason or None,
      'seconds': round(event.seconds, 3) if event.seconds else None,
      'device': (member.device if member else event.card.get('device')) or None,
    }
    self._write_event(
      {name: each for name, each in record.items() if each is not None}
    )
