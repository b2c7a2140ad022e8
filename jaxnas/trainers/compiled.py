# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Trains each architecture with a program of its own.

This is the reference that the other routes must agree with. Threads compile
ahead while others train, so that devices do not wait for the compiler as long
as a core is free.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import concurrent.futures
import contextlib
import threading
import time
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnas.trainers import (
  compiler_options,
  mapping,
  memory,
  outcomes,
  resumable,
  waiting,
)
from jaxnas.types import Kept, Span, Task, Trained

# The number of programs kept, since architectures may recur.
_MAX_PROGRAMS = 16


class CompiledTrainer(resumable.ResumableTrainer):
  """Trains each child with a program of its own.

  A device trains one child after another while the next child's program is
  being compiled. Expected durations are ignored: a child goes to the device
  with the shortest queue or, if its program exists, to the device that holds
  the program. The status of a child that does not fit into memory says so.

  Attributes:
    block_size: the number of children that a caller should train at a time.
    num_devices: the number of devices that they are spread over.
    compile_seconds: the total time that threads spent compiling, in seconds.
    run_seconds: the total time that devices spent running, in seconds.
  """

  def __init__(
    self,
    make_task: Callable[[Any], Task],
    block_size: int,
    num_devices: int | None = None,
  ):
    """Makes a trainer without compiling anything yet.

    Args:
      make_task: a function `architecture -> task`, whose tasks have `None` as
        their program and share the same data.
      block_size: the number of children that a caller should train at a time.
      num_devices: the number of local devices to use; all by default.

    Raises:
      ValueError: there are fewer devices, or `block_size` is not positive.
    """
    self._devices = mapping.choose_devices(num_devices)
    if block_size < 1:
      raise ValueError(f'block_size must be at least 1, got {block_size}.')
    self.block_size = block_size
    self.num_devices = len(self._devices)
    self.compile_seconds = 0.0
    self.run_seconds = 0.0
    self.task = self._make_task = make_task
    self._data: dict[Any, tuple[Any, Any]] = {}
    self._compiled: dict[Any, tuple[jax.Device, Any]] = {}
    self._metrics: tuple[Any, Any] | None = None
    self._lock = threading.Lock()

  def _train_all(self, children, span, splits, durations, keep) -> Trained:
    """Trains children starting from their states, `None` for new children."""
    del durations
    # Programs waiting for a device hold memory, so their number is limited.
    free = threading.Semaphore(2 * self.num_devices)
    waiting = dict.fromkeys(self._devices, 0)
    futures: list[concurrent.futures.Future[Any]] = []

    def finish(device):
      with self._lock:
        waiting[device] -= 1
      free.release()

    with self._threads() as (compilers, trainers):
      for architecture, key, rate, state in zip(
        children.architectures,
        children.keys,
        children.learning_rates,
        children.states,
        strict=True,
      ):
        free.acquire()
        _raise_any(futures)
        if architecture not in self._compiled:
          with self._lock:
            device = min(self._devices, key=lambda device: waiting[device])
          self._keep(
            architecture,
            device,
            compilers.submit(self._compile, architecture, device, key, rate),
          )
        device, compiled = self._compiled[architecture]
        with self._lock:
          waiting[device] += 1
        job = _Job(key, rate, state, span, splits, keep)
        future = trainers[device].submit(self._train, compiled, device, job)
        future.add_done_callback(lambda _, device=device: finish(device))
        futures.append(future)
      concurrent.futures.wait(futures, return_when='FIRST_EXCEPTION')
      _raise_any(futures)
      parts = [([row], future.result()) for row, future in enumerate(futures)]
    trained = outcomes.join(parts, len(parts), self._known_metrics(splits))
    if trained.kept is None:
      return trained
    return trained._replace(
      kept=children._replace(num_trained=span.stop, states=trained.kept.states)
    )

  @contextlib.contextmanager
  def _threads(self) -> Iterator[tuple[Any, dict[jax.Device, Any]]]:
    """Yields the threads that compile, and one per device that trains."""
    make = concurrent.futures.ThreadPoolExecutor
    compilers = make(self.num_devices)
    trainers = {device: make(1) for device in self._devices}
    try:
      yield compilers, trainers
    except BaseException:
      for pool in (compilers, *trainers.values()):
        pool.shutdown(wait=False, cancel_futures=True)
      # Some of these programs have not been compiled, and never will be.
      self._compiled.clear()
      raise
    finally:
      for pool in (compilers, *trainers.values()):
        pool.shutdown()

  def _keep(self, architecture, device, compiled):
    if len(self._compiled) >= _MAX_PROGRAMS:
      del self._compiled[next(iter(self._compiled))]
    self._compiled[architecture] = device, compiled

  def _compile(self, architecture, device, key, rate) -> _Programs | str:
    """Returns the child's programs, or the reason why they do not fit."""
    started = time.perf_counter()
    try:
      with jax.default_device(device):
        task = self._make_task(architecture)
        train_data, splits = self._place(task, device)
        key, rate = jax.device_put((key, rate), device)
        blank = jax.eval_shape(task.init, None, key, rate)
        span = Span(*(np.int32(0),) * len(Span._fields))
        # The metrics' shapes must be known even if the child does not fit.
        train = jax.jit(outcomes.train_from(task), donate_argnums=2).trace(
          train_data, None, blank, key, rate, span
        )
        state, metrics = train.out_info

        measure_of = outcomes.measure_of(task)

        def measure(split, state):
          return measure_of(split, None, state)

        kinds = {mapping.shapes_of(split): split for split in splits.values()}
        measures = {
          kind: jax.jit(measure).trace(split, state)
          for kind, split in kinds.items()
        }
        measured: Any = next((m.out_info for m in measures.values()), {})
        self._metrics = dict(metrics), dict(measured)
        train = _compile(train, device)
        # Every device trains a different child at the same time.
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
      return outcomes.out_of_memory_reason(error)
    finally:
      with self._lock:
        self.compile_seconds += time.perf_counter() - started
    return _Programs(blank, train, compiled, train_data, splits)

  def _known_metrics(self, splits) -> dict[str, jax.ShapeDtypeStruct]:
    """Returns the shapes of the metrics that all children have."""
    if self._metrics is None:
      return {}
    trained, measured = self._metrics
    metrics = trained | {
      f'{split}_{name}': x for split in splits for name, x in measured.items()
    }
    metrics.pop('is_alive', None)
    return metrics

  def _place(self, task, device):
    """Returns the task's data on a device, copied there only once."""
    with self._lock:
      if device not in self._data:
        self._data[device] = jax.device_put(
          (task.train_data, dict(task.splits)), device
        )
      return self._data[device]

  def _train(self, compiled, device, job) -> Trained | str:
    """Returns the result of a child, or the reason why it does not fit."""
    programs = compiled.result()
    if isinstance(programs, str):
      return programs
    started = time.perf_counter()
    try:
      key, rate = jax.device_put((job.key, job.rate), device)
      if job.state is None:
        state = outcomes.blank(programs.blank)
      else:
        # The program takes over the arrays it is given, so the caller's state
        # is copied.
        state = jax.tree.map(_copy, job.state)
      state, metrics = programs.train(
        programs.train_data,
        None,
        jax.device_put(state, device),
        key,
        rate,
        Span(*map(np.int32, job.span)),
      )
      metrics = dict(metrics)
      for split in job.splits:
        data = outcomes.split_of(programs.splits, split)
        measure = programs.measures[mapping.shapes_of(data)]
        measured = measure(data, state)
        metrics |= {f'{split}_{name}': x for name, x in measured.items()}
      metrics = {name: np.asarray(x)[None] for name, x in metrics.items()}
      trained = outcomes.judge(metrics)
      if not job.keep:
        return trained
      kept = Kept((), job.key, job.rate, 0, 0, [jax.device_get(state)])
      return trained._replace(kept=kept)
    except Exception as error:
      if not memory.is_exhausted(error):
        raise
      return outcomes.out_of_memory_reason(error)
    finally:
      with self._lock:
        self.run_seconds += time.perf_counter() - started


class _Job(NamedTuple):
  """The training of one child; `state` is `None` if the child is new."""

  key: jax.Array
  rate: np.ndarray
  state: Any
  span: Span
  splits: Sequence[str]
  keep: bool


class _Programs(NamedTuple):
  blank: Any
  train: Any
  measures: Any
  train_data: Any
  splits: Any


def _copy(leaf: Any) -> Any:
  return leaf.copy() if isinstance(leaf, jax.Array) else leaf


def _compile(traced: jax.stages.Traced, device: jax.Device) -> Any:
  with waiting.told('compiling a program'):
    return traced.lower().compile(
      compiler_options.of_one_architecture(device.platform)
    )


def _raise_any(futures: Sequence[concurrent.futures.Future[Any]]) -> None:
  """Raises the error of a future that has failed, if any."""
  for future in futures:
    if future.done():
      future.result()
