# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Says what a program is waiting for when the wait is long."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import threading

from absl import logging

FIRST_SECONDS = 15.0
"""The time until the first message; the time to each later one doubles."""


@contextlib.contextmanager
def told(what: str) -> Iterator[None]:
  """Logs now and then that the context is still going on.

  Args:
    what: the work in the context, such as `'compiling a program'`.

  Yields:
    Nothing.
  """
  is_done = threading.Event()

  def tell():
    passed = FIRST_SECONDS
    while not is_done.wait(passed if passed == FIRST_SECONDS else passed / 2):
      logging.warning('Still %s, for %.0f s so far.', what, passed)
      passed *= 2

  threading.Thread(target=tell, daemon=True).start()
  try:
    yield
  finally:
    is_done.set()
