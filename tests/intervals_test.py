# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest

from jaxnas import intervals


def test_means_have_students_interval():
  # 2.262157 is the 97.5 % quantile of Student's t with 9 degrees of freedom.
  values = np.arange(10.0)[:, None] * [1.0, -2.0]
  mean, low, high = intervals.of_mean(values)
  np.testing.assert_allclose(mean, [4.5, -9.0])
  width = 2.262157 * np.std(np.arange(10.0), ddof=1) / np.sqrt(10)
  np.testing.assert_allclose(high - mean, [width, 2 * width], rtol=1e-6)
  np.testing.assert_allclose(mean - low, [width, 2 * width], rtol=1e-6)


def test_one_value_has_no_interval():
  mean, low, high = intervals.of_mean(np.array([3.0]))
  assert mean == 3
  assert np.isnan(low)
  assert np.isnan(high)


def test_ratios_are_of_pairs_and_geometric():
  # The logarithms are 0, log 2 and log 4; 4.3027 is the quantile of two degrees
  # of freedom.
  value, low, high = intervals.of_ratio((1, 4, 12), (1, 2, 3))
  width = 4.3027 * np.log(2) / np.sqrt(3)
  assert value == pytest.approx(2)
  assert np.log(high / value) == pytest.approx(width, rel=1e-4)
  assert np.log(value / low) == pytest.approx(width, rel=1e-4)


def test_ratios_of_nothing_are_finite():
  assert np.isfinite(intervals.of_ratio((0, 1), (0, 1))).all()
  assert intervals.of_ratio((0, 0), (0, 0)) == (1, 1, 1)


def test_shares_have_wilsons_interval():
  share = intervals.of_share(np.arange(10) < 8)
  np.testing.assert_allclose(share, (0.8, 0.4902, 0.9433), atol=1e-4)
  assert intervals.of_share(np.zeros(10, bool)).low == 0
