# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The folder of one run: its lock, its config and its manifest.

`config.json` holds the settings of the run and decides whether a later command
may resume it. `manifest.json` holds the environment it ran in.
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

from jaxnas import errors, files
from jaxnas.records import conditions

SHARED = 'shared'
"""The folder in it of phases in which architectures share weights."""

_SEAL = 'crc32'
_MISSING = object()


class WorkdirBusyError(ValueError):
  """Another live process uses the folder."""


@contextlib.contextmanager
def lock(workdir: str | os.PathLike) -> Iterator[pathlib.Path]:
  """Creates the folder and keeps other processes out during the context.

  The kernel releases the lock when the process ends, however it ends. If the
  system or file system has no such lock, a warning says that nothing keeps a
  second run out, and the run proceeds.

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
        f'wait until it ends, or start with {errors.another_folder()}.'
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
  """Writes `config.json`, or compares the settings with an existing one.

  Args:
    workdir: the folder of the run.
    config: the settings of the run, JSON-compatible values.
    free: the settings that may change when the run is resumed; the new value
      then replaces the old one in the file.
    defaults: the default values of the settings that are flags. A setting
      missing from the file, because an older version lacked it, counts as
      having its default.

  Raises:
    ValueError: a setting differs from the one the folder was started with or
      cannot be stored as JSON, or the file is damaged or missing although there
      are records of a run. Nothing is written then.
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
          f'give --{name}={_as_flag(was)}, as it was, or '
          + errors.another_folder()
          if name in flags and was is not _MISSING
          else f'start with {errors.another_folder()} or with the same '
          + errors.choose('flags', 'arguments')
        )
        raise ValueError(
          f'Config field {name!r} is {_show(was)} in {path} and {_show(now)} '
          f'now; {remedy}.'
        )
  if old != new:
    write_json(path, new, sealed=True)


def begin(workdir: str | os.PathLike) -> None:
  """Lets a folder in which a search recorded no trial begin anew.

  Its settings and its manifest, which bind nothing yet, are removed, so that
  other settings can be given.

  Args:
    workdir: the folder of the search.

  Raises:
    ValueError: the record of the logs' beginnings is damaged.
  """
  folder = pathlib.Path(workdir)
  records = [
    *folder.glob('trials.jsonl*'),
    *folder.glob('rounds.jsonl*'),
    *folder.glob('checkpoints/*'),
    *folder.glob(f'{SHARED}/*'),
  ]
  if any(path.is_dir() or path.stat().st_size for path in records):
    return
  # It says how logs begin, even if they are lost.
  heads = folder / 'logs.json'
  if heads.exists() and not {*read_json(heads)} <= {'timings.jsonl'}:
    return
  for name in ('config.json', 'manifest.json'):
    (folder / name).unlink(missing_ok=True)


def _check_is_new(path: pathlib.Path) -> None:
  """Raises `ValueError` if there are records without their settings."""
  for record in (path.with_name('manifest.json'), *path.parent.glob('*.jsonl')):
    # Times alone, of a start that recorded nothing else, have no settings.
    if record.name == 'timings.jsonl':
      continue
    if record.exists() and record.stat().st_size:
      raise ValueError(
        f'{path} is missing, but {record.name} belongs to a run, whose '
        'settings are therefore unknown; restore it from a copy, or start with '
        f'{errors.another_folder()}.'
      )


def write_manifest(
  workdir: str | os.PathLike, **facts: Any
) -> Mapping[str, Any]:
  """Records the environment of a run, once for each start.

  The manifest of the first start is kept. A later start adds the time and
  everything that has changed to its list `'resumed'`.

  Args:
    workdir: the folder of the run.
    **facts: further entries, such as the seed and the hash of the data.

  Returns:
    The manifest, as `read_manifest` reads it.

  Raises:
    ValueError: an existing manifest is damaged, or the run cannot continue in
      this environment; see `conditions.check`.
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
  """Checks that a run is resumed with the data it was started with.

  Args:
    workdir: the run's folder, with or without a manifest.
    data_hash: the hash of the data, as in the manifest.
    seen_hash: the hash of the part of the data that the run uses, as in the
      manifest; a test split may come and go.

  Raises:
    ValueError: the run was started with other data.
  """
  if not pathlib.Path(workdir, 'manifest.json').exists():
    return
  manifest = read_manifest(workdir)
  before = manifest.get('data_hash')
  is_seen = seen_hash is not None and manifest.get('seen_hash') == seen_hash
  if before != data_hash and not is_seen:
    raise ValueError(
      f'The run in {workdir} was started with other data, whose hash is '
      f'{before}; now it is {data_hash}. Start with '
      f'{errors.another_folder()} or with the same data.'
    )


def write_json(
  path: str | os.PathLike, value: Any, sealed: bool = False
) -> None:
  """Writes a JSON file atomically: readers see all of the old or the new.

  Args:
    path: the file.
    value: the value, as `plain_json` accepts it.
    sealed: whether to add a checksum, `crc32`, which `read_json` verifies.
  """
  plain = plain_json(value)
  if sealed:
    plain = {**plain, _SEAL: _checksum(plain)}
  text = json.dumps(plain, indent=2, allow_nan=False)
  with files.replacing(path) as file:
    file.write(f'{text}\n'.encode())


def read_config(workdir: str | os.PathLike) -> Mapping[str, Any]:
  """Returns the settings in `config.json`.

  Users may edit this file, so a checksum that does not match is only a warning.

  Raises:
    ValueError: the file holds no JSON object.
    OSError: the file cannot be read.
  """
  return read_json(pathlib.Path(workdir, 'config.json'), is_edited=True)


def read_json(
  path: str | os.PathLike, is_edited: bool = False
) -> Mapping[str, Any]:
  """Returns the JSON object in a file, without its checksum.

  Args:
    path: the file.
    is_edited: whether users may edit the file; a checksum that does not match
      is then a warning instead of an error.

  Raises:
    ValueError: the file holds no JSON object, or the checksum does not match.
    OSError: the file cannot be read.
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
      '%s was edited after it was written; its settings are used as they are.',
      path,
    )
  elif not sound:
    raise ValueError(
      f'{path} is damaged: it is not what was written; restore it from a copy.'
    )
  return value


def _has_no_seal(value: Mapping[str, Any]) -> bool:
  """Returns whether a file was written without a seal, undamaged.

  If only the name of the seal is damaged, the last value still looks like one:
  no other value is a string of eight hexadecimal digits, except a date, which
  consists of decimal digits alone.
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
  """Returns a value converted to JSON types, without loss of precision.

  Arrays and tuples become lists, their numbers Python numbers, and paths
  strings. Numbers that are not finite, which JSON lacks, become `None`.
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
  """Returns a value as it is spelled on the command line."""
  if isinstance(value, list):
    return ','.join(map(_as_flag, value))
  if isinstance(value, bool) or value is None:
    return str(value).lower()
  return str(value)


def _show(value: Any) -> str:
  return 'missing' if value is _MISSING else json.dumps(value)
