# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The scalars of a run for other programs: TensorBoard, Weights & Biases, CSV.

The records of a run are the authority, and sinks are only written from them. A
sink that fails is dropped with a warning, and the run goes on; the next start
writes what was missed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import csv
import importlib
import io
import os
import pathlib
import secrets
import time
from typing import Any, NamedTuple, Protocol

from absl import logging

from jaxnas import files
from jaxnas.records import workdir

NAMES = ('tensorboard', 'wandb', 'csv')
"""The names of all sinks."""

# The package that a sink needs, and a name that only the package itself has: a
# folder of that name in the working directory can be imported too.
_PACKAGES = {
  'tensorboard': ('tensorboardX', 'SummaryWriter'),
  'wandb': ('wandb', 'init'),
}


RESULT = 'result'
"""The axis of final values; a later one replaces those before it."""


class Point(NamedTuple):
  """The scalars of one point of a run.

  Attributes:
    axis: the unit of the step, such as `'trial'`, `'round'` or `'epoch'`; or
      `RESULT`.
    step: the number of the point on its axis.
    scalars: the finite values, by name; a name belongs to one axis.
  """

  axis: str
  step: int
  scalars: dict[str, float]


Take = Callable[[], Sequence[Point]]
"""A function that returns the points recorded since its last call, in order."""


def check(names: Sequence[str]) -> None:
  """Checks that sinks exist and that their packages are installed.

  Args:
    names: the names of the sinks.

  Raises:
    ValueError: a name is unknown, or a package is not installed.
  """
  for name in names:
    if name not in NAMES:
      raise ValueError(
        f'log_to names {name!r}; expected some of {", ".join(NAMES)}.'
      )
    package, attribute = _PACKAGES.get(name, ('csv', 'writer'))
    try:
      is_installed = hasattr(importlib.import_module(package), attribute)
    except ModuleNotFoundError as error:
      is_installed = error.name != package
    except Exception:  # A broken package is reported when it is used.
      is_installed = True
    if not is_installed:
      raise ValueError(
        f'log_to={name} needs {package}, which is not installed; run pip '
        f'install {package}, or omit {name}.'
      )


class _Sink(Protocol):
  def write(self, points: Sequence[Point]) -> None: ...

  def close(self) -> None: ...


class Sinks:
  """The sinks of one start of a run."""

  def __init__(
    self, folder: str | os.PathLike, names: Sequence[str], take: Take
  ):
    """Opens the sinks and writes what the run has recorded so far.

    Args:
      folder: the folder of the run, which the sinks write to.
      names: the names of the sinks, which `check` has accepted.
      take: the source of new points; its first call returns the points of
        earlier starts. Without sinks it is never called.
    """
    self._take = take
    self._sinks: dict[str, _Sink] = {}
    if not names:
      return
    points = take()
    for name in dict.fromkeys(names):
      try:
        self._sinks[name] = _SINKS[name](pathlib.Path(folder), points)
      except Exception as error:
        _warn(name, error)

  def update(self) -> None:
    """Writes the new points."""
    if not self._sinks:
      return
    points = self._take()
    for name, sink in list(self._sinks.items()):
      try:
        sink.write(points)
      except Exception as error:
        _warn(name, error)
        del self._sinks[name]
        _close(name, sink, is_told=False)

  def close(self) -> None:
    """Closes the sinks."""
    while self._sinks:
      _close(*self._sinks.popitem())

  def __enter__(self) -> Sinks:
    return self

  def __exit__(self, *exc_info) -> None:
    self.close()


def _close(name: str, sink: _Sink, is_told: bool = True) -> None:
  try:
    sink.close()
  except Exception as error:
    if is_told:
      _warn(name, error)


def _warn(name: str, error: Exception) -> None:
  reason = ' '.join(str(error).split()).rstrip('.') or type(error).__name__
  logging.warning(
    'log_to=%s failed and is dropped (%s); the records of the run are '
    'complete, and the next start writes what is missing.',
    name,
    reason,
  )


class _Csv:
  """A table with a line for each scalar, `scalars.csv`."""

  def __init__(self, folder: pathlib.Path, points: Sequence[Point]):
    path = folder / 'scalars.csv'
    header = ('axis', 'step', 'name', 'value')
    with files.replacing(path) as file:
      file.write(_to_csv([header, *_rows(points)]))
    # Unbuffered, so that closing does not repeat a failed write.
    self._file = open(path, 'ab', buffering=0)  # noqa: SIM115

  def write(self, points: Sequence[Point]) -> None:
    data = memoryview(_to_csv(_rows(points)))
    while data:
      data = data[self._file.write(data) :]

  def close(self) -> None:
    self._file.close()


