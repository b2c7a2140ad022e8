# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Accelerators that programs are compiled for on a machine without them."""

from __future__ import annotations

import contextlib
import os
from typing import NamedTuple

import jax
from jax.experimental import topologies
from jax.sharding import AbstractDevice, AbstractMesh, use_abstract_mesh

# What the compiler must know of an H100 with 80 GB.
_H100 = """
gpu_device_info {
  threads_per_block_limit: 1024
  threads_per_warp: 32
  shared_memory_per_block: 49152
  shared_memory_per_core: 233472
  threads_per_core_limit: 2048
  core_count: 132
  fpus_per_core: 128
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  memory_bandwidth: 3352320000000
  l2_cache_size: 52428800
  clock_rate_ghz: 1.98
  device_memory_size: 84978434048
  shared_memory_per_block_optin: 232448
  cuda_compute_capability { major: 9 minor: 0 }
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 10 patch: 0 }
runtime_version { major: 13 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""
_TPU_VARIABLES = {
  'TPU_SKIP_MDS_QUERY': '1',
  'TPU_ACCELERATOR_TYPE': 'v5litepod-4',
  'TPU_WORKER_ID': '0',
  'TPU_WORKER_HOSTNAMES': 'localhost',
}


class Target(NamedTuple):
  """A kind of device that is compiled for.

  Attributes:
    platform: the platform of networks and cells, such as `'cuda'`.
    memory_bytes: the memory of a device; 0 where it does not matter.
  """

  platform: str
  memory_bytes: int


TARGETS = {
  'h100': Target('cuda', 84_978_434_048),
  'tpu-v5e': Target('tpu', 16 * 2**30),
  'cpu': Target('cpu', 0),
}
"""The targets by name."""

_KINDS = {
  'cuda': AbstractDevice('NVIDIA H100', None, 'gpu'),
  'tpu': AbstractDevice('TPU v5 lite', 1, 'tpu'),
}


def lowering_for(platform: str) -> contextlib.AbstractContextManager:
  """Makes what is traced and lowered be for a device that need not be here.

  Kernels in Pallas ask about the device as soon as they are lowered.

  Args:
    platform: the platform, such as `'cuda'`.
  """
  if platform not in _KINDS:
    return contextlib.nullcontext()
  return use_abstract_mesh(
    AbstractMesh((), (), abstract_device=_KINDS[platform])
  )


def device(name: str) -> jax.Device:
  """Returns a device to compile for, which need not be there.

  Args:
    name: the name of the target, one of `TARGETS`.

  Raises:
    ValueError: its compiler is not installed.
  """
  if name == 'cpu':
    return jax.devices('cpu')[0]
  try:
    if name == 'h100':
      topology = topologies.get_topology_desc(
        platform='cuda',
        topology_name='',
        topology='1x1x1',
        target_config=_H100,
      )
    else:
      os.environ.update(_TPU_VARIABLES)
      topology = topologies.get_topology_desc(
        platform='tpu', topology_name='v5e:2x2'
      )
  except Exception as error:  # A missing plugin may raise anything.
    line = (str(error).splitlines() or [type(error).__name__])[0]
    raise ValueError(
      f'Nothing here compiles for {name}: {line.rstrip(".")}; '
      '`make compile-for` installs what does.'
    ) from None
  return topology.devices[0]
