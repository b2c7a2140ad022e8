# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The folder of one run: its lock, its config and its manifest.

`config.json` holds what the run was asked to do and decides whether a later
command may resume it. `manifest.json` holds where and by what it was done.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
import contextlib
import datetime
import json
import math
import os
import pathlib
import re
import shlex
import sys
from typing import Any
import zlib

from absl import logging

from jaxnas import files
from jaxnas.records import conditions

_SEAL = 'crc32'
_MISSING = object()


class WorkdirBusyError(ValueError):
  """Another live process runs in the folder."""


@contextlib.contextmanager
def lock(workdir: str | os.PathLike) -> Iterator[pathlib.Path]:
  """Makes the folder and keeps other processes out while the context lasts.

  The kernel drops the lock when the process ends, however it ends. Where the
  system or the file system has no such lock, a warning says that nothing
  keeps a second run out, and the run goes on.

  Args:
    workdir: the folder of the run.

  Yields:
    The folder's path.

  Raises:
    WorkdirBusyError: a live process holds the folder.
  """
  folder = pathlib.Path(workdir)
  folder.mkdir(parents=True, exist_ok=True)
  with open(folder / '.lock', 'a+') as file:
    try:
      files.lock(file.fileno(), file.name)
    except BlockingIOError:
      file.seek(0)
      raise WorkdirBusyError(
        f'{folder} is in use by process {file.read().strip() or "unknown"}; '
        'wait until it ends, or start with another --workdir.'
      ) from None
    file.truncate(0)
    file.write(f'{os.getpid()}\n')
    file.flush()
    yield folder


def check_config(
  workdir: str | os.PathLike,
  config: Mapping[str, Any],
  free: Collection[str] = ('num_trials',),
  defaults: Mapping[str, Any] | None = None,
) -> None:
  """Writes `config.json`, or compares it with the one that is there.

  Args:
    workdir: the folder of the run.
    config: its settings, values that JSON can hold.
    free: the settings that may change when the run is resumed; the file then
      takes the new value.
    defaults: of the settings that are flags. A setting that the file lacks, for
      an older version had none, counts as one with its default.

  Raises:
    ValueError: a setting is not what the folder was started with, or is not a
      finite number, or the file is damaged, or is missing beside records of a
      run. Nothing is written then.
  """
  path = pathlib.Path(workdir, 'config.json')
  for name, value in config.items():
    try:
      json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
      raise ValueError(
        f'Config field {name!r} is {value!r}, which JSON cannot hold: {error}.'
      ) from None
  new = json.loads(json.dumps(dict(config)))
  flags = json.loads(json.dumps(dict(defaults or {})))
  if path.exists():
    old = read_config(workdir)
  else:
    old = None
    _check_is_new(path)
  if old is not None:
    for name in (*new, *old):
      was = old.get(name, flags.get(name, _MISSING))
      now = new.get(name, _MISSING)
      if was != now and name not in free:
        remedy = (
          f'give --{name}={_as_flag(was)}, as it was, or another --workdir'
          if name in flags and was is not _MISSING
          else 'start with another --workdir or with the same flags'
        )
        raise ValueError(
          f'Config field {name!r} is {_show(was)} in {path} and {_show(now)} '
          f'now; {remedy}.'
        )
  if old != new:
    write_json(path, new, sealed=True)


def _check_is_new(path: pathlib.Path) -> None:
  """Refuses records without the settings that they were made with."""
  for record in (path.with_name('manifest.json'), *path.parent.glob('*.jsonl')):
    if record.exists() and record.stat().st_size:
      raise ValueError(
        f'{path} is missing, and {record.name} beside it is of a run whose '
        'settings nobody knows; restore it from a copy, or start with another '
        '--workdir.'
      )


def write_manifest(
  workdir: str | os.PathLike, **facts: Any
) -> Mapping[str, Any]:
  """Records where, when and by what the run is done, once for each start.

  The manifest of the first start stays. A later one adds to its list
  `'resumed'` the time and all that has changed.

  Args:
    workdir: the folder of the run.
    **facts: what else the run wants kept, such as its seed and data hash.

  Returns:
    The manifest, as `read_manifest` reads it.

  Raises:
    ValueError: there is a manifest and it is damaged, or the run cannot go on
      as it was started, see `conditions.check`.
  """
  path = pathlib.Path(workdir, 'manifest.json')
  now = plain_json(
    {
      'time_started': datetime.datetime.now(datetime.UTC).isoformat(),
      'command': shlex.join(sys.orig_argv),
      **conditions.now(),
      **facts,
      'resumed': [],
    }
  )
  if path.exists():
    manifest = dict(read_json(path))
    conditions.check(manifest, now)
    changes = {
      name: value
      for name, value in now.items()
      if name != 'resumed' and manifest.get(name, _MISSING) != value
    }
    manifest['resumed'] = [*_list(manifest.get('resumed')), changes]
  else:
    manifest = now
  write_json(path, manifest, sealed=True)
  return manifest


