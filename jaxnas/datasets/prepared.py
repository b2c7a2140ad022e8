# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Folders of prepared data: where they are, and how to write them."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterator, Mapping
import contextlib
import functools
import importlib
import io
import json
import os
import pathlib
import shutil
import tempfile
from typing import Any
import zlib

from absl import logging
import numpy as np


def checksum(*contents: Any) -> int:
  """Returns a checksum of arrays or JSON-compatible values."""
  result = 0
  for content in contents:
    if isinstance(content, np.ndarray):
      header = f'{content.dtype}{content.shape}'.encode()
      result = zlib.crc32(header, result)
      result = zlib.crc32(np.ascontiguousarray(content).data, result)
    else:
      result = zlib.crc32(json.dumps(content).encode(), result)
  return result


def check_checksums(metadata: Mapping[str, Any], **contents: Any) -> None:
  """Compares data that was read with its stored checksums.

  The record formats have their own checksums, but the JSON files that describe
  them have none.

  Args:
    metadata: the metadata of the dataset; older versions have no `checksums`.
    **contents: the data read, by the name of its checksum; a tuple has one
      checksum for all its parts.

  Raises:
    ValueError: a checksum does not match.
  """
  checksums = metadata.get('checksums')
  if checksums is None:
    return
  for name, content in contents.items():
    parts = content if isinstance(content, tuple) else (content,)
    if checksums.get(name) != checksum(*parts):
      raise ValueError(f'its {name} is not what was written')


def expand(path: str | os.PathLike[str]) -> pathlib.Path:
  """Returns a path with a leading `~` expanded.

  Args:
    path: the path that the user gave.

  Raises:
    ValueError: the path begins with `~`, but there is no such home.
  """
  try:
    return pathlib.Path(path).expanduser()
  except RuntimeError:
    raise ValueError(
      f'There is no home folder for {os.fspath(path)!r}; set HOME, or give '
      'the full path.'
    ) from None


def check_utf8(path: str | os.PathLike[str]) -> None:
  """Checks that libraries in other languages can open files in a folder.

  Args:
    path: the path of the folder.

  Raises:
    ValueError: the path is not UTF-8.
  """
  try:
    os.fspath(path).encode()
  except UnicodeEncodeError:
    raise ValueError(
      f'The path {os.fspath(path)!a} is not UTF-8, which libraries '
      'cannot open; choose another folder.'
    ) from None


def data_root(chosen: str | os.PathLike[str] | None = None) -> pathlib.Path:
  """Returns the folder that holds all prepared data.

  Args:
    chosen: the folder; `None` or empty for the one in the environment variable
      `JAXNAS_DATA_DIR`, or else `~/.cache/jaxnas`. If that cannot be created, a
      temporary folder of this process is used, with a warning.

  Raises:
    ValueError: the given folder has no home, or is not UTF-8.
  """
  if path := chosen or os.environ.get('JAXNAS_DATA_DIR'):
    folder = expand(path)
    check_utf8(folder)
    return folder
  try:
    folder = expand('~/.cache/jaxnas')
    check_utf8(folder)
  except ValueError as error:
    return _passing_root(str(error))
  there = next(filter(os.path.exists, (folder, *folder.parents)))
  if there != folder and not os.access(there, os.W_OK):
    return _passing_root(f'nothing can be written in {there}.')
  return folder


@functools.cache
def _passing_root(reason: str) -> pathlib.Path:
  logging.warning(
    'Prepared data is not kept unless JAXNAS_DATA_DIR names a folder: %s',
    reason,
  )
  folder = tempfile.mkdtemp(prefix='jaxnas_')
  atexit.register(shutil.rmtree, folder, ignore_errors=True)
  return pathlib.Path(folder)


def write_whole(
  folder: pathlib.Path, write: Callable[[pathlib.Path], pathlib.Path]
) -> None:
  """Writes to a temporary folder next to the target, then moves the result.

  Two processes may write the same folder at once. A killed process leaves an
  `.incomplete_*` folder that is never read.

  Args:
    folder: the target, which does not exist yet.
    write: a function that takes the temporary folder and returns the folder
      that it created in it.
  """
  folder.parent.mkdir(parents=True, exist_ok=True)
  with tempfile.TemporaryDirectory(
    prefix='.incomplete_', dir=folder.parent
  ) as temporary:
    written = write(pathlib.Path(temporary))
    try:
      os.rename(written, folder)
    except OSError:
      # Another process was first, and prepared the same.
      if not folder.is_dir():
        raise


def has_array_record() -> bool:
  """Returns whether tensorflow-datasets can write and read array_record."""
  return not _why_not_importable(
    'array_record.python.array_record_module',
    'importlib_resources',
    'tensorflow_datasets',
  )


def check_tfds(name: str) -> None:
  """Raises `ValueError` if tensorflow-datasets cannot be imported.

  Args:
    name: the name of the dataset that needs it.
  """
  # The first needs the second, but does not declare it.
  reason = _why_not_importable('tensorflow_datasets', 'importlib_resources')
  if reason:
    raise ValueError(
      f'Dataset {name!r} needs tensorflow-datasets and importlib_resources, '
      f'which cannot both be imported ({reason}); reinstall them, or use '
      "dataset 'npz'."
    )


def _why_not_importable(*modules: str) -> str:
  """Returns why one of the modules cannot be imported, or `''`.

  A missing module is expected; a broken one causes a warning.
  """
  for module in modules:
    try:
      importlib.import_module(module)
    except ModuleNotFoundError as error:
      return str(error)
    # A package that is incompatible with others can raise any error.
    except Exception as error:
      reason = f'{type(error).__name__}: {" ".join(str(error).split())}'
      logging.log_first_n(
        logging.WARNING, '%s cannot be imported: %s', 1, module, reason
      )
      return reason
  return ''


@contextlib.contextmanager
def quiet_tfds() -> Iterator[Any]:
  """Yields tensorflow-datasets with its terminal output suppressed."""
  import tensorflow_datasets as tfds

  tfds.disable_progress_bar()
  logger = logging.get_absl_logger()
  level = logger.level
  logger.setLevel('ERROR')
  try:
    with contextlib.redirect_stdout(io.StringIO()):
      yield tfds
  finally:
    logger.setLevel(level)
