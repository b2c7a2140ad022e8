# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Whether a compiled program fits into the memory that there is."""

from __future__ import annotations

from collections.abc import Iterator
import os
import pathlib

import jax

# What a container may use, of Linux's control groups of version 2 and 1.
_LIMITS = (
  pathlib.Path('/sys/fs/cgroup/memory.max'),
  pathlib.Path('/sys/fs/cgroup/memory/memory.limit_in_bytes'),
)


class NotEnoughMemoryError(ValueError):
  """A program needs more memory than its devices have."""


def needed(program: jax.stages.Compiled) -> int | None:
  """Returns the bytes that a program needs on each of its devices.

  Args:
    program: a compiled program.

  Returns:
    Arguments, results and what it works with, without what results share with
    arguments; `None` where the platform does not tell.
  """
  analysis = program.memory_analysis()
  if analysis is None:
    return None
  return (
    analysis.argument_size_in_bytes
    + analysis.output_size_in_bytes
    + analysis.temp_size_in_bytes
    - analysis.alias_size_in_bytes
  )


def available(device: jax.Device) -> int | None:
  """Returns the bytes of memory that a device has, if the platform tells.

  The devices of a CPU share the memory of the machine, or of the container;
  each is said to have all.
  """
  if device.platform != 'cpu':
    stats = device.memory_stats() or {}
    return stats.get('bytes_limit')
  try:
    total = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
  except (AttributeError, OSError, ValueError):  # Not a Unix.
    return None
  return min([total, *_container_limits()])


def _container_limits() -> Iterator[int]:
  """Yields the limits that there are; a huge one, or `'max'`, is none."""
  for path in _LIMITS:
    try:
      yield int(path.read_text())
    except (OSError, ValueError):
      continue


def check(
  program: jax.stages.Compiled,
  devices: list[jax.Device],
  what: str,
  advice: str,
) -> None:
  """Checks that a program fits before it runs.

  Args:
    program: a compiled program.
    devices: those it runs on.
    what: whose program it is, as `'A block of 8 children'`.
    advice: what to do about it, as `'make the block smaller'`.

  Raises:
    NotEnoughMemoryError: it does not; the estimate is told.
  """
  need, limit = needed(program), available(devices[0])
  if need is None or limit is None:
    return
  if devices[0].platform == 'cpu':
    need *= len(devices)
  if need > limit:
    raise NotEnoughMemoryError(
      f'{what} would need about {need / 2**30:.1f} GiB of memory, and there '
      f'are {limit / 2**30:.1f} GiB; {advice}.'
    )


def is_exhausted(error: Exception) -> bool:
  """Returns whether an error says that a device had no memory left."""
  return isinstance(error, NotEnoughMemoryError | MemoryError) or (
    isinstance(error, jax.errors.JaxRuntimeError)
    and 'RESOURCE_EXHAUSTED' in str(error)
  )
