# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The conditions that a run is done under, beside its settings and its data.

A seed decides nothing alone: which numbers are drawn from it hangs on settings
of jax, and the last bits of what is computed hang on versions, the device and
flags of the compiler. A run that goes on where numbers are drawn in another way
is refused; where last bits may differ, a line says so.
"""

from __future__ import annotations

from collections.abc import Mapping
import importlib.metadata
import os
import pathlib
import platform
import shlex
import subprocess
from typing import Any

from absl import logging
import jax

_PACKAGES = ('jax', 'jaxlib', 'flax', 'optax', 'numpy', 'jaxnas')
_RANDOM_SETTINGS = (
  'jax_threefry_partitionable',
  'jax_default_prng_impl',
  'jax_random_seed_offset',
  'jax_enable_x64',
)
_BIT_SETTINGS = (
  'jax_default_matmul_precision',
  'jax_numpy_dtype_promotion',
  'jax_disable_jit',
  'jax_disable_most_optimizations',
)
# The number of devices is a setting of its own.
_DEVICE_COUNT = '--xla_force_host_platform_device_count='


def now() -> dict[str, Any]:
  """Returns the conditions of this process, as the manifest has them."""
  return {
    'versions': _versions(),
    'git': _git_state(),
    'device': {
      'kind': jax.devices()[0].device_kind,
      'count': jax.device_count(),
      'platform': jax.default_backend(),
    },
    'system': platform.platform(),
    'xla_flags': os.environ.get('XLA_FLAGS'),
    'jax_settings': {
      name: getattr(jax.config, name, None)
      for name in (*_RANDOM_SETTINGS, *_BIT_SETTINGS)
    },
  }


def check(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
  """Compares the conditions of a run with those it is to go on under.

  Args:
    before: a manifest; older ones say less.
    after: what `now` returned.

  Raises:
    ValueError: other random numbers would be drawn.
  """
  was, is_now = (_part(each, 'jax_settings') for each in (before, after))
  for name in _RANDOM_SETTINGS:
    if name in was and was[name] != is_now.get(name):
      raise ValueError(
        f'{name} was {_spell(was[name])} when the run was started, and is '
        f'{_spell(is_now.get(name))} now: other random numbers would be drawn. '
        f'Set {name.upper()}={_spell(was[name])}, or start with another '
        '--workdir.'
      )
  changes = [
    *_changes(_part(before, 'versions'), _part(after, 'versions')),
    *_changes(_device(before), _device(after)),
    *_changes(
      {name: was[name] for name in _BIT_SETTINGS if name in was},
      is_now,
      lambda name: name.upper(),
    ),
  ]
  flags = [_flags(each.get('xla_flags')) for each in (before, after)]
  if 'xla_flags' in before and flags[0] != flags[1]:
    changes.append(f'XLA_FLAGS={shlex.quote(before["xla_flags"] or "")}')
  if changes:
    logging.warning(
      'The run was started with %s, which is not so now: what is trained from '
      'here may differ in its last bits from what an uninterrupted run would '
      'have; go on so, or set these as they were.',
      ', '.join(changes),
    )


def _changes(was, is_now, spell=lambda name: name) -> list[str]:
  """Returns what was otherwise, as `'jax=0.7.2'`."""
  return [
    f'{spell(name)}={_spell(value)}'
    for name, value in was.items()
    if value != is_now.get(name)
  ]


def _part(conditions: Mapping[str, Any], name: str) -> Mapping[str, Any]:
  part = conditions.get(name)
  return part if isinstance(part, Mapping) else {}


def _device(conditions: Mapping[str, Any]) -> dict[str, Any]:
  device = _part(conditions, 'device')
  return {name: device[name] for name in ('platform', 'kind') if name in device}


def _flags(value: Any) -> list[str]:
  """Returns flags that have a say in results, in order."""
  given = value.split() if isinstance(value, str) else []
  return sorted({each for each in given if not each.startswith(_DEVICE_COUNT)})


def _spell(value: Any) -> str:
  """Returns a value as an environment variable spells it."""
  return str(value).lower() if isinstance(value, bool) else str(value)


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
