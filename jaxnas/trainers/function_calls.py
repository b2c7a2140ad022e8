# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Calls of a Python function in flight, and a search's queue of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import contextlib
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxnas.types import Status, Trained
from jaxnas.workers import dispatcher as dispatcher_lib
from jaxnas.workers.tasks import Part

if TYPE_CHECKING:
  import jax


class Calls:
  """The calls in flight, in blocks that are taken as a whole.

  Attributes:
    dispatcher: the dispatcher that gives calls to workers.
    seconds: the time spent waiting for calls so far, in seconds.
  """

  def __init__(self, dispatcher: dispatcher_lib.Dispatcher):
    """Begins without calls.

    Args:
      dispatcher: the dispatcher that gives calls to workers; it has no other
        requests.
    """
    self.dispatcher = dispatcher
    self.seconds = 0.0
    self._last_number = 0
    # The dispatcher's numbers for the calls of each block, and the outcomes of
    # the calls that are finished.
    self._blocks: dict[int, list[int]] = {}
    self._parts: dict[int, Part] = {}

  def __contains__(self, number: int) -> bool:
    """Returns whether a block has been neither taken nor dropped."""
    return number in self._blocks

  def submit(self, requests: Sequence[Any]) -> int:
    """Adds a block of calls.

    Args:
      requests: the requests to `function_servant`, one per call.

    Returns:
      The number by which `take` knows the block.

    Raises:
      ValueError: no worker can start.
    """
    self._last_number += 1
    calls = self._blocks[self._last_number] = []
    with self._all_or_none():
      for request in requests:
        calls.append(self.dispatcher.submit(request))
    return self._last_number

  def wait(self) -> None:
    """Waits until at least one call is finished, if there are any.

    Raises:
      ValueError: no worker can start.
    """
    started = time.perf_counter()
    with self._all_or_none():
      # A call is never split.
      for number, (part,) in self.dispatcher.collect():
        self._parts[number] = part
    self.seconds += time.perf_counter() - started

  def take(self, number: int) -> list[Part] | None:
    """Returns the outcomes of a block in order, once, if all are finished."""
    calls = self._blocks[number]
    if not all(call in self._parts for call in calls):
      return None
    del self._blocks[number]
    return [self._parts.pop(call) for call in calls]

  @contextlib.contextmanager
  def _all_or_none(self) -> Iterator[None]:
    try:
      yield
    except BaseException:
      # An interruption, or a worker that cannot start: no call may continue.
      self.dispatcher.cancel()
      self._blocks.clear()
      self._parts.clear()
      raise


class CallQueue:
  """The calls of a search; see `queues.TrainingQueue`.

  Attributes:
    block_size: the number of calls in a block.
  """

  def __init__(
    self, calls: Calls, make_requests: Callable[..., Any], block_size: int
  ):
    """Opens the queue.

    Args:
      calls: the calls in flight.
      make_requests: a function that makes the requests of calls,
        `(architectures, keys, num_steps) -> requests`.
      block_size: the number of calls in a block.
    """
    self.block_size = block_size
    self._calls, self._make_requests = calls, make_requests
    self._numbers: list[int] = []

  @property
  def num_wanted(self) -> int:
    """The number of further blocks that would keep every worker busy now."""
    return -(-self._calls.dispatcher.num_wanted // self.block_size)

  def tell_lag(self, lag: Callable[[], float | None]) -> None:
    """Makes the line on workers say how many groups a search is behind.

    Args:
      lag: a function that returns the number; see `queues.EvaluationQueue`.
    """
    self._calls.dispatcher.lag = lag

  def submit(
    self,
    architectures: Sequence[Any],
    keys: jax.Array,
    learning_rates: np.ndarray | Sequence[float] = (),
    num_steps: int = 1,
    **ignored: Any,
  ) -> int:
    """Adds a block; the arguments are those of `FunctionTrainer.run`."""
    del learning_rates, ignored
    number = self._calls.submit(
      self._make_requests(architectures, keys, num_steps)
    )
    self._numbers.append(number)
    return number

  def collect(self) -> list[tuple[int, Trained]]:
    """Waits for at least one block; see `queues.TrainingQueue`."""
    while True:
      # An interruption drops all blocks in flight.
      self._numbers = [each for each in self._numbers if each in self._calls]
      finished = [
        (number, to_trained(parts))
        for number in self._numbers
        if (parts := self._calls.take(number)) is not None
      ]
      if finished or not self._numbers:
        return finished
      self._calls.wait()


def to_trained(outcomes: Sequence[Part]) -> Trained:
  """Returns the outcomes of `N` calls as those of children.

  Args:
    outcomes: the outcomes, whose answers come from `function_servant`.
  """
  return Trained(
    metrics=_metrics(outcomes),
    status=np.array([outcome.status for outcome in outcomes], np.int32),
    reasons=tuple(outcome.reason for outcome in outcomes),
  )


def _metrics(outcomes: Sequence[Part]) -> dict[str, np.ndarray]:
  """Returns the numbers that calls returned, by name; NaN where missing."""
  answers = [
    each.answer if each.status is Status.OK else {} for each in outcomes
  ]
  names = dict.fromkeys(name for each in answers for name in each)
  metrics = {
    name: np.array([each.get(name, np.nan) for each in answers])
    for name in names
  }
  for name, split in (('reward', 'validation'), ('report', 'report')):
    if name in metrics:
      metrics[f'{split}_reward'] = metrics.pop(name)
  return metrics
