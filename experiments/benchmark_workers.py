# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Measures what workers gain and what the dispatcher costs.

    python -m experiments.benchmark_workers

Children that sleep show how well the work is spread; children that compute, on
workers of one thread, show how much of that this machine allows. Each ratio
comes from one run: the same blocks on one worker and on several, in alternating
bursts, of which the shortest of each counts. Keep the machine idle otherwise.
Rows of Ray need the extra `ray`. Prints one table and writes it as JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import contextlib
import dataclasses
import functools
import importlib.util
import pathlib
import pickle
import platform
import sys
import tempfile
import time
from typing import Any

import jax
import numpy as np

from experiments import (
  benchmark_settings,
  launch,
  search_recurrent_cell,
  settings,
  worker_settings,
)
from experiments.benchmarks import frameworks, waiting_functions
from experiments.benchmarks import table as table_lib
from experiments.benchmarks.table import Row
from jaxnas.records import trial_log
from jaxnas.spaces import recurrent_cell as spaces
from jaxnas.trainers import functions, remote
from jaxnas.workers import (
  dispatcher,
  engines,
  function_servant,
  policies,
  processes,
)

ROWS = ('sleeping', 'children', 'dispatcher', 'start')
_FLOORS = {2: 1.95, 4: 3.8}


@dataclasses.dataclass(frozen=True)
class Config(benchmark_settings.BenchmarkSettings):
  """Settings of the benchmark."""

  rows: tuple[str, ...] = settings.measurement(
    ROWS, f'Rows that are measured, out of {",".join(ROWS)}.', is_common=True
  )
  workers: tuple[str, ...] = settings.measurement(
    engines.KINDS,
    'Kinds of workers that are measured.',
    choices=engines.KINDS,
  )
  output: str = settings.measurement(
    'runs/benchmark_workers.json', 'Path of the file that the table goes to.'
  )
  num_workers: tuple[int, ...] = settings.measurement(
    (2, 4),
    'Numbers of workers that are compared with one.',
    low=2,
    high=settings.MAX_ITEMS,
  )
  sleep_seconds: float = settings.measurement(
    0.2, 'Duration of a child that sleeps.', above=0.0
  )
  num_sleeps: int = settings.measurement(
    40,
    'Number of children that sleep in a burst.',
    low=1,
    high=settings.MAX_ITEMS,
  )
  num_blocks: int = settings.measurement(
    2000,
    'Number of blocks that do nothing in a burst.',
    low=1,
    high=settings.MAX_ITEMS,
  )
  num_children: int = settings.measurement(
    32,
    'Number of children that compute in a burst.',
    low=1,
    high=settings.MAX_ITEMS,
  )
  num_steps: int = settings.measurement(
    80,
    'Number of steps of a child that computes.',
    low=1,
    high=settings.MAX_COUNT,
  )

  def __post_init__(self):
    super().__post_init__()
    benchmark_settings.check_names('row', self.rows, ROWS, 'rows')


def run(config: Config) -> list[Row]:
  """Measures, prints the table and writes it; returns its rows.

  Raises:
    OSError: the output cannot be written.
  """
  output = table_lib.prepare(config.output)
  started = time.perf_counter()
  kinds = [
    kind
    for kind in config.workers
    if kind != 'ray' or importlib.util.find_spec('ray') is not None
  ]
  left_out = {
    kind: 'Ray is not installed' for kind in config.workers if kind not in kinds
  }
  measured: dict[str, Callable[[], list[Row]]] = {
    'sleeping': lambda: [
      row for kind in kinds for row in _measure_sleeping(config, kind)
    ],
    'children': lambda: _measure_children(config),
    'dispatcher': lambda: _measure_dispatcher(config),
    'start': lambda: [_measure_start(kind) for kind in kinds],
  }
  rows: list[Row] = []
  for name in config.rows:
    print(f'Measuring {name} ...', file=sys.stderr, flush=True)
    rows += measured[name]()
  about = {
    'machine': frameworks.machine(),
    'versions': {'python': platform.python_version(), 'jax': jax.__version__},
  }
  seconds = time.perf_counter() - started
  table_lib.publish(output, config, rows, about, left_out, seconds)
  return rows


def _shortest(
  sides: Mapping[Any, Callable[[], Any]], num_repeats: int
) -> dict[Any, float]:
  """Returns the shortest time of each side, of bursts that alternate."""
  found: dict[Any, list[float]] = {name: [] for name in sides}
  for each in sides.values():
    each()  # Workers are started, and programs compiled.
  for _ in range(num_repeats):
    for name, each in sides.items():
      started = time.perf_counter()
      each()
      found[name].append(time.perf_counter() - started)
  return {name: min(seconds) for name, seconds in found.items()}


