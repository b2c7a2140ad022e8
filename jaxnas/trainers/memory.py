# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Checks whether a compiled program fits into memory."""

from __future__ import annotations

from collections.abc import Iterator
import os
import pathlib

import jax

# The memory limit of a container, in Linux control groups v2 and v1.
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
    The size of arguments, results and temporaries, counting memory that results
    share with arguments once; `None` if the platform does not report it.
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
  """Returns the bytes of memory of a device, if the platform reports it.

  The devices of a CPU share the memory of the machine or container; each is
  reported to have all of it.
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
  """Yields the limits that are set; a huge one, or `'max'`, means none."""
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
    devices: the devices that it runs on.
    what: the subject of the error message, such as `'A block of 8 children'`.
    advice: the remedy in the error message, such as `'make the block smaller'`.

  Raises:
    NotEnoughMemoryError: the program does not fit; the message gives the
      estimate.
  """
  need, limit = needed(program), available(devices[0])
  if need is None or limit is None:
    return
  if devices[0].platform == 'cpu':
    need *= len(devices)
  if need > limit:
    raise NotEnoughMemoryError(
      f'{what} would need about {need / 2**30:.1f} GiB of memory, but only '
      f'{limit / 2**30:.1f} GiB are available; {advice}.'
    )


def is_exhausted(error: Exception) -> bool:
  """Returns whether an error means that a device ran out of memory."""
  return isinstance(error, NotEnoughMemoryError | MemoryError) or (
    isinstance(error, jax.errors.JaxRuntimeError)
    and 'RESOURCE_EXHAUSTED' in str(error)
  )
