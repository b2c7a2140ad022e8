# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The log of a run's trials: an append-only file, one line per trial.

A process killed while writing leaves at most its last line truncated. That line
is dropped when the file is next opened; it was never reported as written.

Every line ends with a checksum, `"crc32"`, of the file up to and including it:
the lines without their checksums, each with its newline. A changed, lost or
moved line is thereby detected. Older versions wrote no checksums, so the first
lines may lack them; once a line has one, all later lines do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import json
import os
import pathlib
import re
from typing import Any, NamedTuple
import zlib

from absl import logging

from jaxnas import files
from jaxnas.records import trials as trials_lib
from jaxnas.records import workdir

RETRAIN = trials_lib.RETRAIN
INFEASIBLE = trials_lib.INFEASIBLE
Trial = trials_lib.Trial


class JsonLines:
  """A file of JSON objects, one per line, that is read and then appended to.

  Attributes:
    path: the file.
    lines: the objects in the file, including those appended.
  """

  def __init__(self, path: str | os.PathLike):
    """Opens the file, creating it if needed.

    Args:
      path: the file. A truncated last line is removed, with a warning.

    Raises:
      ValueError: a line other than a truncated last one is damaged, or the file
        is in use.
    """
    self.path = pathlib.Path(path)
    # Unbuffered, so that a failed write is not retried later.
    self._file = open(self.path, 'a+b', buffering=0)  # noqa: SIM115
    try:
      files.lock(self._file.fileno(), self.path)
      self._file.seek(0)
      content = self._file.read()
      parsed = _parse(self.path, content)
    except BlockingIOError:
      self._file.close()
      raise workdir.WorkdirBusyError(
        f'{self.path} is in use by another process, or already open in this '
        'one; wait until that ends, or start in another folder.'
      ) from None
    except BaseException:
      self._file.close()
      raise
    self.lines, self._checksum = parsed.objects, parsed.checksum
    if parsed.num_bytes < len(content):
      logging.warning(
        '%s: line %d was cut in the middle; its %d bytes are dropped.',
        self.path,
        len(self.lines) + 1,
        len(content) - parsed.num_bytes,
      )
      self._file.truncate(parsed.num_bytes)

  def append(self, objects: Sequence[Mapping[str, Any]]) -> None:
    """Writes one line per object; returns once they are on disk.

    Args:
      objects: the objects, as `workdir.plain_json` accepts them.

    Raises:
      OSError: not everything could be written. The file is closed; reopen it.
    """
    plain = [workdir.plain_json(entry) for entry in objects]
    lines, checksum = [], self._checksum
    for entry in plain:
      body = json.dumps(entry, separators=(',', ':'), allow_nan=False).encode()
      checksum = zlib.crc32(body + b'\n', checksum)
      lines.append(b'%s,"crc32":"%08x"}\n' % (body[:-1], checksum))
    data = memoryview(b''.join(lines))
    try:
      while data:
        data = data[self._file.write(data) :]
      files.sync(self._file.fileno(), self.path)
    except OSError as error:
      # The file may end in a partial line, after which nothing may be added.
      self.close()
      raise OSError(error.errno, error.strerror, str(self.path)) from None
    self._checksum = checksum
    self.lines.extend(plain)

  def set_aside(self) -> pathlib.Path:
    """Closes the file, renames it and returns its new path."""
    kept = self.path.with_name(f'{self.path.name}.{len(_kept(self.path)) + 1}')
    self.close()
    os.replace(self.path, kept)
    return kept

  def close(self) -> None:
    """Closes the file."""
    self._file.close()

  def __enter__(self):
    return self

  def __exit__(self, *exc_info) -> None:
    self.close()


class TrialLog:
  """The trials of a run, in the order of their numbers.

  Attributes:
    path: the log file.
    trials: all trials in the file, including those appended.
    earlier: the trials of the files set aside when the log was restarted,
      oldest first.
  """

  def __init__(self, path: str | os.PathLike):
    """Opens the log, creating it if needed.

    Args:
      path: the log file. A truncated last line is removed, with a warning.

    Raises:
      ValueError: another line is damaged, or a number is out of order, here or
        in a file that was set aside.
    """
    self.path = pathlib.Path(path)
    self._lines = JsonLines(path)
    try:
      self.trials = _to_trials(path, self._lines.lines)
      self.earlier = [
        trial for kept in _kept(self.path) for trial in read_trials(kept)
      ]
    except ValueError:
      self._lines.close()
      raise

  def append(self, trials: Sequence[Trial]) -> None:
    """Writes several trials; returns once they are on disk.

    Args:
      trials: the next trials; their numbers continue those in the log.

    Raises:
      ValueError: a number is out of order; nothing is written.
      OSError: not everything could be written. The log is closed; reopen it.
    """
    for number, trial in enumerate(trials, start=len(self.trials)):
      if trial.number != number:
        raise ValueError(
          f'The next trial of {self._lines.path} is number {number}, got '
          f'{trial.number}.'
        )
    self._lines.append([trial.to_json() for trial in trials])
    self.trials.extend(trials)

  def begin_anew(self) -> pathlib.Path:
    """Sets the file aside and starts an empty one.

    Returns:
      The new path of the old file.
    """
    kept = self._lines.set_aside()
    self._lines = JsonLines(self.path)
    self.earlier = [*self.earlier, *self.trials]
    self.trials = []
    return kept

  def close(self) -> None:
    """Closes the file."""
    self._lines.close()

  def __enter__(self) -> TrialLog:
    return self

  def __exit__(self, *exc_info) -> None:
    self.close()


