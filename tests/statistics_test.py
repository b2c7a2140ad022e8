# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from jaxnas import statistics


def test_means_have_students_interval():
  # 2.262157 is the 97.5 % quantile of Student's t with 9 degrees of freedom.
  values = np.arange(10.0)[:, None] * [1.0, -2.0]
  mean, low, high = statistics.mean_interval(values)
  np.testing.assert_allclose(mean, [4.5, -9.0])
  width = 2.262157 * np.std(np.arange(10.0), ddof=1) / np.sqrt(10)
  np.testing.assert_allclose(high - mean, [width, 2 * width], rtol=1e-6)
  np.testing.assert_allclose(mean - low, [width, 2 * width], rtol=1e-6)


def test_one_value_has_no_interval():
  mean, low, high = statistics.mean_interval(np.array([3.0]))
  assert mean == 3
  assert np.isnan(low)
  assert np.isnan(high)


def test_ratios_are_of_pairs_and_geometric():
  # The logarithms are 0, log 2 and log 4; 4.3027 is the quantile of two degrees
  # of freedom.
  value, low, high = statistics.ratio_interval((1, 4, 12), (1, 2, 3))
  width = 4.3027 * np.log(2) / np.sqrt(3)
  assert value == pytest.approx(2)
  assert np.log(high / value) == pytest.approx(width, rel=1e-4)
  assert np.log(value / low) == pytest.approx(width, rel=1e-4)


def test_ratios_of_nothing_are_finite():
  assert np.isfinite(statistics.ratio_interval((0, 1), (0, 1))).all()
  assert statistics.ratio_interval((0, 0), (0, 0)) == (1, 1, 1)


def test_shares_have_wilsons_interval():
  share = statistics.share_interval(np.arange(10) < 8)
  np.testing.assert_allclose(share, (0.8, 0.4902, 0.9433), atol=1e-4)
  assert statistics.share_interval(np.zeros(10, bool)).low == 0


FIRST, SECOND = np.array([1.0, 1.2, 1.1]), np.array([2.0, 2.1, 2.3])
# By hand: standard error sqrt(0.01/3 + 0.0233/3) = 0.10541, 3.4483 degrees of
# freedom, Student's 97.5 % quantile 2.9606.
HALF = 0.10541 * 2.9606


def compare_one(measure, *pair):
  (comparison,) = statistics.compare(measure, [pair])
  return comparison


def test_a_ratio_is_compared_by_welchs_interval():
  comparison = compare_one(statistics.PERPLEXITY, np.exp(FIRST), np.exp(SECOND))
  assert comparison.value == pytest.approx(math.exp(1.1 - 32 / 15))
  low, high = comparison.low, comparison.high
  assert math.log(high / low) / 2 == pytest.approx(HALF, rel=1e-3)
  assert comparison.is_better is True


def test_a_difference_is_compared_by_welchs_interval():
  comparison = compare_one(statistics.ACCURACY, FIRST, SECOND)
  assert comparison.value == pytest.approx(1.1 - 32 / 15)
  low, high = comparison.low, comparison.high
  assert (high - low) / 2 == pytest.approx(HALF, rel=1e-3)
  assert (high + low) / 2 == pytest.approx(comparison.value)
  assert comparison.is_better is False
  assert compare_one(statistics.ACCURACY, SECOND, FIRST).is_better is True
  near = compare_one(statistics.ACCURACY, FIRST, FIRST + 0.01)
  assert near.is_better is None
  assert near.low < 0 < near.high
  assert near.p_value > 0.5


def test_sides_that_belong_together_are_compared_by_their_differences():
  (comparison,) = statistics.compare(
    statistics.ACCURACY, [(FIRST + 10, FIRST - [0.1, 0.2, 0.3])], is_paired=True
  )
  # 4.3027 is the 97.5 % quantile of Student's t with 2 degrees of freedom.
  assert comparison.value == pytest.approx(10.2)
  assert comparison.high - 10.2 == pytest.approx(
    4.3027 * 0.1 / math.sqrt(3), rel=1e-4
  )
  assert comparison.is_better is True
  (same,) = statistics.compare(
    statistics.ACCURACY, [(FIRST + 1, FIRST + 1)], is_paired=True
  )
  assert same.value == 0
  assert same.is_better is None
  assert math.isnan(same.p_value)


