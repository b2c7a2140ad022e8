# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Checkpoints of a run's state, each either complete or absent.

A thin layer over Orbax's `Checkpointer`. The leaves of a state are concatenated
into one array of bytes; the name, type and shape of each leaf, and a checksum,
go into the checkpoint's metadata. Damage of even a single byte, which Orbax
alone would restore silently, is therefore detected and distinguished from a
checkpoint of a different state. One array also takes half the time of many to
save, and damage is reported once rather than for every leaf.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import json
import logging as standard_logging
import math
import os
import pathlib
import re
import shutil
import tempfile
from typing import Any
import zlib

from absl import logging
import jax
import jax.numpy as jnp
import numpy as np

from jaxnas import errors, files
from jaxnas.records import workdir

_ITEM = 'state'
_UNFINISHED = '.orbax-checkpoint-tmp'
# In paths with other characters, Orbax treats names as glob patterns and finds
# no files, or saves checkpoints that it cannot read.
_PLAIN_PATH = re.compile(r'[\w ./+=@,:~-]*')


class _DamagedError(Exception):
  """The bytes of a checkpoint are not those that were saved."""


class _OlderError(Exception):
  """A checkpoint is of an older version."""


class Checkpoints:
  """The newest few checkpoints of a run, in one folder.

  The folder is locked until `close`, so only one instance can use it.
  """

  def __init__(self, directory: str | os.PathLike, max_to_keep: int = 3):
    """Opens the folder, creating it if needed.

    Args:
      directory: the folder, which should hold nothing else.
      max_to_keep: the number of checkpoints to keep; older ones are deleted.

    Raises:
      ValueError: `max_to_keep` is below 1, or the folder is in use.
    """
    if max_to_keep < 1:
      raise ValueError(f'max_to_keep must be at least 1, got {max_to_keep}.')
    self._max_to_keep = max_to_keep
    self._directory = pathlib.Path(directory).absolute()
    self._directory.mkdir(parents=True, exist_ok=True)
    self._was_read_back = False
    with contextlib.ExitStack() as stack:
      _lock(self._directory, stack)
      self._alias = _alias(self._directory, stack)
      for unfinished in self._directory.glob(f'*{_UNFINISHED}'):
        shutil.rmtree(unfinished)
      with _quiet_orbax():
        # Importing Orbax takes about half a second, which only runs should pay
        # for.
        from orbax import checkpoint

        self._orbax = checkpoint
        # In a pod, this process alone saves, and waits for no other.
        alone: dict[str, Any] = {
          'multiprocessing_options': checkpoint.options.MultiprocessingOptions(
            primary_host=jax.process_index(),
            active_processes={jax.process_index()},
          )
        }
        self._checkpointer = checkpoint.Checkpointer(
          checkpoint.CompositeCheckpointHandler(
            composite_options=checkpoint.CompositeOptions(**alone),
            **{_ITEM: checkpoint.StandardCheckpointHandler(**alone)},
          ),
          **alone,
        )
      stack.callback(self._checkpointer.close)
      self._stack = stack.pop_all()

  def save(self, step: int, state: Any) -> None:
    """Writes a checkpoint and returns once it is complete.

    A process killed at any time leaves either the complete checkpoint or none.
    Existing checkpoints of `step` or later are deleted first: a run that fell
    back to an earlier checkpoint reaches those steps again. The first
    checkpoint saved is read back at once, so that no run continues for days
    with nothing to resume from.

    Args:
      step: the name of the checkpoint; the highest is the newest.
      state: a pytree of arrays, typed keys (`jax.random.key`) and Python
        numbers.

    Raises:
      ValueError: a leaf is none of these.
      OSError: the checkpoint cannot be written or read back; older ones are
        kept.
    """
    leaves, parts = [], []
    for name, leaf in _named_leaves(state):
      data = _data(name, leaf)
      leaves.append(
        {
          'name': name,
          'type': _type(leaf),
          'key_impl': str(jax.random.key_impl(leaf)) if _is_key(leaf) else None,
          'dtype': str(data.dtype),
          'shape': list(data.shape),
        }
      )
      parts.append(data.tobytes())
    content = b''.join(parts)
    save_args = self._orbax.args.StandardSave(
      {'content': np.frombuffer(content, np.uint8)}
    )
    for stale in self._steps():
      if stale >= step:
        self._delete(stale)
    try:
      with _quiet_orbax():
        self._checkpointer.save(
          self._alias / str(step),
          args=self._orbax.args.Composite(**{_ITEM: save_args}),
          custom_metadata={
            'leaves': leaves,
            'crc32': _checksum(leaves, content),
          },
          force=True,
        )
    except ValueError as error:
      # Orbax turns file-system errors, typically a full disk, into this one.
      raise OSError(
        f'Cannot write checkpoint {step} in {self._directory}: '
        f'{" ".join(str(error).split())}'
      ) from None
    if not self._was_read_back:
      self._read_back(step)
    for old in self._steps()[: -self._max_to_keep]:
      self._delete(old)

  def restore_newest(
    self, like: Any, older: str | None = None
  ) -> tuple[int, Any] | None:
    """Reads the newest undamaged checkpoint.

    Damaged checkpoints are skipped with a warning. Arrays are restored bit for
    bit and strongly typed, on the default device, or as NumPy arrays where
    `like` has those.

    Args:
      like: a pytree with the structure, shapes and dtypes that were saved; its
        arrays may be abstract (`jax.eval_shape`), its Python numbers may not.
      older: the name of a leaf that only states of older versions have, such as
        `'state.round'`. Their checkpoints are skipped, with a warning.

    Returns:
      The checkpoint's step and state; `None` if no checkpoint can be read.

    Raises:
      ValueError: an undamaged checkpoint holds a state unlike `like`.
    """
    for step in reversed(self._steps()):
      try:
        return step, self._restore(step, like, older)
      except _OlderError:
        logging.warning(
          'The checkpoints in %s are of an older version; the state is '
          'computed again.',
          self._directory,
        )
        return None
      except _DamagedError as error:
        logging.warning(
          'Checkpoint %s is damaged and skipped: %s.',
          self._path(step),
          error,
        )
    return None

  def clear(self) -> None:
    """Deletes all checkpoints, newest first."""
    for step in reversed(self._steps()):
      self._delete(step)

  def close(self) -> None:
    """Releases the folder and Orbax's resources."""
    with _quiet_orbax():
      self._stack.close()

  def __enter__(self) -> Checkpoints:
    return self

  def __exit__(self, *exc_info) -> None:
    self.close()

  def _path(self, step: int) -> pathlib.Path:
    return self._directory / str(step)

  def _steps(self) -> list[int]:
    # Orbax's own listing omits a checkpoint that lost its commit marker.
    return sorted(
      int(path.name)
      for path in self._directory.iterdir()
      if path.name.isdecimal()
    )

  def _delete(self, step: int) -> None:
    # Renamed first, so that a kill here leaves no partial checkpoint.
    path = self._path(step)
    unfinished = path.with_name(f'{path.name}{_UNFINISHED}')
    os.replace(path, unfinished)
    shutil.rmtree(unfinished)

  def _read_back(self, step: int) -> None:
    """Checks that the checkpoint just saved can be read."""
    try:
      self._read(step)
    except _DamagedError as error:
      raise OSError(
        f'Checkpoint {self._path(step)} was saved, but {error}: nothing could '
        f'be resumed from it. Start with {errors.another_folder()}, on another '
        'file system or without special characters in its path.'
      ) from None
    self._was_read_back = True

  def _restore(self, step: int, like: Any, older: str | None) -> Any:
    leaves, content = self._read(step)
    if older in (leaf['name'] for leaf in leaves):
      raise _OlderError
    expected = dict(_named_leaves(like))
    self._check_same_state(step, leaves, expected)
    restored, offset = {}, 0
    for leaf in leaves:
      name, shape, dtype = leaf['name'], leaf['shape'], np.dtype(leaf['dtype'])
      count = math.prod(shape)
      data = np.frombuffer(content, dtype, count, offset).reshape(shape)
      offset += data.nbytes
      restored[name] = _leaf_like(expected[name], data, leaf['key_impl'])
    return jax.tree.unflatten(
      jax.tree.structure(like), [restored[name] for name in expected]
    )

  def _read(self, step: int) -> tuple[list[dict[str, Any]], bytes]:
    """Returns the descriptions of a checkpoint's leaves, and their bytes."""
    try:
      with _quiet_orbax():
        path = self._alias / str(step)
        metadata = self._checkpointer.metadata(path).custom_metadata
        restored = self._checkpointer.restore(
          path,
          args=self._orbax.args.Composite(
            **{_ITEM: self._orbax.args.StandardRestore()}
          ),
        )
      content = restored[_ITEM]['content'].tobytes()
      leaves, checksum = metadata['leaves'], metadata['crc32']
    # The errors that damaged files cause in the libraries have no common type.
    except Exception as error:
      raise _DamagedError('it cannot be read') from error
    if _checksum(leaves, content) != checksum:
      raise _DamagedError('it does not hold what was saved')
    return leaves, content

  def _check_same_state(self, step, leaves, expected) -> None:
    stored = {leaf['name']: leaf['type'] for leaf in leaves}
    wanted = {name: _type(leaf) for name, leaf in expected.items()}
    for name in (*wanted, *stored):
      if stored.get(name) != wanted.get(name):
        raise ValueError(
          f'Checkpoint {self._path(step)} holds {name} as '
          f'{stored.get(name, "nothing")}, expected '
          f'{wanted.get(name, "nothing")}: it holds a different state. Resume '
          'with the settings and version that wrote it, or use another folder.'
        )


