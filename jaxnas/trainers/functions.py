# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Any Python function as who trains, in processes of its own.

    def train(value, seed):  # In a file that can be imported.
      ...
      return {'reward': accuracy, 'report': accuracy_on_other_data}

    with functions.FunctionTrainer(train, num_workers=4) as trainer:
      ...

The function may use PyTorch, scikit-learn or anything else. Whatever it does,
raise, hang, return nonsense or kill its process, is the status of one trial.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import inspect
import multiprocessing
import pickle
import sys
import time
from typing import Any

import jax
import numpy as np

from jaxnas.types import Kept, Trained
from jaxnas.workers import pool, process

Function = Callable[..., Any]
"""`(value, seed) -> reward`, a finite number, or a mapping with `'reward'`."""


class FunctionTrainer:
  """Calls a function in worker processes; see `types.Trainer`.

  A call is made with the same seed again where it failed, so that what it ends
  with follows from its key alone; a reward that is not finite is final. Each
  failure is a line on stderr; the status and the reason are those of the last
  attempt, with the file and line that raised it.

  Workers are spawned: each imports the function's module, and the main script,
  whose last part must therefore stand under `if __name__ == '__main__':`. They
  have the environment of this process; if the function uses a GPU, which one
  (`CUDA_VISIBLE_DEVICES`), and how many threads of a CPU, is its business. So
  that jax leaves a GPU to it, start this process with `JAX_PLATFORMS=cpu`, or
  `XLA_PYTHON_CLIENT_PREALLOCATE=false` if the function uses jax: jax takes most
  of a GPU's memory otherwise. Workers are kept from call to call, and so is
  what the function leaves behind in its module. They end with the context, or
  with this process however it ends, and so does whatever they started, on Linux
  also in a session of its own (but what a worker started in the last second
  before it was killed from outside). A process that the function forks and that
  returns or raises is ended there; the reward is what the process says that was
  asked.

  Attributes:
    block_size: how many calls a caller should ask for at a time.
    num_devices: how many calls run at a time.
    compile_seconds: always 0.
    run_seconds: time spent waiting for calls so far.
    task: the function.
  """

  compile_seconds = 0.0

  def __init__(
    self,
    function: Function,
    num_workers: int = 1,
    timeout_seconds: float | None = None,
    num_retries: int = 1,
    block_size: int | None = None,
  ):
    """Makes a trainer; no process is started yet.

    Args:
      function: gets what was decoded, a plain dict where that is a mapping, and
        a seed from 0 to 2^31 - 1; and `num_steps=...` if it has an argument of
        that name. It returns what a float can be made of, more being better, or
        a mapping with that as `'reward'` and any other numbers. `'report'`
        among them, a measure on data that no reward came from, is what is
        compared after the search.
      num_workers: how many calls run at a time.
      timeout_seconds: how long a call may take, starting a worker not included;
        any time by default.
      num_retries: how often a call that raised an exception, ended its process
        or took too long is tried again.
      block_size: how many trials are recorded at a time; `num_workers` by
        default. More keep all workers busy where calls differ in time, and are
        lost where the run is killed.

    Raises:
      ValueError: an argument is out of range, or the function cannot be sent
        to another process, or this process may not have others; how to mend
        that is told. `run` raises it where a worker cannot import the
        function.
    """
    block_size = num_workers if block_size is None else block_size
    for name, value, least in (
      ('num_workers', num_workers, 1),
      ('num_retries', num_retries, 0),
      ('block_size', block_size, 1),
    ):
      if value < least:
        raise ValueError(f'{name} must be at least {least}, got {value}.')
    if timeout_seconds is not None and not timeout_seconds > 0:
      raise ValueError(
        f'timeout_seconds must be positive or None, got {timeout_seconds}.'
      )
    if not callable(function):
      raise ValueError(
        'function must be one that is called with a value and a seed, got '
        f'{process.shorten(repr(function))}.'
      )
    if multiprocessing.current_process().daemon:
      raise ValueError(
        'This process is daemonic, as the workers of multiprocessing.Pool are, '
        'and may not start worker processes of its own; run the search in the '
        'main process, in a thread or by '
        'concurrent.futures.ProcessPoolExecutor.'
      )
    self.block_size = block_size
    self.num_devices = num_workers
    self.run_seconds = 0.0
    self.task = function
    self._num_retries = num_retries
    self._takes_steps = _takes_steps(function)
    self._workers = pool.Workers(
      _pickle(function), _name(function), num_workers, timeout_seconds
    )

  def run(
    self,
    architectures: Sequence[Any],
    keys: jax.Array,
    learning_rates: np.ndarray | Sequence[float] = (),
    num_steps: int = 1,
    *,
    splits: Sequence[str] = ('validation',),
    durations: Sequence[float] | None = None,
    stop: int | None = None,
    keep: bool = False,
  ) -> Trained:
    """Calls the function for `N` architectures.

    Args:
      architectures: `N` of them.
      keys: decide the seeds, `[N]`.
      learning_rates: not looked at: they are the function's business.
      num_steps: what the function gets, if it takes it.
      splits: not looked at.
      durations: not looked at.
      stop: must be `None`.
      keep: must be false: nothing of a call is kept.

    Returns:
      The metrics `validation_reward`, the reward; `report_reward` where the
      function gives a `'report'`; and all else that it gives by its name.

    Raises:
      ValueError: the first worker cannot start, or not import the function; or
        children are to be kept.
    """
    del learning_rates, splits, durations
    if keep or stop is not None:
      raise ValueError('A function trains to the end, and nothing can be kept.')
    started = time.perf_counter()
    steps = {'num_steps': num_steps} if self._takes_steps else {}
    calls = [
      (_plain(value), seed, steps)
      for value, seed in zip(architectures, _seeds(keys), strict=True)
    ]
    outcomes = self._workers.run(calls, self._num_retries)
    self.run_seconds += time.perf_counter() - started
    return Trained(
      metrics=_metrics(outcomes),
      status=np.array([outcome.status for outcome in outcomes], np.int32),
      reasons=tuple(outcome.reason for outcome in outcomes),
    )

  def resume(self, kept: Kept, **settings: Any) -> Trained:
    """Raises `ValueError`: nothing of a call is kept."""
    del kept, settings
    raise ValueError('A function trains to the end, and nothing can be kept.')

  def close(self) -> None:
    """Ends all worker processes."""
    self._workers.close()

  def __enter__(self) -> FunctionTrainer:
    return self

  def __exit__(self, *exc_info: object) -> None:
    self.close()


