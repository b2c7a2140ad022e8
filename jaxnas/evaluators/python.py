# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Any Python function as the judge, in processes of its own.

    def train(value, seed):  # In a file that can be imported.
      ...
      return accuracy

    with python.make_evaluator(space, train, floor_reward=0.0) as evaluator:
      ...

The function may use PyTorch, scikit-learn or anything else. Whatever it does,
raise, hang, return nonsense or kill its process, is the status of one trial.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
import multiprocessing
import pickle
import sys
from typing import Any

from absl import logging
import jax
import numpy as np

from jaxnas.evaluators import worker, worker_pool
from jaxnas.types import Evaluation, Evaluator, SearchSpace, Status

Function = Callable[[Any, int], Any]
"""`(value, seed) -> reward`, a finite number."""


@contextlib.contextmanager
def make_evaluator(
  space: SearchSpace,
  function: Function,
  floor_reward: float,
  num_workers: int = 1,
  timeout_seconds: float | None = None,
  num_retries: int = 1,
  block_size: int | None = None,
) -> Iterator[Evaluator]:
  """Makes an evaluator that calls a function in worker processes.

  A trial is called with the same seed again where it failed, so that what it
  ends with follows from its key alone; a reward that is not finite is final.
  Each failure is a line on stderr; the trial log has the status and the reason
  of the last attempt, with the file and line that raised it.

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

  Args:
    space: what the tokens mean.
    function: gets what `space.decode` returns, a plain dict where that is a
      mapping, and a seed from 0 to 2^31 - 1; returns what a float can be made
      of, more being better.
    floor_reward: what a trial that failed is given; what the worst choice would
      get. A lower reward counts as this one.
    num_workers: how many calls run at a time.
    timeout_seconds: how long a call may take, starting a worker not included;
      any time by default.
    num_retries: how often a trial that raised an exception, ended its process
      or took too long is tried again.
    block_size: how many trials are recorded at a time; `num_workers` by
      default. More keep all workers busy where calls differ in time, and are
      lost where the run is killed.

  Yields:
    The evaluator. Its trials have no metrics.

  Raises:
    ValueError: an argument is out of range, or the function can not be sent to
      another process, or this process may not have others; how to mend that is
      told. `evaluate` raises it where a worker can not import the function.
  """
  if not worker_pool.is_finite(floor_reward):
    raise ValueError(
      f'floor_reward must be finite as a float32, got {floor_reward}.'
    )
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
      f'{worker.shorten(repr(function))}.'
    )
  if multiprocessing.current_process().daemon:
    raise ValueError(
      'This process is daemonic, as the workers of multiprocessing.Pool are, '
      'and may not start worker processes of its own; run the search in the '
      'main process, in a thread or by concurrent.futures.ProcessPoolExecutor.'
    )
  workers = worker_pool.Workers(
    _pickle(function), _name(function), num_workers, timeout_seconds
  )

  def evaluate(keys, tokens):
    values = [_plain(space.decode(row)) for row in np.asarray(tokens)]
    calls = list(zip(values, _seeds(keys), strict=True))
    return _to_evaluation(workers.run(calls, num_retries), floor_reward)

  try:
    yield Evaluator(evaluate, block_size, floor_reward, function)
  finally:
    workers.close()


def _plain(value: Any) -> Any:
  # A dict is unpickled without the modules of this package, and so without jax.
  return dict(value) if isinstance(value, Mapping) else value


def _seeds(keys: jax.Array) -> list[int]:
  bits = jax.vmap(lambda key: jax.random.bits(key, dtype=np.uint32))(keys)
  # What every library takes as a seed: a positive int of 32 bits.
  return [int(each) >> 1 for each in np.asarray(bits)]


def _to_evaluation(
  outcomes: Sequence[worker_pool.Outcome], floor_reward: float
) -> Evaluation:
  for outcome in outcomes:
    if outcome.reward < floor_reward:
      logging.warning(
        'The reward %g is below floor_reward, %g, and counts as that; give a '
        'floor_reward that no choice falls below.',
        outcome.reward,
        floor_reward,
      )
  rewards = [
    max(outcome.reward, floor_reward)
    if outcome.status is Status.OK
    else floor_reward
    for outcome in outcomes
  ]
  return Evaluation(
    rewards=np.array(rewards, np.float32),
    metrics={},
    status=np.array([outcome.status for outcome in outcomes], np.int32),
    reasons=tuple(outcome.reason for outcome in outcomes),
  )


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
      f'{_name(function)} can not be sent to worker processes '
      f'({worker.describe(error)}); take a function that is defined by '
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
