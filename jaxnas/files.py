# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Files that are there whole or not at all, and that one process writes."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import errno
import os
import pathlib
from typing import IO

from absl import logging

try:
  import fcntl
except ImportError:  # There is none on Windows.
  fcntl = None  # type: ignore[assignment]

# What a file system says that has no such thing, as some of networks and of
# containers have none.
LACKING = frozenset(
  (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOTTY)
)


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
  """Writes a file: a reader sees the old one or the new one, whole.

  Args:
    path: the file. Where the context is left by an error the old one stays.

  Yields:
    An open file to write bytes to.

  Raises:
    OSError: it cannot be written; the error names `path`.
  """
  path = pathlib.Path(path)
  unfinished = path.with_name(f'{path.name}.tmp')
  try:
    with open(unfinished, 'wb') as file:
      yield file
      file.flush()
      sync(file.fileno(), path)
    os.replace(unfinished, path)
  except BaseException as error:
    with contextlib.suppress(OSError):
      unfinished.unlink()
    if isinstance(error, OSError):
      raise OSError(error.errno, error.strerror, str(path)) from None
    raise


def sync(descriptor: int, path: str | os.PathLike[str]) -> None:
  """Returns when an open file is on disk, where its file system can tell.

  Args:
    descriptor: of the open file.
    path: its name. The first file of a folder whose file system cannot tell
      gives a warning; a run goes on.

  Raises:
    OSError: it could not be written.
  """
  try:
    os.fsync(descriptor)
  except OSError as error:
    if error.errno not in LACKING:
      raise
    _warn_once(
      path,
      'is on a file system that cannot say when a file is on disk '
      f'({error.strerror}); a machine that loses its power may lose the last '
      'results.',
    )


def lock(descriptor: int, path: str | os.PathLike[str]) -> None:
  """Keeps other processes from an open file, until it is closed.

  The kernel drops the lock when the process ends, however it ends. Where the
  system or the file system has no such lock, a warning says that nothing
  keeps a second process out, once for each folder.

  Args:
    descriptor: of the open file.
    path: its name.

  Raises:
    BlockingIOError: it is locked already.
  """
  if fcntl is None:
    reason = 'this system has no file locks'
  else:
    try:
      fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
      return
    except OSError as error:
      if error.errno in (errno.EAGAIN, errno.EACCES):
        raise BlockingIOError(
          errno.EAGAIN, 'In use by another process', os.fspath(path)
        ) from None
      reason = error.strerror or str(error)
  _warn_once(
    path, f'cannot be locked ({reason}); do not start a second run in it.'
  )


def _warn_once(path: str | os.PathLike[str], what: str) -> None:
  """Warns of a file's folder, of each lack once."""
  folder = str(pathlib.Path(path).absolute().parent)
  if (folder, what) not in _warned:
    _warned.add((folder, what))
    logging.warning('%s %s', folder, what)


_warned: set[tuple[str, str]] = set()
