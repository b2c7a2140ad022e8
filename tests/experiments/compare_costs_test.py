# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of the measurement of searches that weigh costs."""

import json

import jax
import numpy as np
import pytest

from experiments import compare_costs
from jaxnas import fronts
from jaxnas.costs import recurrent_cell as cell_costs
from jaxnas.datasets import base2_bench
from jaxnas.spaces import recurrent_cell

BENCH = base2_bench.load()


def test_the_cost_of_the_table_is_that_of_its_cells():
  space = recurrent_cell.make_space(2)
  cost = compare_costs.cost_of_each(BENCH.cardinalities)
  for rank in np.random.default_rng(0).integers(0, len(cost), 50):
    cell = space.decode(base2_bench.tokens_of(rank))
    assert cost[rank] == cell_costs.num_transcendentals(cell)


def test_the_front_of_the_table_is_that_of_brute_force():
  cost = compare_costs.cost_of_each(BENCH.cardinalities)
  rewards = BENCH.rewards()
  best = []
  for each in range(5):
    row = int(np.where(cost == each, rewards, -1).argmax())
    # A dearer cell must be better than all that are cheaper.
    if rewards[row] > max((rewards[other] for other in best), default=-1):
      best.append(row)
  points = np.column_stack([rewards, -cost])
  assert fronts.front(points) == best[::-1]


@pytest.mark.slow
def test_everything_is_printed_and_written(tmp_path, capsys):
  config = compare_costs.Config(
    num_seeds=2,
    targets=(2,),
    num_target_trials=8,
    num_trials=16,
    trials_per_update=4,
    controller_features=3,
    controller_layers=1,
    population_size=4,
    strategies=('pareto',),
    halving=2,
    rungs=('64', '256'),
    sample_size=2,
    num_host_devices=jax.local_device_count(),
  )
  compare_costs.run(config, str(tmp_path))
  printed = capsys.readouterr().out
  assert 'within 2 %' in printed
  assert 'evolution (NSGA-II)' in printed
  results = json.loads((tmp_path / 'results.json').read_text())
  (target,) = results['targets']
  assert len(target['cells']) == 2
  assert 'evolution (NSGA-II), with halving' in printed
  kinds = [(each['strategy'], each['is_halved']) for each in results['fronts']]
  assert kinds == [('pareto', False), ('pareto', True)]
  for each in results['fronts']:
    assert all(0 < part <= 1 for part in each['hypervolumes'])


def test_rungs_are_needed():
  with pytest.raises(
    ValueError, match='needs rungs here, such as --rungs=64,128'
  ):
    compare_costs.Config(halving=4)
