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
each of `--corrections`, the regret and its difference from the search in lock
step, also written to `staleness.csv`. Durations are drawn anew for each search.

    python -m experiments.compare_strategies --halving=4 --rungs=64,128,256 \
        --workdir=runs/halving

shows what successive halving is worth to each strategy at the same number of
steps trained, those of `--num_trials` full trainings, and writes `halving.csv`
and `halving.png`. With `--rungs=auto` the first rung is measured for each seed.
`--halving_batches` are the numbers of trials that are halved together, and with
several `--replicas` no child waits for others (ASHA).
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses

import jax

from experiments import (
  halving_settings,
  launch,
  machine_settings,
  settings,
  strategy_settings,
)
from jaxnas.controllers import recurrent
from jaxnas.datasets import named_tables
from jaxnas.datasets import reward_table as table_evaluator
from jaxnas.records import workdir
from jaxnas.runs import (
  halving_comparison,
  halving_report,
  many_searches,
  regret_report,
  run_page,
  search_jobs,
  staleness_report,
)
from jaxnas.strategies import policy
from jaxnas.types import Strategy


@dataclasses.dataclass(frozen=True)
class Config(
  strategy_settings.StrategySettings,
  halving_settings.HalvingSettings,
  machine_settings.Machine,
):
  """Settings of the comparison."""

  table: str = settings.data(
    named_tables.BASE2,
    'Table of rewards: base2, or the path of an NPZ file.',
    is_common=True,
  )
  strategies: tuple[str, ...] = settings.strategy(
    strategy_settings.STRATEGIES,
    'Strategies that are compared, out of '
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
  halving_batches: tuple[int, ...] = settings.search(
    (0,),
    'Numbers of trials that are halved together; 0: trials_per_update.',
    low=0,
    high=settings.MAX_ITEMS,
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
  if config.has_halving:
    comparison = _compare_halving(config, named)
    jobs = _halving_jobs(config, named, comparison)
  else:
    halving_settings.make_schedule(config, 0)
    jobs = _jobs(config, named, _variants(config))
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
      free=_FREE,
      defaults=dataclasses.asdict(Config()),
    )
    found = _find(config, path, jobs)
    if config.has_halving:
      _report_halving(config, path, named, comparison, found)
    elif not _is_lock_step(config):
      _report_staleness(config, path, named, found)
    else:
      _report(path, named, found)


_FREE = (
  'strategies', 'table', 'replicas', 'corrections', 'correction', 'halving',
  'rungs', 'halving_batches',
)  # fmt: skip


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
  if len(set(config.halving_batches)) < max(1, len(config.halving_batches)):
    raise ValueError(
      'halving_batches must have at least one number, and none twice; got '
      f'{",".join(map(str, config.halving_batches)) or "none"}.'
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


def _origin(config: Config, named: named_tables.NamedTable) -> str:
  return f'with seed {config.seed} on table {named.fingerprint}'


def _jobs(config, named, variants) -> dict[str, search_jobs.Job]:
  """Returns the searches without halving, by the names of their files."""
  keys = many_searches.seed_keys(config.seed, config.num_seeds)
  return {
    name: search_jobs.Job(
      make_search(config, named.table, *variant),
      keys,
      config.num_trials,
      _label(variant),
      f'{name} {_origin(config, named)}',
    )
    for name, variant in variants.items()
  }


def _report(path, named, found) -> None:
  """Prints and writes how strategies compare."""
  report = regret_report.Report(
    named, found, strategy_settings.NAMES, strategy_settings.BASELINE
  )
  report.write(path)
  report.show()
  run_page.draw(path)
  report.draw(path)


def _compare_halving(config, named) -> halving_comparison.HalvingComparison:
  """Returns what is compared with halving; measures rungs where asked."""
  num_steps = halving_comparison.curves_of(named).points[-1]
  return halving_comparison.HalvingComparison(
    named,
    many_searches.seed_keys(config.seed, config.num_seeds),
    config.num_trials,
    halving_settings.make_schedule(config, num_steps),
    config.halving,
    strategy_settings.BASELINE,
  )


def _halved(config: Config) -> list[halving_report.Variant]:
  """Returns the variants with halving."""
  each = config.trials_per_update
  shapes = [(batch or each, 1) for batch in config.halving_batches]
  shapes += [(each, replicas) for replicas in config.replicas if replicas > 1]
  return [
    halving_report.Variant(name, *shape)
    for name in config.strategies
    for shape in dict.fromkeys(shapes)
  ]


def _halving_jobs(config, named, comparison) -> dict[str, search_jobs.Job]:
  """Returns the searches with and without halving."""
  without = {name: staleness_report.Variant(name) for name in config.strategies}
  return {
    **_jobs(config, named, without),
    **comparison.jobs(
      _halved(config),
      lambda name: _make_strategy(config, named.table, name),
      config.replicas_per_update,
      strategy_settings.NAMES,
      f'{_origin(config, named)} {named.curves.fingerprint}',
    ),
  }


def _report_halving(config, path, named, comparison, found) -> None:
  """Prints, writes and draws what halving is worth."""
  halved = _halved(config)
  variants = [
    variant
    for name in config.strategies
    for variant in (
      halving_report.Variant(name),
      *(each for each in halved if each.strategy == name),
    )
  ]
  report = halving_report.Report(
    named.name,
    float(named.table.rewards.max()),
    {
      variant: comparison.found(variant, found, config.replicas_per_update)
      for variant in variants
    },
    comparison.parts,
    comparison.calibrations,
    strategy_settings.NAMES,
  )
  report.write(path)
  report.show()
  report.draw(path)


def _report_staleness(config, path, named, found) -> None:
  """Prints and writes what staleness costs."""
  variants = _variants(config)
  found = {variants[name]: each for name, each in found.items()}
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
  return many_searches.make_table_search(
    table,
    _make_strategy(config, table, name, correction),
    config.num_trials,
    config.trials_per_update,
    replicas,
    config.replicas_per_update,
  )


def _make_strategy(
  config: Config, table: table_evaluator.Table, name: str, correction: str = ''
) -> Strategy:
  decisions = table_evaluator.make_decisions(table.cardinalities)
  return strategy_settings.make_strategy(
    name,
    dataclasses.replace(config, correction=correction or config.correction),
    decisions,
    lambda: recurrent.make_controller(
      decisions,
      num_layers=config.controller_layers,
      features=config.controller_features,
    ),
  )


def _find(config, path, jobs) -> dict[str, many_searches.Searches]:
  """Runs the searches that are still missing."""
  searches = search_jobs.Jobs(path, jobs)
  if not searches.left:
    print(f'Found the finished run in {path}; nothing is left to search.')
    return searches.found
  if searches.found:
    print(f'Resuming the run in {path}: {", ".join(searches.found)} is there.')
  workdir.write_manifest(path, seed=config.seed, table=config.table)
  kinds = (
    'strategies'
    if _is_lock_step(config) and not config.has_halving
    else 'variants'
  )
  each = 'at most ' if config.has_halving else ''
  num_trials = max(job.num_trials for job in searches.left.values())
  searches.run(
    config.block_size,
    f'{len(searches.left)} {kinds}, {config.num_seeds} seeds, {each}'
    f'{num_trials} trials each',
  )
  return {name: searches.found[name] for name in jobs}


if __name__ == '__main__':
  launch.launch(Config, run)
