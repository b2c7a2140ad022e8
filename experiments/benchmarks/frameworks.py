# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The JAX and PyTorch processes that a benchmark compares."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import importlib.util
import os
import pathlib
import re
from typing import Any

from experiments.benchmarks import worker as worker_lib


class Frameworks:
  """Starts workers on demand, and records what they run on.

  Attributes:
    about: the machine, devices and versions of the workers started so far.
  """

  def __init__(
    self,
    stack: contextlib.ExitStack,
    prefix: str,
    target: str = 'bench-recurrent',
    searching: str = 'interpreted training',
  ):
    """Stores the arguments; no worker is started yet.

    Args:
      stack: the context that ends the workers.
      prefix: the prefix of the workers' modules, such as `'conv_'`.
      target: the Makefile target that installs everything compared.
      searching: the name of what runs on the devices of a search.
    """
    self.about: dict[str, dict[str, Any]] = {'machine': machine()}
    self._stack = stack
    self._prefix = prefix
    self._target = target
    self._searching = searching
    self._workers: dict[str, worker_lib.Worker] = {}

  @property
  def is_cpu(self) -> bool:
    """Whether JAX runs on a CPU."""
    return self.jax().facts['platform'] == 'cpu'

  @property
  def torch_device(self) -> str:
    """The device of PyTorch, of the same kind as JAX's."""
    return 'cpu' if self.is_cpu else 'cuda'

  def why_no_torch(self) -> str | None:
    """Returns why PyTorch cannot be measured here; `None` if it can."""
    if importlib.util.find_spec('torch') is None:
      return (
        f'PyTorch is missing: `make {self._target}` installs it, or '
        "`pip install '.[bench]'`"
      )
    if not self.is_cpu and not self.torch().facts['has_cuda']:
      return 'this PyTorch cannot use the accelerator that jax uses'
    return None

  def jax(self) -> worker_lib.Worker:
    """Returns the worker with JAX's default: one device with all threads."""
    if 'jax' not in self._workers:
      variables = environment()
      variables['XLA_FLAGS'] = re.sub(
        r'--xla_(force_host_platform_device_count|cpu_multi_thread_eigen)=\S+',
        '',
        variables.get('XLA_FLAGS', ''),
      ).strip()
      variables.pop('JAX_NUM_CPU_DEVICES', None)
      worker = self._start('jax', variables)
      facts = worker.facts
      self.about['jax'] = {
        'platform': facts['platform'],
        'device': facts['device'],
        **facts['versions'],
      }
    return self._workers['jax']

  @contextlib.contextmanager
  def search_jax(self, xla_flags: str = '') -> Iterator[worker_lib.Worker]:
    """Yields a new worker with the devices of a search.

    Args:
      xla_flags: flags to add to those of the environment.
    """
    variables = environment()
    if xla_flags:
      given = variables.get('XLA_FLAGS', '')
      variables['XLA_FLAGS'] = f'{given} {xla_flags}'.strip()
    with worker_lib.Worker(self._module('jax'), variables) as worker:
      self.about['devices'] = {
        self._searching: worker.facts['num_devices'],
        'all else in jax': self.jax().facts['num_devices'],
      }
      yield worker

  def torch(self, number: int = 0) -> worker_lib.Worker:
    """Returns the PyTorch worker with the given number."""
    name = f'torch_{number}'
    if name not in self._workers:
      facts = self._start(name, environment()).facts
      self.about['torch'] = {
        'version': facts['version'],
        'threads': facts['num_threads'],
      }
    return self._workers[name]

  def _start(self, name, environment) -> worker_lib.Worker:
    module = self._module(name.split('_')[0])
    self._workers[name] = self._stack.enter_context(
      worker_lib.Worker(module, environment)
    )
    return self._workers[name]

  def _module(self, framework: str) -> str:
    return f'experiments.benchmarks.{self._prefix}{framework}'


def environment() -> dict[str, str]:
  """Returns the environment variables of a worker."""
  return {
    **os.environ,
    # Compilations are measured, and several processes share an accelerator.
    'JAX_ENABLE_COMPILATION_CACHE': 'false',
    'XLA_PYTHON_CLIENT_PREALLOCATE': 'false',
  }


def machine() -> dict[str, Any]:
  """Returns the processor and the number of cores."""
  processor = 'unknown'
  with contextlib.suppress(OSError):
    text = pathlib.Path('/proc/cpuinfo').read_text()
    found = re.search(r'^model name\s*: (.*)', text, re.MULTILINE)
    processor = found[1] if found else processor
  return {'processor': processor, 'cores': os.cpu_count()}
