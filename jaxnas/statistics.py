# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Statistics of independent values: measures, intervals and comparisons.

Each value comes from one *unit*, and units are independent: single trainings
when architectures are compared, whole searches when strategies are. The caller
chooses the unit; no test here can rescue a claim about searches that rests on
single trainings.

Shape letters here: `S` values, one per unit; `M` comparisons reported together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
import dataclasses
import math
from typing import Any, NamedTuple
import warnings

import numpy as np
import numpy.typing as npt

# `scipy.stats` is loaded when it is first used, a quarter of a start.
import scipy


class Interval(NamedTuple):
  """An estimate with its confidence interval.

  Attributes:
    value: the estimate, an array or a number.
    low: the lower end of the interval; NaN if there is only one value.
    high: the upper end of the interval; NaN if there is only one value.
  """

  value: Any
  low: Any
  high: Any


def mean_interval(values: np.ndarray, confidence: float = 0.95) -> Interval:
  """Returns the mean over the first axis, with Student's t interval.

  Args:
    values: values that are independent along the first axis, `[S, ...]`.
    confidence: the confidence level of the interval.
  """
  values = np.asarray(values, np.float64)
  mean = values.mean(axis=0)
  if len(values) < 2:
    nothing = np.full_like(mean, np.nan)
    return Interval(mean, nothing, nothing)
  quantile = scipy.stats.t.ppf((1 + confidence) / 2, len(values) - 1)
  width = quantile * values.std(axis=0, ddof=1) / np.sqrt(len(values))
  return Interval(mean, mean - width, mean + width)


def ratio_interval(
  values: Sequence[float], others: Sequence[float], confidence: float = 0.95
) -> Interval:
  """Returns the geometric mean of the ratios of paired values.

  Args:
    values: the numerators, `[S]`, at least 0.
    others: the denominators, `[S]`, at least 0.
    confidence: the confidence level of the interval.
  """
  logs = _log(values) - _log(others)
  return Interval(*(float(np.exp(x)) for x in mean_interval(logs, confidence)))


def share_interval(is_true: np.ndarray, confidence: float = 0.95) -> Interval:
  """Returns how often something is true, with Wilson's interval.

  Args:
    is_true: whether it is true of each unit, `bool[S]`.
    confidence: the confidence level of the interval.
  """
  count, total = int(np.sum(is_true)), len(is_true)
  bounds = scipy.stats.binomtest(count, total).proportion_ci(
    confidence, method='wilson'
  )
  return Interval(count / total, float(bounds.low), float(bounds.high))


def rank_correlation(values: npt.ArrayLike, others: npt.ArrayLike) -> float:
  """Returns Spearman's rank correlation of paired values.

  Equal values share the mean of their ranks, infinite ones included: all that
  are negative infinity are last together.

  Args:
    values: the one value of each unit, `[S]`; none is NaN.
    others: the other value of each unit, `[S]`; none is NaN.

  Returns:
    A number from -1 to 1; NaN if there are fewer than two units, or all values
    of one side are equal.

  Raises:
    ValueError: the sides have different lengths, or a value is NaN.
  """
  values, others = np.asarray(values), np.asarray(others)
  if values.shape != others.shape or values.ndim != 1:
    raise ValueError(
      f'Rank correlation needs pairs of values, got {values.shape} and '
      f'{others.shape}.'
    )
  if np.isnan(values).any() or np.isnan(others).any():
    raise ValueError('A value is NaN, which has no rank; leave it out.')
  if any(len(np.unique(side)) < 2 for side in (values, others)):
    return math.nan
  ranks = scipy.stats.rankdata(values), scipy.stats.rankdata(others)
  return float(scipy.stats.pearsonr(*ranks).statistic)