def _measure_sleeping(config: Config, kind: str) -> list[Row]:
  """Measures how well work is spread, whatever the machine."""
  children = [{'seconds': config.sleep_seconds}] * config.num_sleeps
  keys = jax.random.split(jax.random.key(0), len(children))
  with contextlib.ExitStack() as stack:
    sides = {}
    for count in (1, *config.num_workers):
      trainer = stack.enter_context(
        functions.FunctionTrainer(waiting_functions.sleep, count, workers=kind)
      )
      sides[count] = functools.partial(trainer.run, children, keys)
    seconds = _shortest(sides, config.num_repeats)
  return [
    Row(
      'sleeping',
      f'{count} workers ({kind}) against 1',
      'children/s',
      config.num_sleeps / seconds[count],
      config.num_sleeps / seconds[1],
      seconds[1] / seconds[count],
      floor=_FLOORS.get(count),
      note=f'{config.num_sleeps} children of {config.sleep_seconds:g} s.',
    )
    for count in config.num_workers
  ]


def _measure_children(config: Config) -> list[Row]:
  """Measures children that compute, on workers of one thread."""
  search = search_recurrent_cell.Config(
    dataset='pydoc',
    base=2,
    known_cells=(),
    num_steps=config.num_steps,
    block_size=4,
    num_host_devices=1,
  )
  local = search_recurrent_cell.worker_trainers(search).get('space')
  space = spaces.make_space(2)
  tokens = np.zeros(space.num_tokens, np.int32)
  children = [space.decode(tokens)] * config.num_children
  keys = jax.random.split(jax.random.key(0), len(children))
  rates = np.full(len(children), search.learning_rate)
  variables = {
    'XLA_FLAGS': '--xla_force_host_platform_device_count=1 '
    '--xla_cpu_multi_thread_eigen=false',
    'NPROC': '1',
    'JAX_PLATFORMS': 'cpu',
  }
  fields = worker_settings.without_workers(search)
  with contextlib.ExitStack() as stack:
    sides = {}
    for count in (1, 2):
      remotes = stack.enter_context(
        remote.RemoteTrainers(
          functools.partial(
            worker_settings.make_trainers, 'search_recurrent_cell', fields
          ),
          processes.ProcessEngine(count, [variables] * count),
        )
      )
      sides[count] = functools.partial(
        remotes.wrap('space', local).run,
        children,
        keys,
        rates,
        config.num_steps,
      )
    seconds = _shortest(sides, config.num_repeats)
  return [
    Row(
      'children',
      '2 workers of one thread against 1',
      'children/s',
      config.num_children / seconds[2],
      config.num_children / seconds[1],
      seconds[1] / seconds[2],
      floor=1.6,
      note=f'{config.num_children} recurrent cells of {config.num_steps} '
      'steps, in blocks of 4.',
    )
  ]


def _measure_dispatcher(config: Config) -> list[Row]:
  """Measures blocks of one that do nothing, with one fsync per wait."""
  servant = functools.partial(
    function_servant.FunctionServant, pickle.dumps(waiting_functions.nothing)
  )
  with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
    workers = dispatcher.Dispatcher(
      processes.ProcessEngine(2),
      pickle.dumps(servant),
      policies.Functions('nothing', 0, float('inf')),
    )
    stack.callback(workers.close)
    log = stack.enter_context(
      trial_log.JsonLines(pathlib.Path(folder, 'trials.jsonl'))
    )
    seconds = _shortest(
      {'': lambda: _call(workers, log, config.num_blocks)}, config.num_repeats
    )['']
    alone = _shortest(
      {'': lambda: _call(workers, None, config.num_blocks, num_in_flight=1)},
      config.num_repeats,
    )['']
  return [
    Row(
      'dispatcher',
      'blocks of one',
      'trials/s',
      config.num_blocks / seconds,
      floor=500.0,
      note=f'{config.num_blocks} calls of a function that does nothing, on 2 '
      'processes, recorded with one fsync a wait.',
    ),
    Row(
      'dispatcher',
      'time of a block, one at a time',
      'ms',
      1000 * alone / config.num_blocks,
      floor=5.0,
      is_limit=True,
    ),
  ]


def _call(
  workers: dispatcher.Dispatcher,
  log: trial_log.JsonLines | None,
  num_blocks: int,
  num_in_flight: int = 0,
) -> None:
  """Submits blocks, and records their answers."""
  num_left, num_open = num_blocks, 0
  while num_left or num_open:
    wanted = num_in_flight - num_open if num_in_flight else workers.num_wanted
    for _ in range(min(num_left, wanted)):
      workers.submit((None, num_left, {}))
      num_left -= 1
      num_open += 1
    finished = workers.collect()
    num_open -= len(finished)
    if log is not None:
      log.append([{'reward': parts[0].answer} for _, parts in finished])


def _measure_start(kind: str) -> Row:
  """Measures the time from nothing to the first answer."""
  started = time.perf_counter()
  with functions.FunctionTrainer(
    waiting_functions.nothing, 1, workers=kind
  ) as trainer:
    trainer.run([{}], jax.random.key(0)[None])
    seconds = time.perf_counter() - started
  return Row(
    'start',
    f'first answer of a worker ({kind})',
    's',
    seconds,
    floor=10.0,
    is_limit=True,
  )


if __name__ == '__main__':
  launch.launch(Config, run, has_workdir=False)
