# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of values as dots on one axis."""

import re

import numpy as np
import pytest

from jaxnas import statistics
from jaxnas.visualize import dot_rows

ROWS = (
  dot_rows.Row('a & b', np.array([1.0, 3.0])),
  dot_rows.Row('found', np.array([2.0]), is_marked=True),
)


def test_dots_are_where_their_values_are():
  drawn = dot_rows.draw(statistics.REWARD, ROWS)
  places = [float(x) for x in re.findall(r'<b style="left:([\d.]+)%"', drawn)]
  # The axis goes from 0.3 to 3.7.
  assert places == pytest.approx([20.6, 79.4, 50.0], abs=0.05)
  assert '<u style="left:50.0%">' in drawn
  assert '<span>a &amp; b</span>' in drawn
  assert drawn.count('class="found"') == 1
  assert 'Better is to the right' in drawn


def test_only_independent_values_have_an_interval():
  drawn = dot_rows.draw(statistics.REWARD, ROWS, 'points', False)
  assert '<s ' not in drawn
  assert 'Dots: points. Tick: their mean. Better' in drawn
  assert dot_rows.draw(statistics.REWARD, ROWS).count('<s ') == 1


def test_many_values_have_few_dots():
  values = np.random.default_rng(0).permutation(100_000) / 100_000
  rows = [dot_rows.Row(str(number), values) for number in range(50)]
  drawn = dot_rows.draw(statistics.REWARD, rows)
  assert drawn.count('<b ') == dot_rows.MAX_DOTS
  assert 'Dots: trainings, 80 of a row.' in drawn
  # The least and the greatest are among them: from -0.35 to 1.35.
  assert '<b style="left:20.6%">' in drawn
  assert '<b style="left:79.4%">' in drawn


def test_without_values_nothing_is_drawn():
  assert dot_rows.draw(statistics.REWARD, []) == ''
  empty = [dot_rows.Row('a', np.array([]))]
  assert dot_rows.draw(statistics.REWARD, empty) == ''


def test_ratios_have_intervals_above_zero():
  values = np.array([0.01, 10.0, 90.0])
  _, low, _ = dot_rows.mean_interval(statistics.PERPLEXITY, values)
  assert low > 0
  mean, low, _ = dot_rows.mean_interval(statistics.ACCURACY, values)
  assert mean == pytest.approx(values.mean())
  assert low < 0
