# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Atomic writes, and locks that leave a file to one process."""

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

# Errors of file systems that lack an operation, as some on networks and in
# containers do.
LACKING = frozenset(
  (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOTTY)
)


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
  """Replaces a file atomically: readers see all of the old or of the new one.

  Args:
    path: the file. If the context exits with an error, the old file stays.

  Yields:
    An open file to write bytes to.

  Raises:
    OSError: the file cannot be written; the error names `path`, unless it is of
      another file.
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
    if isinstance(error, OSError) and (
      error.filename is None or str(error.filename) == str(unfinished)
    ):
      raise OSError(error.errno, error.strerror, str(path)) from None
    raise


def sync(descriptor: int, path: str | os.PathLike[str]) -> None:
  """Waits until an open file is on disk, if its file system can tell.

  If it cannot, a warning says so, once for each folder.

  Args:
    descriptor: the descriptor of the open file.
    path: the file's name.

  Raises:
    OSError: the file could not be written.
  """
  try:
    os.fsync(descriptor)
  except OSError as error:
    if error.errno not in LACKING:
      raise
    _warn_once(
      path,
      'is on a file system that cannot say when a file is on disk '
      f'({error.strerror}); a power failure may lose the last results.',
    )


def lock(descriptor: int, path: str | os.PathLike[str]) -> None:
  """Locks an open file against other processes until it is closed.

  The kernel drops the lock when the process ends, however it ends. If the
  system or the file system has no locks, a warning says that nothing keeps a
  second process out, once for each folder.

  Args:
    descriptor: the descriptor of the open file.
    path: the file's name.

  Raises:
    BlockingIOError: the file is already locked.
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
  """Warns about a file's folder, once for each message."""
  folder = str(pathlib.Path(path).absolute().parent)
  if (folder, what) not in _warned:
    _warned.add((folder, what))
    logging.warning('%s %s', folder, what)


_warned: set[tuple[str, str]] = set()
