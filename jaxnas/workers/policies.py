# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""What a dispatcher does about failed requests, whether calls or blocks.

This module does not import JAX.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
import math
from typing import Any, Protocol

import numpy as np

from jaxnas import errors
from jaxnas.types import Status
from jaxnas.workers.tasks import Durations

MIN_DEADLINE_SECONDS = 60.0
"""The shortest time limit of a block."""

COMPILE_SECONDS = 600.0
"""The extra time that a process has to compile for its first block of a kind.

Once such first blocks are finished, it is three times the longest of them.
"""

FIRST_BLOCK_SECONDS = 7200.0
"""The time limit of a block while no block of its kind has been finished.

It ends blocks that hang forever, and should be longer than any block takes.
"""

_MIN_AGE_SECONDS = 1.0


class Policy(Protocol):
  """The knowledge about requests that a dispatcher needs.

  Attributes:
    num_retries: the number of times to retry a request whose worker died or
      took too long.
    verb: the participle for what is done to a request, such as `'called'`.
    stops_at_error: whether an error that a servant raises twice stops the
      search; if not, such a request is retried like any other that failed.
  """

  num_retries: int
  verb: str
  stops_at_error: bool

  def describe(self, number: int, request: Any) -> str:
    """Returns a request in words, for a line of a log."""

  def size(self, request: Any) -> int:
    """Returns the number of trials of a request."""

  def kind(self, request: Any) -> Hashable:
    """Returns a key that is shared by the requests that take about as long."""

  def split(self, request: Any) -> Sequence[Any]:
    """Returns two halves of a request; empty if there is just one trial."""

  def judge(self, answer: Any) -> tuple[Status, str]:
    """Returns the status of an answer, and why it is not `OK`."""

  def deadline(self, durations: Durations, is_first: bool) -> float:
    """Returns the time limit of a request, in seconds.

    Args:
      durations: the durations of other requests of its kind.
      is_first: whether it is the first of its kind in a worker's process.
    """

  def explain_limit(self, limit: float) -> str:
    """Returns the reason why a request failed that took too long.

    Args:
      limit: the time limit of the request, in seconds.
    """

  def copy_after(self, durations: Durations) -> float:
    """Returns the age at which an idle worker runs a copy, in seconds.

    Args:
      durations: the durations of other requests of its kind.
    """

  def explain(self, reason: str) -> str:
    """Returns the line of an error that says why no worker can be started."""


class Functions:
  """Calls of a Python function; see `Policy`.

  A request is one of `function_servant`. A call may change files or anything
  else, so no copy of it may run at the same time.
  """

  verb = 'called'
  stops_at_error = False

  def __init__(self, name: str, num_retries: int, timeout_seconds: float):
    """Makes a policy.

    Args:
      name: the function's name, including its module.
      num_retries: the number of times to retry a failed call.
      timeout_seconds: the time limit of a call, in seconds.
    """
    self._name = name
    self.num_retries = num_retries
    self._timeout = timeout_seconds

  def describe(self, number: int, request: Any) -> str:
    """Returns the call in words."""
    del number
    value, seed, _ = request
    name = self._name.rpartition('.')[2]
    return f'{name}({errors.shorten(repr(value))}, seed={seed})'

  def size(self, request: Any) -> int:
    """Returns 1."""
    del request
    return 1

  def kind(self, request: Any) -> Hashable:
    """Returns `None`: calls are alike."""
    del request
    return None

  def split(self, request: Any) -> Sequence[Any]:
    """Returns nothing: a call cannot be split."""
    del request
    return ()

  def judge(self, answer: Mapping[str, float]) -> tuple[Status, str]:
    """Returns the status of what a call returned."""
    reward = answer['reward']
    if is_finite(reward):
      return Status.OK, ''
    return (
      Status.NOT_FINITE,
      f'the reward is {reward}, which is not finite as a float32',
    )

  def deadline(self, durations: Durations, is_first: bool) -> float:
    """Returns the time limit of a call."""
    del durations, is_first
    return self._timeout

  def explain_limit(self, limit: float) -> str:
    """Returns the reason why a call failed that took too long."""
    return f'it took longer than {limit:g} s'

  def copy_after(self, durations: Durations) -> float:
    """Returns infinity: a call is never copied."""
    del durations
    return math.inf

  def explain(self, reason: str) -> str:
    """Returns the line of an error that says why no worker can be started."""
    if reason.startswith(ENDED):
      how = reason.removeprefix(ENDED).strip()
      return (
        f'A worker process ended while starting ({how}): either the import of '
        f'{self._name} ends it, or the main script starts workers outside of '
        "`if __name__ == '__main__':`; start them there."
      )
    return (
      f'A worker process cannot import {self._name} ({reason}); put it into a '
      'file of its own that a fresh Python can import.'
    )


