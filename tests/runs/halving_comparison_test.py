# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest

from jaxnas import halving
from jaxnas.datasets import named_tables
from jaxnas.datasets import reward_table as tables
from jaxnas.runs import halving_comparison, halving_report, many_searches
from jaxnas.strategies import random_search

GENERATOR = np.random.default_rng(0)
END = GENERATOR.uniform(size=64).astype(np.float32)
CURVES = np.stack([END / 4 + 0.02 * GENERATOR.normal(size=64), END], axis=1)
NAMED = named_tables.NamedTable(
  tables.Table((8, 8), END), 'mine', (), tables.Curves((8, 8), (2, 8), CURVES)
)
KEYS = many_searches.seed_keys(0, 6)
VARIANT = halving_report.Variant('random', 4)
LABELS = {'random': 'random search'}


def make_strategy(name):
  assert name == 'random'
  return random_search.make_random_search(tables.make_decisions((8, 8)))


def compare(schedule, named=NAMED, num_trials=40):
  comparison = halving_comparison.HalvingComparison(
    named, KEYS, num_trials, schedule, 4, 'random'
  )
  jobs = comparison.jobs([VARIANT], make_strategy, 1, LABELS, 'of a test')
  return comparison, jobs


def test_what_is_found_at_a_cost_was_trained_fully():
  comparison, jobs = compare(halving.Schedule((2, 8), 4))
  ((name, job),) = jobs.items()
  assert name == 'random-4-1-halving-4-2-8'
  # A batch of 4 takes 4 * 2 + 6 of 320 steps.
  assert job.num_trials == 88
  entries = GENERATOR.integers(0, 64, (6, 88)).astype(np.int32)
  whole = GENERATOR.integers(0, 64, (6, 40)).astype(np.int32)
  searches = {
    name: many_searches.Searches(entries, 1.0),
    'random': many_searches.Searches(whole, 1.0),
  }
  best, num_trials = comparison.found(VARIANT, searches, 1)
  np.testing.assert_array_equal(num_trials, 88)
  assert best.shape == (6, 40)
  batches = entries.reshape(6, 22, 4)
  chosen = np.take_along_axis(
    batches, CURVES[batches, 0].argmax(axis=2)[..., None], axis=2
  )[..., 0]
  np.testing.assert_array_equal(best[:, -1], END[chosen].max(axis=1))
  # The first batch is done after 14 steps, which is less than two trainings.
  np.testing.assert_array_equal(best[:, 0], END.min())
  np.testing.assert_array_equal(best[:, 1], END[chosen[:, 0]])
  without = comparison.found(halving_report.Variant('random'), searches, 1)
  np.testing.assert_array_equal(
    without.best, np.maximum.accumulate(END[whole], axis=1)
  )


def test_a_calibration_is_the_start_of_random_search_and_costs_others_nothing():
  comparison, jobs = compare(None)
  entries = comparison.calibrations.entries
  ((name, job),) = jobs.items()
  assert name == 'random-4-1-halving-4-auto-2-8'
  assert job.rows['scale'].x_mean.shape == (6, 1)
  first = np.zeros((6, 40), np.int32)
  searches = {
    name: many_searches.Searches(np.zeros((6, 88), np.int32), 1.0),
    'random': many_searches.Searches(first, 1.0),
  }
  best, num_trials = comparison.found(VARIANT, searches, 1)
  np.testing.assert_array_equal(
    best[:, 31], np.maximum(END[entries].max(axis=1), END.min())
  )
  # The rest of 8 trainings pays for 4 batches.
  np.testing.assert_array_equal(num_trials, 32 + 16)


def test_a_seed_without_a_rung_is_searched_without_halving():
  noise = np.stack([GENERATOR.normal(size=64), END], axis=1)
  # Rewards that say the opposite of the end.
  noise[:, 0] = -END
  named = NAMED._replace(curves=tables.Curves((8, 8), (2, 8), noise))
  comparison, jobs = compare(None, named)
  assert not jobs
  assert [part.schedule.rungs for part in comparison.parts] == [(8,)]


def test_rewards_at_the_rungs_are_needed():
  with pytest.raises(ValueError, match='after 2, 8 steps, and none after 4'):
    compare(halving.Schedule((4, 8), 4))
  with pytest.raises(
    ValueError, match='the table mine has none: give its file'
  ):
    compare(None, NAMED._replace(curves=None))