def _lock(directory: pathlib.Path, stack: contextlib.ExitStack) -> None:
  """Locks the folder itself, without creating a file in it."""
  if os.name == 'nt':  # Windows cannot open a folder.
    return
  descriptor = os.open(directory, os.O_RDONLY)
  stack.callback(os.close, descriptor)
  try:
    files.lock(descriptor, directory)
  except BlockingIOError:
    raise workdir.WorkdirBusyError(
      f'{directory} is in use by another process, or already open in this one; '
      'wait until that ends, or start in another folder.'
    ) from None


def _alias(
  directory: pathlib.Path, stack: contextlib.ExitStack
) -> pathlib.Path:
  """Returns a path to the folder that Orbax can read from."""
  if _PLAIN_PATH.fullmatch(str(directory)):
    return directory
  folder = stack.enter_context(tempfile.TemporaryDirectory(prefix='jaxnas_'))
  alias = pathlib.Path(folder, 'checkpoints')
  alias.symlink_to(directory, target_is_directory=True)
  return alias


def types_of(state: Any) -> dict[str, str]:
  """Returns the type of each leaf of a state by its name.

  States with equal types can be saved and restored in each other's place.

  Args:
    state: a pytree of arrays.
  """
  return {name: _type(leaf) for name, leaf in _named_leaves(state)}


