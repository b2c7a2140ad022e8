# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

r"""Compares search strategies on a table of rewards, over hundreds of seeds.

    python -m experiments.compare_strategies --table=base2 \
        --workdir=runs/strategies

`--table` is `base2`, the table of all recurrent cells of base 2, or an NPZ file
with the arrays `cardinalities`, the number of choices of each decision, and
`rewards`, one per sequence of choices, with the first decision most
significant. Every search is one compiled program, mapped over the seeds.

The strategies learn every 20 trials. Of 5, 10, 20 and 50, measured on `base2`
with `--trials_per_update` (100 seeds; 500 for the default 20), that gives the
policies the lowest regret after 500 trials: REINFORCE with 0.028, 0.025, 0.022
and 0.025, PPO with 0.037, 0.029, 0.022 and 0.023. Evolution does nearly as well
with any: 0.011 to 0.013.

Prints one table and writes `results.json`, `regret.png` and `report.html`; the
trials of every search are saved in `searches/`. The same command continues a
run, strategy by strategy, or shows the finished one.

    python -m experiments.compare_strategies --replicas=1,4,16,64 \
        --trials_per_update=1 --replicas_per_update=20 \
        --workdir=runs/staleness

shows instead what it costs a strategy to have several groups of trials in
flight, whose rewards come late: for each number of replicas, and for REINFORCE
each of `--corrections`, the regret and its difference to the search in lock
step, also written to `staleness.csv`. Durations are drawn anew for each search.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import dataclasses

import jax
import numpy as np

from experiments import launch, machine_settings, settings, strategy_settings
from jaxnas.controllers import recurrent
from jaxnas.datasets import named_tables
from jaxnas.datasets import reward_table as table_evaluator
from jaxnas.records import trial_log, workdir
from jaxnas.runs import (
  many_searches,
  regret_page,
  regret_report,
  staleness_report,
  stopwatch,
)
from jaxnas.strategies import policy
from jaxnas.visualize import pictures, progress, web_page


@dataclasses.dataclass(frozen=True)
class Config(strategy_settings.StrategySettings, machine_settings.Machine):
  """Settings of the comparison."""

  table: str = settings.data(
    named_tables.BASE2,
    'Table of rewards: base2, or the path of an NPZ file.',
    is_common=True,
  )
  strategies: tuple[str, ...] = settings.strategy(
    strategy_settings.STRATEGIES,
    'Strategies that are compared, of '
    f'{",".join(strategy_settings.STRATEGIES)}.',
    is_common=True,
  )
  num_seeds: int = settings.search(
    500,
    'Number of searches of each strategy.',
    is_common=True,
    low=1,
    high=settings.MAX_ITEMS,
  )
  num_trials: int = settings.search(
    500,
    'Number of trials of each search.',
    is_common=True,
    low=1,
    high=settings.MAX_COUNT,
  )
  trials_per_update: int = settings.search(
    20,
    'Number of trials between two updates of a strategy.',
    low=1,
    high=settings.MAX_ITEMS,
  )
  replicas: tuple[int, ...] = settings.search(
    (1,),
    'Numbers of groups of trials_per_update trials in flight, to compare what '
    'staleness costs; 1 is the search in lock step.',
    low=1,
    high=settings.MAX_ITEMS,
  )
  replicas_per_update: int = settings.search(
    1,
    'Number of finished groups between two updates of a strategy.',
    low=1,
    high=settings.MAX_ITEMS,
  )
  corrections: tuple[str, ...] = settings.strategy(
    policy.CORRECTIONS,
    'Corrections of REINFORCE that are compared where there are replicas.',
  )
  block_size: int = settings.machine(
    0,
    'Number of searches in one call; 0: chosen for the device.',
    low=0,
    high=settings.MAX_ITEMS,
  )


def run(config: Config, folder: str) -> None:
  """Runs, continues or shows a comparison.

  Args:
    config: the settings.
    folder: the run's folder, its `--workdir`.

  Raises:
    ValueError: a setting or the table is invalid, or the folder belongs to
      another run.
    OSError: the table cannot be read.
  """
  _check(config)
  named = named_tables.load(config.table)
  variants = _variants(config)
  searches = {
    name: make_search(config, named.table, *variant)
    for name, variant in variants.items()
  }
  config = dataclasses.replace(
    config, block_size=config.block_size or default_block_size()
  )
  with workdir.lock(folder) as path:
    workdir.check_config(
      path,
      {
        **dataclasses.asdict(config),
        'num_host_devices': jax.local_device_count(),
        'table_fingerprint': named.fingerprint,
      },
      # Adding or removing a search does not affect the others.
      free=('strategies', 'table', 'replicas', 'corrections', 'correction'),
      defaults=dataclasses.asdict(Config()),
    )
    origins = {
      name: f'{name} with seed {config.seed} on table {named.fingerprint}'
      for name in searches
    }
    labels = {name: _label(variant) for name, variant in variants.items()}
    found = _find(config, path, searches, origins, labels)
    if not _is_lock_step(config):
      _report_staleness(
        config, path, named, {variants[name]: found[name] for name in found}
      )
      return
    report = regret_report.Report(
      named, found, strategy_settings.NAMES, strategy_settings.BASELINE
    )
    report.write(path)
    report.show()
    pictures.draw(regret_page.write, path / web_page.FILE, path)
    report.draw(path)


def default_block_size() -> int:
  """Returns the number of searches to run at once on all local devices."""
  # A CPU is fastest while the controllers of a block stay in its cache.
  each = 8 if jax.default_backend() == 'cpu' else 512
  return each * jax.local_device_count()


def _check(config: Config) -> None:
  names = config.strategies
  if not names or len(set(names)) < len(names):
    raise ValueError(
      'strategies must name at least one, and none twice; got '
      f'{",".join(names) or "none"}.'
    )
  if 1 not in config.replicas or len(set(config.replicas)) < len(
    config.replicas
  ):
    raise ValueError(
      'replicas must have 1, which the others are compared with, and none '
      f'twice; got {",".join(map(str, config.replicas)) or "none"}.'
    )
  num_devices = jax.local_device_count()
  if config.block_size % num_devices:
    raise ValueError(
      f'block_size must be 0 or a multiple of {num_devices}, the number of '
      f'devices; got {config.block_size}.'
    )


def _is_lock_step(config: Config) -> bool:
  """Returns whether nothing but strategies is compared."""
  return (*config.replicas, config.replicas_per_update) == (1, 1)


def _variants(config: Config) -> dict[str, staleness_report.Variant]:
  """Returns what is compared, by the names of its files."""
  if _is_lock_step(config):
    return {name: staleness_report.Variant(name) for name in config.strategies}
  variants = [
    staleness_report.Variant(name, replicas, correction)
    for name in config.strategies
    for replicas in config.replicas
    for correction in (
      config.corrections if name == 'reinforce' and replicas > 1 else ('',)
    )
  ]
  return {
    '-'.join(map(str, filter(None, variant))): variant for variant in variants
  }


def _label(variant: staleness_report.Variant) -> str:
  """Returns how a variant is named while it runs."""
  label = strategy_settings.NAMES[variant.strategy]
  if variant.replicas > 1:
    label += f' with {variant.replicas} replicas'
  return label + (variant.correction and f' ({variant.correction})')


def _report_staleness(config, path, named, found) -> None:
  """Prints and writes what staleness costs."""
  keys = many_searches.seed_keys(config.seed, config.num_seeds)
  num_groups = config.num_trials // config.trials_per_update
  report = staleness_report.Report(
    named.name,
    named.table.rewards,
    found,
    {
      replicas: many_searches.mean_lag(
        keys, num_groups, replicas, config.replicas_per_update
      )
      for replicas in config.replicas
    },
    strategy_settings.NAMES,
  )
  report.show()
  report.write(path)


def make_search(
  config: Config,
  table: table_evaluator.Table,
  name: str,
  replicas: int = 1,
  correction: str = '',
) -> Callable[[jax.Array], jax.Array]:
  """Makes a strategy's search, `key -> entries int32[num_trials]`.

  Args:
    config: the settings.
    table: the table of rewards.
    name: the strategy's name.
    replicas: the number of groups of trials in flight.
    correction: the correction of REINFORCE; that of the settings by default.
  """
  decisions = table_evaluator.make_decisions(table.cardinalities)
  strategy = strategy_settings.make_strategy(
    name,
    dataclasses.replace(config, correction=correction or config.correction),
    decisions,
    lambda: recurrent.make_controller(
      decisions,
      num_layers=config.controller_layers,
      features=config.controller_features,
    ),
  )
  return many_searches.make_table_search(
    table,
    strategy,
    config.num_trials,
    config.trials_per_update,
    replicas,
    config.replicas_per_update,
  )


def _find(
  config, path, searches, origins, labels
) -> dict[str, many_searches.Searches]:
  """Runs the searches that are still missing."""
  shape = config.num_seeds, config.num_trials
  files = {name: path / 'searches' / f'{name}.npz' for name in searches}
  found = {
    name: many_searches.Searches.load(file, shape, origins[name])
    for name, file in files.items()
    if file.exists()
  }
  left = {name: f for name, f in searches.items() if name not in found}
  if not left:
    print(f'Found the finished run in {path}; nothing is left to search.')
    return found
  if found:
    print(f'Resuming the run in {path}: {", ".join(found)} is there.')
  workdir.write_manifest(path, seed=config.seed, table=config.table)
  running: dict[str, tuple[many_searches.ManySearches, np.ndarray]] = {}

  def spent():
    runners = [runner for runner, _ in running.values()]
    return stopwatch.Spent(
      sum(runner.compile_seconds for runner in runners),
      sum(runner.run_seconds for runner in runners),
    )

  keys = many_searches.seed_keys(config.seed, config.num_seeds)
  with trial_log.JsonLines(path / 'timings.jsonl') as timings:
    clock = stopwatch.Stopwatch(timings, spent)
    running |= _start(config, left, keys, labels)
    clock.lap('first searches')
    for name, (runner, first) in running.items():
      label = labels[name]
      print(f'{label}:')
      rest = _follow(runner.blocks(keys, first=1), config.num_seeds, len(first))
      entries = np.concatenate([first, *rest])
      found[name] = many_searches.Searches(entries, runner.run_seconds)
      found[name].save(files[name], origins[name])
      clock.lap(label)
  print(
    f'Real cost: {progress.duration(clock.total)}, of which compiling '
    f'{progress.duration(spent().compile)}.'
  )
  return {name: found[name] for name in searches}


def _start(config, searches, keys, labels):
  """Compiles every search, runs its first block and prints an estimate."""
  running = {}
  seconds = 0.0
  num_blocks = -(-config.num_seeds // config.block_size)
  names = ', '.join(labels[name] for name in searches)
  kinds = 'strategies' if _is_lock_step(config) else 'variants'
  print(f'Compiling {names} ...', flush=True)
  for name, search in searches.items():
    runner = many_searches.ManySearches(search, config.block_size)
    first = next(runner.blocks(keys))
    running[name] = runner, first
    seconds += runner.run_seconds * num_blocks
  num_trials = len(searches) * config.num_seeds * config.num_trials
  print(
    f'Estimated cost: {progress.duration(seconds)} for {num_trials:,} trials: '
    f'{len(searches)} {kinds}, {config.num_seeds} seeds, '
    f'{config.num_trials} trials each; {config.block_size} searches at a time '
    f'on {jax.local_device_count()} devices.',
    flush=True,
  )
  return running


def _follow(
  blocks: Iterator[np.ndarray], total: int, done: int
) -> list[np.ndarray]:
  """Collects blocks and shows the progress."""
  collected = []
  with progress.Progress(total, unit='seed') as bar:
    bar.update(done)
    for block in blocks:
      collected.append(block)
      done += len(block)
      bar.update(done)
  return collected


if __name__ == '__main__':
  launch.launch(Config, run)
