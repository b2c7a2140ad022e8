# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Settings of the machine and of the seed, for every kind of run."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax

from experiments import settings
from jaxnas.records import sinks

FREE_OF_TRAINING = (
  'num_epochs',
  'evaluate_test',
  'checkpoint_minutes',
  'num_host_devices',
  'data_dir',
  'log_to',
)
"""Settings that may change when a long training is resumed."""


@dataclasses.dataclass(frozen=True)
class Devices(settings.Bounded):
  """The devices that children, searches or measurements are spread over."""

  num_host_devices: int | None = settings.machine(
    None,
    'Number of devices that a CPU is split into; none: one for each core, up '
    'to 8.',
    low=1,
    high=settings.MAX_DEVICES,
  )


@dataclasses.dataclass(frozen=True)
class LogTo(settings.Bounded):
  """The programs that the scalars of a run are written for."""

  log_to: tuple[str, ...] = settings.machine(
    (),
    'Where scalars are written as they come, besides the records of the run.',
    choices=sinks.NAMES,
  )


@dataclasses.dataclass(frozen=True)
class Machine(Devices):
  """The devices, and the seed of all random draws."""

  seed: int = settings.machine(
    0,
    'Seed of every random draw. The last bits also depend on versions, the '
    'kind and number of devices, block_size and a route that was measured; the '
    'manifest has these, and a resumed run keeps those it can choose.',
    is_common=True,
    low=0,
    high=settings.MAX_SEED,
  )


@dataclasses.dataclass(frozen=True)
class LongTraining(Machine, LogTo):
  """The course of a training of many epochs."""

  seed: int = settings.machine(
    0,
    'Seed of the initial weights, the order of the data, dropout and '
    'augmentation.',
    is_common=True,
    low=0,
    high=2**31 - 1,
  )
  evaluate_test: bool = settings.data(
    False, 'Whether to measure the test split at the end.', is_common=True
  )
  checkpoint_minutes: float = settings.machine(
    10.0,
    'Longest time between two checkpoints, in minutes; there is one after '
    'every epoch too.',
    above=0.0,
  )
  num_host_devices: int | None = settings.changed(
    Devices,
    'num_host_devices',
    1,
    help='Number of devices that a CPU is split into; the training uses one, '
    'with all its threads.',
  )


def of_training(config: LongTraining, may_grow: bool) -> dict[str, Any]:
  """Returns the fields of a `Training` that its settings alone decide.

  Args:
    config: the settings.
    may_grow: whether a resumed training may have another number of epochs,
      because its learning rates do not depend on it.
  """
  return {
    'defaults': dataclasses.asdict(type(config)()),
    'free': FREE_OF_TRAINING if may_grow else FREE_OF_TRAINING[1:],
    'key': jax.random.key(config.seed),
    'evaluate_test': config.evaluate_test,
    'checkpoint_seconds': 60 * config.checkpoint_minutes,
    'log_to': config.log_to,
  }


def choose_num_devices(config: Devices) -> int:
  """Returns the number of local devices that children are spread over."""
  if config.num_host_devices is None or jax.default_backend() != 'cpu':
    return jax.local_device_count()
  return config.num_host_devices
