# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest

from jaxnas import halving
from jaxnas.datasets import named_tables
from jaxnas.datasets import reward_table as tables
from jaxnas.runs import halved_searches, many_searches
from jaxnas.strategies import random_search

SCHEDULE = halving.Schedule((2, 4, 8), 2)
Shape = halved_searches.Shape


def test_a_cost_buys_as_many_trials_as_fit():
  # A batch of 8 takes 8 * 2 + 4 * 2 + 2 * 4.
  assert Shape(SCHEDULE, 8).num_trials(32) == 8
  assert Shape(SCHEDULE, 8).num_trials(100) == 24
  assert Shape(SCHEDULE, 4, 1, 2).num_trials(79) == 16
  # If nobody waits for others, all may stop at once.
  assert Shape(SCHEDULE, 4, 3).num_trials(100) == 48
  with pytest.raises(ValueError, match='take more than the 31 steps of a sear'):
    Shape(SCHEDULE, 8).num_trials(31)


def test_an_outcome_is_known_at_its_cost():
  outcome = halved_searches.Outcome(
    np.array([[-np.inf, 3.0, 5.0], [1.0, -np.inf, 0.5]]),
    np.array([[4, 4, 9], [2, 6, 8]]),
  )
  best = outcome.best(np.array([1, 4, 8, 9]), 0.25)
  np.testing.assert_array_equal(best, [[0.25, 3, 3, 5], [0.25, 1, 1, 1]])
  np.testing.assert_array_equal(outcome.num_trials(8), [2, 3])
  after = outcome.after(np.array([[2.0, 4.0], [0.0, 0.0]]), 10)
  np.testing.assert_array_equal(
    after.ends, [[10, 20, 24, 24, 29], [10, 20, 22, 26, 28]]
  )
  np.testing.assert_array_equal(after.rewards[:, 1], [4.0, 0.0])


CURVES = tables.Curves(
  (6,),
  (2, 4, 8),
  [
    [6, 1, 1],
    [5, 5, 5],
    [4, 6, 9],
    [3, 9, 9],
    [np.nan] * 3,
    [7, np.nan, np.nan],
  ],
)
REWARDS = np.nan_to_num(CURVES.rewards[:, -1], nan=-1.0)


def test_searches_are_played_back():
  entries = np.array([[0, 1, 2, 3, 4, 5, 3, 3]], np.int32)
  found = halved_searches.play_back(
    CURVES, REWARDS, Shape(SCHEDULE, 4), entries
  )
  # The first two of the first batch go on, and of these the second; of the
  # second batch one that dies, and one of the equals, which is the last.
  stopped = -np.inf
  np.testing.assert_array_equal(
    found.rewards, [[stopped, 5, *[stopped] * 4, 9, stopped]]
  )
  # A batch takes 4 * 2 + 2 * 2 + 1 * 4.
  np.testing.assert_array_equal(found.ends, [[16] * 4 + [32] * 4])


def test_searches_with_costs_are_played_back():
  entries = np.array([[0, 1, 2, 3]], np.int32)
  costs = np.array([[9], [9], [1], [9], [9], [9]])
  found = halved_searches.play_back(
    CURVES, REWARDS, Shape(SCHEDULE, 4), entries, costs
  )
  # The best reward and the cheapest go on, and it is the better after 4 steps.
  np.testing.assert_array_equal(found.rewards, [[-np.inf, -np.inf, 9, -np.inf]])


def test_searches_that_wait_for_nobody_are_played_back():
  entries = np.array([[0, 3, 4, 5, 2, 3]], np.int32)
  found = halved_searches.play_back(
    CURVES, REWARDS, Shape(SCHEDULE, 2, 3), entries
  )
  # The first goes on always; the fourth is the best so far and dies; the fifth
  # is among the best half at the first rung, and not at the second.
  np.testing.assert_array_equal(
    found.rewards, [[1, -np.inf, -np.inf, -np.inf, -np.inf, -np.inf]]
  )
  np.testing.assert_array_equal(found.ends, [[8, 10, 12, 16, 18, 20]])


def test_calibrations_divide_the_seeds():
  generator = np.random.default_rng(0)
  end = generator.normal(size=64)
  noise = generator.normal(size=(64, 2)) * [1.2, 0.3]
  curves = tables.Curves(
    (4, 16), (2, 4, 8), np.stack([*(end[:, None] + noise).T, end], axis=1)
  )
  keys = many_searches.seed_keys(0, 12)
  found = halved_searches.calibrate(curves, keys)
  assert found.entries.shape == (12, 32)
  assert len({tuple(row) for row in found.entries.tolist()}) == 12
  parts = found.parts((2, 4, 8), 4)
  assert len(parts) > 1
  assert sorted(np.concatenate([part.seeds for part in parts])) == [*range(12)]
  for part in parts:
    place = (2, 4, 8).index(part.schedule.rungs[0])
    assert part.schedule.rungs == (2, 4, 8)[place:]
    scale = found.scale(part)
    for row, seed in enumerate(part.seeds):
      own = curves.rewards[found.entries[seed]]
      assert found.found[seed] == halving.calibrate(own)
      assert found.found[seed].first == place
      np.testing.assert_allclose(
        scale.x_mean[row], own[:, place:-1].mean(axis=0), atol=1e-6
      )


def test_random_search_with_halving_has_the_regret_that_was_computed():
  # 0.0211 with an interval of 0.0006 by numpy, in one round of 1,454 trials at
  # the steps of 500 full trainings; 100 searches have one of 0.0015.
  named = named_tables.load('base2')
  shape = Shape(halving.Schedule((64, 128, 256), 4), 1454)
  num_trials = shape.num_trials(500 * 256)
  assert num_trials == 1454
  curves = named.curves.at((64, 128, 256))
  strategy = random_search.make_random_search(
    tables.make_decisions(curves.cardinalities)
  )
  search = halved_searches.make_search(curves, 0.0, strategy, shape, num_trials)
  runner = many_searches.ManySearches(search, 50)
  entries = runner.run({'key': many_searches.seed_keys(0, 100)})
  found = halved_searches.play_back(curves, named.table.rewards, shape, entries)
  best = found.best(np.array([500 * 256]), 0.0)
  assert np.mean(named.table.rewards.max() - best) == pytest.approx(
    0.0211, abs=0.0025
  )
