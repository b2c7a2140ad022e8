# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tells the logs of a run from those of another run.

Every line of a log is sealed, but a log that was copied from another run's
folder is sound in itself. So `logs.json` holds a checksum of the first line of
each log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
import contextlib
import json
import pathlib
from typing import Any
import zlib

from jaxnas.records import trial_log, workdir

Heads = Callable[[], Mapping[str, Any]]
"""Returns the first line of each log that has one, by the file's name."""

_FILE = 'logs.json'


def of(*logs: trial_log.JsonLines) -> dict[str, Any]:
  """Returns the first line of each log that has one, by the file's name."""
  return {log.path.name: log.lines[0] for log in logs if log.lines}


@contextlib.contextmanager
def guard(folder: pathlib.Path, heads: Heads) -> Iterator[None]:
  """Compares the logs with those that the run wrote, and notes the new ones.

  A run that is killed before it has noted a log accepts whatever it finds under
  that name when it goes on.

  Args:
    folder: of the run.
    heads: of its logs.

  Raises:
    ValueError: a log is that of another run.
  """
  path = folder / _FILE
  noted = workdir.read_json(path) if path.exists() else {}
  for name, checksum in _checksums(heads).items():
    if noted.get(name, checksum) != checksum:
      raise ValueError(
        f'{folder / name} does not begin as this run began it, so it is of '
        f'another run; restore it from a copy, or, if it is the right one, '
        f'remove {path}.'
      )
  note(folder, heads)
  try:
    yield
  finally:
    # Not worth an error where the disk is full.
    with contextlib.suppress(OSError):
      note(folder, heads)


def note(folder: pathlib.Path, heads: Heads) -> None:
  """Notes how the logs of a run begin, as after they have begun anew.

  Args:
    folder: of the run.
    heads: of its logs.
  """
  path, now = folder / _FILE, _checksums(heads)
  if now and (not path.exists() or workdir.read_json(path) != now):
    workdir.write_json(path, now, sealed=True)
  elif not now:
    path.unlink(missing_ok=True)


def _checksums(heads: Heads) -> dict[str, str]:
  return {
    name: f'{zlib.crc32(json.dumps(line, sort_keys=True).encode()):08x}'
    for name, line in heads().items()
  }
