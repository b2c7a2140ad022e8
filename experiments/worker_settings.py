# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Settings of workers, and the trainers that use them.

Without workers, children are trained in the process of the run. With them, each
worker makes the run's trainers anew by `make_trainers`, which calls
`worker_trainers(config)` of the experiment's module.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
import contextlib
import dataclasses
import functools
import importlib
import math
import os
import pathlib
import sys
from typing import Any

import jax

from experiments import machine_settings, pod_settings, settings
from jaxnas.records import events
from jaxnas.runs import host
from jaxnas.trainers import pod as pod_trainers
from jaxnas.trainers import remote, training_servant
from jaxnas.types import Trainer
from jaxnas.workers import engines, filling, policies

FREE_OF_PLACES = (
  'workers',
  'num_workers',
  'ray_address',
  'gpus_per_worker',
  'worker_timeout',
)
"""Settings that may change when a run is resumed: all of `Places`."""

FREE = (*FREE_OF_PLACES, 'first_block_timeout', *pod_settings.FREE)
"""The same for all of `Workers`."""

Wrap = Callable[[Hashable, Trainer], Trainer]
"""`(name, trainer) -> trainer`, which may train elsewhere."""


@dataclasses.dataclass(frozen=True)
class Places(settings.Bounded):
  """Where children are trained, by any kind of training."""

  workers: str = settings.machine(
    'local',
    'Where children are trained: in this process, in several processes of this '
    'machine, or by Ray (pip install jaxnas[ray]).',
    choices=('local', *engines.KINDS),
  )
  num_workers: int = settings.machine(
    2,
    'Number of workers, each of which trains a block of children at a time.',
    low=1,
    high=settings.MAX_ITEMS,
  )
  ray_address: str = settings.machine(
    '',
    'Address of a Ray cluster, such as auto or host:6379; none: Ray on '
    'this machine alone.',
  )
  gpus_per_worker: int = settings.machine(
    0,
    'Number of GPUs of a worker; 0: workers use CPUs.',
    low=0,
    high=settings.MAX_DEVICES,
  )
  worker_timeout: float = settings.machine(
    600.0, 'Seconds to wait while there is no worker.', above=0.0
  )


@dataclasses.dataclass(frozen=True)
class Workers(Places, pod_settings.PodSettings):
  """Where blocks of children are trained."""

  first_block_timeout: float = settings.machine(
    policies.FIRST_BLOCK_SECONDS,
    'Time limit of a block on a worker, in seconds with compiling, until one '
    'of its kind is finished; later ones have five times the median.',
    above=0.0,
  )


class Team:
  """The workers of a run; nothing is started before the first block."""

  def __init__(self, config: Places, folder: str | os.PathLike):
    """Checks the settings.

    Args:
      config: the run's settings.
      folder: the run's folder, which gets `events.jsonl`.

    Raises:
      ValueError: the settings do not go together, or Ray is not installed.
    """
    self._config = config
    self._path = pathlib.Path(folder, events.FILE_NAME)
    self._stack = contextlib.ExitStack()
    self._log: events.EventLog | None = None
    self._engine = None
    if config.workers != 'local':
      self._num_threads = _num_threads(config)
      self._engine = engines.make_engine(
        config.workers,
        config.num_workers,
        ray_address=config.ray_address,
        gpus_per_worker=config.gpus_per_worker,
        environments=_environments(config, self._num_threads),
      )
      self._stack.callback(self._engine.close)
    elif config.ray_address or config.gpus_per_worker:
      name = 'ray_address' if config.ray_address else 'gpus_per_worker'
      raise ValueError(
        f'--{name} is {getattr(config, name)!r}, which needs --workers='
        f'{"ray" if config.ray_address else "processes or --workers=ray"}.'
      )

  def wrap(self, module: str, config: Any, facts: Mapping[str, Any]) -> Wrap:
    """Returns what makes trainers train elsewhere, if there are workers.

    Args:
      module: the name of the experiment's module, such as
        `'search_recurrent_cell'`.
      config: the complete settings, of which nothing is left to the machine.
      facts: what the module's `worker_trainers` must find too, such as the hash
        of the data.
    """
    make = functools.partial(
      make_trainers,
      module,
      without_workers(config),
      self._config.gpus_per_worker,
      type(config).__name__,
    )
    if (pod := pod_settings.current()) is not None:
      print(
        f'A pod of {pod.num_processes} processes of '
        f'{jax.local_device_count()} devices each.',
        file=sys.stderr,
      )
      return pod_trainers.PodTrainers(make, pod, facts=_texts(facts)).wrap
    if self._engine is None:
      return lambda name, trainer: trainer
    kind = 'Ray' if self._config.workers == 'ray' else 'processes'
    each = (
      f'{self._config.gpus_per_worker} GPUs'
      if self._config.gpus_per_worker
      else f'{self._num_threads} threads'
    )
    print(
      f'{self._config.num_workers} workers ({kind}) of {each} each; '
      f'{self._path} records what becomes of them.',
      file=sys.stderr,
    )
    if line := _advice(config):
      print(line, file=sys.stderr)
    remotes = remote.RemoteTrainers(
      make,
      self._engine,
      facts=_texts(facts),
      worker_timeout=self._config.worker_timeout,
      policy=_policy(self._config),
      write_event=self._write,
    )
    return remotes.wrap

  def _write(self, event: Mapping[str, Any]) -> None:
    if self._log is None:
      self._log = self._stack.enter_context(events.EventLog(self._path))
    self._log.write(event)

  def __enter__(self) -> Team:
    return self

  def __exit__(self, *exc_info: object) -> None:
    self._stack.close()


