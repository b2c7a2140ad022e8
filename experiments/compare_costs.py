# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Measures searches that weigh costs, on the complete table Base2Bench.

    python -m experiments.compare_costs --workdir=runs/costs

The cost of a cell is its number of transcendental functions, tanh and sigmoid
of its nodes and its injection, from 0 to 4. Two questions are answered over
many seeds, and printed:

- Does a reward with a target meet it? REINFORCE climbs TuNAS's reward; the
  likeliest of 2,048 cells that the trained policy draws, which is its mode
  unless every cell has a probability below a percent, is compared with the
  target.
- Does a search find the front of reward and cost? The front of the table is
  exact; the hypervolume that a search dominates is compared with it.

    python -m experiments.compare_costs --targets= --halving=4 \
        --rungs=64,128,256 --workdir=runs/halved_fronts

also asks the second question of searches with successive halving, which compare
children by non-dominated rank and take as many training steps in total. Only
fully trained cells count as found.

Results are in docs/results/costs.md.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments import (
  halving_settings,
  launch,
  machine_settings,
  settings,
  strategy_settings,
)
from jaxnas import fronts, pure_search, rewards, statistics
from jaxnas.controllers import recurrent
from jaxnas.datasets import base2_bench, named_tables, reward_table
from jaxnas.records import workdir
from jaxnas.runs import halved_searches, many_searches
from jaxnas.strategies import pareto_evolution
from jaxnas.types import Controller, Strategy
from jaxnas.visualize import progress


