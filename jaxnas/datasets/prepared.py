# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Folders of prepared data: where they are, and how they come to be whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import importlib
import io
import os
import pathlib
import tempfile
from typing import Any
import zipfile

from absl import logging

DAMAGE = (
  OSError,
  ValueError,
  KeyError,
  IndexError,
  RuntimeError,
  zipfile.BadZipFile,
)
"""What reading a folder may raise that was prepared and then damaged."""


def data_root(chosen: str | os.PathLike[str] | None = None) -> pathlib.Path:
  """Returns the folder that holds all prepared data.

  Args:
    chosen: the folder; `None` or nothing means the one in the environment
      variable `JAXNAS_DATA_DIR`, or else `~/.cache/jaxnas`.
  """
  path = chosen or os.environ.get('JAXNAS_DATA_DIR') or '~/.cache/jaxnas'
  return pathlib.Path(path).expanduser()


def write_whole(
  folder: pathlib.Path, write: Callable[[pathlib.Path], pathlib.Path]
) -> None:
  """Writes to a temporary folder beside its place, then moves the result there.

  Two processes may write the same folder at once, and one that is killed
  leaves an `.incomplete_*` folder that nothing reads.

  Args:
    folder: where the result goes; nothing stands there yet.
    write: gets the temporary folder; returns the folder in it that it made.
  """
  folder.parent.mkdir(parents=True, exist_ok=True)
  with tempfile.TemporaryDirectory(
    prefix='.incomplete_', dir=folder.parent
  ) as temporary:
    written = write(pathlib.Path(temporary))
    try:
      os.rename(written, folder)
    except OSError:
      # Another process was first; what it prepared is the same.
      if not folder.is_dir():
        raise


def has_array_record() -> bool:
  """Returns whether tensorflow-datasets can write and read array_record."""
  try:
    for module in (
      'array_record.python.array_record_module',
      'importlib_resources',
      'tensorflow_datasets',
    ):
      importlib.import_module(module)
  except ImportError:
    return False
  return True


def check_tfds(name: str) -> None:
  """Raises `ValueError` if tensorflow-datasets cannot be imported.

  Args:
    name: the dataset that needs it.
  """
  try:
    # The second is needed by the first, which does not declare it.
    for module in ('tensorflow_datasets', 'importlib_resources'):
      importlib.import_module(module)
  except ImportError as error:
    raise ValueError(
      f'Dataset {name!r} needs tensorflow-datasets and importlib_resources, '
      "which are not both installed; install them, or use dataset 'npz'."
    ) from error


@contextlib.contextmanager
def quiet_tfds() -> Iterator[Any]:
  """Yields tensorflow-datasets, keeping its chatter from the terminal."""
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