def wrap(
  team: Team | None, module: str, config: Any, facts: Mapping[str, Any]
) -> Wrap:
  """Returns `team.wrap(...)`; without a team, trainers stay as they are."""
  if team is None:
    return lambda name, trainer: trainer
  return team.wrap(module, config, facts)


def make_trainers(
  module: str,
  fields: Mapping[str, Any],
  num_gpus: int = 0,
  kind: str = 'Config',
) -> training_servant.Trainers:
  """Makes the trainers of an experiment, in a worker.

  Args:
    module: the name of the experiment's module.
    fields: the complete settings.
    num_gpus: the number of GPUs that the worker must have; 0: it uses CPUs.
    kind: the name of the settings' class in that module.

  Raises:
    ValueError: the worker has fewer GPUs, or a setting is out of range.
  """
  host.set_aside_settings()
  host.use_compilation_cache()
  host.check_platform()
  if num_gpus:
    found = jax.local_device_count() if jax.default_backend() == 'gpu' else 0
    if found < num_gpus:
      # JAX would go on with the CPU.
      raise ValueError(
        f'--gpus_per_worker is {num_gpus}, but jax finds {found} GPUs for this '
        'worker; ask for fewer GPUs or workers, or install jax with CUDA'
      )
  experiment = importlib.import_module(f'experiments.{module}')
  made = experiment.worker_trainers(getattr(experiment, kind)(**fields))
  return made._replace(facts=_texts(made.facts))


def prepare_driver(config: Any) -> None:
  """Leaves the GPUs to workers that have some.

  Must be called before JAX looks for devices.

  Args:
    config: the settings of any experiment.
  """
  if getattr(config, 'gpus_per_worker', 0):
    jax.config.update('jax_platforms', 'cpu')


def gpu_block_size(config: Any, default: Callable[[int, str], int]) -> int:
  """Returns the number of children in one call of a worker with GPUs.

  Workers share what is in flight evenly.

  Args:
    config: the settings.
    default: `(num_devices, platform) -> block size`, which keeps devices busy.

  Returns:
    The number; 0 if it is set, or if workers have no GPUs.
  """
  num_gpus = config.gpus_per_worker
  if config.block_size or not num_gpus:
    return 0
  # This process makes the same trainers, on a CPU.
  each = math.lcm(num_gpus, machine_settings.choose_num_devices(config))
  share = -(-config.replicas * config.round_size // config.num_workers)
  return -(-min(default(num_gpus, 'gpu'), share) // each) * each


def without_workers(config: Any) -> dict[str, Any]:
  """Returns the settings that decide results, by name.

  Args:
    config: the settings, with those of `Places`.
  """
  return {
    name: value
    for name, value in dataclasses.asdict(config).items()
    if name not in FREE
  }


def _advice(config: Any) -> str:
  """Returns one line if a search leaves workers idle, else `''`."""
  # Only a search has rounds.
  if not hasattr(config, 'round_size') or not config.block_size:
    return ''
  return filling.advice(
    config.replicas * config.round_size,
    config.num_workers * config.block_size,
    config.round_size,
  )


def _policy(config: Places) -> policies.Policy:
  """Returns what is done about blocks that fail or take long."""
  if isinstance(config, Workers):
    return policies.Blocks(first_block_timeout=config.first_block_timeout)
  # Nobody can say how long a long training takes.
  return policies.LongTrainings()


def _texts(facts: Mapping[str, Any]) -> dict[str, str]:
  return {str(name): str(value) for name, value in facts.items()}


def _num_threads(config: Places) -> int:
  """Returns the number of threads of a worker.

  Nobody knows how many cores the machines of a cluster have; there, a worker
  has one, and there can be as many workers as cores.
  """
  if config.ray_address:
    return 1
  return max(1, host.num_cores() // config.num_workers)


def _environments(config: Places, num_threads: int) -> list[dict[str, str]]:
  """Returns the environment variables of each worker."""
  variables = {
    # The same as in this process, so that programs are the same.
    'XLA_FLAGS': os.environ.get('XLA_FLAGS', ''),
    # The number of threads that XLA starts.
    'NPROC': str(num_threads),
    'JAX_PLATFORMS': '' if config.gpus_per_worker else 'cpu',
  }
  count = config.gpus_per_worker
  if config.workers == 'ray' or not count:
    return [variables] * config.num_workers
  return [
    variables
    | {
      'CUDA_VISIBLE_DEVICES': ','.join(
        str(count * worker + number) for number in range(count)
      )
    }
    for worker in range(config.num_workers)
  ]
