# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The log of what happened to workers: one line of JSON per event.

Nothing is read back by a search, so that a lost line harms nobody: lines are
written at once, but no line is waited for until it is on disk.
"""

from __future__ import annotations

from collections.abc import Mapping
import contextlib
import json
import os
import time
from typing import Any

FILE_NAME = 'events.jsonl'
"""The file's name in the folder of a run."""


class EventLog:
  """Appends events to a file."""

  def __init__(self, path: str | os.PathLike):
    """Opens the file, creating it if needed.

    Args:
      path: the file. A line that was cut short stays; the next begins anew.
    """
    self._file = open(path, 'a+b')  # noqa: SIM115  # Closed by `close`.
    self._file.seek(0, os.SEEK_END)
    if self._file.tell():
      self._file.seek(-1, os.SEEK_END)
      if self._file.read(1) != b'\n':
        self._file.write(b'\n')

  def write(self, event: Mapping[str, Any]) -> None:
    """Appends an event, with the time; a full disk loses it.

    Args:
      event: the event, which `json.dumps` accepts.
    """
    record = {'time': round(time.time(), 3), **event}
    with contextlib.suppress(OSError):
      self._file.write(json.dumps(record).encode() + b'\n')
      self._file.flush()

  def close(self) -> None:
    """Closes the file."""
    with contextlib.suppress(OSError):
      self._file.close()

  def __enter__(self) -> EventLog:
    return self

  def __exit__(self, *exc_info: object) -> None:
    self.close()
