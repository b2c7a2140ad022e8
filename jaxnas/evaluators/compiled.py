# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""One program for each architecture: what other routes are held to.

Threads compile ahead while others train, so that a device does not wait for
the compiler where there is a core left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
import concurrent.futures
import contextlib
import functools
import threading
import time
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnas.evaluators import batched, memory, rewards
from jaxnas.types import Architecture, Evaluator, ProxyTask, SearchSpace

# How many programs are kept for architectures that come again.
_MAX_PROGRAMS = 16

# XLA's newer code generator for fusions on CPUs compiles a convolutional child
# in about twice the time of the older one, for steps that are no faster.
_CPU_COMPILER_OPTIONS: dict[str, str | bool] = {
  'xla_cpu_use_fusion_emitters': False
}


def compiler_options(platform: str) -> dict[str, Any]:
  """Returns the options of XLA for a program of one architecture.

  Args:
    platform: as `'cpu'`; one that jax can use here.
  """
  return dict(_known_cpu_options()) if platform == 'cpu' else {}


@functools.cache
def _known_cpu_options() -> Mapping[str, Any]:
  """Returns the options that this version of XLA knows: all, or none."""
  try:
    with jax.default_device(jax.local_devices(backend='cpu')[0]):
      jax.jit(lambda: 0).lower().compile(_CPU_COMPILER_OPTIONS)
  except jax.errors.JaxRuntimeError as error:
    if 'No such compile option' not in str(error):
      raise
    return {}
  return _CPU_COMPILER_OPTIONS


class CompiledRunner:
  """Runs each child with a program of its own.

  A device trains one child after another; the next one's program is compiled in
  the meantime.

  Attributes:
    block_size: how many children a caller should run at a time.
    num_devices: over how many devices they are spread.
    compile_seconds: time spent compiling so far, all threads together.
    run_seconds: time spent running so far, all devices together.
  """

  def __init__(
    self,
    make_task: Callable[[Any], ProxyTask],
    block_size: int,
    num_devices: int | None = None,
  ):
    """Makes a runner; nothing is compiled yet.

    Args:
      make_task: `architecture -> task`, whose program is `None`. Tasks must
        agree in their data.
      block_size: how many children a caller should run at a time.
      num_devices: how many local devices to use; all by default.

    Raises:
      ValueError: there are fewer devices, or `block_size` is not positive.
    """
    self._devices = batched.choose_devices(num_devices)
    if block_size < 1:
      raise ValueError(f'block_size must be at least 1, got {block_size}.')
    self.block_size = block_size
    self.num_devices = len(self._devices)
    self.compile_seconds = 0.0
    self.run_seconds = 0.0
    self._make_task = make_task
    self._data: dict[Any, tuple[Any, Any]] = {}
    self._compiled: dict[Any, tuple[jax.Device, Any]] = {}
    self._metrics: tuple[Any, Any] | None = None
    self._lock = threading.Lock()

  def run(
    self,
    keys: jax.Array,
    programs: Sequence[Architecture],
    learning_rates: np.ndarray | Sequence[float],
    num_steps: int,
    splits: Sequence[str] = ('validation',),
    costs: Sequence[float] | None = None,
  ) -> dict[str, np.ndarray]:
    """Trains and measures `N` children; see `types.Runner`.

    A child that needs more memory than there is gets NaN for every metric, and
    0 for those that are whole numbers, such as how many steps it trained.

    Args:
      keys: one random key a child, `[N]`.
      programs: `N` architectures.
      learning_rates: `[N]`.
      num_steps: how long each child trains.
      splits: what each child is measured on.
      costs: of the children in relation to each other; not used: a device that
        is free takes the next child, or the one that has the child's program.

    Returns:
      The metrics, each `[N]`; `is_out_of_memory` is among them.
    """
    del costs
    if not len(keys):
      raise ValueError('A runner needs at least one child to run.')
    rates = np.asarray(learning_rates, np.float32)
    jobs = list(zip(keys, programs, rates, strict=True))
    steps = np.int32(num_steps)
    # Programs that wait for a device hold memory: not too many of them.
    free = threading.Semaphore(2 * self.num_devices)
    waiting = dict.fromkeys(self._devices, 0)
    futures: list[concurrent.futures.Future[Any]] = []

    def finish(device):
      with self._lock:
        waiting[device] -= 1
      free.release()

    with self._threads() as (compilers, trainers):
      for key, architecture, rate in jobs:
        free.acquire()
        _raise_any(futures)
        if architecture not in self._compiled:
          with self._lock:
            device = min(self._devices, key=lambda device: waiting[device])
          self._keep(
            architecture,
            device,
            compilers.submit(
              self._compile, architecture, device, key, rate, steps
            ),
          )
        device, compiled = self._compiled[architecture]
        with self._lock:
          waiting[device] += 1
        future = trainers[device].submit(
          self._train, compiled, device, key, rate, steps, splits
        )
        future.add_done_callback(lambda _, device=device: finish(device))
        futures.append(future)
      concurrent.futures.wait(futures, return_when='FIRST_EXCEPTION')
      _raise_any(futures)
      rows = [future.result() for future in futures]
    return _stack(rows, self._metric_dtypes(splits))

  @contextlib.contextmanager
  def _threads(self) -> Iterator[tuple[Any, dict[jax.Device, Any]]]:
    """Yields who compiles, and who trains on each device, one at a time."""
    make = concurrent.futures.ThreadPoolExecutor
    compilers = make(self.num_devices)
    trainers = {device: make(1) for device in self._devices}
    try:
      yield compilers, trainers
    except BaseException:
      for pool in (compilers, *trainers.values()):
        pool.shutdown(wait=False, cancel_futures=True)
      # Among them are programs that will never be made.
      self._compiled.clear()
      raise
    finally:
      for pool in (compilers, *trainers.values()):
        pool.shutdown()

  def _keep(self, architecture, device, compiled):
    if len(self._compiled) >= _MAX_PROGRAMS:
      del self._compiled[next(iter(self._compiled))]
    self._compiled[architecture] = device, compiled

  def _compile(self, architecture, device, key, rate, steps):
    """Returns the child's programs, or `None` if they do not fit."""
    started = time.perf_counter()
    try:
      with jax.default_device(device):
        task = self._make_task(architecture)
        train_data, splits = self._place(task, device)
        arguments = (
          train_data,
          None,
          *jax.device_put((key, rate, steps), device),
        )
        # Metrics are known before it is known whether the child fits.
        train = jax.jit(task.train).trace(*arguments)
        child, metrics = train.out_info
        kinds = {batched.shapes_of(split): split for split in splits.values()}
        measures = {
          kind: jax.jit(task.measure).trace(split, None, child)
          for kind, split in kinds.items()
        }
        measured = next(iter(measures.values())).out_info
        self._metrics = dict(metrics), dict(measured)
        train = _compile(train, device)
        # Every device trains a child of its own at the same time.
        memory.check(
          train,
          self._devices,
          f'The child, on each of {self.num_devices} devices,',
          'make it smaller or take fewer devices',
        )
        compiled = {
          kind: _compile(measure, device) for kind, measure in measures.items()
        }
    except Exception as error:
      if not memory.is_exhausted(error):
        raise
      return None
    finally:
      with self._lock:
        self.compile_seconds += time.perf_counter() - started
    return _Programs(train, compiled, train_data, splits)

  def _metric_dtypes(self, splits) -> dict[str, np.dtype]:
    """Returns the metrics that every child of this runner has."""
    if self._metrics is None:
      return {}
    trained, measured = self._metrics
    metrics = trained | {
      f'{split}_{name}': x for split in splits for name, x in measured.items()
    }
    return {name: x.dtype for name, x in metrics.items()}

  def _place(self, task, device):
    """Returns the task's data on a device, brought there once."""
    with self._lock:
      if device not in self._data:
        self._data[device] = jax.device_put(
          (task.train_data, dict(task.splits)), device
        )
      return self._data[device]

  def _train(self, compiled, device, key, rate, steps, splits):
    """Returns a child's metrics, or `None` if it does not fit."""
    programs = compiled.result()
    if programs is None:
      return None
    started = time.perf_counter()
    try:
      arguments = jax.device_put((key, rate, steps), device)
      child, metrics = programs.train(programs.train_data, None, *arguments)
      metrics = dict(metrics)
      for split in splits:
        data = programs.splits[split]
        measure = programs.measures[batched.shapes_of(data)]
        measured = measure(data, None, child)
        metrics |= {f'{split}_{name}': x for name, x in measured.items()}
      return jax.tree.map(np.asarray, metrics)
    except Exception as error:
      if not memory.is_exhausted(error):
        raise
      return None
    finally:
      with self._lock:
        self.run_seconds += time.perf_counter() - started


