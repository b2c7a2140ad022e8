# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxnas import halving
from jaxnas.datasets import base2_bench

NAN = np.nan


def test_a_schedule_says_who_starts_and_what_it_costs():
  schedule = halving.Schedule((64, 128, 256), 4)
  assert schedule.num_started(1454) == (1454, 363, 90)
  assert schedule.num_steps(1454) == 1454 * 64 + 363 * 64 + 90 * 128
  # 500 full trainings pay for one such batch, and for no larger one.
  assert schedule.num_batches(500 * 256, 1454) == 1
  assert schedule.num_batches(500 * 256, 1460) == 0
  assert schedule.num_started(16) == (16, 4, 1)
  assert schedule.num_steps(16) == 16 * 64 + 4 * 64 + 128


def test_at_least_one_goes_on():
  schedule = halving.Schedule((1, 2, 3, 9), 3)
  assert schedule.num_started(7) == (7, 2, 1, 1)
  assert schedule.num_steps(7) == 7 + 2 + 1 + 6
  assert halving.Schedule((5, 6)).num_started(1) == (1, 1)


def test_one_rung_is_the_full_training_of_all():
  schedule = halving.Schedule((256,))
  assert schedule.num_started(20) == (20,)
  assert schedule.num_steps(20) == 20 * 256


@pytest.mark.parametrize(
  ('rungs', 'eta', 'message'),
  [
    ((64, 64, 256), 4, 'rungs must grow, from 1 step or more, got 64, 64, 256'),
    ((128, 64), 4, 'rungs must grow'),
    ((0, 64), 4, 'rungs must grow, from 1 step'),
    ((), 4, 'rungs must be at least one whole number of steps'),
    ((1.5, 2), 4, 'rungs must be at least one whole number of steps'),
    ((True, 2), 4, 'rungs must be at least one whole number of steps'),
    ((64, 256), 1, 'eta must be at least 2, or all would go on; got 1'),
    ((64, 256), 2.5, 'eta must be a whole number, got 2.5'),
  ],
)
def test_bad_schedules_are_refused_in_one_line(rungs, eta, message):
  with pytest.raises(ValueError, match=message) as caught:
    halving.Schedule(rungs, eta)
  assert '\n' not in str(caught.value)


def test_the_last_rung_is_the_full_training():
  schedule = halving.Schedule((64, 128))
  schedule.check_full(128)
  with pytest.raises(
    ValueError, match='full training of 256 steps, got 64, 128'
  ):
    schedule.check_full(256)
  with pytest.raises(ValueError, match='batch_size must be at least 1, got 0'):
    schedule.num_started(0)


def test_the_best_go_on_and_of_equals_the_earlier():
  rewards = [0.1, 0.3, 0.2, 0.3, 0.3, 0.0]
  alive = np.ones(6, bool)
  np.testing.assert_array_equal(
    np.flatnonzero(halving.going_on(rewards, alive, 2)), [1, 3]
  )
  np.testing.assert_array_equal(
    np.flatnonzero(halving.going_on(rewards, alive, 4)), [1, 2, 3, 4]
  )


def test_failed_children_never_go_on():
  rewards = [9.0, NAN, np.inf, -5.0, -6.0]
  alive = [False, True, True, True, True]
  np.testing.assert_array_equal(
    np.flatnonzero(halving.going_on(rewards, alive, 3)), [3, 4]
  )
  assert not halving.going_on(rewards, np.zeros(5, bool), 3).any()


CURVES = np.array(
  [
    [0.4, 0.5, 0.9],
    [0.3, 0.6, 0.8],
    [NAN, NAN, NAN],
    [0.5, NAN, NAN],
    [0.1, 0.9, 1.0],
    [0.2, 0.2, 0.2],
    [0.2, 0.3, 0.3],
    [0.0, 0.1, 0.1],
  ],
  np.float32,
)


