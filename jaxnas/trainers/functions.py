# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Uses any Python function as a trainer, in worker processes.

    def train(value, seed):  # In a file that can be imported.
      ...
      return {'reward': accuracy, 'report': accuracy_on_other_data}

    with functions.FunctionTrainer(train, num_workers=4) as trainer:
      ...

The function may use PyTorch, scikit-learn or anything else. Whether it raises,
hangs, returns nonsense or kills its process, only the status of one trial is
affected.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import functools
import inspect
import math
import multiprocessing
import pickle
import sys
from typing import Any

import jax
import numpy as np

from jaxnas import errors, queues
from jaxnas.trainers import function_calls
from jaxnas.types import Kept, Trained
from jaxnas.workers import dispatcher as dispatcher_lib
from jaxnas.workers import engines, function_servant, policies

Function = Callable[..., Any]
"""`(value, seed) -> reward`, a finite number, or a mapping with `'reward'`."""


class FunctionTrainer:
  """Calls a function in worker processes; see `types.Trainer`.

  A failed call is retried with the same seed, so that its outcome depends on
  its key alone; a reward that is not finite is final. Each failure is one line
  on stderr. The status and the reason, with the file and line that raised the
  error, are those of the last attempt.

  Workers are spawned: each imports the function's module and the main script,
  whose entry point must therefore be under `if __name__ == '__main__':`. They
  inherit the environment of this process. The function itself chooses its GPU
  (`CUDA_VISIBLE_DEVICES`) and its number of CPU threads. JAX allocates most of
  a GPU's memory by default; to leave the GPU to the function, start this
  process with `JAX_PLATFORMS=cpu`, or with
  `XLA_PYTHON_CLIENT_PREALLOCATE=false` if the function uses JAX. Workers are
  reused, so module state that the function leaves behind persists between
  calls. They end with the context, or with this process however it ends, and so
  do all processes they started, on Linux even those in another session (except
  any that a worker started in the last second before it was killed from
  outside). If the function forks and the forked process also returns or raises,
  that process is ended; only the reward from the worker itself counts.

  Attributes:
    block_size: the number of calls that a caller should request at a time.
    num_devices: the number of calls that run at a time.
    compile_seconds: the time spent compiling, always 0.
    queue: the queue of a search's calls in flight, which finish in any order;
      see `queues.TrainingQueue`.
    task: the function.
    can_pause: false, since a call cannot be continued.
  """

  compile_seconds = 0.0
  can_pause = False

  def __init__(
    self,
    function: Function,
    num_workers: int = 1,
    timeout_seconds: float | None = None,
    num_retries: int = 1,
    block_size: int | None = None,
    *,
    workers: str = 'processes',
    ray_address: str = '',
    gpus_per_worker: float = 0,
  ):
    """Makes a trainer without starting a process yet.

    Args:
      function: the function to call. Its arguments are the decoded architecture
        (a plain dict if that is a mapping), a seed from 0 to 2^31 - 1, and
        `num_steps=...` if it has a parameter of that name. It returns a number,
        higher being better, or a mapping with that number as `'reward'` and any
        further numbers. If `'report'`, measured on data that no reward is based
        on, is among these, it is compared after the search.
      num_workers: the number of calls that run at a time.
      timeout_seconds: the time limit of a call, in seconds, not counting the
        start of a worker; no limit by default.
      num_retries: the number of times to retry a call that raised an exception,
        ended its process or took too long.
      block_size: the number of trials of a search that are recorded at a time;
        by default each is recorded as soon as it is finished. Trials of a block
        are recorded in the order in which they were proposed, and a killed run
        loses the finished trials of unfinished blocks.
      workers: the kind of workers: `'processes'` of this machine, or `'ray'`,
        which needs the extra `jaxnas[ray]`. Every machine must be able to
        import the function.
      ray_address: the address of a Ray cluster, such as `'auto'`; a Ray of this
        machine alone by default.
      gpus_per_worker: the number of GPUs that Ray gives each worker.

    Raises:
      ValueError: an argument is out of range, the function cannot be sent to
        another process, or this process may not start others; the message says
        how to fix it. `run` raises it if a worker cannot import the function.
    """
    for name, value, least in (
      ('num_workers', num_workers, 1),
      ('num_retries', num_retries, 0),
      ('block_size', block_size, 1),
    ):
      if value is not None and value < least:
        raise ValueError(f'{name} must be at least {least}, got {value}.')
    if timeout_seconds is not None and not timeout_seconds > 0:
      raise ValueError(
        f'timeout_seconds must be positive or None, got {timeout_seconds}.'
      )
    if not callable(function):
      raise ValueError(
        'function must be callable with a value and a seed, got '
        f'{errors.shorten(repr(function))}.'
      )
    _check_signature(function)
    if multiprocessing.current_process().daemon:
      raise ValueError(
        'This process is daemonic, like the workers of multiprocessing.Pool, '
        'and may not start worker processes; run the search in the main '
        'process, in a thread or in a '
        'concurrent.futures.ProcessPoolExecutor.'
      )
    self.block_size = block_size or num_workers
    self.num_devices = num_workers
    self.task = function
    self._takes_steps = _takes_steps(function)
    servant = functools.partial(
      function_servant.FunctionServant, _pickle(function)
    )
    dispatcher = dispatcher_lib.Dispatcher(
      engines.make_engine(
        workers,
        num_workers,
        ray_address=ray_address,
        gpus_per_worker=gpus_per_worker,
      ),
      pickle.dumps(servant),
      policies.Functions(
        _name(function),
        num_retries,
        math.inf if timeout_seconds is None else timeout_seconds,
      ),
    )
    self._calls = function_calls.Calls(dispatcher)
    self.queue: queues.TrainingQueue = function_calls.CallQueue(
      self._calls, self._requests, block_size or 1
    )

  @property
  def run_seconds(self) -> float:
    """The time spent waiting for calls so far, in seconds."""
    return self._calls.seconds

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
      architectures: the architectures, `N` of them.
      keys: the random keys that the seeds are derived from, `[N]`.
      learning_rates: ignored; learning rates are up to the function.
      num_steps: the number of steps, passed to the function if it takes it.
      splits: ignored.
      durations: ignored.
      stop: must be `None`, since calls cannot be paused.
      keep: must be false, since calls cannot be continued.

    Returns:
      The metrics `validation_reward`, the reward; `report_reward`, if the
      function returns a `'report'`; and its other numbers by name.

    Raises:
      ValueError: the first worker cannot start or import the function, or
        children are to be kept.
    """
    del learning_rates, splits, durations
    if keep or stop is not None:
      raise ValueError('A function trains to the end, and nothing can be kept.')
    number = self._calls.submit(self._requests(architectures, keys, num_steps))
    while (parts := self._calls.take(number)) is None:
      self._calls.wait()
    return function_calls.to_trained(parts)

  def resume(self, kept: Kept, **settings: Any) -> Trained:
    """Raises `ValueError`, since calls cannot be continued."""
    del kept, settings
    raise ValueError('A function trains to the end, and nothing can be kept.')

  def close(self) -> None:
    """Ends all worker processes."""
    self._calls.dispatcher.close()

  def __enter__(self) -> FunctionTrainer:
    return self

  def __exit__(self, *exc_info: object) -> None:
    self.close()

  def _requests(
    self, architectures: Sequence[Any], keys: jax.Array, num_steps: int
  ) -> list[Any]:
    """Returns the requests to `function_servant`."""
    steps = {'num_steps': num_steps} if self._takes_steps else {}
    return [
      (_plain(value), seed, steps)
      for value, seed in zip(architectures, _seeds(keys), strict=True)
    ]


def _takes_steps(function: Function) -> bool:
  try:
    return 'num_steps' in inspect.signature(function).parameters
  except (TypeError, ValueError):  # Some functions written in C.
    return False


def _check_signature(function: Function) -> None:
  """Checks that a function takes the arguments it will be called with."""
  try:
    signature = inspect.signature(function)
  except (TypeError, ValueError):  # Some functions written in C.
    return
  steps = {'num_steps': 1} if 'num_steps' in signature.parameters else {}
  try:
    signature.bind({}, 0, **steps)
  except TypeError as error:
    raise ValueError(
      f'{_name(function)}{signature} cannot be called with a value and a seed '
      f'({error}); define it as f(value, seed).'
    ) from None


def _plain(value: Any) -> Any:
  # A dict can be unpickled without this package, and thus without JAX.
  return dict(value) if isinstance(value, Mapping) else value


def _seeds(keys: jax.Array) -> list[int]:
  # Every library accepts a nonnegative 32-bit integer as a seed.
  return [int(each) >> 1 for each in np.asarray(_bits(keys))]


@jax.jit
def _bits(keys: jax.Array) -> jax.Array:
  return jax.vmap(lambda key: jax.random.bits(key, dtype=np.uint32))(keys)


def _name(function: Function) -> str:
  name = getattr(function, '__qualname__', None) or repr(function)
  return f'{getattr(function, "__module__", None) or "?"}.{name}'


def _pickle(function: Function) -> bytes:
  """Returns a function pickled for the workers."""
  try:
    pickled = pickle.dumps(function)
  # Objects that a function refers to can raise any error when pickled.
  except Exception as error:
    raise ValueError(
      f'{_name(function)} cannot be sent to worker processes '
      f'({errors.describe(error)}); use a function defined by `def` at the '
      'top level of a file, not a lambda or a function inside another one.'
    ) from None
  main = sys.modules['__main__']
  path = getattr(main, '__file__', None)
  if path == '<stdin>':
    raise ValueError(
      'This program comes from standard input, where worker processes cannot '
      'find it; put it into a file, such as my_search.py, and run that.'
    )
  if b'__main__' in pickled and not (path or getattr(main, '__spec__', None)):
    raise ValueError(
      f'{_name(function)} is defined in a notebook or on the command line, '
      'where worker processes cannot find it; put it into a file, such as '
      'my_function.py, and import it.'
    )
  return pickled
