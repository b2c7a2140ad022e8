# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The words of errors: the names of settings, and whose function failed."""

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
  """A name that a mapping does not have; the message lists those it has."""

  def __init__(self, kind: str, name: object, names: Iterable[object]):
    """Makes the error.

    Args:
      kind: the kind of thing that has the names, such as `'metric'`.
      name: the unknown name.
      names: the known names.
    """
    known = ', '.join(sorted(map(str, names))) or 'none'
    super().__init__(f'There is no {kind} {name!r}; there are {known}.')

  def __str__(self) -> str:
    # A KeyError shows its argument in quotes.
    return str(self.args[0])

  def __reduce__(self) -> tuple[Any, ...]:
    return ValueError, self.args


class Named(dict[str, Any]):
  """A dict whose error for a missing name lists the names it has."""

  def __init__(self, kind: str, values: Mapping[str, Any]):
    """Copies a mapping.

    Args:
      kind: the kind of thing that has the names, such as `'metric'`.
      values: the values by name.
    """
    super().__init__(values)
    self._kind = kind

  def __missing__(self, name: str) -> Any:
    raise UnknownNameError(self._kind, name, self)


_names_flags = contextvars.ContextVar('_names_flags', default=False)


@contextlib.contextmanager
def naming_flags() -> Iterator[None]:
  """Makes errors name settings as flags, for users of a command line.

  Everywhere else, settings are the arguments of a user's own program.
  """
  token = _names_flags.set(True)
  try:
    yield
  finally:
    _names_flags.reset(token)


def choose(flag: str, argument: str) -> str:
  """Returns the name of a setting that suits the user.

  Args:
    flag: the name on a command line, such as `'--redo_failed'`.
    argument: the name in a program, such as `'redo_failed=True'`.
  """
  return flag if _names_flags.get() else argument


def another_folder() -> str:
  """Returns the words for the folder of another run."""
  return choose('another --workdir', 'another folder')


@contextlib.contextmanager
def calling(what: str) -> Iterator[None]:
  """Turns any exception into one line that names the function that failed.

  Args:
    what: the function in words, such as `"The metric 'accuracy'"`.

  Raises:
    ValueError: an exception was raised, which is the cause. An error that this
      package itself raised passes unchanged.
  """
  try:
    yield
  except Exception as error:
    if _is_told(error):
      raise
    raise ValueError(f'{what} failed: {describe(error)}') from error


def _is_told(error: BaseException) -> bool:
  """Returns whether an error is already a line from this package."""
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
    reason: the result of `describe`, whose message is left out because it may
      quote particular values; any other line is returned whole.
  """
  kind, _, _ = reason.partition(': ')
  return kind if ' at ' in kind else reason


def shorten(line: str) -> str:
  """Returns a line, truncated if it is too long for a log."""
  return line if len(line) <= _MAX_LENGTH else f'{line[:_MAX_LENGTH]}...'


def in_one_line(value: Any) -> str:
  """Returns a user's value as one line for an error, truncated if long."""
  return shorten(' '.join(repr(value).split()))


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
  parts = pathlib.Path(path).parts
  if not own and 'site-packages' in parts:
    # Of a library, the name says more than where it is installed.
    path = '/'.join(parts[parts.index('site-packages') + 1 :])
    return f'{path}:{frame.lineno}'
  with contextlib.suppress(ValueError):  # On another drive.
    relative = os.path.relpath(path)
    path = path if relative.startswith(os.pardir) else relative
  return f'{path}:{frame.lineno}'


def _is_installed(path: str) -> bool:
  # Such as '<frozen importlib._bootstrap>', or code without a file.
  if path.startswith('<'):
    return True
  # Environments differ in where they put these folders.
  if {'site-packages', 'dist-packages'} & {*pathlib.Path(path).parts}:
    return True
  paths = sysconfig.get_paths()
  return any(
    pathlib.Path(path).is_relative_to(paths[name])
    for name in ('stdlib', 'platstdlib', 'purelib', 'platlib')
  )
