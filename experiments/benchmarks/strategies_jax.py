# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The JAX side of the benchmark of strategies.

A worker of `experiments.benchmark_strategies`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import time
from typing import Any

import numpy as np

from experiments import compare_strategies
from experiments.benchmarks import device as device_lib
from experiments.benchmarks import worker as worker_lib
from jaxnas.datasets import reward_table as tables
from jaxnas.runs import many_searches

Facts = worker_lib.Facts


def make_searches(
  strategy: str,
  cardinalities: Sequence[int],
  rewards_seed: int,
  num_searches: int,
  settings: Mapping[str, Any],
) -> tuple[Facts, Callable[[], Facts]]:
  """Runs many searches of a table, as `compare_strategies` does.

  Args:
    strategy: the name of the strategy.
    cardinalities: the cardinalities of the table.
    rewards_seed: the seed of the table's random rewards.
    num_searches: the number of searches in a burst.
    settings: the settings for a `compare_strategies.Config`.
  """
  size = int(np.prod(cardinalities))
  table = tables.Table(
    tuple(cardinalities), np.random.default_rng(rewards_seed).random(size)
  )
  config = compare_strategies.Config(**settings)
  runner = many_searches.ManySearches(
    compare_strategies.make_search(config, table, strategy),
    config.block_size or compare_strategies.default_block_size(),
  )
  keys = many_searches.seed_keys(config.seed, num_searches)

  def burst() -> Facts:
    started = time.perf_counter()
    entries = runner.run(keys)
    seconds = time.perf_counter() - started
    return {
      'seconds': seconds,
      'num_trials': entries.size,
      'best': table.rewards[entries].max(axis=1).mean(),
    }

  next(runner.blocks(keys))
  facts = {
    'compile_seconds': runner.compile_seconds,
    'block_size': runner.block_size,
  }
  return facts, burst


if __name__ == '__main__':
  worker_lib.serve({'searches': make_searches}, device_lib.describe)