def _metrics(outcomes: Sequence[pool.Outcome]) -> dict[str, np.ndarray]:
  """Returns what calls returned, by name; NaN where one returned nothing."""
  names = dict.fromkeys(name for each in outcomes for name in each.values)
  metrics = {
    name: np.array([each.values.get(name, np.nan) for each in outcomes])
    for name in names
  }
  for name, split in (('reward', 'validation'), ('report', 'report')):
    if name in metrics:
      metrics[f'{split}_reward'] = metrics.pop(name)
  return metrics


def _takes_steps(function: Function) -> bool:
  try:
    return 'num_steps' in inspect.signature(function).parameters
  except (TypeError, ValueError):  # Some that are written in C.
    return False


def _plain(value: Any) -> Any:
  # A dict is unpickled without the modules of this package, and so without jax.
  return dict(value) if isinstance(value, Mapping) else value


def _seeds(keys: jax.Array) -> list[int]:
  bits = jax.vmap(lambda key: jax.random.bits(key, dtype=np.uint32))(keys)
  # What every library takes as a seed: a positive int of 32 bits.
  return [int(each) >> 1 for each in np.asarray(bits)]


def _name(function: Function) -> str:
  name = getattr(function, '__qualname__', None) or repr(function)
  return f'{getattr(function, "__module__", None) or "?"}.{name}'


def _pickle(function: Function) -> bytes:
  """Returns a function as workers get it."""
  try:
    pickled = pickle.dumps(function)
  # What a function refers to can refuse by any error.
  except Exception as error:
    raise ValueError(
      f'{_name(function)} cannot be sent to worker processes '
      f'({process.describe(error)}); take a function that is defined by '
      '`def` at the top of a file, not a lambda nor one inside of another '
      'function.'
    ) from None
  main = sys.modules['__main__']
  path = getattr(main, '__file__', None)
  if path == '<stdin>':
    raise ValueError(
      'This program comes from the standard input, where worker processes do '
      'not find it; put it into a file, such as my_search.py, and run that.'
    )
  if b'__main__' in pickled and not (path or getattr(main, '__spec__', None)):
    raise ValueError(
      f'{_name(function)} is defined in a notebook or on the command line, '
      'where worker processes do not find it; put it into a file, such as '
      'my_function.py, and import it.'
    )
  return pickled
