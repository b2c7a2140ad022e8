# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The standard streams of a program: closed, full, or of a narrow alphabet."""

from __future__ import annotations

import contextlib
import os
import sys


def prepare() -> None:
  """Makes every standard stream one that can be written to.

  A stream that was closed when the process began goes nowhere from now on.
  Otherwise its descriptor would be that of the next file which is opened, and
  what libraries say would be written into the middle of that. A character that
  a stream can not show, as in the name of a folder, is spelled by its number.
  """
  for descriptor in range(3):
    try:
      os.fstat(descriptor)
    except OSError:
      # It gets the lowest number that is free, which is this one.
      os.open(os.devnull, os.O_RDWR)
  for name in ('stdout', 'stderr'):
    stream = getattr(sys, name)
    if stream is None:
      _discard(name)
    elif hasattr(stream, 'reconfigure'):
      stream.reconfigure(errors='backslashreplace')


def flush(probe: str = '') -> str:
  """Writes out what standard output still holds.

  Args:
    probe: written too. What a failed write has dropped is not held any more.

  Returns:
    Nothing, or else a line that says why it can not be written; what it still
    held is then dropped, so that nothing fails over it once more.
  """
  try:
    print(probe, end='', flush=True)
  except BrokenPipeError:
    _discard('stdout')
    return 'the reader of the standard output has left'
  except OSError as error:
    _discard('stdout')
    return f'the standard output can not be written: {error.strerror or error}'
  except ValueError:  # It was closed on the way.
    _discard('stdout')
  return ''


def _discard(name: str) -> None:
  """Puts a stream that goes nowhere in the place of a standard one."""
  stream = getattr(sys, name)
  if stream is not None and stream is not getattr(sys, f'__{name}__'):
    # What stands in its place for a while, as pytest's does, is not ours.
    return
  nowhere = os.open(os.devnull, os.O_RDWR)
  if stream is not None:
    with contextlib.suppress(OSError, ValueError):
      os.dup2(nowhere, stream.fileno())
      os.close(nowhere)
      stream.flush()
      return
  replaced = os.fdopen(nowhere, 'w', encoding='utf-8', errors='replace')
  setattr(sys, name, replaced)
  setattr(sys, f'__{name}__', replaced)
