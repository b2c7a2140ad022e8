# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The main loop of a worker's process; `child` is the other end.

This module does not import JAX, so a process starts in a fraction of a second
and holds no device unless its servant asks for one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import contextlib
import multiprocessing
from multiprocessing import connection
import os
import pickle
import signal
import sys
import threading
import time
from typing import Any, NamedTuple, NoReturn

from jaxnas import errors
from jaxnas.workers import engine, process_tree


class Ready(NamedTuple):
  """A process's first message.

  Attributes:
    card: the servant's card.
    reason: one line on why there is no servant; empty if there is one.
  """

  card: Mapping[str, str]
  reason: str = ''


class Answer(NamedTuple):
  """The outcome of a request.

  Attributes:
    number: the number of the request.
    answer: the pickled answer.
    reason: one line on why there is no answer; empty if there is one.
    seconds: the time that the servant worked on the request, in seconds.
  """

  number: int
  answer: bytes
  reason: str = ''
  seconds: float = 0.0


def serve(
  requests: connection.Connection,
  answers: connection.Connection,
  factory: bytes,
) -> None:
  """Answers requests until the other end of the connection is closed.

  A `Ready` is sent first. A process that the servant or the main script forks
  also gets here if it does not exit by itself; it is ended without answering.

  Args:
    requests: the connection that delivers requests, each a pickled
      `(number, pickled request)`.
    answers: the connection that takes an `Answer` to each request, in pieces.
    factory: a pickled function without arguments that makes the servant.
  """
  parent = multiprocessing.parent_process()
  if parent is not None and parent.pid != os.getppid():
    _leave_fork('the main script')
  asked = os.getpid()
  leave_with_parent()
  process_tree.adopt_orphans()
  # Whatever a user's code raises, even by `sys.exit()`, is reported rather than
  # propagated.
  try:
    error: BaseException | None = None
    servant = pickle.loads(factory)()
    card = {str(name): str(each) for name, each in servant.card().items()}
  except BaseException as raised:
    error = raised
  if os.getpid() != asked:
    _leave_fork("a worker's module", error)
  if error is not None:
    send_in_pieces(answers, Ready({}, errors.describe(error)))
    return
  send_in_pieces(answers, Ready(card))
  while True:
    try:
      number, request = pickle.loads(requests.recv_bytes())
    except (EOFError, OSError):
      return
    answer, error = _answer(servant, number, request)
    if os.getpid() != asked:
      _leave_fork('a worker', error)
    send_in_pieces(answers, answer)


def _answer(
  servant: engine.Servant, number: int, request: bytes
) -> tuple[Answer, BaseException | None]:
  started = time.perf_counter()
  try:
    answer, error = pickle.dumps(servant(pickle.loads(request))), None
    reason = ''
  except BaseException as raised:
    answer, error = b'', raised
    is_told = isinstance(raised, RefusalError)
    reason = str(raised) if is_told else errors.describe(raised)
  seconds = time.perf_counter() - started
  return Answer(number, answer, reason, seconds), error


class RefusalError(Exception):
  """A servant's own line on why it has no answer."""


_MORE, _LAST = b'+', b'.'
# The bytes that a pipe takes as a whole or not at all, less the header that a
# connection adds.
_PIECE_BYTES = 4000


def send_in_pieces(pipe: connection.Connection, message: Any) -> None:
  """Sends a message so that the reader never has to wait for a part of it.

  A sender may be stopped at any time, and no reader should hang because of it.
  Hence a message is cut into pieces that a pipe takes as a whole.

  Args:
    pipe: the connection to send by.
    message: the message, of any type that can be pickled.
  """
  data = memoryview(pickle.dumps(message))
  for start in range(0, len(data), _PIECE_BYTES):
    piece = data[start : start + _PIECE_BYTES]
    is_last = start + _PIECE_BYTES >= len(data)
    pipe.send_bytes((_LAST if is_last else _MORE) + piece)


def make_reader() -> Callable[[bytes], Any]:
  """Returns a function that joins the pieces of `send_in_pieces`.

  The function takes one piece. It returns the message if this piece is its
  last, else `None`. Anything that `send_in_pieces` did not send is skipped.
  """
  pieces: list[bytes] = []

  def read(piece: bytes) -> Any:
    if piece[:1] not in (_MORE, _LAST):
      return None
    pieces.append(piece[1:])
    if piece[:1] == _MORE:
      return None
    data = b''.join(pieces)
    pieces.clear()
    return pickle.loads(data)

  return read


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


def leave_with_parent() -> None:
  """Makes this process and all that it starts end together with its parent."""
  if hasattr(os, 'setsid'):
    # Ctrl-C should reach only the parent, which then ends this group.
    os.setsid()
    # Discards any Ctrl-C so far, which `child` has kept pending.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    if before is not None:
      signal.signal(signal.SIGINT, before)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
  else:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
  parent = multiprocessing.parent_process()
  if parent is None:
    return
  process_tree.wake_with_parent()

  def watch():
    connection.wait([parent.sentinel])
    process_tree.end(os.getpid())
    if hasattr(os, 'killpg'):
      os.killpg(0, signal.SIGKILL)
    os._exit(1)

  threading.Thread(target=watch, daemon=True).start()
