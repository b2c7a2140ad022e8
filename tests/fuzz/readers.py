# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Reads damaged files by the functions that runs read them by, in process.

A whole run takes seconds to start; a reader takes milliseconds, so hundreds of
damages of every file can be tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import contextlib
import dataclasses
import hashlib
import logging
import pathlib
import resource
import shutil
import signal
from typing import Any

import numpy as np

from tests.fuzz import damages

_LIMIT_SECONDS = 30
_LIMIT_BYTES = 2 * 2**30


class _HangError(BaseException):
  """A reader took too long; no reader may catch it."""


@dataclasses.dataclass(frozen=True)
class Subject:
  """Files that are read together.

  Attributes:
    folder: holds all of the files, and nothing else.
    read: reads them, and returns what was read: anything that `tell` knows.
    is_log: whether a list that ends early is accepted: what is missing at the
      end of a log is done once more.
    is_loud: whether a change of the content is found by whoever reads it, so
      that only the way in which it is refused matters.
    files: which files are damaged, a pattern below the folder.
  """

  folder: pathlib.Path
  read: Callable[[], Any]
  is_log: bool = False
  is_loud: bool = False
  files: str = '*'


class Damaged:
  """A subject whose files are damaged, one at a time, and made whole again."""

  def __init__(self, subject: Subject, kept: pathlib.Path):
    """Reads the sound files.

    Args:
      subject: what is read.
      kept: where a copy of the files goes.
    """
    self._subject = subject
    # A first reading may prepare files that the later ones read.
    subject.read()
    shutil.copytree(subject.folder, kept)
    self._kept = kept
    self.files = sorted(
      path.relative_to(kept)
      for path in kept.rglob(subject.files)
      if path.is_file() and path.stat().st_size and path.name != '.lock'
    )
    self._sound, warnings = tell(subject.read()), []
    self._restore()
    with _warnings(warnings):
      again = tell(subject.read())
    assert again == self._sound, 'a reader that reads differently each time'
    assert not warnings, warnings

  def fault(self, rng: np.random.Generator) -> str | None:
    """Damages a file; returns what is wrong with how it is then read."""
    place = self.files[rng.integers(len(self.files))]
    done, content = damages.damage((self._kept / place).read_bytes(), rng)
    self._restore()
    (self._subject.folder / place).write_bytes(content)
    fault = self._judge(place)
    return fault and f'{place}: {done}: {fault}'

  def _restore(self) -> None:
    shutil.rmtree(self._subject.folder)
    shutil.copytree(self._kept, self._subject.folder)

  def _judge(self, place: pathlib.Path) -> str | None:
    warnings: list[str] = []
    try:
      with _warnings(warnings), _limits():
        content = tell(self._subject.read())
    except (ValueError, OSError) as error:
      return self._judge_error(place, error)
    except _HangError:
      return f'not read within {_LIMIT_SECONDS} s'
    except Exception as error:
      return f'{type(error).__name__}: {error}'
    if content == self._sound or warnings or self._subject.is_loud:
      return None
    if self._subject.is_log and content == self._sound[: len(content)]:
      return None
    differing = [
      pair
      for pair in zip(self._sound, content, strict=False)
      if len(set(pair)) > 1
    ]
    return f'accepted in silence: {str(differing[:1])[:300]}'

  def _judge_error(self, place, error: Exception) -> str | None:
    told = str(error)
    names = place.name, str(self._subject.folder)
    if '\n' in told or not any(name in told for name in names):
      return f'{type(error).__name__} names no file: {told[:300]}'
    return None


def tell(content: Any) -> list[str]:
  """Returns what was read as lines, equal where it is."""
  if isinstance(content, list | tuple) and not hasattr(content, '_fields'):
    return [_line(each) for each in content]
  return [_line(content)]


def _line(value: Any) -> str:
  if dataclasses.is_dataclass(value) and not isinstance(value, type):
    value = {
      field.name: getattr(value, field.name)
      for field in dataclasses.fields(value)
    }
  if isinstance(value, dict):
    return (
      f'{{{", ".join(f"{k}: {_line(v)}" for k, v in sorted(value.items()))}}}'
    )
  if isinstance(value, list | tuple):
    return f'[{", ".join(map(_line, value))}]'
  if hasattr(value, 'dtype'):
    array = np.asarray(value)
    digest = hashlib.sha256(array.tobytes()).hexdigest()[:12]
    return f'{array.dtype}{array.shape}{digest}'
  return repr(value)


@contextlib.contextmanager
def _warnings(found: list[str]) -> Iterator[None]:
  """Collects the warnings that are logged."""

  class Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
      if record.levelno >= logging.WARNING:
        found.append(record.getMessage())

  logger, handler = logging.getLogger('absl'), Handler()
  logger.addHandler(handler)
  try:
    yield
  finally:
    logger.removeHandler(handler)


@contextlib.contextmanager
def _limits() -> Iterator[None]:
  """Bounds the time of a reader, and the memory that it may add."""

  def stop(signum, frame):
    raise _HangError

  num_pages = int(pathlib.Path('/proc/self/statm').read_text().split()[0])
  limits = resource.getrlimit(resource.RLIMIT_AS)
  most = num_pages * resource.getpagesize() + _LIMIT_BYTES
  before = signal.signal(signal.SIGALRM, stop)
  signal.alarm(_LIMIT_SECONDS)
  resource.setrlimit(resource.RLIMIT_AS, (most, limits[1]))
  try:
    yield
  finally:
    signal.alarm(0)
    resource.setrlimit(resource.RLIMIT_AS, limits)
    signal.signal(signal.SIGALRM, before)


def faults(
  subject: Subject, kept: pathlib.Path, seeds: Sequence[Sequence[int]]
) -> list[str]:
  """Returns what is wrong with how a subject is read after each damage."""
  damaged = Damaged(subject, kept)
  return [
    f'{fault} (seed {list(seed)})'
    for seed in seeds
    if (fault := damaged.fault(np.random.default_rng(seed)))
  ]
