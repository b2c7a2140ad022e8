# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The main loop of a worker process; see `pool`.

This module does not import JAX, so a worker starts in a fraction of a second
and holds no device unless its function asks for one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import contextlib
import math
import multiprocessing
from multiprocessing import connection
import os
import pickle
import signal
import sys
import threading
from typing import Any, NamedTuple, NoReturn

from jaxnas import errors
from jaxnas.workers import process_tree


class Call(NamedTuple):
  """A call for a worker to make.

  Attributes:
    number: the call's number, which identifies it within a worker.
    arguments: the pickled arguments, `(value, seed, named arguments)`.
  """

  number: int
  arguments: bytes


class Answer(NamedTuple):
  """The result of a call.

  Attributes:
    number: the number of the call.
    error: one line on why there are no values; empty if there are.
    values: the numbers that the function returned, by name; a single number is
      the `'reward'`.
  """

  number: int
  error: str
  values: Mapping[str, float] = {}


def serve(pipe: connection.Connection, function: bytes) -> None:
  """Answers calls until the other end of the pipe is closed.

  An initial `Answer` with number 0 tells whether the function could be loaded.
  A process forked by the function or the main script also gets here if it does
  not exit by itself; it is ended without answering.

  Args:
    pipe: the connection that delivers calls and takes an `Answer` for each.
    function: the pickled function, `(value, seed) -> reward`, which returns a
      number or a mapping.
  """
  parent = multiprocessing.parent_process()
  if parent is not None and parent.pid != os.getppid():
    _leave_fork('the main script')
  asked = os.getpid()
  _leave_with_parent()
  process_tree.adopt_orphans()
  try:
    error: BaseException | None = None
    loaded = pickle.loads(function)
  except BaseException as raised:
    error = raised
  if os.getpid() != asked:
    _leave_fork("the function's module", error)
  if error is not None:
    pipe.send(Answer(0, errors.describe(error)))
    return
  pipe.send(Answer(0, ''))
  while True:
    try:
      call = pipe.recv()
    except (EOFError, OSError):
      return
    answer, error = _answer(loaded, call)
    if os.getpid() != asked:
      _leave_fork('the function', error)
    pipe.send(answer)


def _answer(
  function: Callable[..., Any], call: Call
) -> tuple[Answer, BaseException | None]:
  # Whatever the function raises, even by `sys.exit()`, is reported rather than
  # propagated; and of its result only numbers leave the process.
  try:
    value, seed, settings = pickle.loads(call.arguments)
    result = function(value, seed, **settings)
  except BaseException as error:
    return Answer(call.number, errors.describe(error)), error
  try:
    named = dict(result) if isinstance(result, Mapping) else {'reward': result}
    if 'reward' not in named:
      names = ', '.join(map(str, named)) or 'nothing'
      return Answer(
        call.number,
        errors.shorten(f"the mapping needs a 'reward', got {names}"),
      ), None
    values = {str(name): _number(name, each) for name, each in named.items()}
    return Answer(call.number, '', values), None
  except TypeError as error:
    return Answer(call.number, errors.shorten(str(error))), None
  except BaseException as error:
    return Answer(call.number, errors.describe(error)), None


def _number(name: object, value: object) -> float:
  """Returns a function's result, or a part of it, as a number."""
  try:
    if isinstance(value, str | bytes | bytearray):
      raise TypeError
    return float(value)  # type: ignore[arg-type]  # Any failure is caught.
  except OverflowError:
    return math.inf
  except BaseException:
    what = 'a number' if name == 'reward' else f'a number as {name!r}'
    raise TypeError(f'expected {what}, got a {type(value).__name__}') from None


def _leave_fork(who: str, error: BaseException | None = None) -> NoReturn:
  """Ends a forked process, as Python would at the end of a script."""
  code = 0
  if isinstance(error, SystemExit):
    code = error.code if isinstance(error.code, int) else bool(error.code)
  elif error is not None:
    code = 1
    print(
      f'A process forked by {who} ended with {errors.describe(error)}',
      file=sys.stderr,
    )
  # Buffers that cannot be written are lost.
  for stream in (sys.stdout, sys.stderr):
    with contextlib.suppress(Exception):
      stream.flush()
  os._exit(code & 0xFF)


def _leave_with_parent() -> None:
  """Makes this process, and all it starts, end together with its parent."""
  if hasattr(os, 'setsid'):
    # Ctrl-C should reach only the parent, which then ends this group.
    os.setsid()
  else:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
  parent = multiprocessing.parent_process()
  if parent is None:
    return

  def watch():
    connection.wait([parent.sentinel])
    process_tree.end(os.getpid())
    if hasattr(os, 'killpg'):
      os.killpg(0, signal.SIGKILL)
    os._exit(1)

  threading.Thread(target=watch, daemon=True).start()
