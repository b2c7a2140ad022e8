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
import importlib.metadata
import json
import math
import os
import pathlib
import platform
import shlex
import subprocess
import sys
from typing import Any

import jax

from jaxnas import files

_PACKAGES = ('jax', 'jaxlib', 'flax', 'optax', 'numpy', 'jaxnas')
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
) -> None:
  """Writes `config.json`, or compares it with the one that is there.

  Args:
    workdir: the folder of the run.
    config: its settings, values that JSON can hold.
    free: the settings that may change when the run is resumed; the file then
      takes the new value.

  Raises:
    ValueError: a setting is not what the folder was started with, or is not a
      finite number, or the file is damaged. Nothing is written then.
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
  old = read_json(path) if path.exists() else None
  if old is not None:
    for name in (*new, *old):
      was, now = old.get(name, _MISSING), new.get(name, _MISSING)
      if was != now and name not in free:
        raise ValueError(
          f'Config field {name!r} is {_show(was)} in {path} and {_show(now)} '
          'now; start with another --workdir or with the same flags.'
        )
  if old != new:
    write_json(path, new)


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
    ValueError: there is a manifest and it is damaged.
  """
  path = pathlib.Path(workdir, 'manifest.json')
  now = plain_json(
    {
      'time_started': datetime.datetime.now(datetime.UTC).isoformat(),
      'command': shlex.join(sys.orig_argv),
      'versions': _versions(),
      'git': _git_state(),
      'device': {
        'kind': jax.devices()[0].device_kind,
        'count': jax.device_count(),
        'platform': jax.default_backend(),
      },
      'system': platform.platform(),
      'xla_flags': os.environ.get('XLA_FLAGS'),
      **facts,
      'resumed': [],
    }
  )
  if path.exists():
    manifest = dict(read_json(path))
    changes = {
      name: value
      for name, value in now.items()
      if name != 'resumed' and manifest.get(name, _MISSING) != value
    }
    manifest['resumed'] = [*manifest.get('resumed', ()), changes]
  else:
    manifest = now
  write_json(path, manifest)
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


def write_json(path: str | os.PathLike, value: Any) -> None:
  """Writes a JSON file: a reader sees the old one or the new one, whole.

  Args:
    path: the file.
    value: what `plain_json` accepts.
  """
  text = json.dumps(plain_json(value), indent=2, allow_nan=False)
  with files.replacing(path) as file:
    file.write(f'{text}\n'.encode())


def read_json(path: str | os.PathLike) -> Mapping[str, Any]:
  """Returns the JSON object in a file; raises `ValueError` if there is none."""
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
  return value


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


def _show(value: Any) -> str:
  return 'missing' if value is _MISSING else json.dumps(value)


def _versions() -> dict[str, str | None]:
  """Returns the versions of all that a result may depend on."""
  versions: dict[str, str | None] = {'python': platform.python_version()}
  for name in _PACKAGES:
    try:
      versions[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
      versions[name] = None
  return versions


def _git_state() -> dict[str, Any] | None:
  """Returns commit and cleanness of the checkout this package runs from."""
  this_file = pathlib.Path(__file__)
  # An installed package may lie inside a checkout of something else.
  if _git('ls-files', '--error-unmatch', this_file.name) is None:
    return None
  commit = _git('rev-parse', 'HEAD')
  # Untracked files do not count: runs are often kept inside the checkout.
  changes = _git('status', '--porcelain', '--untracked-files=no')
  return {'commit': commit, 'dirty': None if changes is None else bool(changes)}


def _git(*arguments: str) -> str | None:
  """Returns what git prints, `None` where it fails or is missing."""
  try:
    return subprocess.run(
      ['git', '--no-optional-locks', *arguments],
      cwd=pathlib.Path(__file__).parent,
      capture_output=True,
      check=True,
      text=True,
      timeout=10,
    ).stdout.strip()
  except (OSError, subprocess.SubprocessError):
    return None