def rank_correlation_interval(
  values: npt.ArrayLike, others: npt.ArrayLike, confidence: float = 0.95
) -> Interval:
  """Returns Spearman's rank correlation of paired values, with its interval.

  Fisher's transformation, with the variance `(1 + r^2 / 2) / (S - 3)` of
  "Sample Size Requirements for Estimating Pearson, Kendall and Spearman
  Correlations", Bonett and Wright, 2000 (Psychometrika 65).

  Args:
    values: the one value of each unit, `[S]`; none is NaN.
    others: the other value of each unit, `[S]`; none is NaN.
    confidence: the confidence level of the interval.

  Returns:
    The interval; its ends are NaN if there are fewer than four units, and all
    of it where the correlation is.

  Raises:
    ValueError: the sides have different lengths, or a value is NaN.
  """
  value = rank_correlation(values, others)
  count = np.size(values)
  if math.isnan(value) or count < 4:
    return Interval(value, math.nan, math.nan)
  if abs(value) > 1 - 1e-12:
    return Interval(value, value, value)
  quantile = scipy.stats.norm.ppf((1 + confidence) / 2)
  width = quantile * math.sqrt((1 + value**2 / 2) / (count - 3))
  center = math.atanh(value)
  return Interval(value, math.tanh(center - width), math.tanh(center + width))


@dataclasses.dataclass(frozen=True)
class Measure:
  """The quantity by which children, or searches, are compared.

  Attributes:
    name: the name of the metric without its split, such as `'perplexity'`.
    is_higher_better: whether a larger value is better.
    is_ratio: whether two values are compared by their ratio rather than by
      their difference.
    scale: the factor between a value and its printed form.
    unit: the unit of the printed value, such as `'%'` or `'ms'`.
    spec: the format specifier of the printed value.
  """

  name: str
  is_higher_better: bool
  is_ratio: bool
  scale: float = 1.0
  unit: str = ''
  spec: str = '.2f'

  def __post_init__(self):
    if not isinstance(self.name, str):
      raise ValueError(
        "A measure's name is that of a metric, such as 'accuracy'; got "
        f'{self.name!r}.'
      )
    try:
      format(1.0, f'z{self.spec}')
    except (TypeError, ValueError):
      raise ValueError(
        f'The spec of measure {self.name!r} must be a format of numbers, such '
        f"as '.2f'; got {self.spec!r}."
      ) from None

  def text(self, value: float) -> str:
    """Formats a value, as in `'84.82'` or `'93.85 %'`."""
    return f'{self.scale * value:z{self.spec}} {self.unit}'.rstrip()

  def difference_text(self, difference: float) -> str:
    """Formats a difference of two values, with its sign, without its unit."""
    return f'{self.scale * difference:+z{self.spec}}'

  @property
  def difference_name(self) -> str:
    """The name of a difference, with its unit."""
    unit = 'percentage points' if self.unit == '%' else self.unit
    return f'{self.name} difference' + (f' in {unit}' if unit else '')

  @property
  def worst(self) -> float:
    """The value of a child that failed."""
    return -math.inf if self.is_higher_better else math.inf

  def is_better(self, value: float, other: float) -> bool:
    """Returns whether one value is better than another."""
    return value > other if self.is_higher_better else value < other

  def best(
    self, values: Iterable[Any], key: Callable[[Any], float] = float
  ) -> Any:
    """Returns the best value, the first of equals; `None` if there is none."""
    choose = max if self.is_higher_better else min
    return choose(values, key=key, default=None)


PERPLEXITY = Measure('perplexity', is_higher_better=False, is_ratio=True)
ACCURACY = Measure(
  'accuracy', is_higher_better=True, is_ratio=False, scale=100.0, unit='%'
)
REWARD = Measure('reward', is_higher_better=True, is_ratio=False, spec='.4g')


class Comparison(NamedTuple):
  """How a first side compares with a second, corrected for all comparisons.

  Attributes:
    value: the ratio of the first to the second, or their difference; NaN if a
      value of either is not finite.
    low: the lower end of the interval; NaN if neither side has any spread, or
      one has a single value.
    high: the upper end of the interval; NaN in the same cases.
    p_value: the p-value of no difference, corrected for all comparisons
      reported together; NaN in the same cases.
    is_better: whether the first side is better, or `None` if the difference is
      not significant. It is significant exactly if the interval excludes no
      difference, which is if the p-value is below 1 minus the confidence.
  """

  value: float
  low: float
  high: float
  p_value: float
  is_better: bool | None