@pytest.mark.parametrize('worst', [math.inf, math.nan])
def test_what_failed_allows_no_comparison(worst):
  comparison = compare_one(
    statistics.PERPLEXITY, FIRST, np.array([1, worst, 2])
  )
  assert all(math.isnan(value) for value in comparison[:4])
  assert comparison.is_better is None


def test_a_single_unit_allows_no_verdict():
  comparison = compare_one(statistics.ACCURACY, FIRST[:1], SECOND)
  assert comparison.value == pytest.approx(1 - 32 / 15)
  assert math.isnan(comparison.low)
  assert comparison.is_better is None


def test_equal_measures_without_spread_are_compared():
  same = np.full(3, 0.5)
  comparison = compare_one(statistics.ACCURACY, same, same)
  assert comparison.value == 0
  assert math.isnan(comparison.low)
  assert comparison.is_better is None
  apart = compare_one(statistics.ACCURACY, same + 0.1, same)
  assert apart.value == pytest.approx(0.1)
  assert apart.is_better is None


def pair_of(p_value, generator):
  """Returns two sides of four whose Welch test gives a p-value."""
  first, second = generator.standard_normal((2, 4))
  error = math.sqrt((first.var(ddof=1) + second.var(ddof=1)) / 4)
  freedom = stats.ttest_ind(first, second, equal_var=False).df
  wanted = stats.t.isf(p_value / 2, freedom) * error
  return first - first.mean() + wanted, second - second.mean()


def test_p_values_are_corrected_by_holm():
  generator = np.random.default_rng(0)
  p_values = (0.03, 0.005, 0.5, 0.02, 0.04)
  pairs = [pair_of(p_value, generator) for p_value in p_values]
  failed = (FIRST, np.array([1, np.inf, 2]))
  # One that can not be tested takes nothing from the others.
  comparisons = statistics.compare(statistics.ACCURACY, [*pairs, failed])
  assert comparisons.pop().is_better is None
  # By hand: 5 x 0.005, 4 x 0.02, 3 x 0.03, then 0.09 again, for 2 x 0.04 is
  # less, and 0.5.
  expected = (0.09, 0.025, 0.5, 0.08, 0.09)
  for comparison, p_value in zip(comparisons, expected, strict=True):
    assert comparison.p_value == pytest.approx(p_value)
    assert (comparison.is_better is None) == (p_value > 0.05)
  alone = [compare_one(statistics.ACCURACY, *pair) for pair in pairs]
  assert [each.is_better for each in alone] == [True, True, None, True, True]


def test_no_verdict_contradicts_its_interval():
  generator = np.random.default_rng(1)
  seen = set()
  for scale in np.repeat((1e-5, 1e-3, 0.01, 0.05, 0.3), 12):
    p_values = scale * generator.random(generator.integers(1, 7))
    pairs = [pair_of(p_value, generator) for p_value in p_values]
    for measure, sides in (
      (statistics.ACCURACY, pairs),
      (statistics.PERPLEXITY, [np.exp(pair) for pair in pairs]),
    ):
      same = 1 if measure.is_ratio else 0
      for each in statistics.compare(measure, sides):
        is_told = not each.low <= same <= each.high
        assert is_told == (each.is_better is not None) == (each.p_value < 0.05)
        seen.add(is_told)
  assert seen == {True, False}


@pytest.mark.slow
def test_identical_sides_are_told_apart_in_five_percent_of_families():
  generator = np.random.default_rng(2)
  told, alone = [], []
  for _ in range(200):
    sides = generator.standard_normal((4, 6))
    pairs = list(itertools.combinations(sides, 2))
    family = statistics.compare(statistics.ACCURACY, pairs)
    told.append(any(each.is_better is not None for each in family))
    alone.append(
      any(
        compare_one(statistics.ACCURACY, *pair).is_better is not None
        for pair in pairs
      )
    )
  # 5 % and two standard errors of a share of 200; a fifth without correction.
  assert np.mean(told) < 0.081
  assert np.mean(alone) > 0.12


@pytest.mark.parametrize(
  ('measure', 'best', 'worst'),
  [
    (statistics.PERPLEXITY, 1, math.inf),
    (statistics.ACCURACY, 3, -math.inf),
  ],
)
def test_the_best_is_the_lowest_or_the_highest(measure, best, worst):
  assert measure.best([2, 1, 3]) == best
  assert measure.best([]) is None
  assert measure.is_better(best, 2)
  assert not measure.is_better(worst, 2)


