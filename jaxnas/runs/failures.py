# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""One-line messages for errors caused by the user or the machine."""

from __future__ import annotations

import jax

from jaxnas.trainers import memory


def describe(error: Exception) -> str | None:
  """Returns a one-line message for an error; `None` if it is our bug.

  Args:
    error: the error that ended a run.
  """
  text = ' '.join(str(error).split())
  if isinstance(error, ValueError):
    return text or type(error).__name__
  if isinstance(error, OSError):
    if not error.strerror:
      return text or type(error).__name__
    parts = [error.strerror, error.filename]
    return ': '.join(str(part) for part in parts if part is not None)
  if memory.is_exhausted(error):
    reason = f' ({text.rstrip(".")})' if text else ''
    return (
      f'there is not enough memory{reason}; make batches, blocks or networks '
      'smaller, or free some.'
    )
  if isinstance(error, jax.errors.JaxRuntimeError):
    return f'the device failed: {text} (--debug shows where).'
  return None