class _Programs(NamedTuple):
  train: Any
  measures: Any
  train_data: Any
  splits: Any


def _compile(traced: jax.stages.Traced, device: jax.Device) -> Any:
  return traced.lower().compile(compiler_options(device.platform))


def _raise_any(futures: Sequence[concurrent.futures.Future[Any]]) -> None:
  """Raises the error of a future that is done, if there is one."""
  for future in futures:
    if future.done():
      future.result()


def _stack(
  rows: Sequence[Mapping[str, np.ndarray] | None],
  dtypes: Mapping[str, np.dtype],
) -> dict[str, np.ndarray]:
  """Joins the metrics of children, `None` for those that did not fit.

  A child's own values must not depend on whether another one fits, so neither
  the metrics nor their types do.
  """

  def value(row, name):
    if row is not None:
      return row[name]
    is_real = jax.dtypes.issubdtype(dtypes[name], np.floating)
    return np.array(np.nan if is_real else 0, dtypes[name])

  metrics = {
    name: np.stack([value(row, name) for row in rows])
    for name in sorted(set(dtypes) - {'is_alive'})
  }
  return metrics | {
    'is_alive': np.array([row is not None and row['is_alive'] for row in rows]),
    rewards.OUT_OF_MEMORY: np.array([row is None for row in rows]),
  }


def make_evaluator(
  space: SearchSpace,
  make_task: Callable[[Any], ProxyTask],
  reward: rewards.Reward,
  learning_rate: float,
  num_steps: int,
  block_size: int = 1,
  num_devices: int | None = None,
) -> Evaluator:
  """Makes an evaluator that compiles a program for each architecture.

  Args:
    space: what the tokens mean.
    make_task: `architecture -> task`, whose program is `None`.
    reward: what the task's metrics are worth.
    learning_rate: of every child.
    num_steps: how long every child trains.
    block_size: how many children are recorded at a time.
    num_devices: how many local devices to use; all by default.
  """
  return batched.make_evaluator(
    space,
    list,
    CompiledRunner(make_task, block_size, num_devices),
    reward,
    learning_rate,
    num_steps,
  )