def test_halving_at_all_rungs_is_as_worked_by_hand():
  # Four of eight go on, of whom one dies; then the best two of three.
  schedule = halving.Schedule((1, 2, 4), 2)
  last = halving.halve(schedule, CURVES)
  np.testing.assert_array_equal(last, [2, 2, 0, 1, 0, 1, 0, 0])
  np.testing.assert_array_equal(
    jax.jit(lambda curves: halving.halve(schedule, curves))(CURVES), last
  )


def test_a_whole_batch_may_fail():
  schedule = halving.Schedule((1, 2, 4), 2)
  nothing = np.full((4, 3), NAN, np.float32)
  assert not halving.halve(schedule, nothing).any()


def goes_on_early_by_hand(rewards, eta):
  """Returns who goes on, by sorting the log so far for each child."""
  result = []
  for place, reward in enumerate(rewards):
    so_far = sorted(range(place + 1), key=lambda each: (-rewards[each], each))
    best = so_far[: max(1, (place + 1) // eta)]
    result.append(np.isfinite(reward) and place in best)
  return result


@pytest.mark.parametrize('eta', [2, 4])
def test_who_goes_on_early_depends_on_those_before(eta):
  rewards = np.random.default_rng(0).integers(0, 6, 40).astype(np.float32)
  rewards[[0, 7, 8]] = -np.inf
  goes_on = []
  for place in range(len(rewards)):
    earlier = np.where(np.arange(len(rewards)) < place, rewards, NAN)
    goes_on.append(
      bool(halving.goes_on_early(rewards[place], jnp.asarray(earlier), eta))
    )
  assert goes_on == goes_on_early_by_hand(rewards, eta)
  assert 0 < sum(goes_on) < len(rewards)


def made_up_curves(correlated_from, num_children=32, num_points=4):
  """Returns curves that are noise at first, and then the end's order."""
  generator = np.random.default_rng(3)
  end = generator.normal(size=num_children)
  curves = generator.normal(size=(num_children, num_points))
  curves[:, correlated_from:] = end[:, None]
  return curves.astype(np.float32)


@pytest.mark.parametrize('first', [0, 1, 2])
def test_the_first_rung_is_where_the_order_of_the_end_is_told(first):
  found = halving.calibrate(made_up_curves(first))
  assert found.first == first
  assert found.num_children == 32
  np.testing.assert_allclose(found.correlations[first:], 1.0)
  assert all(abs(each) < 0.5 for each in found.correlations[:first])
  points = 32, 64, 128, 256
  assert found.schedule(points, 3) == halving.Schedule(points[first:], 3)


def test_without_a_rung_there_is_no_halving():
  found = halving.calibrate(made_up_curves(3))
  assert found.first == 3
  assert found.schedule((1, 2, 3, 4), 4) == halving.Schedule((4,), 4)
  assert halving.calibrate(np.ones((8, 1))).schedule((9,), 2).rungs == (9,)


def test_only_the_best_half_counts():
  # Early on it is known who will be bad, and nothing else: over all children
  # the correlation is high.
  generator = np.random.default_rng(1)
  end = np.arange(40.0)
  early = np.where(end < 20, end, 20 + generator.permutation(40))
  assert stats.spearmanr(early, end).statistic > 0.6
  found = halving.calibrate(np.stack([early, end, end], axis=1))
  best = slice(20, 40)
  assert found.correlations[0] == pytest.approx(
    stats.spearmanr(early[best], end[best]).statistic
  )
  assert found.first == 1


def test_a_calibration_bears_failures_and_ties():
  curves = made_up_curves(0)
  curves[:20, 1:] = NAN
  curves[20:26, 0] = 7.0
  found = halving.calibrate(curves)
  alive = curves[20:]
  best = alive[np.argsort(-alive[:, -1], kind='stable')]
  assert found.correlations[0] == pytest.approx(
    stats.spearmanr(best[:, 0], best[:, -1]).statistic
  )
  constant = np.ones((16, 2))
  assert halving.calibrate(constant).first == 1
  assert np.isnan(halving.calibrate(constant).correlations).all()
  assert halving.calibrate(np.full((16, 3), NAN)).first == 2


@pytest.mark.parametrize(
  ('shape', 'message'),
  [
    ((7, 3), 'needs at least 8 children, got 7'),
    ((8, 0), r'one column for each point, got the shape \(8, 0\)'),
    ((8,), r'got the shape \(8,\)'),
  ],
)
def test_a_calibration_needs_children_and_points(shape, message):
  with pytest.raises(ValueError, match=message):
    halving.calibrate(np.zeros(shape))


def rank_of(values, row):
  """Returns the non-dominated rank of a point: the longest chain above it."""
  above = [
    other
    for other in range(len(values))
    if (values[other] >= values[row]).all()
    and (values[other] > values[row]).any()
  ]
  return 1 + max((rank_of(values, other) for other in above), default=-1)


@pytest.fixture(scope='module')
def batches():
  """Rewards of Base2Bench after 64 steps, and the cells' tanh and sigmoid."""
  bench = base2_bench.load()
  ranks = np.random.default_rng(0).integers(0, 36_864, (12, 16))
  activations = base2_bench.tokens_of(ranks.reshape(-1))[:, 1:8:2]
  costs = np.isin(activations, (1, 2)).sum(axis=1).reshape(*ranks.shape, 1)
  rewards = bench.curves()[ranks, list(bench.points).index(64)]
  return rewards.astype(np.float32), costs.astype(np.float32)


def test_with_costs_the_lowest_ranks_go_on(batches):
  go_on = jax.jit(halving.going_on)
  by_reward = 0
  for rewards, costs in zip(*batches, strict=True):
    alive = np.isfinite(rewards)
    values = np.column_stack([rewards, -costs])[alive]
    ranks = np.full(len(rewards), 99)
    ranks[alive] = [rank_of(values, row) for row in range(len(values))]
    chosen = np.asarray(go_on(rewards, alive, 4, costs))
    assert chosen.sum() == 4
    assert ranks[chosen].max() <= ranks[~chosen].min()
    # The best reward and the least cost are never crowded out.
    by_cost = np.where(alive, costs[:, 0], np.inf)
    for order in ((by_cost, -rewards), (-rewards, by_cost)):
      assert chosen[np.lexsort(order)[0]]
    by_reward += (chosen != np.asarray(go_on(rewards, alive, 4))).any()
  assert by_reward > 6


@pytest.mark.parametrize('has_costs', [False, True])
def test_who_is_lost_early_would_not_have_gone_on(batches, has_costs):
  go_on, lost = jax.jit(halving.going_on), jax.jit(halving.surely_lost)
  num_lost = 0
  for rewards, costs in zip(*batches, strict=True):
    costs = costs if has_costs else None
    chosen = np.asarray(go_on(rewards, np.isfinite(rewards), 4, costs))
    for size in (6, 11, 16):
      here = np.isfinite(rewards) & (np.arange(16) < size)
      out = np.asarray(lost(rewards, here, 4, costs))
      assert not (out & chosen).any()
      assert not (out & ~here).any()
      num_lost += out.sum()
  # By the reward alone it is all but the best of those that are there.
  assert num_lost > (120 if has_costs else 200)


def test_a_child_without_a_finite_cost_does_not_go_on():
  costs = np.array([[NAN], [1.0], [np.inf], [2.0]])
  alive = np.ones(4, bool)
  chosen = halving.going_on([4.0, 1.0, 3.0, 0.0], alive, 3, costs)
  assert np.asarray(chosen).tolist() == [False, True, False, True]
  lost = halving.surely_lost([4.0, 1.0, 3.0, 0.0], alive, 3, costs)
  assert np.asarray(lost).tolist() == [True, False, True, False]
