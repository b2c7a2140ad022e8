# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import math

import numpy as np
import pytest

from jaxnas.runs import gradient_errors

EXACT = np.array([3.0, 0.0, 4.0])


def draws(seed, count, bias=(0.0, 0.0, 0.0)):
  """Estimates around the exact gradient with a covariance of a trace of 75."""
  rng = np.random.default_rng(seed)
  mixing = np.array([[5.0, 0.0, 0.0], [5.0, 3.0, 0.0], [0.0, 0.0, 4.0]])
  return EXACT + bias + rng.standard_normal((count, 3)) @ mixing.T


def test_bias_and_variance_are_relative_to_the_exact_gradient():
  errors = gradient_errors.judge(
    {1: draws(0, 200_000, bias=(0.0, 3.0, 4.0))}, EXACT, (1, 25)
  )
  # The norm of the exact gradient is 5, as is that of the bias.
  assert errors.bias == pytest.approx(1, abs=0.01)
  assert errors.variance[1] == pytest.approx(75 / 25, rel=0.02)
  assert errors.variance[25] == pytest.approx(75 / 25 / 25, rel=0.02)
  assert errors.total(25) == pytest.approx((1 + 0.12) ** 0.5, rel=0.01)
  mean = np.array([3.0, 3.0, 8.0])
  expected = mean @ EXACT / np.linalg.norm(mean) / 5
  assert errors.mean_cosine == pytest.approx(expected, abs=0.005)
  assert errors.cosine[1] < errors.cosine[25] < errors.mean_cosine
  assert errors.num_dropped == 0


@pytest.mark.parametrize('bias', [(0.0, 0.0, 0.0), (1.0, 0.0, 1.0)])
def test_intervals_cover_the_bias_as_often_as_they_say(bias):
  truth = float(np.linalg.norm(bias)) / 5
  num_covered, values = 0, []
  for seed in range(300):
    errors = gradient_errors.judge({1: draws(seed, 400, bias)}, EXACT, (1,))
    low, high = errors.bias_interval
    assert low <= errors.bias <= high
    num_covered += low <= truth <= high
    values.append(errors.bias**2)
  # 95 % of 300 is 285, with a deviation of 4; the interval is approximate.
  assert num_covered >= 270
  # Noise alone would add 75 / 400 / 25 to the square, which is cut off at 0.
  assert np.mean(values) == pytest.approx(truth**2, abs=0.005)


def test_one_estimate_without_noise_is_its_own_mean():
  errors = gradient_errors.judge(
    {1: np.array([[3.0, 4.0, 0.0]])}, EXACT, (1, 8)
  )
  assert errors.bias == pytest.approx(32**0.5 / 5)
  assert errors.bias_interval == pytest.approx((errors.bias, errors.bias))
  assert errors.variance == {1: 0, 8: 0}
  for cosine in (errors.mean_cosine, errors.cosine[1], errors.cosine[8]):
    assert cosine == pytest.approx(9 / 25)


def test_estimates_of_several_draws_stand_for_themselves():
  eights = draws(0, 500)
  errors = gradient_errors.judge({8: eights}, EXACT, (1, 8))
  assert math.isnan(errors.variance[1])
  assert math.isnan(errors.cosine[1])
  assert errors.variance[8] == pytest.approx(
    eights.var(0, ddof=1).sum() / 25, rel=1e-6
  )
  both = gradient_errors.judge({1: draws(1, 500), 8: eights}, EXACT, (1, 8))
  assert both.variance[8] == errors.variance[8]
  # The bias is taken from those that more draws are behind.
  assert both.bias_interval == errors.bias_interval


def test_cosines_of_updates_are_those_of_the_means_of_groups():
  rows = np.array(
    [[3.0, 0, 4], [-3.0, 0, -4], [1.0, 0, 0], [1.0, 0, 0], [9, 9, 9]]
  )
  errors = gradient_errors.judge({1: rows}, EXACT, (1, 2))
  # Means are 0, whose cosine counts as 0, and (1, 0, 0); the fifth is left.
  assert errors.cosine[2] == pytest.approx((0 + 3 / 5) / 2)


def test_what_is_not_finite_is_left_out_and_counted():
  rows = draws(0, 100)
  whole = gradient_errors.judge({1: rows}, EXACT, (1,))
  bad = np.insert(rows, 3, [np.nan, 0, 0], axis=0)
  bad = np.insert(bad, 50, [0, np.inf, 0], axis=0)
  errors = gradient_errors.judge({1: bad}, EXACT, (1,))
  assert errors == whole._replace(num_dropped=2)
  with pytest.raises(ValueError, match='No estimate'):
    gradient_errors.judge({1: np.full((3, 3), np.nan)}, EXACT, (1,))


def test_an_exact_gradient_of_zero_is_refused():
  with pytest.raises(ValueError, match='is zero'):
    gradient_errors.judge({1: draws(0, 5)}, np.zeros(3), (1,))
