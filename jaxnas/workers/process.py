# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""What a worker process does; see `pool`.

This module imports no jax, so that a worker starts in a fraction of a second
and has no device, unless the function that it runs asks for one.
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
  """What a worker is asked.

  Attributes:
    number: tells calls of a worker apart.
    arguments: `(value, seed, named arguments)`, pickled.
  """

  number: int
  arguments: bytes


class Answer(NamedTuple):
  """What became of a call.

  Attributes:
    number: the call's.
    error: why there are no values, a line; empty where there are.
    values: what the function returned, as numbers by name; a lone number is the
      `'reward'`.
  """

  number: int
  error: str
  values: Mapping[str, float] = {}


def serve(pipe: connection.Connection, function: bytes) -> None:
  """Answers calls until the other end of the pipe is closed.

  First it tells by an `Answer` of number 0 whether the function could be
  loaded. A process that is forked meanwhile, by the function or the main
  script, gets here too when it does not leave by itself; it never answers.

  Args:
    pipe: gets calls, and sends an `Answer` for each.
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
  """Returns the kind of an error, its place and its message as a short line."""
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
  """Returns what is the same where a function fails again the same way.

  Args:
    reason: as `describe` gives it, whose message may tell of single values; any
      other line is the same only where all of it is.
  """
  kind, _, _ = reason.partition(': ')
  return kind if ' at ' in kind else reason


def shorten(line: str) -> str:
  """Returns a line, cut where it is too long for a log."""
  return line if len(line) <= _MAX_LENGTH else f'{line[:_MAX_LENGTH]}...'


def _place(error: BaseException) -> str:
  """Returns the file and line that raised an error, as `'train.py:7'`.

  It is the last one of a person's own code, where there is any: what an
  installed package does inside of itself says less.
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
  # Such as '<frozen importlib._bootstrap>', or what no file holds.
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
  # Whatever the function does, even `sys.exit()`, is told and not done; and
  # nothing that it returned leaves the process but numbers.
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
  """Returns a value that a function returned as a number."""
  try:
    if isinstance(value, str | bytes | bytearray):
      raise TypeError
    return float(value)  # type: ignore[arg-type]  # Any other is found out.
  except OverflowError:
    return math.inf
  except BaseException:
    what = 'a number' if name == 'reward' else f'a number as {name!r}'
    raise TypeError(f'expected {what}, got a {type(value).__name__}') from None


def _leave_fork(who: str, error: BaseException | None = None) -> NoReturn:
  """Ends a process that was forked, as Python would at the end of a script."""
  code = 0
  if isinstance(error, SystemExit):
    code = error.code if isinstance(error.code, int) else bool(error.code)
  elif error is not None:
    code = 1
    print(
      f'A process that {who} forked ends by {describe(error)}',
      file=sys.stderr,
    )
  # What it left in its buffers is lost where they cannot be written.
  for stream in (sys.stdout, sys.stderr):
    with contextlib.suppress(Exception):
      stream.flush()
  os._exit(code & 0xFF)


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
    process_tree.end(os.getpid())
    if hasattr(os, 'killpg'):
      os.killpg(0, signal.SIGKILL)
    os._exit(1)

  threading.Thread(target=watch, daemon=True).start()
