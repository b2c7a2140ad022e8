# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Latency on this machine, measured: how long one forward pass takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
import contextlib
import json
import os
import time
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnas.records import trial_log, workdir

NUM_WARM = 3
"""The number of calls to warm up, which are not timed."""

NUM_CALLS = 20
"""The number of calls whose median is the latency."""


class Program(NamedTuple):
  """A function to be measured, with its arguments.

  Attributes:
    function: a pure function of arrays.
    arguments: the function's arguments, pytrees of arrays.
  """

  function: Callable[..., Any]
  arguments: tuple[Any, ...]


def measure(program: Program, num_calls: int = NUM_CALLS) -> float:
  """Returns the latency of a compiled program in milliseconds.

  The program is compiled, called a few times to warm up, and then timed until
  its result is there; the median of the timed calls is robust to a passing load
  on the machine, but not to a lasting one.

  Args:
    program: the program.
    num_calls: the number of calls that are timed.
  """
  compiled = jax.jit(program.function).lower(*program.arguments).compile()
  seconds = []
  for _ in range(NUM_WARM + num_calls):
    start = time.perf_counter()
    jax.block_until_ready(compiled(*program.arguments))
    seconds.append(time.perf_counter() - start)
  return 1e3 * float(np.median(seconds[NUM_WARM:]))


class Latency:
  """The latency of architectures as a cost, each measured once.

  A measurement never gives the same number twice. Within `kept`, every result
  is on disk before it is used, so a run that is killed and resumed continues
  with the same numbers.
  """

  def __init__(
    self,
    make_program: Callable[[Any], Program],
    part_of: Callable[[Any], Any] = lambda architecture: architecture,
  ):
    """Starts with nothing measured.

    Args:
      make_program: the function that makes the program of an architecture.
      part_of: the function that gives the part of an architecture on which its
        program depends; architectures that share it are measured once.
    """
    self._make_program, self._part_of = make_program, part_of
    # Kept in containers, which do not count among what decides a run.
    self._known: dict[str, float] = {}
    self._lines: list[trial_log.JsonLines] = []

  @contextlib.contextmanager
  def kept(self, path: str | os.PathLike[str]) -> Iterator[None]:
    """Reads what was measured before, and keeps what is measured from now on.

    Args:
      path: the file of measurements, made if it is missing.

    Raises:
      ValueError: the file is damaged, or another process uses it.
    """
    with trial_log.JsonLines(path) as lines:
      fields: Mapping[str, Any] = {'key': str, 'latency_ms': float}
      trial_log.check_fields(lines.path, lines.lines, **fields)
      kept = {each['key']: each['latency_ms'] for each in lines.lines}
      lines.append(
        [
          {'key': key, 'latency_ms': latency}
          for key, latency in self._known.items()
          if key not in kept
        ]
      )
      self._known |= kept
      self._lines.append(lines)
      try:
        yield
      finally:
        self._lines.remove(lines)

  def __call__(self, architecture: Any) -> float:
    """Returns the latency of an architecture in milliseconds."""
    part = self._part_of(architecture)
    key = json.dumps(workdir.plain_json(part.to_json()))
    if key not in self._known:
      latency = measure(self._make_program(part))
      for lines in self._lines:
        lines.append([{'key': key, 'latency_ms': latency}])
      self._known[key] = latency
    return self._known[key]
