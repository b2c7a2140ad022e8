# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The engine of a kind of workers, by its name.

This module does not import JAX.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jaxnas import errors
from jaxnas.workers import processes, ray_engine
from jaxnas.workers.engine import Engine

KINDS = ('processes', 'ray')
"""The kinds of workers."""


def make_engine(
  kind: str,
  num_workers: int,
  *,
  ray_address: str = '',
  gpus_per_worker: float = 0,
  environments: Sequence[Mapping[str, str]] = (),
) -> Engine:
  """Returns an engine whose workers are not started yet.

  Args:
    kind: `'processes'` of this machine, or `'ray'`.
    num_workers: the number of workers.
    ray_address: the address of a Ray cluster, such as `'auto'`; a Ray of this
      machine alone by default.
    gpus_per_worker: the number of GPUs that Ray gives each worker.
    environments: environment variables of each worker; none by default.

  Raises:
    ValueError: there is no such kind, or Ray is not installed.
  """
  if kind not in KINDS:
    raise ValueError(
      f'The workers must be {" or ".join(map(repr, KINDS))}, got {kind!r}.'
    )
  if kind == 'processes':
    if ray_address:
      argument = errors.choose('--ray_address', 'ray_address')
      needed = errors.choose('--workers=ray', 'workers="ray"')
      raise ValueError(f'{argument} is {ray_address!r}, which needs {needed}.')
    return processes.ProcessEngine(num_workers, environments)
  return ray_engine.RayEngine(
    num_workers,
    address=ray_address,
    gpus_per_worker=gpus_per_worker,
    environments=environments,
  )
