# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest

from jaxnas.datasets import base2_bench
from jaxnas.datasets import reward_table as tables
from jaxnas.runs import warm_starts
from jaxnas.strategies import random_search

DECISIONS = tables.make_decisions(base2_bench.CARDINALITIES)
SETTINGS = {
  'num_searches': 6, 'num_trials': 120, 'batch_size': 10, 'num_first': 20,
  'pool_size': 200, 'trial_seconds': 2.0, 'block_size': 2, 'seed': 4,
}  # fmt: skip


@pytest.fixture(scope='module', name='table')
def fixture_table():
  return base2_bench.load()


def test_the_best_of_a_pool_come_last_and_equal_cells_once(table):
  rewards = table.rewards()
  seeds = np.arange(3)
  first = warm_starts.draw_first(table, rewards, seeds, 500, 20)
  assert first.shape == (3, 20, 10)
  for chosen in base2_bench.ranks_of(first):
    assert (np.diff(rewards[chosen]) >= 0).all()
    assert len(set(table.cell_of[chosen].tolist())) == 20
  # The best 4 % of a pool, so above nearly all cells.
  assert rewards[base2_bench.ranks_of(first)].min() > np.quantile(rewards, 0.9)
  assert not np.array_equal(first[0], first[1])
  again = warm_starts.draw_first(table, rewards, seeds[1:], 500, 20)
  np.testing.assert_array_equal(again, first[1:])
  with pytest.raises(ValueError, match='fewer than the 20 first trials'):
    warm_starts.draw_first(table, rewards, seeds, 19, 20)


@pytest.fixture(scope='module', name='report')
def fixture_report(table):
  rewards = table.rewards().astype(np.float64)
  pools = {
    'truth': warm_starts.Pool('the truth', rewards, 0.0),
    # 200 scores of 0.005 seconds cost half a trial, which counts as one.
    'wrong': warm_starts.Pool('the opposite', -rewards, 0.005),
    'half': warm_starts.Pool('a training of a tenth', rewards, 0.2),
    'none': warm_starts.Pool('a training of half', rewards, 1.0),
  }
  return warm_starts.Report(
    table, random_search.make_random_search(DECISIONS), pools, **SETTINGS
  )


def test_scores_are_paid_for_in_trials(report, table):
  results = report.results
  # With the last, nothing is left to search.
  assert list(results) == ['truth', 'wrong', 'half']
  assert [each.num_spent for each in results.values()] == [0, 1, 20]
  # The best of a pool is there from the first trials on.
  rewards = table.rewards()
  seeds = 4 + np.arange(6)
  first = warm_starts.draw_first(table, rewards, seeds, 200, 20)
  best = rewards.max() - rewards[base2_bench.ranks_of(first)].max(1)
  truth = results['truth']
  assert truth.early.value <= best.mean() < report.random[0].value
  assert truth.final.value <= truth.early.value
  assert truth.against.difference.value < 0
  # Random search draws the same after the first trials.
  assert truth.against.worse == 0 < truth.against.better
  difference = truth.final.value - report.random[1].value
  np.testing.assert_allclose(
    truth.against.difference.value, difference, rtol=1e-9
  )


def test_the_table_shows_every_scorer(report, capsys):
  report.show()
  printed = capsys.readouterr().out
  for name in ('random start', 'the truth', 'the opposite'):
    assert f'\n{name} ' in printed
  assert 'corrected for the 3 comparisons (Holm)' in printed
  written = report.to_json()
  assert written['scorers']['half']['num_spent'] == 20
  assert written['random'][1]['value'] == report.random[1].value
