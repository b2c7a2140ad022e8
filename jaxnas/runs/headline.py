# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The verdict of a run in a sentence or two."""

from __future__ import annotations

from collections.abc import Sequence
import math

import numpy as np

from jaxnas import retraining, statistics
from jaxnas.runs import comparison

NOTHING_FOUND = (
  'Nothing was found: no architecture that the search proposed trained to the '
  'end.'
)


def write(
  measure: statistics.Measure,
  compared: Sequence[comparison.Side],
  best: retraining.Result | None,
  has_report: bool = True,
) -> str:
  """Returns the verdict on the best architecture that a search found.

  The verdict agrees with `comparison.lines`: it rests on the same tests, with
  the same correction for their number.

  Args:
    measure: the quantity that is compared.
    compared: all sides of the comparisons.
    best: the result of the best architecture that the search found; `None` if
      it found none.
    has_report: whether the values were measured on report data rather than on
      validation data.
  """
  if best is None:
    return NOTHING_FOUND
  group = best.contestant.group
  side = next(each for each in compared if each.group == group)
  sentence = _measured(measure, side, 'report' if has_report else 'validation')
  relations = _relations(measure, compared, side)
  told = [
    f'{words} {_enumerate([each.name for each in others])}'
    for words, others in relations.items()
    if others
  ]
  if not told:
    return f'{sentence}. There was nothing to compare it with.'
  is_single = any(
    comparison.is_of_single_searches(side, each)
    for others in relations.values()
    for each in others
  )
  note = (
    ' The find of one search says nothing about its strategy.'
    if is_single
    else ''
  )
  return f'{sentence}; it {_enumerate(told)}.{note}'


def _measured(
  measure: statistics.Measure, side: comparison.Side, split: str
) -> str:
  """Returns how good the best architecture is, without a full stop."""
  count, mean = len(side.values), float(np.mean(side.values))
  of = f'{count} searches' if side.unit == 'search' else f'{count} trainings'
  if not math.isfinite(mean):
    num_bad = int((~np.isfinite(side.values)).sum())
    return f'Of the {of} of {side.name}, {num_bad} failed'
  text = measure.text(mean)
  if side.unit == 'search':
    return (
      f'The architecture chosen as best was found by {side.name}: over {of}, '
      f'its finds have a mean {split} {measure.name} of {text}'
    )
  return (
    f'The best architecture found, {side.name}, has a {split} {measure.name} '
    f'of {text}, the mean of {count} fresh trainings'
  )


_BETTER, _WORSE = 'is better than', 'is worse than'
_SAME, _UNTOLD = 'does not differ significantly from', 'cannot be compared with'


def _relations(
  measure: statistics.Measure,
  compared: Sequence[comparison.Side],
  best: comparison.Side,
) -> dict[str, list[comparison.Side]]:
  """Returns the sides that `best` is compared with, by its relation to them."""
  pairs = comparison.pairs(compared)
  tested = statistics.compare(
    measure, [(side.values, other.values) for side, other in pairs]
  )
  relations: dict[str, list[comparison.Side]] = {
    words: [] for words in (_BETTER, _WORSE, _SAME, _UNTOLD)
  }
  for (side, other), result in zip(pairs, tested, strict=True):
    if side is not best and other is not best:
      continue
    if not np.isfinite(result.p_value):
      words = _UNTOLD
    elif result.is_better is None:
      words = _SAME
    else:
      words = _BETTER if result.is_better == (side is best) else _WORSE
    relations[words].append(other if side is best else side)
  return relations


def _enumerate(words: Sequence[str]) -> str:
  *first, last = words
  return f'{", ".join(first)} and {last}' if first else last