def _named_leaves(state: Any) -> list[tuple[str, Any]]:
  """Returns each leaf with its name, such as `state.params['w']`."""
  leaves, _ = jax.tree_util.tree_flatten_with_path(state)
  return [(f'state{jax.tree_util.keystr(path)}', leaf) for path, leaf in leaves]


def _checksum(leaves: list[dict[str, Any]], content: bytes) -> int:
  return zlib.crc32(content, zlib.crc32(json.dumps(leaves).encode()))


def _is_key(leaf: Any) -> bool:
  return hasattr(leaf, 'dtype') and jax.dtypes.issubdtype(
    leaf.dtype, jax.dtypes.prng_key
  )


def _type(leaf: Any) -> str:
  """Returns a leaf's type: `'float32[3,2]'`, `'key<fry>[]'` or `'int'`."""
  if hasattr(leaf, 'dtype'):
    return f'{leaf.dtype}[{",".join(map(str, leaf.shape))}]'
  return type(leaf).__name__


def _data(name: str, leaf: Any) -> np.ndarray:
  """Returns the numbers in a leaf; raises `ValueError` if it holds others."""
  data = np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)
  if data.dtype.kind in 'OSUMm':
    raise ValueError(
      f'{name} is a {type(leaf).__name__}; a checkpoint holds arrays of '
      'numbers, typed keys and Python numbers.'
    )
  return data


def _leaf_like(like: Any, data: np.ndarray, key_impl: str | None) -> Any:
  """Returns the leaf whose `_data` is `data`, with the type of `like`."""
  if _is_key(like):
    return jax.random.wrap_key_data(jnp.array(data), impl=key_impl)
  if isinstance(like, np.ndarray):
    return data.copy()
  if isinstance(like, np.generic):
    return data[()]
  if isinstance(like, (bool, int, float, complex)):
    return data.item()
  return jnp.array(data)


@contextlib.contextmanager
def _quiet_orbax() -> Iterator[None]:
  """Drops Orbax's log records, which report every step of every save."""

  def is_ours(record: standard_logging.LogRecord) -> bool:
    return f'{os.sep}orbax{os.sep}' not in record.pathname

  logger = logging.get_absl_logger()
  logger.addFilter(is_ours)
  try:
    yield
  finally:
    logger.removeFilter(is_ours)
