# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A benchmark worker's facts about JAX and its device."""

from __future__ import annotations

import importlib.metadata

import jax

from experiments.benchmarks import worker as worker_lib


def describe() -> worker_lib.Facts:
  """Returns the device and versions."""
  device = jax.local_devices()[0]
  return {
    'platform': device.platform,
    'device': device.device_kind,
    'num_devices': len(jax.local_devices()),
    'versions': {
      name: importlib.metadata.version(name)
      for name in ('jax', 'jaxlib', 'flax')
    },
  }


def peak_bytes() -> int:
  """Returns the peak memory so far: the device's, or on a CPU the process's."""
  device = jax.local_devices()[0]
  if device.platform != 'cpu':
    return (device.memory_stats() or {}).get('peak_bytes_in_use', 0)
  return worker_lib.peak_bytes()