def test_a_measure_has_a_spelling_of_its_own():
  loss = statistics.Measure('loss', False, False, spec='.4f')
  latency = statistics.Measure('latency', False, True, scale=1e3, unit='ms')
  for measure, value, text, difference, name in (
    (statistics.PERPLEXITY, 84.816, '84.82', '+84.82', 'perplexity difference'),
    (
      statistics.ACCURACY,
      0.0125,
      '1.25 %',
      '+1.25',
      'accuracy difference in percentage points',
    ),
    (loss, 0.12345, '0.1235', '+0.1235', 'loss difference'),
    (latency, 0.0312, '31.20 ms', '+31.20', 'latency difference in ms'),
  ):
    assert measure.text(value) == text
    assert measure.difference_text(value) == difference
    assert measure.difference_name == name
  # What is nothing has no sign of its own.
  assert statistics.ACCURACY.difference_text(-1e-9) == '+0.00'


@pytest.mark.parametrize(
  ('settings', 'message'),
  [
    ({'name': print}, "name is that of a metric, such as 'accuracy'; got <"),
    ({'spec': '.2q'}, "spec of measure 'loss' must be a format .* got '.2q'"),
  ],
)
def test_a_bad_measure_is_refused(settings, message):
  arguments = {'name': 'loss', 'is_higher_better': False, 'is_ratio': True}
  with pytest.raises(ValueError, match=message):
    statistics.Measure(**arguments | settings)


def test_rank_correlation_is_scipys_and_ties_share_a_rank():
  rng = np.random.default_rng(0)
  values = rng.integers(5, size=60).astype(float)
  others = values + rng.integers(4, size=60)
  expected = stats.spearmanr(values, others).statistic
  found = statistics.rank_correlation(values, others)
  np.testing.assert_allclose(found, expected, rtol=1e-12)
  # By hand: the ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4.
  found = statistics.rank_correlation([1, 2, 2, 3], [-5, 0, 7, 9])
  np.testing.assert_allclose(found, 4.5 / np.sqrt(4.5 * 5), rtol=1e-12)


def test_infinite_values_have_ranks_and_others_none():
  values = [-np.inf, 3.0, -np.inf, np.inf]
  found = statistics.rank_correlation(values, [0.0, 2.0, 0.0, 5.0])
  np.testing.assert_allclose(found, 1.0)
  assert np.isnan(statistics.rank_correlation([1.0, 1.0], [1.0, 2.0]))
  assert np.isnan(statistics.rank_correlation([1.0], [1.0]))
  with pytest.raises(ValueError, match='A value is NaN'):
    statistics.rank_correlation([np.nan, 1.0], [1.0, 2.0])
  with pytest.raises(ValueError, match=r'needs pairs of values, got \(2,\)'):
    statistics.rank_correlation([1.0, 2.0], [1.0])


def test_rank_correlation_has_bonett_and_wrights_interval():
  rng = np.random.default_rng(1)
  values = rng.normal(size=30)
  others = values + rng.normal(size=30)
  found = statistics.rank_correlation_interval(values, others)
  assert found.value == statistics.rank_correlation(values, others)
  # By hand: 1.959964 standard errors of the inverse hyperbolic tangent.
  width = 1.959964 * np.sqrt((1 + found.value**2 / 2) / 27)
  ends = np.arctanh([found.low, found.high]) - np.arctanh(found.value)
  np.testing.assert_allclose(ends, [-width, width], rtol=1e-6)


def test_that_interval_covers_what_it_says():
  rng = np.random.default_rng(2)
  # Of two normal variables with correlation 0.5; Spearman's is 6 / pi times the
  # arcsine of half of it.
  true = 6 / np.pi * np.arcsin(0.25)
  covered = 0
  for _ in range(400):
    first = rng.normal(size=40)
    second = 0.5 * first + np.sqrt(0.75) * rng.normal(size=40)
    found = statistics.rank_correlation_interval(first, second)
    covered += found.low <= true <= found.high
  # 95 %, whose standard error over 400 is 1.1 %.
  assert 0.91 < covered / 400 < 0.985


def test_few_pairs_have_no_interval():
  found = statistics.rank_correlation_interval([1, 2, 3], [3, 1, 2])
  assert found.value == pytest.approx(-0.5)
  assert np.isnan(found.low)
  assert np.isnan(found.high)
  found = statistics.rank_correlation_interval(range(9), range(9))
  np.testing.assert_allclose(found, [1, 1, 1])
  assert np.isnan(statistics.rank_correlation_interval([1.0], [2.0]).value)
