# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Detects logs that belong to another run.

Every line of a log has a checksum, but a log copied from another run's folder
is valid in itself. `logs.json` therefore holds a checksum of the first line of
each log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
import json
import pathlib
from typing import Any
import zlib

from jaxnas.records import round_log, trial_log, workdir

Heads = Callable[[], Mapping[str, Any]]
"""A function that returns the first line of each non-empty log, by file name.

Called again for each comparison, since logs grow."""

_FILE = 'logs.json'


def of(*logs: trial_log.JsonLines) -> dict[str, Any]:
  """Returns the first line of each non-empty log, by file name."""
  return {log.path.name: log.lines[0] for log in logs if log.lines}


def of_search(
  trials: Sequence[trial_log.Trial], rounds: Sequence[round_log.Round]
) -> dict[str, Any]:
  """Returns the first line of each non-empty log of a search, by file name.

  Args:
    trials: the trials of `trials.jsonl`.
    rounds: the rounds of `rounds.jsonl`.
  """
  firsts: dict[str, Any] = {}
  if trials:
    firsts['trials.jsonl'] = trials[0].to_json()
  if rounds:
    firsts['rounds.jsonl'] = rounds[0].to_json()
  return firsts


def check(folder: pathlib.Path, heads: Heads) -> None:
  """Checks that the logs are those of the run; writes nothing.

  A folder written by an older version has no record, and passes.

  Args:
    folder: the folder of the run.
    heads: the first lines of its logs.

  Raises:
    ValueError: a log belongs to another run.
  """
  path = folder / _FILE
  noted = workdir.read_json(path) if path.exists() else {}
  for name, checksum in _checksums(heads).items():
    if noted.get(name, checksum) != checksum:
      raise ValueError(
        f'{folder / name} does not begin as this run began it, so it belongs '
        f'to another run; restore it from a copy, or, if it is the right one, '
        f'remove {path}.'
      )


@contextlib.contextmanager
def guard(folder: pathlib.Path, heads: Heads) -> Iterator[None]:
  """Checks that the logs are those of the run, and records new ones.

  A run killed before it has recorded a log accepts any file under that name
  when it is resumed.

  Args:
    folder: the folder of the run.
    heads: the first lines of its logs.

  Raises:
    ValueError: a log belongs to another run.
  """
  check(folder, heads)
  note(folder, heads)
  try:
    yield
  finally:
    # A full disk here is not worth an error.
    with contextlib.suppress(OSError):
      note(folder, heads)


def note(folder: pathlib.Path, heads: Heads) -> None:
  """Records how a run's logs begin, for example after they were restarted.

  Args:
    folder: the folder of the run.
    heads: the first lines of its logs.
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