def check_fields(
  path: str | os.PathLike,
  lines: Sequence[Mapping[str, Any]],
  **kinds: type | tuple[type, ...],
) -> None:
  """Checks that every line of a file has the given fields.

  Args:
    path: the file that messages name.
    lines: the objects in the file.
    **kinds: the type or types of each field; `float` also accepts integers.

  Raises:
    ValueError: a line lacks a field or has another type in it.
  """
  for number, line in enumerate(lines, start=1):
    for name, kind in kinds.items():
      value = line.get(name)
      accepted = kind if isinstance(kind, tuple) else (kind,)
      if float in accepted:
        accepted = (*accepted, int)
      if name not in line or type(value) not in accepted:
        told = repr(value) if name in line else 'missing'
        raise _damaged(path, number, f'its {name} is {told}')


def read_json_lines(path: str | os.PathLike) -> list[dict[str, Any]]:
  """Returns the objects in a file of JSON lines, without changing it.

  Args:
    path: the file; a truncated last line is ignored.

  Raises:
    ValueError: another line is damaged.
  """
  return _parse(path, pathlib.Path(path).read_bytes()).objects


def read_trials(path: str | os.PathLike) -> list[Trial]:
  """Returns the trials in a log, without changing it.

  Args:
    path: the log file; a truncated last line is ignored.

  Raises:
    ValueError: another line is damaged, or a number is out of order.
  """
  return _to_trials(path, read_json_lines(path))


def _kept(path: pathlib.Path) -> list[pathlib.Path]:
  """Returns the paths of a log's files that were set aside, oldest first."""
  found: list[pathlib.Path] = []
  while True:
    kept = path.with_name(f'{path.name}.{len(found) + 1}')
    if not kept.exists():
      return found
    found.append(kept)


class _Parsed(NamedTuple):
  """The content of a file: whole lines, their length, the last checksum."""

  objects: list[dict[str, Any]]
  num_bytes: int
  checksum: int


_SEAL = re.compile(rb',"crc32":"([0-9a-f]{8})"}$')


def _parse(path, content: bytes) -> _Parsed:
  *lines, rest = content.split(b'\n')
  objects: list[dict[str, Any]] = []
  checksum, is_sealed = 0, False
  for number, line in enumerate(lines, start=1):
    seal = _SEAL.search(line)
    body = line if seal is None else line[: seal.start()] + b'}'
    try:
      entry = json.loads(body)
      if not isinstance(entry, dict):
        raise ValueError('not an object')
    except (ValueError, RecursionError) as error:
      # A line with a proper ending was complete when it was written.
      if number == len(lines) and not rest and not line.endswith(b'}'):
        return _Parsed(objects, len(content) - len(line) - 1, checksum)
      raise _damaged(path, number, error) from None
    checksum = zlib.crc32(body + b'\n', checksum)
    if seal is not None and int(seal[1], 16) != checksum:
      raise _damaged(
        path, number, 'this line or one before it is not what was written'
      )
    if seal is None and is_sealed:
      raise _damaged(path, number, 'it has no checksum')
    is_sealed = seal is not None
    objects.append(entry)
  return _Parsed(objects, len(content) - len(rest), checksum)


def _to_trials(path, lines: Sequence[Mapping[str, Any]]) -> list[Trial]:
  trials = []
  for number, fields in enumerate(lines):
    try:
      trial = Trial.from_json(fields)
      if trial.number != number:
        raise ValueError(f'trial {number} expected, got {trial.number}')
    except ValueError as error:
      raise _damaged(path, number + 1, error) from None
    trials.append(trial)
  return trials


def _damaged(path, number: int, error: Exception | str) -> ValueError:
  return ValueError(
    f'{path}: line {number} is damaged ({error}); restore the file from a copy '
    f'or cut it before line {number} and resume.'
  )