def compare(
  measure: Measure,
  pairs: Sequence[tuple[npt.ArrayLike, npt.ArrayLike]],
  confidence: float = 0.95,
  is_paired: bool = False,
) -> list[Comparison]:
  """Compares pairs of sides that are reported together, with Holm's correction.

  Each pair is compared by Welch's t-test or, if it is paired, by Student's
  t-test of the differences; ratios are compared by their logarithms. Holm's
  correction then bounds the probability that any pair is falsely called
  different by 1 minus the confidence, however the pairs depend on each other:
  the smallest of `M` p-values is tested at `1/M` of that level, the next at
  `1/(M-1)`, until one is not small enough. "A Simple Sequentially Rejective
  Multiple Test Procedure", Holm, 1979 (Scandinavian Journal of Statistics 6).

  The interval of each pair has the level at which the pair was tested. From the
  first pair whose p-value was not small enough, all have that pair's level, so
  that no verdict contradicts its interval. Pairs that cannot be tested do not
  count towards `M`.

  Args:
    measure: the quantity to compare.
    pairs: the values of both sides of each pair, `[S]`, one per unit.
    confidence: the confidence level of all verdicts together.
    is_paired: whether the values of the two sides belong together one by one.

  Returns:
    One comparison for each pair.
  """
  tests = [_test(measure, *pair, is_paired) for pair in pairs]
  p_values = [math.nan if test is None else test.pvalue for test in tests]
  adjusted, levels = _holm(np.array(p_values), 1 - confidence)
  return [
    _judge(measure, pair, test, p_value, level, 1 - confidence)
    for pair, test, p_value, level in zip(
      pairs, tests, adjusted, levels, strict=True
    )
  ]


def p_text(p_value: float) -> str:
  """Formats a p-value, as in `'p = 0.012'`."""
  return 'p < 0.001' if p_value < 0.001 else f'p = {p_value:.2g}'


def _log(values: npt.ArrayLike) -> np.ndarray:
  # A search in which every trial failed has only floor rewards, perhaps 0.
  return np.log(np.maximum(values, np.finfo(np.float32).tiny))


def _scaled(measure: Measure, side: npt.ArrayLike) -> np.ndarray:
  """Returns the values on the scale on which sides are subtracted."""
  return _log(side) if measure.is_ratio else np.asarray(side, np.float64)


def _test(measure, first, second, is_paired):
  """Returns scipy's test of a pair, or `None` if it cannot be tested."""
  first, second = _scaled(measure, first), _scaled(measure, second)
  if not (np.isfinite(first).all() and np.isfinite(second).all()):
    return None
  if min(len(first), len(second)) < 2:
    return None
  if is_paired:
    difference = first - second
    if not np.ptp(difference):
      return None
    return scipy.stats.ttest_1samp(difference, 0.0)
  if not (np.ptp(first) or np.ptp(second)):
    return None
  with warnings.catch_warnings():
    # One side without spread, as is common among accuracies, makes scipy warn
    # although its result is right.
    warnings.simplefilter('ignore', RuntimeWarning)
    return scipy.stats.ttest_ind(first, second, equal_var=False)


def _holm(p_values: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
  """Returns the corrected p-values, and the level each is tested at, `[M]`."""
  adjusted = np.full(len(p_values), np.nan)
  levels = np.full(len(p_values), level)
  # argsort puts NaN last.
  num_tested = int(np.isfinite(p_values).sum())
  order = np.argsort(p_values)[:num_tested]
  divisors = num_tested - np.arange(num_tested)
  adjusted[order] = np.minimum(
    1.0, np.maximum.accumulate(divisors * p_values[order])
  )
  num_rejected = int((adjusted[order] < level).sum())
  levels[order] = level / np.maximum(divisors, num_tested - num_rejected)
  return adjusted, levels


def _judge(measure, pair, test, p_value, level, total_level) -> Comparison:
  value = low = high = math.nan
  first, second = (_scaled(measure, side) for side in pair)
  if np.isfinite(first).all() and np.isfinite(second).all():
    value = first.mean() - second.mean()
  if test is not None:
    with warnings.catch_warnings():
      warnings.simplefilter('ignore', RuntimeWarning)
      low, high = test.confidence_interval(1 - level)
  is_better = None
  if p_value < total_level:
    is_better = bool((value > 0) == measure.is_higher_better)
  if measure.is_ratio:
    value, low, high = np.exp([value, low, high])
  return Comparison(
    float(value), float(low), float(high), float(p_value), is_better
  )
