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
import pathlib
import pickle
import signal
import sys
import sysconfig
import threading
import traceback
from typing import Any, NamedTuple, NoReturn

from jaxnas.workers import process_tree

_MAX_LENGTH = 500


class Call(NamedTuple):
  """A call for a worker to make.

  Attributes:
    number: the call's number, which identifies it within a worker.
    arguments: `(value, seed, named arguments)`, pickled.
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
    function: `(value, seed) -> reward`, a number or a mapping, pickled.
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
    pipe.send(Answer(0, describe(error)))
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


def describe(error: BaseException) -> str:
  """Returns an error's type, location and message as one short line."""
  try:
    message = ' '.join(str(error).split())
  except Exception:
    message = ''
  kind = type(error).__name__
  place = _place(error)
  if place:
    kind = f'{kind} at {place}'
  return shorten(f'{kind}: {message}' if message else kind)


def kind_of(reason: str) -> str:
  """Returns the part of a reason that repeated failures have in common.

  Args:
    reason: the result of `describe`, whose message may quote particular values
      and is left out; any other line is returned whole.
  """
  kind, _, _ = reason.partition(': ')
  return kind if ' at ' in kind else reason


def shorten(line: str) -> str:
  """Returns a line, truncated if it is too long for a log."""
  return line if len(line) <= _MAX_LENGTH else f'{line[:_MAX_LENGTH]}...'


def _place(error: BaseException) -> str:
  """Returns the file and line that raised an error, such as `'train.py:7'`.

  The innermost frame of the user's own code is preferred, since frames inside
  installed packages are less informative.
  """
  frames = [
    frame
    for frame in traceback.extract_tb(error.__traceback__)
    if os.path.dirname(frame.filename) != os.path.dirname(__file__)
  ]
  own = [frame for frame in frames if not _is_installed(frame.filename)]
  if not frames:
    return ''
  frame = (own or frames)[-1]
  path = os.path.abspath(frame.filename)
  with contextlib.suppress(ValueError):  # On another drive.
    relative = os.path.relpath(path)
    path = path if relative.startswith(os.pardir) else relative
  return f'{path}:{frame.lineno}'


def _is_installed(path: str) -> bool:
  # Such as '<frozen importlib._bootstrap>', or code that is in no file.
  if path.startswith('<'):
    return True
  paths = sysconfig.get_paths()
  return any(
    pathlib.Path(path).is_relative_to(paths[name])
    for name in ('stdlib', 'platstdlib', 'purelib', 'platlib')
  )


def _answer(
  function: Callable[..., Any], call: Call
) -> tuple[Answer, BaseException | None]:
  # Whatever the function raises, even by `sys.exit()`, is reported rather than
  # propagated; and of its result only numbers leave the process.
  try:
    value, seed, settings = pickle.loads(call.arguments)
    result = function(value, seed, **settings)
  except BaseException as error:
    return Answer(call.number, describe(error)), error
  try:
    named = dict(result) if isinstance(result, Mapping) else {'reward': result}
    if 'reward' not in named:
      names = ', '.join(map(str, named)) or 'nothing'
      return Answer(
        call.number, shorten(f"the mapping needs a 'reward', got {names}")
      ), None
    values = {str(name): _number(name, each) for name, each in named.items()}
    return Answer(call.number, '', values), None
  except TypeError as error:
    return Answer(call.number, shorten(str(error))), None
  except BaseException as error:
    return Answer(call.number, describe(error)), None


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
      f'A process forked by {who} ended with {describe(error)}',
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
