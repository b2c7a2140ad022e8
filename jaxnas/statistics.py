# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""What independent values tell: intervals, comparisons, and what they are of.

A value is of one *unit*, whose luck is independent of all others': a training
where architectures are compared, a whole search where strategies are. Which one
it is, the caller decides; nothing here can mend a comparison over trainings
that claims something of searches.

`S` is the number of values, one a unit; `M` of comparisons told together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
import dataclasses
import math
from typing import Any, NamedTuple
import warnings

import numpy as np
import numpy.typing as npt
from scipy import stats


class Interval(NamedTuple):
  """An estimate with its confidence interval.

  Attributes:
    value: an array, or a number.
    low: the interval's lower end; NaN where a single value gives none.
    high: its upper end, likewise.
  """

  value: Any
  low: Any
  high: Any


def mean_interval(values: np.ndarray, confidence: float = 0.95) -> Interval:
  """Returns the mean over the first axis, with Student's interval.

  Args:
    values: independent along the first axis, `[S, ...]`.
    confidence: of the interval.
  """
  values = np.asarray(values, np.float64)
  mean = values.mean(axis=0)
  if len(values) < 2:
    nothing = np.full_like(mean, np.nan)
    return Interval(mean, nothing, nothing)
  quantile = stats.t.ppf((1 + confidence) / 2, len(values) - 1)
  width = quantile * values.std(axis=0, ddof=1) / np.sqrt(len(values))
  return Interval(mean, mean - width, mean + width)


def ratio_interval(
  values: Sequence[float], others: Sequence[float], confidence: float = 0.95
) -> Interval:
  """Returns the geometric mean of the ratio of paired values, at least 0.

  Args:
    values: the numerators, `[S]`.
    others: the denominators, `[S]`.
    confidence: of the interval.
  """
  logs = _log(values) - _log(others)
  return Interval(*(float(np.exp(x)) for x in mean_interval(logs, confidence)))


def share_interval(is_true: np.ndarray, confidence: float = 0.95) -> Interval:
  """Returns how often something is true, with Wilson's interval.

  Args:
    is_true: `bool[S]`.
    confidence: of the interval.
  """
  count, total = int(np.sum(is_true)), len(is_true)
  bounds = stats.binomtest(count, total).proportion_ci(
    confidence, method='wilson'
  )
  return Interval(count / total, float(bounds.low), float(bounds.high))


@dataclasses.dataclass(frozen=True)
class Measure:
  """What children, or searches, are compared by.

  Attributes:
    name: of the metric on any split, as `'perplexity'`.
    is_higher_better: whether a larger value is better.
    is_ratio: whether two values are compared by their ratio, or else by their
      difference.
    scale: what a value is multiplied by where it is spelled.
    unit: of the spelled value, as `'%'` or `'ms'`.
    spec: the format of the spelled value.
  """

  name: str
  is_higher_better: bool
  is_ratio: bool
  scale: float = 1.0
  unit: str = ''
  spec: str = '.2f'

  def text(self, value: float) -> str:
    """Spells a value, as `'84.82'` or `'93.85 %'`."""
    return f'{self.scale * value:z{self.spec}} {self.unit}'.rstrip()

  def difference_text(self, difference: float) -> str:
    """Spells a difference of two values, with its sign, without its unit."""
    return f'{self.scale * difference:+z{self.spec}}'

  @property
  def difference_name(self) -> str:
    """What a difference is called, with its unit."""
    unit = 'percentage points' if self.unit == '%' else self.unit
    return f'{self.name} difference' + (f' in {unit}' if unit else '')

  @property
  def worst(self) -> float:
    """What a child that failed is given."""
    return -math.inf if self.is_higher_better else math.inf

  def is_better(self, value: float, other: float) -> bool:
    """Returns whether one value is better than another."""
    return value > other if self.is_higher_better else value < other

  def best(
    self, values: Iterable[Any], key: Callable[[Any], float] = float
  ) -> Any:
    """Returns the best of some values, the first of equals; `None` of none."""
    choose = max if self.is_higher_better else min
    return choose(values, key=key, default=None)


PERPLEXITY = Measure('perplexity', is_higher_better=False, is_ratio=True)
ACCURACY = Measure(
  'accuracy', is_higher_better=True, is_ratio=False, scale=100.0, unit='%'
)


class Comparison(NamedTuple):
  """How one side did against another, beside all that is told with it.

  Attributes:
    value: the ratio, or the difference, of the first to the second; NaN where a
      value of either is not finite.
    low: the lower end of the interval; NaN where there is no spread at all, or
      a single value.
    high: its upper end.
    p_value: of no difference, corrected for all comparisons; NaN likewise.
    is_better: whether the first is better; `None` if that can not be told. It
      is told just where the interval is on one side of no difference, and the
      p-value below 1 less the confidence.
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
  """Compares pairs of sides that are told together, by Holm's correction.

  Each pair is compared by Welch's test, or by Student's of the differences; for
  a ratio, of the logarithms. Holm's correction then holds the probability that
  any of the pairs is called different by mistake, whatever they have in common,
  to 1 less the confidence: the smallest of `M` p-values is tested at `1/M` of
  that level, the next at `1/(M-1)`, up to the first that is not small enough.
  "A Simple Sequentially Rejective Multiple Test Procedure", Holm, 1979
  (Scandinavian Journal of Statistics 6).

  The interval of each pair is as wide as the level at which it was tested
  demands, and that of those after the first that was not small enough as wide
  as that one's: so no verdict contradicts its interval. A pair that can not be
  tested counts for none of this.

  Args:
    measure: what is compared.
    pairs: the values of both sides of each pair, `[S]`; one a unit.
    confidence: of all verdicts together.
    is_paired: whether the values of both sides belong together one by one.

  Returns:
    One for each pair.
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
  """Spells a p-value, as `'p = 0.012'`."""
  return 'p < 0.001' if p_value < 0.001 else f'p = {p_value:.2g}'


def _log(values: npt.ArrayLike) -> np.ndarray:
  # A search in which every trial failed has nothing but floor rewards.
  return np.log(np.maximum(values, np.finfo(np.float32).tiny))


def _scaled(measure: Measure, side: npt.ArrayLike) -> np.ndarray:
  """Returns what is subtracted of a side."""
  return _log(side) if measure.is_ratio else np.asarray(side, np.float64)


def _test(measure, first, second, is_paired):
  """Returns scipy's test of a pair; `None` where it tells nothing."""
  first, second = _scaled(measure, first), _scaled(measure, second)
  if not (np.isfinite(first).all() and np.isfinite(second).all()):
    return None
  if min(len(first), len(second)) < 2:
    return None
  if is_paired:
    difference = first - second
    if not np.ptp(difference):
      return None
    return stats.ttest_1samp(difference, 0.0)
  if not (np.ptp(first) or np.ptp(second)):
    return None
  with warnings.catch_warnings():
    # Without spread in one of the two, which is common in accuracies, all is
    # well and scipy warns.
    warnings.simplefilter('ignore', RuntimeWarning)
    return stats.ttest_ind(first, second, equal_var=False)


def _holm(p_values: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
  """Returns p-values corrected, and the level that each is tested at, `[M]`."""
  adjusted = np.full(len(p_values), np.nan)
  levels = np.full(len(p_values), level)
  # NaN are last, and not counted.
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
