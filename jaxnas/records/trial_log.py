# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The record of a run's trials: a file that only grows, a line for each.

A process killed while it writes leaves at most its last line cut in the middle.
That line is dropped when the file is opened again; what it said was never
reported as written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
import json
import math
import os
import pathlib
from typing import Any

from absl import logging

from jaxnas import files
from jaxnas.records import workdir


@dataclasses.dataclass(frozen=True)
class Trial:
  """One evaluated architecture.

  Attributes:
    number: its place in the run, from 0 on.
    arm: the arm that proposed it.
    repeat: which repeat of that arm.
    tokens: the proposal, `T` integers; `None` for an architecture from
      elsewhere.
    architecture: the architecture as a dict that JSON can hold.
    reward: what the strategy was told; finite.
    metrics: what else was measured; NaN where there was nothing to measure.
    status: how its training ended, `'ok'` or `'diverged'` for example.
    duplicate_of: the number of the earlier trial whose result this one has.
    settings: what else was asked for, such as a retraining's learning rate.
    reason: a line that says why it failed, where that is known; what is empty
      is left out of the file.
  """

  number: int
  arm: str
  repeat: int
  tokens: tuple[int, ...] | None
  architecture: Mapping[str, Any]
  reward: float
  metrics: Mapping[str, float]
  status: str
  duplicate_of: int | None = None
  settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  reason: str = ''

  def __post_init__(self):
    if not math.isfinite(self.reward):
      raise ValueError(
        f'Trial {self.number} has the reward {self.reward}; a reward is '
        'finite, and a trial that failed gets the floor reward.'
      )
    if self.duplicate_of is not None and self.duplicate_of >= self.number:
      raise ValueError(
        f'Trial {self.number} is marked as a duplicate of the later trial '
        f'{self.duplicate_of}.'
      )

  def to_json(self) -> dict[str, Any]:
    """Returns the trial as a dict that `json.dumps` accepts."""
    plain = {
      field.name: workdir.plain_json(getattr(self, field.name))
      for field in dataclasses.fields(self)
    }
    if not self.reason:
      del plain['reason']
    return plain

  @classmethod
  def from_json(cls, fields: Mapping[str, Any]) -> Trial:
    """Returns the trial that `to_json` gave; raises `ValueError` otherwise."""
    expected = [field.name for field in dataclasses.fields(cls)]
    # Logs that are older than the reasons, and most trials, have none.
    if sorted({'reason': '', **fields}) != sorted(expected):
      raise ValueError(
        f'A trial has the fields {", ".join(expected)}; got '
        f'{", ".join(sorted(fields))}.'
      )
    if not isinstance(fields.get('reason', ''), str):
      raise ValueError(
        f'The reason of a trial is text, got {fields["reason"]!r}.'
      )
    try:
      tokens, metrics = fields['tokens'], fields['metrics']
      return cls(
        **{
          **fields,
          'number': int(fields['number']),
          'tokens': None if tokens is None else tuple(map(int, tokens)),
          'reward': float(fields['reward']),
          'metrics': {
            name: math.nan if value is None else _number(value)
            for name, value in metrics.items()
          },
        }
      )
    except (TypeError, AttributeError) as error:
      raise ValueError(f'A field of a trial is malformed: {error}.') from None


def _number(value: Any) -> float:
  # A count stays a whole number, since a duplicate's line says it again.
  return value if isinstance(value, int) else float(value)


