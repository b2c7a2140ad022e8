# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Settings of the machine that must precede JAX's search for devices.

Your own program makes all of them with one call, before any other use of JAX:

    import jaxnas

    jaxnas.prepare()
"""

from __future__ import annotations

import importlib.util
import os
import pathlib
import re
import sys

from absl import logging
import jax

from jaxnas import errors
from jaxnas.datasets import prepared

MAX_DEVICES = 8
_DEVICE_COUNT_FLAG = '--xla_force_host_platform_device_count'
_MULTI_THREAD_FLAG = '--xla_cpu_multi_thread_eigen'
_OPTIMIZATION_FLAG = '--xla_backend_optimization_level'

# JAX settings that would stop runs or change results, with their replacements
# and reasons.
_SET_ASIDE = (
  ('jax_debug_infs', False, 'children that diverge are results here'),
  ('jax_debug_nans', False, 'children that diverge are results here'),
  ('jax_disable_jit', False, 'a training is one compiled program'),
  ('jax_enable_x64', False, 'runs compute in float32'),
  ('jax_numpy_dtype_promotion', 'standard', 'optax needs it'),
  *(
    (f'jax_transfer_guard_{way}', 'allow', 'runs move data to and from devices')
    for way in ('host_to_device', 'device_to_host', 'device_to_device')
  ),
)


def prepare(num_devices: int | None = None) -> None:
  """Configures JAX as every experiment does; call it first in a program.

  Compiled programs are cached on disk; a CPU is split into devices that
  children are spread over (see `prepare_devices`); and JAX settings from the
  environment that would break training are overridden. JAX then looks for its
  devices.

  Args:
    num_devices: the number of devices that a CPU is split into; one per
      physical core by default.

  Raises:
    ValueError: JAX has already looked for its devices or finds none, or
      `num_devices` is not positive or contradicts the environment.
  """
  set_aside_settings()
  use_compilation_cache()
  wanted = prepare_devices(num_devices, 'jaxnas.prepare(num_devices)')
  check_platform()
  found = jax.local_device_count()
  if wanted and jax.default_backend() == 'cpu' and found != wanted:
    raise ValueError(
      f'jax looked for devices before jaxnas.prepare() was called, and has '
      f'{found} instead of {wanted}; make it the first call of the program.'
    )


# `JAX_TRANSFER_GUARD` sets the guards of all directions.
_WAY = re.compile(r'_(host|device)_to_(host|device)$')


def use_compilation_cache() -> None:
  """Caches compiled programs on disk, so that a second run starts at once.

  The environment takes precedence: `JAX_COMPILATION_CACHE_DIR` names the folder
  (empty for no cache), and JAX's other cache settings are respected.
  """
  folder = os.environ.get('JAX_COMPILATION_CACHE_DIR')
  try:
    if folder is None:
      cache = os.environ.get('XDG_CACHE_HOME') or prepared.expand('~/.cache')
      folder = os.path.join(cache, 'jaxnas', 'xla')
      prepared.check_utf8(folder)
      os.makedirs(folder, exist_ok=True)
      jax.config.update('jax_compilation_cache_dir', folder)
    prepared.check_utf8(folder)
  except (OSError, ValueError) as error:
    logging.warning('No compilation cache: %s', error)
    jax.config.update('jax_compilation_cache_dir', None)
    return
  for name, value in (
    ('jax_persistent_cache_min_compile_time_secs', 0.5),
    ('jax_persistent_cache_min_entry_size_bytes', -1),
  ):
    if name.upper() not in os.environ:
      jax.config.update(name, value)


def set_aside_settings() -> None:
  """Overrides JAX settings from the environment that would break a run.

  One line lists them. Settings that only warn or check are kept.
  """
  told: dict[str, str] = {}
  for name, value, reason in _SET_ASIDE:
    now = getattr(jax.config, name, None)
    if now in (None, value) or str(now).startswith('log'):
      continue
    jax.config.update(name, value)
    told.setdefault(reason, _WAY.sub('', name).upper())
  if told:
    shown = ', '.join(f'{name} ({reason})' for reason, name in told.items())
    print(f'Ignored from the environment: {shown}.', file=sys.stderr)


def check_platform() -> None:
  """Makes JAX look for its devices.

  Raises:
    ValueError: there is no device of the kind that the environment requests.
  """
  try:
    jax.devices()
  # If only an unknown GPU was requested, JAX fails with an assertion.
  except (RuntimeError, AssertionError) as error:
    platforms = os.environ.get('JAX_PLATFORMS')
    reason = ' '.join(str(error).split()).partition(' (')[0].rstrip('.')
    reason = reason and f' ({reason})'
    raise ValueError(
      f'JAX_PLATFORMS is {platforms!r}, which jax cannot use here{reason}; '
      'unset it, or set it to cpu.'
      if platforms
      else f'jax can use no device here{reason}; set JAX_PLATFORMS=cpu.'
    ) from error


def prepare_devices(
  num_devices: int | None = None,
  remedy: str = '--num_host_devices',
  *,
  is_asked: bool = True,
) -> int | None:
  """Splits the CPU into devices of one thread each, and prints one line.

  Children are sharded over devices, which keeps every core busy if a child's
  matrices are too small to share between threads. Must be called before JAX
  looks for devices. Nothing changes if the environment already decides, for one
  device, or on a GPU or TPU.

  Args:
    num_devices: the number of devices. `None` means one per physical core that
      this process may use, rounded down to a power of two and at most
      `MAX_DEVICES`, so that the number divides a block of children.
    remedy: the name, in the printed line, of the setting that changes the
      number.
    is_asked: whether the user asked for this number; if not, the environment
      may override it.

  Returns:
    The number of devices that a CPU was split into; `None` if nothing changed.

  Raises:
    ValueError: `num_devices` is not positive, or contradicts the environment.
  """
  name = errors.choose('num_host_devices', 'num_devices')
  if num_devices is not None and num_devices < 1:
    raise ValueError(f'{name} must be at least 1 or none, got {num_devices}.')
  platforms = os.environ.get('JAX_PLATFORMS', '')
  if platforms and 'cpu' not in platforms.split(','):
    return None
  given = os.environ.get('XLA_FLAGS', '')
  found = re.search(rf'{_DEVICE_COUNT_FLAG}=(\d+)', given)
  count = found[1] if found else os.environ.get('JAX_NUM_CPU_DEVICES')
  if count and is_asked and num_devices not in (None, int(count)):
    raise ValueError(
      f'{name} is {num_devices}, but the environment asks for '
      f'{count} (XLA_FLAGS or JAX_NUM_CPU_DEVICES); leave one of the two out.'
    )
  if count or _MULTI_THREAD_FLAG in given:
    return None
  if num_devices is None:
    num_devices = min(MAX_DEVICES, 1 << (num_cores().bit_length() - 1))
  if num_devices == 1:
    return None
  added = f'{_DEVICE_COUNT_FLAG}={num_devices} {_MULTI_THREAD_FLAG}=false'
  if _OPTIMIZATION_FLAG not in given and not _has_accelerator_plugin():
    # The next level takes twice as long to compile, and its programs are
    # slower.
    added += f' {_OPTIMIZATION_FLAG}=2'
  os.environ['XLA_FLAGS'] = f'{given} {added}'.strip()
  print(
    f'A CPU counts as {num_devices} devices of one thread each; {remedy} '
    'changes it.',
    file=sys.stderr,
  )
  return num_devices


def _has_accelerator_plugin() -> bool:
  """Returns whether JAX might run on something other than a CPU."""
  return any(
    importlib.util.find_spec(name) is not None
    for name in ('jax_plugins', 'libtpu')
  )


def num_cores() -> int:
  """Returns the number of physical cores that this process may use."""
  try:
    threads = os.sched_getaffinity(0)
    topology = pathlib.Path('/sys/devices/system/cpu')
    return len(
      {
        (topology / f'cpu{thread}/topology/thread_siblings_list').read_text()
        for thread in threads
      }
    )
  except (AttributeError, OSError):  # Not Linux, or no such files.
    return os.cpu_count() or 1
