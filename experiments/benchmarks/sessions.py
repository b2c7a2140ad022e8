# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The processes that measure one part of a benchmark, within a time limit."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
import importlib.util
import threading
from typing import Any, TypeVar

from experiments.benchmarks import frameworks
from experiments.benchmarks import worker as worker_lib

_Result = TypeVar('_Result')


class Session:
  """Starts workers on demand, and kills them when the time is up.

  Whatever a worker computes, and however it hangs, its request then fails.

  Attributes:
    about: the devices and versions of the workers started so far.
    left_out: the reasons why something was not measured, by name.
    is_cut: whether the time was up before the session was left.
  """

  def __init__(
    self,
    about: MutableMapping[str, Any],
    left_out: MutableMapping[str, str],
    known: MutableMapping[Any, Any],
    xla_flags: str = '',
  ):
    """Stores the arguments; no worker is started yet.

    Args:
      about: the mapping for devices and versions.
      left_out: the mapping for reasons.
      known: what earlier sessions measured, for `remember`.
      xla_flags: flags to add to those of the environment.
    """
    self.about, self.left_out = about, left_out
    self.is_cut = False
    self._known = known
    self._xla_flags = xla_flags
    self._workers: dict[str, Any] = {}
    self._lock = threading.Lock()
    self._timer: threading.Timer | None = None

  @property
  def is_cpu(self) -> bool:
    """Whether JAX runs on a CPU."""
    return self.about['jax']['platform'] == 'cpu'

  @property
  def torch_device(self) -> str:
    """The device of PyTorch, of the same kind as JAX's."""
    return 'cpu' if self.is_cpu else 'cuda'

  def jax(self, **variables: str) -> Any:
    """Returns the worker that uses JAX.

    Args:
      **variables: further environment variables, which it is started with.
    """
    given = frameworks.environment()
    flags = f'{given.get("XLA_FLAGS", "")} {self._xla_flags}'.strip()
    worker = self._worker(
      'device_jax', given | {'XLA_FLAGS': flags, **variables}
    )
    facts = worker.facts
    self.about['jax'] = {
      'platform': facts['platform'],
      'device': facts['device'],
      'devices': facts['num_devices'],
      **facts['versions'],
    }
    return worker

  def torch(self) -> Any:
    """Returns the worker that uses PyTorch; JAX's must have been started.

    Raises:
      ValueError: there is no PyTorch for the kind of device that JAX uses.
    """
    if importlib.util.find_spec('torch') is None:
      raise ValueError('PyTorch is not installed')
    worker = self._worker('device_torch', frameworks.environment())
    facts = worker.facts
    if not self.is_cpu and not facts['has_cuda']:
      raise ValueError('this PyTorch cannot use the accelerator that jax uses')
    self.about['torch'] = {
      'version': facts['version'],
      'threads': facts['num_threads'],
    }
    return worker

  def attempt(
    self, name: str, measure: Callable[[], _Result]
  ) -> _Result | None:
    """Returns a result, or `None` if it fails, and says why.

    Args:
      name: the name of what is measured.
      measure: the function that measures it.

    Raises:
      Exception: the time is up, so that nothing else can be measured either.
    """
    try:
      return measure()
    except Exception as error:
      if self.is_cut:
        raise
      self.leave_out(name, first_line(error))
      return None

  def remember(self, key: Any, measure: Callable[[], _Result]) -> _Result:
    """Returns what was measured under a key, now or in an earlier session."""
    if key not in self._known:
      self._known[key] = measure()
    return self._known[key]

  def leave_out(self, name: str, reason: str) -> None:
    """Records and prints why something was not measured."""
    self.left_out[name] = reason
    print(f'{name}: left out, {reason}.', flush=True)

  def cut_after(self, seconds: float) -> None:
    """Kills all workers after a while, those started later too."""
    self._timer = threading.Timer(seconds, self._cut)
    self._timer.daemon = True
    self._timer.start()

  def _worker(self, module, variables) -> Any:
    if module not in self._workers:
      worker = start_worker(f'experiments.benchmarks.{module}', variables)
      with self._lock:
        self._workers[module] = worker
        if self.is_cut:
          worker.kill()
    return self._workers[module]

  def _cut(self) -> None:
    with self._lock:
      self.is_cut = True
      for worker in self._workers.values():
        worker.kill()

  def __enter__(self) -> Session:
    return self

  def __exit__(self, *exception: object) -> None:
    if self._timer is not None:
      self._timer.cancel()
    for worker in self._workers.values():
      worker.close()


start_worker: Callable[..., Any] = worker_lib.Worker
"""`(module, environment) -> worker`."""


def first_line(error: Exception) -> str:
  """Returns the first line of an error, as the reason in a sentence."""
  lines = str(error).strip().splitlines() or [type(error).__name__]
  return lines[0][:300].rstrip('.')
