# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Makes Ctrl-C end a program within seconds, whatever it is doing.

Python delivers an interruption to the main thread only when the current call
returns, and a block of children is one call of XLA that can take minutes; then
the interpreter's shutdown waits for XLA's threads or crashes because of them.
Here the main thread gets a few seconds to clean up. After that, or at a second
Ctrl-C, the process exits immediately. Nothing is lost: everything a run has
recorded is on disk, and worker processes end with this one.
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
"""The exit code after an interruption, following the shells' convention."""

GRACE_SECONDS = 3.0
"""The time that the main thread has to clean up."""

# A pipe that nobody reads can block even the final message.
_LAST_WORDS_SECONDS = 1.0
_SHOW_CURSOR = '\x1b[?25h'
_is_leaving = threading.Lock()


@contextlib.contextmanager
def watched(line: str, grace_seconds: float = GRACE_SECONDS) -> Iterator[None]:
  """Ends the process if an interruption does not end the context in time.

  The main thread gets its `KeyboardInterrupt` as usual. Other threads receive
  no signals, so there the context does nothing.

  Args:
    line: the message to print on standard error before the process is ended.
    grace_seconds: the time that the context has to end, in seconds.

  Yields:
    Nothing.
  """
  if threading.current_thread() is not threading.main_thread():
    yield
    return
  # The C signal handler writes to this socket without waiting for a thread.
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
  """Ends the process at once, without shutting down the interpreter.

  Args:
    line: the message to print on standard error first.
    exit_code: the exit code of the process.
  """
  # A second caller waits here until the process ends.
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
  # A live display replaces `sys.stdout` and `sys.stderr`.
  for stream in (sys.__stdout__, sys.__stderr__):
    # A stream that was closed at the start is None.
    if stream is not None:
      with contextlib.suppress(OSError, ValueError):
        if stream is sys.__stdout__ and stream.isatty():
          stream.write(_SHOW_CURSOR)
        if line and stream is sys.__stderr__:
          stream.write(f'{line}\n')
        stream.flush()
