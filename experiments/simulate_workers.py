# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tells how many trials in flight keep many workers busy, without training.

    python -m experiments.simulate_workers --num_workers=1000
    python -m experiments.simulate_workers --workdir=runs/recurrent_cell

Simulates a search event by event, for several numbers of replicas: the share of
time in which workers train, and the lag, the mean number of groups of trials
that finish between the proposal of a group and its end. Durations are
lognormal, with several spreads, or those of a run's blocks.
"""

from __future__ import annotations

from collections.abc import Mapping
import contextlib
import dataclasses
import json
import math
import pathlib
from typing import Any

from experiments import launch, settings
from experiments.benchmarks import simulated_workers
from experiments.benchmarks.simulated_workers import Draw, Fleet, Outcome
from jaxnas.datasets import prepared
from jaxnas.records import events

MULTIPLES = (1.0, 1.25, 1.5, 2.0, 3.0)
"""The numbers of trials in flight for each trial in training."""

BUSY = 0.95
"""The utilization that is advised."""

# Enough for the first groups, which all start at once, not to matter.
_GENERATIONS = 16


@dataclasses.dataclass(frozen=True)
class Config(settings.Bounded):
  """Settings of the simulation."""

  workdir: str | None = settings.data(
    None,
    'Folder of a run whose durations are used; none: lognormal ones.',
    is_common=True,
  )
  num_workers: int = settings.measurement(
    1000,
    'Number of workers.',
    is_common=True,
    low=1,
    high=settings.MAX_ITEMS,
  )
  block_size: int = settings.measurement(
    1,
    'Number of children that a worker trains at a time.',
    is_common=True,
    low=1,
    high=settings.MAX_BLOCK,
  )
  trials_per_update: int = settings.measurement(
    8,
    'Number of trials in a group, the m of the paper.',
    is_common=True,
    low=1,
    high=settings.MAX_ITEMS,
  )
  sigmas: tuple[float, ...] = settings.measurement(
    (0.1, 0.3, 0.5, 1.0),
    'Spreads of durations: the standard deviations of their logarithms.',
    low=0.0,
    high=10.0,
  )
  seed: int = settings.measurement(
    0, 'Seed of the durations.', low=0, high=settings.MAX_SEED
  )


def run(config: Config) -> None:
  """Simulates, and prints the table and what follows from it.

  Raises:
    ValueError: the run has no durations of its own.
  """
  if config.workdir is not None:
    durations = read_durations(config.workdir)
    mean = sum(durations) / len(durations)
    print(f'{len(durations)} blocks were measured; their mean is {mean:.3g} s.')
    draws = {'measured': simulated_workers.measured(durations)}
  else:
    draws = {
      f'sigma {sigma:g}': simulated_workers.lognormal(sigma)
      for sigma in config.sigmas
    }
    draws['tail'] = simulated_workers.with_tail(
      simulated_workers.lognormal(0.3)
    )
  table = {
    fleet: {
      name: simulated_workers.simulate(
        fleet, draw, _GENERATIONS * fleet.replicas, config.seed
      )
      for name, draw in draws.items()
    }
    for fleet in fleets(config)
  }
  for line in (*grid(table, draws), *advise(config, table, draws)):
    print(line)


def fleets(config: Config) -> list[Fleet]:
  """Returns what is compared: lock step, and the multiples."""
  num_at_once = config.num_workers * config.block_size
  replicas = {
    max(1, math.ceil(multiple * num_at_once / config.trials_per_update))
    for multiple in MULTIPLES
  }
  return [
    Fleet(config.num_workers, 1, num_at_once, config.block_size),
    *(
      Fleet(
        config.num_workers, each, config.trials_per_update, config.block_size
      )
      for each in sorted(replicas)
    ),
  ]


def grid(
  table: Mapping[Fleet, Mapping[str, Outcome]], draws: Mapping[str, Draw]
) -> list[str]:
  """Returns the lines of the table, in Markdown."""
  texts = [['replicas x trials', *draws, 'mean lag']]
  for fleet, outcomes in table.items():
    # The same for all spreads, but for a few groups.
    lags = [outcome.mean_lag for outcome in outcomes.values()]
    texts.append(
      [
        f'{fleet.replicas} x {fleet.trials_per_update}',
        *(f'{outcome.utilization:.2f}' for outcome in outcomes.values()),
        f'{sum(lags) / len(lags):.0f}',
      ]
    )
  widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
  texts.insert(1, ['-' * width for width in widths])
  return [f'| {" | ".join(map(str.ljust, row, widths))} |' for row in texts]


def advise(
  config: Config,
  table: Mapping[Fleet, Mapping[str, Outcome]],
  draws: Mapping[str, Draw],
) -> list[str]:
  """Returns a line for each kind of durations."""
  lines = []
  for name in draws:
    enough = [
      fleet
      for fleet, outcomes in table.items()
      if outcomes[name].utilization >= BUSY
      # The first row is another size of a group.
      and fleet.trials_per_update == config.trials_per_update
    ]
    if not enough:
      best = max(table, key=lambda fleet: table[fleet][name].utilization)
      lines.append(
        f'{name}: none reaches {BUSY:.0%}; fewer trials per group would, or '
        f'more replicas than {best.replicas}.'
      )
      continue
    fleet = min(enough)
    outcome = table[fleet][name]
    lines.append(
      f'{name}: --replicas={fleet.replicas} '
      f'--trials_per_update={fleet.trials_per_update} keeps '
      f'{fleet.num_workers} workers {outcome.utilization:.0%} busy, at a lag '
      f'of {outcome.mean_lag:.0f} groups.'
    )
  return lines


def read_durations(folder: str) -> list[float]:
  """Returns how long the blocks of a run took, in seconds.

  Workers' blocks are in `events.jsonl`. A run without workers has a line in
  `timings.jsonl` for each of its blocks.

  Args:
    folder: the run's folder.

  Raises:
    ValueError: there is no such run, or it has fewer than two blocks.
  """
  path = prepared.expand(folder)
  durations: list[float] = []
  if lines := _read(path / events.FILE_NAME):
    begun = set()
    for line in lines:
      if line.get('event') == 'answered' and 'seconds' in line:
        # A worker's first block compiles.
        if line['worker'] in begun:
          durations.append(line['seconds'])
        begun.add(line['worker'])
  else:
    durations = [
      line['train_seconds']
      for line in _read(path / 'timings.jsonl')
      if line.get('phase') == 'search' and line['train_seconds'] > 0
    ]
  if len(durations) < 2:
    raise ValueError(
      f'{path} has no durations of blocks: it is not a run, or has just begun.'
    )
  return durations


def _read(path: pathlib.Path) -> list[dict[str, Any]]:
  """Returns the lines of a log, which may be in use, that are whole."""
  found = []
  with contextlib.suppress(FileNotFoundError, NotADirectoryError):
    for line in path.read_bytes().splitlines():
      with contextlib.suppress(ValueError):
        found.append(json.loads(line))
  return [line for line in found if isinstance(line, dict)]


if __name__ == '__main__':
  launch.launch(Config, run, has_workdir=False)
