# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The environment of a run, apart from its settings and data.

A seed alone decides nothing: the numbers drawn from it depend on JAX's
settings, and the last bits of a computation on versions, device and compiler
flags. Resuming a run where different numbers would be drawn is refused; where
only last bits may differ, a warning says so.
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

from jaxnas import errors

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
# The number of devices is checked as a setting of its own.
_DEVICE_COUNT = '--xla_force_host_platform_device_count='


def now() -> dict[str, Any]:
  """Returns the environment of this process, as stored in the manifest."""
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
  """Compares a run's environment with the one it is resumed in.

  Args:
    before: the run's manifest; older versions wrote fewer fields.
    after: the result of `now`.

  Raises:
    ValueError: other random numbers would be drawn.
  """
  was, is_now = (_part(each, 'jax_settings') for each in (before, after))
  for name in _RANDOM_SETTINGS:
    if name in was and was[name] != is_now.get(name):
      raise ValueError(
        f'{name} was {_spell(was[name])} when the run was started, and is '
        f'{_spell(is_now.get(name))} now: other random numbers would be drawn. '
        f'Set {name.upper()}={_spell(was[name])}, or start with '
        f'{errors.another_folder()}.'
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
      'The run was started with %s, which has changed: results from here on '
      'may differ in their last bits from those of an uninterrupted run; '
      'continue like this, or restore the earlier values.',
      ', '.join(changes),
    )


def _changes(was, is_now, spell=lambda name: name) -> list[str]:
  """Returns the earlier value of whatever changed, such as `'jax=0.7.2'`."""
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
  """Returns the flags that may affect results, sorted."""
  given = value.split() if isinstance(value, str) else []
  return sorted({each for each in given if not each.startswith(_DEVICE_COUNT)})


def _spell(value: Any) -> str:
  """Returns a value as an environment variable spells it."""
  return str(value).lower() if isinstance(value, bool) else str(value)


def _versions() -> dict[str, str | None]:
  """Returns the versions of all packages that a result may depend on."""
  versions: dict[str, str | None] = {'python': platform.python_version()}
  for name in _PACKAGES:
    try:
      versions[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
      versions[name] = None
  return versions


def _git_state() -> dict[str, Any] | None:
  """Returns the commit of this package's checkout, and whether it is dirty."""
  this_file = pathlib.Path(__file__)
  # An installed package may lie inside the checkout of another project.
  if _git('ls-files', '--error-unmatch', this_file.name) is None:
    return None
  commit = _git('rev-parse', 'HEAD')
  # Untracked files are ignored: runs are often kept inside the checkout.
  changes = _git('status', '--porcelain', '--untracked-files=no')
  return {'commit': commit, 'dirty': None if changes is None else bool(changes)}


def _git(*arguments: str) -> str | None:
  """Returns git's output; `None` if git fails or is missing."""
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
