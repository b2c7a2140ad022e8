# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Compares the number of trials per second with that of Optuna.

    python -m experiments.benchmark_strategies

Both sides search the same table of random rewards, so a trial consists only of
ask, look-up and tell. Our side runs hundreds of searches in one compiled
program on all cores. Optuna's searches run one after another in each of as many
processes as there are cores. Both alternate in bursts, and the shortest burst
of each counts; keep the machine idle otherwise. Prints one table and writes it
as JSON. Needs the extra `bench`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import os
import sys
import time
from typing import Any

from experiments import benchmark_settings, launch, settings, strategy_settings
from experiments.benchmarks import frameworks as frameworks_lib
from experiments.benchmarks import table as table_lib
from experiments.benchmarks import worker as worker_lib
from experiments.benchmarks.table import Row
from jaxnas.datasets import base2_bench

# The sampler most similar to each strategy.
SAMPLERS = {
  'random': ('random', 'RandomSampler'),
  'evolution': ('nsga2', 'NSGAIISampler'),
  'reinforce': ('tpe', 'TPESampler'),
  'ppo': ('tpe', 'TPESampler'),
}
_FLOORS = {'random': 20.0}


@dataclasses.dataclass(frozen=True)
class Config(benchmark_settings.BenchmarkSettings):
  """Settings of the benchmark."""

  strategies: tuple[str, ...] = settings.strategy(
    tuple(SAMPLERS),
    f'Strategies that are measured, out of {",".join(SAMPLERS)}.',
    is_common=True,
  )
  output: str = settings.measurement(
    'runs/benchmark_strategies.json', 'Path of the file that the table goes to.'
  )
  num_searches: int = settings.measurement(
    500,
    'Number of our searches in one burst.',
    low=1,
    high=settings.MAX_ITEMS,
  )
  num_trials: int = settings.search(
    500,
    'Number of trials of a search, on both sides.',
    low=1,
    high=settings.MAX_COUNT,
  )
  trials_per_update: int = settings.search(
    20,
    'Number of trials between two updates of our strategies.',
    low=1,
    high=settings.MAX_ITEMS,
  )
  num_studies: int = settings.measurement(
    1,
    'Number of searches of an Optuna process in a burst.',
    low=1,
    high=settings.MAX_ITEMS,
  )
  num_processes: int = settings.machine(
    0,
    'Number of Optuna processes; 0: one for each core.',
    low=0,
    high=settings.MAX_ITEMS,
  )
  cardinalities: tuple[int, ...] = settings.space(
    base2_bench.CARDINALITIES,
    'Numbers of choices of the decisions, in their order.',
    source='Base2Bench, the table that is shipped',
    low=1,
    high=settings.MAX_ITEMS,
  )
  block_size: int = settings.machine(
    0,
    'Number of our searches in one call; 0: chosen for the device.',
    low=0,
    high=settings.MAX_ITEMS,
  )

  def __post_init__(self):
    super().__post_init__()
    benchmark_settings.check_names(
      'strategy', self.strategies, SAMPLERS, 'strategies'
    )
    settings.check_rounds(self)


def run(config: Config) -> list[Row]:
  """Measures, prints the table and writes it; returns its rows.

  Raises:
    ValueError: Optuna is missing.
    OSError: the output cannot be written.
  """
  if importlib.util.find_spec('optuna') is None:
    raise ValueError(
      'Optuna is missing: `make bench-strategies` installs it, or '
      "`pip install '.[bench]'`."
    )
  output = table_lib.prepare(config.output)
  started = time.perf_counter()
  with contextlib.ExitStack() as stack:
    rows, about = _measure(config, stack)
  seconds = time.perf_counter() - started
  table_lib.publish(output, config, rows, about, {}, seconds)
  return rows


def _measure(config, stack) -> tuple[list[Row], dict[str, Any]]:
  frameworks = frameworks_lib.Frameworks(
    stack, 'strategies_', 'bench-strategies', 'searches'
  )
  worker = stack.enter_context(frameworks.search_jax())
  num_processes = config.num_processes or frameworks.about['machine']['cores']
  others = [
    stack.enter_context(
      worker_lib.Worker('experiments.benchmarks.strategies_optuna', os.environ)
    )
    for _ in range(num_processes)
  ]
  rows = [
    _row(config, name, worker, others, frameworks.is_cpu)
    for name in config.strategies
  ]
  about = {
    **frameworks.about,
    'Optuna': {'version': others[0].facts['version'], 'processes': len(others)},
    'table': {'choices': ' x '.join(map(str, config.cardinalities))},
  }
  return rows, about


def _row(config, name, worker, others, is_cpu) -> Row:
  sampler, class_name = SAMPLERS[name]
  print(f'Measuring {name} ...', file=sys.stderr, flush=True)
  shared = {'cardinalities': config.cardinalities, 'rewards_seed': 0}
  ours = worker.make(
    'searches',
    strategy=name,
    num_searches=config.num_searches,
    settings={
      key: getattr(config, key)
      for key in ('num_trials', 'trials_per_update', 'block_size')
    },
    **shared,
  )
  theirs = [
    other.make(
      'searches',
      sampler=sampler,
      num_searches=config.num_studies,
      num_trials=config.num_trials,
      **shared,
    )
    for other in others
  ]
  bursts = worker_lib.alternate(
    {
      'ours': lambda: [ours.burst()],
      'theirs': lambda: worker_lib.burst_together(theirs),
    },
    config.num_repeats,
  )
  rates = {side: max(map(_rate, found)) for side, found in bursts.items()}
  is_default = is_cpu and all(
    getattr(config, key) == getattr(Config, key)
    for key in ('num_searches', 'num_trials', 'num_studies', 'cardinalities')
  )
  return Row(
    name,
    f'{strategy_settings.NAMES[name]} against {class_name}',
    'trials/s',
    rates['ours'],
    rates['theirs'],
    rates['ours'] / rates['theirs'],
    floor=_FLOORS.get(name) if is_default else None,
    note=f'{config.num_searches} searches of {config.num_trials} trials, '
    f'compiled in {ours.facts["compile_seconds"]:.0f} s; against '
    f'{len(others)} processes of Optuna with {config.num_studies} such at a '
    'time.',
  )


def _rate(burst: list[worker_lib.Facts]) -> float:
  """Returns the trials per second of processes that ran together."""
  seconds = max(each['seconds'] for each in burst)
  return sum(each['num_trials'] for each in burst) / seconds


if __name__ == '__main__':
  launch.launch(Config, run, has_workdir=False)