ENDED = 'it ended while starting with'
"""The beginning of the reason if a process ended before it had a servant."""


class Block(Protocol):
  """A request for several children to be trained.

  Attributes:
    num_children: the number of children.
    kind: a key that is shared by the blocks that take about as long.
  """

  num_children: int
  kind: Hashable

  def describe(self) -> str:
    """Returns the block in a few words."""

  def split(self) -> Sequence[Block]:
    """Returns two halves, or nothing if there is just one child."""


class Blocks:
  """Blocks of children; see `Policy`.

  A request is a `Block`. Its result depends on nothing else, so it may run
  twice.
  """

  verb = 'run'
  stops_at_error = True

  def __init__(
    self,
    num_retries: int = 1,
    first_block_timeout: float = FIRST_BLOCK_SECONDS,
  ):
    """Makes a policy.

    Args:
      num_retries: the number of times to retry a block whose worker died,
        before it is split.
      first_block_timeout: the time limit, in seconds, of a block while no block
        of its kind has been finished.
    """
    self.num_retries = num_retries
    self._first_block_timeout = first_block_timeout

  def describe(self, number: int, request: Block) -> str:
    """Returns the block in words."""
    return f'block {number} ({request.describe()})'

  def size(self, request: Block) -> int:
    """Returns the number of children."""
    return request.num_children

  def kind(self, request: Block) -> Hashable:
    """Returns the kind of the block."""
    return request.kind

  def split(self, request: Block) -> Sequence[Any]:
    """Returns two halves of the block."""
    return request.split()

  def judge(self, answer: Any) -> tuple[Status, str]:
    """Returns `OK`: each child of a block has a status of its own."""
    del answer
    return Status.OK, ''

  def deadline(self, durations: Durations, is_first: bool) -> float:
    """Returns 60 s or five times the median, longer for a first block.

    While there is no median, the limit is `first_block_timeout`.
    """
    if durations.median is None:
      return self._first_block_timeout
    limit = max(MIN_DEADLINE_SECONDS, 5 * durations.median)
    if not is_first:
      return limit
    if durations.longest_first is None:
      return limit + COMPILE_SECONDS
    return limit + 3 * durations.longest_first

  def explain_limit(self, limit: float) -> str:
    """Returns the reason why a block failed that took too long."""
    reason = f'it took longer than {limit:g} s'
    if limit != self._first_block_timeout:
      return reason
    name = errors.choose('--first_block_timeout', 'first_block_timeout')
    return f'{reason}, the {name} while none has been finished'

  def copy_after(self, durations: Durations) -> float:
    """Returns twice the median."""
    if durations.median is None:
      return math.inf
    return max(_MIN_AGE_SECONDS, 2 * durations.median)

  def explain(self, reason: str) -> str:
    """Returns the line of an error that says why no worker can be started."""
    return f'No worker can be started: {reason}.'


class LongTrainings(Blocks):
  """Blocks of one long training each; see `Policy`.

  A training writes to a folder of its own, so no copy of it may run at the same
  time. It has no time limit, and a retry continues from that folder.
  """

  def deadline(self, durations: Durations, is_first: bool) -> float:
    """Returns infinity: a long training has no limit."""
    del durations, is_first
    return math.inf

  def copy_after(self, durations: Durations) -> float:
    """Returns infinity: a long training is never copied."""
    del durations
    return math.inf


def is_finite(value: float) -> bool:
  """Returns whether a number is finite as a float32, as rewards are."""
  try:
    with np.errstate(over='ignore'):
      return bool(np.isfinite(np.float32(value)))
  except OverflowError:  # An integer beyond the range of a float.
    return False
