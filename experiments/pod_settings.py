# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Settings of a pod: the same command on every host, in lock step."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import contextvars
import dataclasses
from typing import Any

from experiments import settings
from jaxnas.trainers import pod as pod_trainers
from jaxnas.workers import pod as pod_lib

FREE = ('pod', 'coordinator', 'num_processes', 'process_id')
"""Settings that may change when a run is resumed: all of `PodSettings`."""

_current = contextvars.ContextVar[pod_lib.Pod | None]('_current', default=None)


@dataclasses.dataclass(frozen=True)
class PodSettings(settings.Bounded):
  """The place of this process in a pod."""

  pod: bool = settings.machine(
    False,
    'Whether children are trained by a pod: the same command runs on every '
    'host, and process 0 keeps the run. A TPU pod and a SLURM job need no '
    'other flag.',
  )
  coordinator: str = settings.machine(
    '', 'Address host:port of process 0, in a pod set up by hand.'
  )
  num_processes: int | None = settings.machine(
    None,
    'Number of processes, in a pod set up by hand.',
    low=1,
    high=settings.MAX_ITEMS,
  )
  process_id: int | None = settings.machine(
    None,
    'Number of this process, from 0, in a pod set up by hand.',
    low=0,
    high=settings.MAX_ITEMS,
  )


@contextlib.contextmanager
def joined(config: Any) -> Iterator[pod_lib.Pod | None]:
  """Joins the pod that the settings ask for; only process 0 leads.

  Must be entered before JAX looks for devices.

  Args:
    config: the settings of any experiment.

  Yields:
    The pod, if this process is in one. A process that follows has done its
    work by then.

  Raises:
    ValueError: the settings do not go together, or the processes differ.
    OSError: the processes did not come together.
  """
  if not _check(config):
    yield None
    return
  place = None
  if config.coordinator:
    place = pod_lib.Place(
      config.coordinator, config.num_processes, config.process_id
    )
  pod = pod_lib.join(place, config.worker_timeout)
  if pod.process_id:
    pod_trainers.follow(pod)
    yield pod
    return
  token = _current.set(pod)
  try:
    yield pod
  finally:
    _current.reset(token)
    pod.dismiss()


def current() -> pod_lib.Pod | None:
  """Returns the pod that this process leads."""
  return _current.get()


def _check(config: Any) -> bool:
  """Returns whether there is a pod; raises if the settings disagree."""
  if not isinstance(config, PodSettings):
    return False
  by_hand = {
    'coordinator': config.coordinator or None,
    'num_processes': config.num_processes,
    'process_id': config.process_id,
  }
  given = [name for name, value in by_hand.items() if value is not None]
  if given and not config.pod:
    raise ValueError(f'--{given[0]} is for a pod; give --pod too.')
  if given and len(given) < len(by_hand):
    missing = next(name for name in by_hand if name not in given)
    raise ValueError(
      'A pod set up by hand needs --coordinator, --num_processes and '
      f'--process_id; --{missing} is missing.'
    )
  workers = getattr(config, 'workers', 'local')
  if config.pod and workers != 'local':
    raise ValueError(
      f'--pod trains in the processes of the pod, and --workers={workers} in '
      'others; leave one of the two out.'
    )
  return config.pod
