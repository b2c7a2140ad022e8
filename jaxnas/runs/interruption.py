# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Ctrl-C ends a program within seconds, whatever it is doing.

Python tells the main thread of an interruption once that comes back from what
it has called, and a block of children is one call of XLA, of minutes; then the
teardown of the interpreter waits for XLA's threads, or crashes over them. Here
the main thread gets a few seconds to close what it has open. After that, or at
a second Ctrl-C, the process ends where it stands, which loses nothing: what a
run has recorded is on disk, and worker processes end with this one.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import os
import signal
import socket
import sys
import threading
import time
from typing import NoReturn

EXIT_CODE = 130
"""The exit code after an interruption, as shells have it."""

GRACE_SECONDS = 3.0
"""How long the main thread has, to close what it has open."""

# A pipe that nobody reads can hold up even the last words.
_LAST_WORDS_SECONDS = 1.0
_SHOW_CURSOR = '\x1b[?25h'
_is_leaving = threading.Lock()


@contextlib.contextmanager
def watched(line: str, grace_seconds: float = GRACE_SECONDS) -> Iterator[None]:
  """Ends the process if an interruption has not ended the context in time.

  The main thread gets its `KeyboardInterrupt` as ever. Elsewhere than in the
  main thread, where no signal arrives, nothing is watched.

  Args:
    line: what is then said on standard error.
    grace_seconds: how long the context has.

  Yields:
    Nothing.
  """
  if threading.current_thread() is not threading.main_thread():
    yield
    return
  # Bytes are written here by the handler in C, which waits for no thread.
  receiver, sender = socket.socketpair()
  sender.setblocking(False)
  before = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
  threading.Thread(
    target=_watch, args=(receiver, line, grace_seconds), daemon=True
  ).start()
  try:
    yield
  finally:
    signal.set_wakeup_fd(before)
    sender.close()


def leave(line: str = '', exit_code: int = EXIT_CODE) -> NoReturn:
  """Ends the process at once, without the interpreter's teardown.

  Args:
    line: said on standard error first.
    exit_code: of the process.
  """
  # Who comes second waits for the end.
  _is_leaving.acquire()
  speaker = threading.Thread(target=_say, args=(line,), daemon=True)
  speaker.start()
  speaker.join(_LAST_WORDS_SECONDS)
  os._exit(exit_code)


def _watch(receiver: socket.socket, line: str, grace_seconds: float) -> None:
  with receiver:
    deadline = None
    while True:
      if deadline is not None:
        receiver.settimeout(max(0.01, deadline - time.monotonic()))
      try:
        numbers = receiver.recv(4096)
      except TimeoutError:
        leave(line)
      if not numbers:
        return
      for _ in range(numbers.count(signal.SIGINT)):
        if deadline is not None:
          leave(line)
        deadline = time.monotonic() + grace_seconds


def _say(line: str) -> None:
  # A live display puts others in the places of `sys.stdout` and `sys.stderr`.
  for stream in (sys.__stdout__, sys.__stderr__):
    # None where it was closed at the start.
    if stream is not None:
      with contextlib.suppress(OSError, ValueError):
        if stream is sys.__stdout__ and stream.isatty():
          stream.write(_SHOW_CURSOR)
        if line and stream is sys.__stderr__:
          stream.write(f'{line}\n')
        stream.flush()
