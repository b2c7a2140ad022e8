# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import numpy as np

from jaxnas import rung_scale

NAN = np.nan


def test_the_scale_is_a_regression_from_rung_to_rung():
  generator = np.random.default_rng(0)
  curves = 0.98 + 0.001 * generator.normal(size=(60, 3)).cumsum(axis=1)
  curves = curves.astype(np.float32)
  curves[40:, 2] = NAN
  curves[50:, 1] = NAN
  scale = rung_scale.init_scale(3)
  for batch in np.split(curves, 4):
    scale = rung_scale.extend_scale(scale, batch)
  np.testing.assert_array_equal(scale.num_pairs, [50, 40])
  lines = [
    np.polyfit(
      curves[:count, rung].astype(np.float64), curves[:count, rung + 1], 1
    )
    for rung, count in enumerate((50, 40))
  ]
  rewards = np.array([0.97, 0.98, 0.99], np.float32)
  np.testing.assert_allclose(
    rung_scale.expected_rewards(scale, rewards, np.full(3, 1), 0.0),
    np.polyval(lines[1], rewards),
    atol=1e-5,
  )
  np.testing.assert_allclose(
    rung_scale.expected_rewards(scale, rewards, np.zeros(3, int), 0.0),
    np.polyval(lines[1], np.polyval(lines[0], rewards)),
    atol=1e-5,
  )
  # What was trained fully has its reward.
  np.testing.assert_array_equal(
    rung_scale.expected_rewards(scale, rewards, np.full(3, 2), 0.0), rewards
  )


def test_a_scale_of_few_children_is_a_shift_or_nothing():
  rewards, rungs = np.array([1.0, 2.0, 3.0], np.float32), np.array([0, 0, 1])
  scale = rung_scale.init_scale(2)
  np.testing.assert_array_equal(
    rung_scale.expected_rewards(scale, rewards, rungs, 0.0), rewards
  )
  failed = np.full((2, 2), NAN, np.float32)
  scale = rung_scale.extend_scale(scale, failed)
  np.testing.assert_array_equal(
    rung_scale.expected_rewards(scale, rewards, rungs, 0.0), rewards
  )
  scale = rung_scale.extend_scale(scale, np.array([[2.0, 2.5]], np.float32))
  np.testing.assert_array_equal(
    rung_scale.expected_rewards(scale, rewards, rungs, 0.0), [1.5, 2.5, 3.0]
  )


def test_a_slope_takes_enough_children():
  # Of two that went on, the better gained 0.2: a line of slope 201.
  curves = np.array([[0.9, 0.91], [0.901, 1.111]], np.float32)
  rewards = np.array([0.8, 0.902], np.float32)
  many = rung_scale.MIN_PAIRS // 2
  for copies, expected in (
    (1, rewards + 0.11),
    (many - 1, rewards + 0.11),
    (many, [0.0, 1.312]),
  ):
    scale = rung_scale.extend_scale(
      rung_scale.init_scale(2), np.tile(curves, (copies, 1))
    )
    np.testing.assert_allclose(
      rung_scale.expected_rewards(scale, rewards, np.zeros(2, int), 0.0),
      expected,
      rtol=1e-3,
    )


def test_a_line_never_falls():
  curves = np.array([[0.0, 1.0], [1.0, 0.0]] * 4, np.float32)
  scale = rung_scale.extend_scale(rung_scale.init_scale(2), curves)
  np.testing.assert_array_equal(
    rung_scale.expected_rewards(
      scale, np.array([-1.0, 2.0]), np.zeros(2, int), 0.0
    ),
    [0.5, 0.5],
  )


def test_nobody_is_expected_below_a_failed_child():
  curves = np.array([[1.0, 1.0], [2.0, 3.0]] * 4, np.float32)
  scale = rung_scale.extend_scale(rung_scale.init_scale(2), curves)
  rewards, rungs = np.array([NAN, -9.0, 1.5, NAN]), np.array([0, 0, 0, 1])
  np.testing.assert_array_equal(
    rung_scale.expected_rewards(scale, rewards, rungs, -1.0),
    [-1.0, -1.0, 2.0, -1.0],
  )


def test_a_stopped_child_gets_no_credit_for_what_it_has_not_shown():
  # From 1 and 2 to 0 and 3: those above 1.5 are expected to grow.
  curves = np.array([[1.0, 0.0], [2.0, 3.0]] * 4, np.float32)
  scale = rung_scale.extend_scale(rung_scale.init_scale(2), curves)
  rewards = np.array([1.75, 1.25, 0.5, NAN, 4.0])
  rungs = np.array([0, 0, 0, 0, 1])
  np.testing.assert_array_equal(
    rung_scale.told_rewards(scale, rewards, rungs, -0.5),
    [1.75, 0.75, -0.5, -0.5, 4.0],
  )