def _rows(points: Sequence[Point]) -> list[tuple[Any, ...]]:
  return [
    (point.axis, point.step, name, repr(value))
    for point in points
    for name, value in point.scalars.items()
  ]


def _to_csv(rows: Sequence[tuple[Any, ...]]) -> bytes:
  text = io.StringIO()
  csv.writer(text, lineterminator='\n').writerows(rows)
  return text.getvalue().encode()


class _TensorBoard:
  """Event files in the folder `tensorboard`.

  Every start replaces the files of earlier starts. `SummaryWriter` writes in a
  thread of its own; if that fails, as on a full disk, adding the next scalars
  blocks forever. Its parts are therefore used instead, which write at once.
  """

  _SUFFIX = '.jaxnas'

  def __init__(self, folder: pathlib.Path, points: Sequence[Point]):
    writers = importlib.import_module('tensorboardX.event_file_writer')
    self._events = importlib.import_module('tensorboardX.proto.event_pb2')
    self._summaries = importlib.import_module('tensorboardX.proto.summary_pb2')
    self._scalar = importlib.import_module('tensorboardX.summary').scalar
    folder = folder / 'tensorboard'
    folder.mkdir(exist_ok=True)
    for old in folder.glob(f'events.out.tfevents.*{self._SUFFIX}'):
      old.unlink()
    self._writer = writers.EventsWriter(str(folder / 'events'), self._SUFFIX)
    # A TensorBoard that has read the old files forgets them.
    start = self._events.SessionLog(status=self._events.SessionLog.START)
    self._write(session_log=start)
    self.write(points)

  def write(self, points: Sequence[Point]) -> None:
    for point in points:
      summary = self._summaries.Summary()
      for name, value in point.scalars.items():
        summary.MergeFrom(self._scalar(name, value))
      self._write(step=point.step, summary=summary)
    self._writer.flush()

  def close(self) -> None:
    self._writer.close()

  def _write(self, **fields: Any) -> None:
    self._writer.write_event(
      self._events.Event(wall_time=time.time(), **fields)
    )


class _Wandb:
  """A run of Weights & Biases, whose id is kept in `wandb.json`.

  Its history is append-only. `wandb.json` has the number of points that were
  sent of each axis. If the records have fewer, they were started anew, and so
  is the history, as another run. Final values are its summary instead.
  """

  def __init__(self, folder: pathlib.Path, points: Sequence[Point]):
    wandb = importlib.import_module('wandb')
    self._path = folder / 'wandb.json'
    counts: dict[str, int] = {}
    new = []
    state = workdir.read_json(self._path) if self._path.exists() else {}
    sent = state.get('sent', {})
    for point in points:
      counts[point.axis] = counts.get(point.axis, 0) + 1
      if point.axis == RESULT or counts[point.axis] > sent.get(point.axis, 0):
        new.append(point)
    if any(counts.get(axis, 0) < count for axis, count in sent.items()):
      state, sent, new = {}, {}, list(points)
    self._id = state.get('id') or secrets.token_hex(4)
    self._sent = dict(sent)
    self._defined: set[str] = set()
    self._save()
    config = folder / 'config.json'
    self._run = wandb.init(
      project=os.environ.get('WANDB_PROJECT') or 'jaxnas',
      id=self._id,
      name=folder.resolve().name,
      dir=str(folder),
      config=dict(workdir.read_config(folder)) if config.exists() else None,
      allow_val_change=True,
      resume='allow',
      # Any other run of this process, such as the user's own, stays separate.
      reinit='create_new',
      settings={'console': 'off'},
    )
    self.write(new)

  def write(self, points: Sequence[Point]) -> None:
    try:
      for point in points:
        if point.axis == RESULT:
          self._run.summary.update(point.scalars)
          continue
        for name in {point.axis, *point.scalars} - self._defined:
          step = {} if name == point.axis else {'step_metric': point.axis}
          self._run.define_metric(name, **step)
          self._defined.add(name)
        self._run.log({point.axis: point.step, **point.scalars})
        self._sent[point.axis] = self._sent.get(point.axis, 0) + 1
    finally:
      # What was sent before a failure is not sent again.
      if points:
        self._save()

  def close(self) -> None:
    self._run.finish()

  def _save(self) -> None:
    workdir.write_json(
      self._path, {'id': self._id, 'sent': self._sent}, sealed=True
    )


_SINKS: dict[str, Callable[[pathlib.Path, Sequence[Point]], _Sink]] = {
  'tensorboard': _TensorBoard,
  'wandb': _Wandb,
  'csv': _Csv,
}