class JsonLines:
  """A file of JSON objects, one a line, that is read and then added to.

  Attributes:
    path: the file.
    lines: the objects in the file, those appended included.
  """

  def __init__(self, path: str | os.PathLike):
    """Opens the file, which is made where it is missing.

    Args:
      path: the file. A last line that was cut is removed from it, with a
        warning.

    Raises:
      ValueError: a line before the last is damaged.
    """
    self.path = pathlib.Path(path)
    content = self.path.read_bytes() if self.path.exists() else b''
    self.lines, num_bytes = _parse(self.path, content)
    # Unbuffered, so that what could not be written is not tried again later.
    self._file = open(self.path, 'ab', buffering=0)  # noqa: SIM115
    if num_bytes < len(content):
      logging.warning(
        '%s: line %d was cut in the middle; its %d bytes are dropped.',
        self.path,
        len(self.lines) + 1,
        len(content) - num_bytes,
      )
      self._file.truncate(num_bytes)

  def append(self, objects: Sequence[Mapping[str, Any]]) -> None:
    """Writes a line for each object; returns when they are on disk.

    Args:
      objects: what `workdir.plain_json` accepts.

    Raises:
      OSError: not all could be written. The file is closed; open it anew.
    """
    plain = [workdir.plain_json(entry) for entry in objects]
    data = memoryview(
      ''.join(
        json.dumps(entry, separators=(',', ':'), allow_nan=False) + '\n'
        for entry in plain
      ).encode()
    )
    try:
      while data:
        data = data[self._file.write(data) :]
      files.sync(self._file.fileno(), self.path)
    except OSError as error:
      # Half a line may stand at the end: nothing may be added after it.
      self.close()
      raise OSError(error.errno, error.strerror, str(self.path)) from None
    self.lines.extend(plain)

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
    path: the file.
    trials: all trials in the file, those appended included.
  """

  def __init__(self, path: str | os.PathLike):
    """Opens the log, which is made where it is missing.

    Args:
      path: the file. A last line that was cut is removed from it, with a
        warning.

    Raises:
      ValueError: another line is damaged, or a number is out of order.
    """
    self.path = pathlib.Path(path)
    self._lines = JsonLines(path)
    try:
      self.trials = _to_trials(path, self._lines.lines)
    except ValueError:
      self._lines.close()
      raise

  def append(self, trials: Sequence[Trial]) -> None:
    """Writes some trials at once; returns when they are on disk.

    Args:
      trials: the next trials, numbered on from those in the log.

    Raises:
      ValueError: a number is out of order; nothing is written.
      OSError: not all could be written. The log is closed; open it anew.
    """
    for number, trial in enumerate(trials, start=len(self.trials)):
      if trial.number != number:
        raise ValueError(
          f'The next trial of {self._lines.path} is number {number}, got '
          f'{trial.number}.'
        )
    self._lines.append([trial.to_json() for trial in trials])
    self.trials.extend(trials)

  def close(self) -> None:
    """Closes the file."""
    self._lines.close()

  def __enter__(self) -> TrialLog:
    return self

  def __exit__(self, *exc_info) -> None:
    self.close()


def read_json_lines(path: str | os.PathLike) -> list[dict[str, Any]]:
  """Returns the objects in a file of JSON lines, which stays as it is.

  Args:
    path: the file; a last line that is cut is left out.

  Raises:
    ValueError: another line is damaged.
  """
  return _parse(path, pathlib.Path(path).read_bytes())[0]


def read_trials(path: str | os.PathLike) -> list[Trial]:
  """Returns the trials in a log, which stays as it is.

  Args:
    path: the file; a last line that is cut is left out.

  Raises:
    ValueError: another line is damaged, or a number is out of order.
  """
  return _to_trials(path, read_json_lines(path))


def _parse(path, content: bytes) -> tuple[list[dict[str, Any]], int]:
  """Returns the objects in whole lines, and how many bytes those take."""
  *lines, rest = content.split(b'\n')
  objects: list[dict[str, Any]] = []
  for number, line in enumerate(lines, start=1):
    try:
      entry = json.loads(line)
      if not isinstance(entry, dict):
        raise ValueError('not an object')
    except ValueError as error:
      if number == len(lines) and not rest:
        return objects, len(content) - len(line) - 1
      raise _damaged(path, number, error) from None
    objects.append(entry)
  return objects, len(content) - len(rest)


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


def _damaged(path, number: int, error: ValueError) -> ValueError:
  return ValueError(
    f'{path}: line {number} is damaged ({error}); restore the file from a copy '
    f'or cut it before line {number} and resume.'
  )
