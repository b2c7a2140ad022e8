# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The Optuna side of the benchmark of strategies.

A worker of `experiments.benchmark_strategies`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import itertools
import time

import numpy as np
import optuna

from experiments.benchmarks import worker as worker_lib

Facts = worker_lib.Facts

SAMPLERS = {
  'random': optuna.samplers.RandomSampler,
  'tpe': optuna.samplers.TPESampler,
  'nsga2': optuna.samplers.NSGAIISampler,
}


def describe() -> Facts:
  """Returns the version."""
  return {'version': optuna.__version__}


def make_searches(
  sampler: str,
  cardinalities: Sequence[int],
  rewards_seed: int,
  num_searches: int,
  num_trials: int,
) -> tuple[Facts, Callable[[], Facts]]:
  """Runs searches of a table one after another, each a separate study.

  Trials are stored in memory and asked for with all their decisions at once;
  their rewards are looked up in a NumPy array.

  Args:
    sampler: the name of the sampler, from `SAMPLERS`.
    cardinalities: the cardinalities of the table.
    rewards_seed: the seed of the table's random rewards.
    num_searches: the number of searches in a burst.
    num_trials: the number of trials of each search.
  """
  optuna.logging.set_verbosity(optuna.logging.ERROR)
  rewards = np.random.default_rng(rewards_seed).random(
    int(np.prod(cardinalities))
  )
  table = rewards.reshape(tuple(cardinalities))
  distributions: dict[str, optuna.distributions.BaseDistribution] = {
    f'decision_{number}': optuna.distributions.CategoricalDistribution(
      range(cardinality)
    )
    for number, cardinality in enumerate(cardinalities)
  }
  seeds = itertools.count()

  def search(trials: int) -> float:
    study = optuna.create_study(
      storage=optuna.storages.InMemoryStorage(),
      sampler=SAMPLERS[sampler](seed=next(seeds)),
      direction='maximize',
    )
    best = 0.0
    for _ in range(trials):
      trial = study.ask(distributions)
      reward = float(table[tuple(trial.params[name] for name in distributions)])
      best = max(best, reward)
      study.tell(trial, reward)
    return best

  def burst() -> Facts:
    started = time.perf_counter()
    best = [search(num_trials) for _ in range(num_searches)]
    seconds = time.perf_counter() - started
    return {
      'seconds': seconds,
      'num_trials': num_searches * num_trials,
      'best': np.mean(best),
    }

  search(min(num_trials, 20))
  return {}, burst


if __name__ == '__main__':
  worker_lib.serve({'searches': make_searches}, describe)