def read_manifest(workdir: str | os.PathLike) -> Mapping[str, Any]:
  """Returns the manifest of a run; raises `ValueError` if it is damaged."""
  return read_json(pathlib.Path(workdir, 'manifest.json'))


def check_data(
  workdir: str | os.PathLike, data_hash: str, seen_hash: str | None = None
) -> None:
  """Checks that a run goes on with the data that it was started with.

  Args:
    workdir: the run's folder, with or without a manifest.
    data_hash: of the data, as the manifest has it.
    seen_hash: of what the run sees of it, as the manifest has it too: a test
      split may come and go.

  Raises:
    ValueError: the run has other data.
  """
  if not pathlib.Path(workdir, 'manifest.json').exists():
    return
  manifest = read_manifest(workdir)
  before = manifest.get('data_hash')
  is_seen = seen_hash is not None and manifest.get('seen_hash') == seen_hash
  if before != data_hash and not is_seen:
    raise ValueError(
      f'The run in {workdir} was started with other data, of hash {before}; '
      f'now it is {data_hash}. Start with another --workdir or with the same '
      'data.'
    )


def write_json(
  path: str | os.PathLike, value: Any, sealed: bool = False
) -> None:
  """Writes a JSON file: a reader sees the old one or the new one, whole.

  Args:
    path: the file.
    value: what `plain_json` accepts.
    sealed: whether a checksum, `crc32`, is added, which `read_json` compares:
      for files that nobody edits.
  """
  plain = plain_json(value)
  if sealed:
    plain = {**plain, _SEAL: _checksum(plain)}
  text = json.dumps(plain, indent=2, allow_nan=False)
  with files.replacing(path) as file:
    file.write(f'{text}\n'.encode())


def read_config(workdir: str | os.PathLike) -> Mapping[str, Any]:
  """Returns the settings in `config.json`.

  People edit this file, so one that is not as it was written is taken as it is,
  with a warning.

  Raises:
    ValueError: it holds no JSON object.
    OSError: it cannot be read.
  """
  return read_json(pathlib.Path(workdir, 'config.json'), is_edited=True)


def read_json(
  path: str | os.PathLike, is_edited: bool = False
) -> Mapping[str, Any]:
  """Returns the JSON object in a file, without a checksum.

  Args:
    path: the file.
    is_edited: whether people edit the file: another content than the one that
      was sealed is then a warning and no error.

  Raises:
    ValueError: there is none in it, or it is not the one that was sealed.
    OSError: it cannot be read.
  """
  try:
    value = json.loads(pathlib.Path(path).read_bytes())
  except (ValueError, RecursionError) as error:
    raise ValueError(
      f'{path} is damaged: not JSON ({error}); restore it from a copy.'
    ) from None
  if not isinstance(value, dict):
    raise ValueError(
      f'{path} is damaged: expected a JSON object, got a '
      f'{type(value).__name__}; restore it from a copy.'
    )
  sound = _has_no_seal(value)
  if _SEAL in value:
    sound = value.pop(_SEAL) == _checksum(value)
  if not sound and is_edited:
    logging.warning(
      '%s is not as it was written; its settings are taken as they are.', path
    )
  elif not sound:
    raise ValueError(
      f'{path} is damaged: it is not what was written; restore it from a copy.'
    )
  return value


def _has_no_seal(value: Mapping[str, Any]) -> bool:
  """Returns whether a file was never sealed, rather than damaged in the name.

  Nothing else ends in a text of eight hexadecimal digits. A date may, which is
  of digits alone.
  """
  *rest, name = value or ['']
  seal = value.get(name)
  if name == 'checksum' or not isinstance(seal, str):
    return True
  if re.fullmatch('[0-9a-f]{8}', seal) is None:
    return True
  return seal.isdigit() and seal != _checksum({key: value[key] for key in rest})


def _checksum(value: Mapping[str, Any]) -> str:
  return f'{zlib.crc32(json.dumps(value, sort_keys=True).encode()):08x}'


def plain_json(value: Any) -> Any:
  """Returns a value in the types of JSON, exactly.

  Arrays and tuples become lists, their numbers Python numbers, paths strings,
  and numbers that are not finite, which JSON lacks, `None`.
  """
  if isinstance(value, Mapping):
    return {str(name): plain_json(entry) for name, entry in value.items()}
  if isinstance(value, (list, tuple)):
    return [plain_json(entry) for entry in value]
  if isinstance(value, os.PathLike):
    return os.fspath(value)
  if hasattr(value, 'tolist'):
    return plain_json(value.tolist())
  if isinstance(value, float) and not math.isfinite(value):
    return None
  return value


def _list(value: Any) -> list[Any]:
  return value if isinstance(value, list) else []


def _as_flag(value: Any) -> str:
  """Returns a value as the command line spells it."""
  if isinstance(value, list):
    return ','.join(map(_as_flag, value))
  if isinstance(value, bool) or value is None:
    return str(value).lower()
  return str(value)


def _show(value: Any) -> str:
  return 'missing' if value is _MISSING else json.dumps(value)
