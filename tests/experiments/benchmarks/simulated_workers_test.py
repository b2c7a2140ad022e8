# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest

from experiments.benchmarks import simulated_workers
from experiments.benchmarks.simulated_workers import Fleet

CONSTANT = simulated_workers.lognormal(0.0)


@pytest.mark.parametrize('replicas', [1, 2, 5])
def test_one_worker_is_always_busy(replicas):
  fleet = Fleet(1, replicas, 1)
  outcome = simulated_workers.simulate(fleet, CONSTANT, 1000)
  assert outcome.utilization == 1.0
  # Groups finish in their order; the first ones have fewer before them.
  expected = [min(group, replicas - 1) for group in range(1000)]
  assert outcome.mean_lag == pytest.approx(np.mean(expected))
  assert outcome.high_lag == replicas - 1


@pytest.mark.parametrize(
  ('fleet', 'utilization'),
  [
    # Every worker has a trial of each group.
    (Fleet(4, 1, 4), 1.0),
    (Fleet(4, 4, 1), 1.0),
    (Fleet(4, 1, 8), 1.0),
    # Half of them, or in every other turn.
    (Fleet(4, 1, 2), 0.5),
    (Fleet(4, 2, 1), 0.5),
    (Fleet(4, 1, 6), 0.75),
    # Two blocks of four, and a block that is not full.
    (Fleet(2, 1, 8, block_size=4), 1.0),
    (Fleet(4, 1, 8, block_size=4), 0.5),
    (Fleet(2, 1, 9, block_size=4), 0.75),
  ],
)
def test_equal_durations_are_exact(fleet, utilization):
  outcome = simulated_workers.simulate(fleet, CONSTANT, 50)
  assert outcome.utilization == pytest.approx(utilization)


def test_a_group_waits_for_its_slowest_trial():
  durations = simulated_workers.measured([1.0, 3.0])
  lock_step = simulated_workers.simulate(Fleet(100, 1, 100), durations, 50)
  # Nearly every group of 100 has one of 3.
  assert lock_step.utilization == pytest.approx(2 / 3, abs=0.01)
  assert lock_step.mean_lag == lock_step.high_lag == 0
  more = simulated_workers.simulate(Fleet(100, 200, 1), durations, 5000)
  assert more.utilization == pytest.approx(1.0)
  assert 190 < more.mean_lag <= 200


def test_the_seed_decides():
  draw = simulated_workers.with_tail(simulated_workers.lognormal(0.5))
  first, same, other = (
    simulated_workers.simulate(Fleet(8, 4, 3), draw, 100, seed)
    for seed in (0, 0, 1)
  )
  assert first == same
  assert first != other


def test_durations_are_as_told():
  rng = np.random.default_rng(0)
  draw = simulated_workers.lognormal(0.5)
  assert draw(rng, 100_000).mean() == pytest.approx(1.0, abs=0.02)
  assert np.log(draw(rng, 100_000)).std() == pytest.approx(0.5, abs=0.01)
  tail = simulated_workers.with_tail(CONSTANT)(rng, 100_000)
  assert set(tail) == {1.0, 10.0}
  assert (tail == 10.0).mean() == pytest.approx(0.01, abs=0.002)


def test_too_few_groups_are_refused():
  with pytest.raises(ValueError, match=r'more than replicas \(4\), got 4'):
    simulated_workers.simulate(Fleet(4, 4, 1), CONSTANT, 4)
