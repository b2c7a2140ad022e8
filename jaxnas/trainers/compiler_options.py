# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""XLA's options for the programs that train children."""

from __future__ import annotations

import functools
from typing import Any

import jax

# XLA cuts a large operation on a CPU into tasks for several threads. Where
# several devices are busy, a few images of a batch then come out wrong: rarely,
# and differently each time, as if a convolution had begun before the tasks that
# make its input were done. Devices that are busy gain nothing from the tasks.
_CPU_OPTIONS: dict[str, str | bool] = {
  'xla_disable_hlo_passes': 'cpu-parallel-task-assigner'
}
# XLA's newer code generator for fusions on CPUs takes about twice as long as
# the older one to compile a convolutional child, and its steps are no faster.
_ONE_ARCHITECTURE_CPU_OPTIONS: dict[str, str | bool] = {
  'xla_cpu_use_fusion_emitters': False
}


def of_children(platform: str) -> dict[str, Any]:
  """Returns XLA's options for any program that trains or measures children.

  Args:
    platform: the platform, such as `'cpu'`, which JAX can use here.
  """
  return _known(_CPU_OPTIONS) if platform == 'cpu' else {}


def of_one_architecture(platform: str) -> dict[str, Any]:
  """Returns XLA's options for the program of one architecture.

  Args:
    platform: the platform, such as `'cpu'`, which JAX can use here.
  """
  if platform != 'cpu':
    return {}
  return of_children(platform) | _known(_ONE_ARCHITECTURE_CPU_OPTIONS)


def _known(options: dict[str, str | bool]) -> dict[str, Any]:
  return {
    name: value for name, value in options.items() if _is_known(name, value)
  }


@functools.cache
def _is_known(name: str, value: str | bool) -> bool:
  """Returns whether this version of XLA knows an option."""
  try:
    with jax.default_device(jax.local_devices(backend='cpu')[0]):
      jax.jit(lambda: 0).lower().compile({name: value})
  except jax.errors.JaxRuntimeError as error:
    if 'No such compile option' not in str(error):
      raise
    return False
  return True
