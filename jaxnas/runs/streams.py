# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Standard streams that may be closed, full or unable to encode text."""

from __future__ import annotations

import contextlib
import os
import sys


def prepare() -> None:
  """Makes every standard stream safe to write to.

  A stream that was closed when the process started is redirected to nowhere.
  Otherwise the next file opened would get its descriptor, and messages of
  libraries would be written into the middle of that file. Characters that a
  stream cannot encode, for example in the name of a folder, are escaped.
  """
  for descriptor in range(3):
    try:
      os.fstat(descriptor)
    except OSError:
      # This gets the lowest free number, which is the stream's own.
      os.open(os.devnull, os.O_RDWR)
  for name in ('stdout', 'stderr'):
    stream = getattr(sys, name)
    if stream is None:
      _discard(name)
    elif hasattr(stream, 'reconfigure'):
      stream.reconfigure(errors='backslashreplace')


def flush(probe: str = '') -> str:
  """Flushes standard output.

  Args:
    probe: text to write as well, which detects an earlier failed write whose
      text has been dropped.

  Returns:
    `''`, or one line on why standard output cannot be written; in that case its
    buffer is dropped, so that later writes do not fail.
  """
  try:
    print(probe, end='', flush=True)
  except BrokenPipeError:
    _discard('stdout')
    return 'the reader of standard output has gone away'
  except OSError as error:
    _discard('stdout')
    return f'standard output cannot be written: {error.strerror or error}'
  except ValueError:  # It was closed in the meantime.
    _discard('stdout')
  return ''


def _discard(name: str) -> None:
  """Redirects a standard stream to nowhere."""
  stream = getattr(sys, name)
  if stream is not None and stream is not getattr(sys, f'__{name}__'):
    # A temporary replacement, such as pytest's, is not ours to discard.
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
