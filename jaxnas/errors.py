# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""What errors say: the names of settings, and whose function failed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
import contextlib
import contextvars
import os
import pathlib
import sysconfig
import traceback
from typing import Any

_MAX_LENGTH = 500
_PACKAGE = os.path.dirname(__file__)


class UnknownNameError(KeyError, ValueError):
  """A name that a mapping does not have; the message says which it has."""

  def __init__(self, kind: str, name: object, names: Iterable[object]):
    """Makes the error.

    Args:
      kind: what the names are of, such as `'metric'`.
      name: the unknown name.
      names: the names that there are.
    """
    known = ', '.join(sorted(map(str, names))) or 'none'
    super().__init__(f'There is no {kind} {name!r}; there are {known}.')

  def __str__(self) -> str:
    # A KeyError shows its argument in quotes.
    return str(self.args[0])

  def __reduce__(self) -> tuple[Any, ...]:
    return ValueError, self.args


class Named(dict[str, Any]):
  """A dict that says what it has where it is asked for something else."""

  def __init__(self, kind: str, values: Mapping[str, Any]):
    """Copies a mapping.

    Args:
      kind: what the names are of, such as `'metric'`.
      values: the values by name.
    """
    super().__init__(values)
    self._kind = kind

  def __missing__(self, name: str) -> Any:
    raise UnknownNameError(self._kind, name, self)


_names_flags = contextvars.ContextVar('_names_flags', default=False)


@contextlib.contextmanager
def naming_flags() -> Iterator[None]:
  """Makes errors name settings as flags: the user has a command line.

  Everywhere else they are the arguments of a user's own program.
  """
  token = _names_flags.set(True)
  try:
    yield
  finally:
    _names_flags.reset(token)


def choose(flag: str, argument: str) -> str:
  """Returns what to call a setting.

  Args:
    flag: the words for a command line, such as `'--redo_failed'`.
    argument: the words for a program, such as `'redo_failed=True'`.
  """
  return flag if _names_flags.get() else argument


def another_folder() -> str:
  """Returns what to call the folder of another run."""
  return choose('another --workdir', 'another folder')


@contextlib.contextmanager
def calling(what: str) -> Iterator[None]:
  """Says whose function failed, in one line; the cause is chained.

  Args:
    what: the function, as in `"The metric 'accuracy'"`.

  Raises:
    ValueError: anything was raised. What this package says of a function inside
      of the function stays as it is.
  """
  try:
    yield
  except Exception as error:
    if _is_told(error):
      raise
    raise ValueError(f'{what} failed: {describe(error)}') from error


def _is_told(error: BaseException) -> bool:
  """Returns whether an error is a line of this package's own."""
  if not isinstance(error, ValueError) or isinstance(error, UnknownNameError):
    return False
  frames = traceback.extract_tb(error.__traceback__)
  return pathlib.Path(frames[-1].filename).is_relative_to(_PACKAGE)


def describe(error: BaseException) -> str:
  """Returns an error's type, location and message as one short line."""
  try:
    message = ' '.join(str(error).split())
  except Exception:
    message = ''
  kind = type(error).__name__
  place = _place(error)
  if place:
    kind = f'{kind} at {place}'
  return shorten(f'{kind}: {message}' if message else kind)


def kind_of(reason: str) -> str:
  """Returns the part of a reason that repeated failures have in common.

  Args:
    reason: the result of `describe`, whose message may quote particular values
      and is left out; any other line is returned whole.
  """
  kind, _, _ = reason.partition(': ')
  return kind if ' at ' in kind else reason


def shorten(line: str) -> str:
  """Returns a line, truncated if it is too long for a log."""
  return line if len(line) <= _MAX_LENGTH else f'{line[:_MAX_LENGTH]}...'


def _place(error: BaseException) -> str:
  """Returns the file and line that raised an error, such as `'train.py:7'`.

  The innermost frame of the user's own code is preferred, since frames inside
  installed packages, and inside this one, are less informative.
  """
  frames = [
    frame
    for frame in traceback.extract_tb(error.__traceback__)
    if frame.filename != __file__
    and os.path.dirname(frame.filename) != os.path.join(_PACKAGE, 'workers')
  ]
  own = [
    frame
    for frame in frames
    if not _is_installed(frame.filename)
    and not pathlib.Path(frame.filename).is_relative_to(_PACKAGE)
  ]
  if not frames:
    return ''
  frame = (own or frames)[-1]
  path = os.path.abspath(frame.filename)
  with contextlib.suppress(ValueError):  # On another drive.
    relative = os.path.relpath(path)
    path = path if relative.startswith(os.pardir) else relative
  return f'{path}:{frame.lineno}'


def _is_installed(path: str) -> bool:
  # Such as '<frozen importlib._bootstrap>', or code that is in no file.
  if path.startswith('<'):
    return True
  # Wherever an environment has them.
  if {'site-packages', 'dist-packages'} & {*pathlib.Path(path).parts}:
    return True
  paths = sysconfig.get_paths()
  return any(
    pathlib.Path(path).is_relative_to(paths[name])
    for name in ('stdlib', 'platstdlib', 'purelib', 'platlib')
  )
