# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""What a worker process does; see `worker_pool`.

This module imports no jax, so that a worker starts in a fraction of a second
and has no device, unless the function that it runs asks for one.
"""

from __future__ import annotations

from collections.abc import Callable
import multiprocessing
from multiprocessing import connection
import os
import pickle
import signal
import threading
from typing import Any, NamedTuple

_MAX_LENGTH = 500


class Answer(NamedTuple):
  """What became of a call.

  Attributes:
    error: why there is no value, a line; empty where there is one.
    value: what the function returned, as a number.
    is_number: false where it returned something else, which `error` tells.
  """

  error: str
  value: float = 0.0
  is_number: bool = True


def serve(pipe: connection.Connection, function: bytes) -> None:
  """Answers calls until the other end of the pipe is closed.

  First it tells by an `Answer` whether the function could be loaded.

  Args:
    pipe: gets pickled `(value, seed)`, and sends an `Answer` for each.
    function: `(value, seed) -> reward`, pickled.
  """
  _leave_with_parent()
  try:
    loaded = pickle.loads(function)
  except BaseException as error:
    pipe.send(Answer(describe(error)))
    return
  pipe.send(Answer(''))
  while True:
    try:
      call = pipe.recv_bytes()
    except (EOFError, OSError):
      return
    pipe.send(_answer(loaded, call))


def describe(error: BaseException) -> str:
  """Returns the kind and the message of an error as one short line."""
  try:
    message = ' '.join(str(error).split())
  except Exception:
    message = ''
  kind = type(error).__name__
  return shorten(f'{kind}: {message}' if message else kind)


def shorten(line: str) -> str:
  """Returns a line, cut where it is too long for a log."""
  return line if len(line) <= _MAX_LENGTH else f'{line[:_MAX_LENGTH]}...'


def _answer(function: Callable[[Any, int], Any], call: bytes) -> Answer:
  # Whatever the function does, even `sys.exit()`, is told and not done; and
  # nothing that it returned leaves the process but a number.
  try:
    result = function(*pickle.loads(call))
  except BaseException as error:
    return Answer(describe(error))
  try:
    if isinstance(result, str | bytes | bytearray):
      raise TypeError
    return Answer('', float(result))
  except BaseException:
    return Answer(
      f'expected a number, got a {type(result).__name__}', is_number=False
    )


def _leave_with_parent() -> None:
  """Ends this process, and all that it starts, with the one that began it."""
  if hasattr(os, 'setsid'):
    # Ctrl-C is for the parent, which then ends this group.
    os.setsid()
  else:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
  parent = multiprocessing.parent_process()
  if parent is None:
    return

  def watch():
    connection.wait([parent.sentinel])
    if hasattr(os, 'killpg'):
      os.killpg(0, signal.SIGKILL)
    os._exit(1)

  threading.Thread(target=watch, daemon=True).start()