@dataclasses.dataclass(frozen=True)
class Config(
  strategy_settings.StrategySettings,
  halving_settings.HalvingSettings,
  machine_settings.Machine,
):
  """Settings of the measurement."""

  num_seeds: int = settings.search(
    100,
    'Number of searches of each kind.',
    is_common=True,
    low=1,
    high=settings.MAX_ITEMS,
  )
  targets: tuple[int, ...] = settings.search(
    (1, 2, 3),
    'Targets of the cost; none leaves this part out.',
    is_common=True,
    low=1,
    high=4,
  )
  num_target_trials: int = settings.search(
    2000,
    'Number of trials of a search with a target.',
    low=1,
    high=settings.MAX_COUNT,
  )
  cost_weight: float = settings.search(
    -0.1,
    'Weight beta of the cost in the reward Q + beta |C/T - 1|.',
    source='TuNAS (Bender et al., 2020)',
    below=0.0,
  )
  num_trials: int = settings.search(
    500,
    'Number of trials of a search for the front.',
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
  strategies: tuple[str, ...] = settings.strategy(
    ('pareto', 'evolution', 'reinforce', 'random'),
    'Strategies that look for the front: pareto is evolution that ranks by '
    'reward and cost; the others know only the reward. None leaves this out.',
  )

  def __post_init__(self):
    super().__post_init__()
    settings.check_rounds(self, 'num_target_trials', 'num_trials')
    if self.has_measured_rungs:
      raise ValueError(
        '--halving needs rungs here, such as --rungs=64,128,256.'
      )


NAMES = {'pareto': 'evolution (NSGA-II)', **strategy_settings.NAMES}
_ENOUGH = 0.95
_REFERENCE = (0.0, -5.0)
_NUM_DRAWN = 2048


def run(config: Config, folder: str) -> None:
  """Runs the searches, and prints and writes what they found.

  Args:
    config: the settings.
    folder: the run's folder, its `--workdir`.

  Raises:
    ValueError: a setting is out of range, or the folder belongs to another run.
  """
  bench = base2_bench.load()
  table = reward_table.Table(bench.cardinalities, bench.rewards())
  with workdir.lock(folder) as path:
    workdir.check_config(
      path, dataclasses.asdict(config), (), dataclasses.asdict(Config())
    )
    workdir.write_manifest(path, seed=config.seed)
    results: dict[str, Any] = {}
    if config.targets:
      results['targets'] = _meet_targets(config, table)
    if config.strategies:
      results['fronts'] = _find_fronts(config, table)
    workdir.write_json(path / 'results.json', results)


def cost_of_each(cardinalities: tuple[int, ...]) -> np.ndarray:
  """Returns the transcendental functions of every cell, `int32[A]`, by rank.

  Args:
    cardinalities: the number of choices of each token.
  """
  tokens = base2_bench.tokens_of(np.arange(int(np.prod(cardinalities))))
  # Activations are identity, tanh, sigmoid, relu.
  return np.isin(tokens[:, 1:8:2], (1, 2)).sum(axis=1).astype(np.int32)


def make_target_search(
  config: Config, table: reward_table.Table, target: int
) -> Callable[[jax.Array], jax.Array]:
  """Makes a search with a target, `key -> the modal cell's rank`.

  Args:
    config: the settings.
    table: the table of rewards.
    target: the target of the cost.
  """
  cost = cost_of_each(table.cardinalities)
  quality = rewards.Reward(lambda _, metrics: metrics['quality'])
  weighed = rewards.make_cost_reward(
    quality, 'cost', target, 'absolute', config.cost_weight
  ).function((), {'quality': table.rewards, 'cost': cost})
  table = reward_table.Table(table.cardinalities, np.asarray(weighed))
  decisions = reward_table.make_decisions(table.cardinalities)
  controller = recurrent.make_controller(
    decisions,
    num_layers=config.controller_layers,
    features=config.controller_features,
  )
  strategy = strategy_settings.make_strategy(
    'reinforce', config, decisions, lambda: controller
  )
  num_rounds = config.num_target_trials // config.trials_per_update

  def search(key):
    found = pure_search.scan(
      strategy, table.look_up, key, num_rounds, config.trials_per_update
    )
    # The keys of all rounds are used.
    last = jax.random.fold_in(key, num_rounds + 1)
    tokens = _mode(controller, found.state.params, last)
    return reward_table.index(table.cardinalities, tokens)

  return search


def _mode(controller: Controller, params: Any, key: jax.Array) -> jax.Array:
  """Returns the likeliest of many draws from a policy, `int32[T]`."""
  keys = jax.random.split(key, _NUM_DRAWN)
  tokens, log_prob = jax.vmap(
    controller.sample_and_log_prob, in_axes=(None, 0, None)
  )(params, keys, None)
  return tokens[jnp.argmax(log_prob.sum(-1))]


def _meet_targets(config: Config, table: reward_table.Table) -> Any:
  cost = cost_of_each(table.cardinalities)
  keys = many_searches.seed_keys(config.seed, config.num_seeds)
  rows, results = [], []
  for target in config.targets:
    search = many_searches.ManySearches(
      make_target_search(config, table, target), _block_size(config)
    )
    modes = search.run(keys)
    is_met = np.abs(cost[modes] / target - 1) <= 0.02
    share = statistics.share_interval(is_met)
    best = table.rewards[cost == target].max()
    quality = table.rewards[modes].mean()
    rows.append(
      [
        str(target),
        f'{is_met.sum()} of {len(modes)}',
        f'{share.low:.1%} to {share.high:.1%}',
        f'{quality:.4f}',
        f'{best:.4f}',
      ]
    )
    results.append({'target': target, 'cells': modes.tolist()})
  progress.table(
    f'REINFORCE with the reward Q {config.cost_weight:+g} |C/T - 1|, '
    f'{config.num_target_trials} trials: the likeliest cell of the policy',
    ['target', 'within 2 %', 'interval (95 %)', 'mean Q', 'best Q there'],
    rows,
  )
  return results


def _find_fronts(config: Config, table: reward_table.Table) -> Any:
  points = np.column_stack([table.rewards, -cost_of_each(table.cardinalities)])
  exact = fronts.front(points)
  whole = fronts.hypervolume(points[exact], _REFERENCE)
  print(
    f'The front of the table: {len(exact)} cells, '
    + ', '.join(
      f'{points[row, 0]:.4f} at {-points[row, 1] + 0.0:g}' for row in exact
    )
    + f'; its hypervolume above reward 0 and cost 5 is {whole:.5f}.'
  )
  keys = many_searches.seed_keys(config.seed, config.num_seeds)
  rows, results = [], []
  for name, is_halved in itertools.product(
    config.strategies, (False, True) if config.has_halving else (False,)
  ):
    find = _search_halved if is_halved else _search
    parts = np.array(
      [
        fronts.hypervolume(points[each], _REFERENCE) / whole
        for each in find(config, table, name, keys)
      ]
    )
    share = statistics.share_interval(parts >= _ENOUGH)
    mean = statistics.mean_interval(parts)
    rows.append(
      [
        NAMES[name] + (', with halving' if is_halved else ''),
        f'{(parts >= _ENOUGH).sum()} of {len(parts)}',
        f'{share.low:.1%} to {share.high:.1%}',
        f'{mean.value:.4f}',
        f'{mean.low:.4f} to {mean.high:.4f}',
      ]
    )
    results.append(
      {
        'strategy': name,
        'is_halved': is_halved,
        'hypervolumes': parts.tolist(),
      }
    )
  spent = ', or their steps,' if config.has_halving else ','
  progress.table(
    f'Hypervolume of the front found in {config.num_trials} trials{spent} as a '
    'part of that of the table',
    ['strategy', 'at least 95 %', 'interval (95 %)', 'mean', 'its interval'],
    rows,
  )
  return results


def _search(config, table, name, keys) -> np.ndarray:
  """Returns the entries that the searches of a strategy tried."""
  search = many_searches.make_table_search(
    table,
    make_strategy(config, table, name),
    config.num_trials,
    config.trials_per_update,
  )
  return many_searches.ManySearches(search, _block_size(config)).run(keys)


def _search_halved(config, table, name, keys) -> list[np.ndarray]:
  """Returns those that were trained fully, with halving at equal steps."""
  curves = named_tables.load(named_tables.BASE2).curves
  assert curves is not None
  num_steps = curves.points[-1]
  schedule = halving_settings.make_schedule(config, num_steps)
  assert schedule is not None
  shape = halved_searches.Shape(schedule, config.trials_per_update)
  num_trials = shape.num_trials(config.num_trials * num_steps)
  curves, costs = (
    curves.at(schedule.rungs),
    cost_of_each(table.cardinalities)[:, None],
  )
  search = halved_searches.make_search(
    curves,
    float(table.rewards.min()),
    make_strategy(config, table, name, num_trials),
    shape,
    num_trials,
    costs,
  )
  runner = many_searches.ManySearches(search, _block_size(config))
  entries = runner.run({'key': keys})
  found = halved_searches.play_back(
    curves, table.rewards, shape, entries, costs
  )
  return [
    row[np.isfinite(rewards)]
    for row, rewards in zip(entries, found.rewards, strict=True)
  ]


def make_strategy(
  config: Config,
  table: reward_table.Table,
  name: str,
  num_trials: int | None = None,
) -> Strategy:
  """Makes a strategy that looks for the front of the table.

  Args:
    config: the settings.
    table: the table of rewards.
    name: a name in `NAMES`.
    num_trials: the number of trials of a search; that of the settings by
      default.

  Raises:
    ValueError: the name is not known, or a setting is out of range.
  """
  decisions = reward_table.make_decisions(table.cardinalities)
  cost = jnp.asarray(cost_of_each(table.cardinalities))

  def costs(tokens):
    return cost[reward_table.index(table.cardinalities, tokens)][:, None]

  if name == 'pareto':
    return pareto_evolution.make_pareto_evolution(
      decisions,
      costs,
      population_size=config.population_size,
      sample_size=strategy_settings.front_sample_size(config),
      num_trials=num_trials or config.num_trials,
    )
  return strategy_settings.make_strategy(
    name,
    config,
    decisions,
    lambda: recurrent.make_controller(
      decisions,
      num_layers=config.controller_layers,
      features=config.controller_features,
    ),
    num_trials or config.num_trials,
  )


def _block_size(config: Config) -> int:
  """Returns the number of searches in one call, on all local devices."""
  num_devices = jax.local_device_count()
  each = 8 if jax.default_backend() == 'cpu' else 128
  return num_devices * min(each, -(-config.num_seeds // num_devices))


if __name__ == '__main__':
  launch.launch(Config, run)
