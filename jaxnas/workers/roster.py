# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The workers that a dispatcher has, and which of them are idle."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
import dataclasses

from jaxnas.workers.tasks import Task


@dataclasses.dataclass(eq=False)
class Member:
  """A worker that has joined.

  Attributes:
    name: the worker's name.
    device: the device that it runs on, as its card says.
    task: the task that it works on, if any.
    number: the number of the request that it works on.
    kinds: the kinds of requests that it has answered since it was started.
  """

  name: str
  device: str
  task: Task | None = None
  number: int | None = None
  kinds: set[Hashable] = dataclasses.field(default_factory=set)


class Roster:
  """The workers that have joined and not left.

  Attributes:
    members: the workers, by name.
    has_joined: whether any worker has ever joined.
    num_dismissed: the number of workers that differed from the others.
    refusals: why workers could not be started, by name.
    alone_since: when the last worker that had been given a task left, or
      `start` was called.
  """

  def __init__(self, expected: Mapping[str, str]):
    """Starts without workers.

    Args:
      expected: what a worker's card must say, by name.
    """
    self._expected = dict(expected)
    self._idle: dict[str, None] = {}
    self.members: dict[str, Member] = {}
    self.has_joined = False
    self.num_dismissed = 0
    self.refusals: dict[str, str] = {}
    self.alone_since = 0.0

  @property
  def idle(self) -> list[str]:
    """The names of the workers that have nothing to do."""
    return list(self._idle)

  def choose(self, task: Task, anywhere: bool = False) -> list[str]:
    """Returns the idle workers that a task may be given to.

    Args:
      task: the task, which goes where it has not failed before.
      anywhere: whether it may also go where it has, if it has everywhere.
    """
    others = [name for name in self.members if name not in task.raised_by]
    if not others and anywhere:
      return self.idle
    return [name for name in self._idle if name in others]

  def find_difference(self, card: Mapping[str, str]) -> str:
    """Returns how a worker differs from the others; `''` if it does not.

    What no card has said before is expected of all later ones.

    Args:
      card: the worker's card.
    """
    expected = {**card, **self._expected}
    for name, value in card.items():
      if value != expected[name]:
        return f'its {name} is {value}, not {expected[name]} as elsewhere'
    self._expected = expected
    return ''

  def add(self, name: str, card: Mapping[str, str]) -> None:
    """Adds an idle worker."""
    self.has_joined = True
    self.refusals.pop(name, None)
    self.members[name] = Member(name, card.get('device', ''))
    self._idle[name] = None

  def dismiss(self, name: str) -> None:
    """Removes a worker for good."""
    self.num_dismissed += 1
    self.members.pop(name, None)
    self._idle.pop(name, None)

  def remove(self, name: str, now: float) -> Task | None:
    """Removes a worker and returns the task that it had."""
    member = self.members.pop(name)
    self._idle.pop(name, None)
    # A worker that ends as soon as it has joined does not count.
    if member.task is not None or member.kinds:
      self.alone_since = now
    if member.task is not None:
      member.task.running.pop(name, None)
    return member.task

  def give(self, name: str, number: int, task: Task, now: float) -> None:
    """Notes that an idle worker was given a task."""
    member = self.members[name]
    member.task, member.number = task, number
    del self._idle[name]
    task.num_attempts += 1
    task.running[name] = now

  def free(self, name: str, kind: Hashable) -> None:
    """Notes that a worker is done with its task, of some kind."""
    member = self.members[name]
    assert member.task is not None
    del member.task.running[name]
    member.task = member.number = None
    member.kinds.add(kind)
    self._idle[name] = None
