# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Comparisons of retrained winners: of architectures, or of strategies.

A strategy that searched once found one architecture, which depends on the luck
of that search however often the architecture is retrained; the comparison is
then between architectures, over their trainings. If every strategy searched
several times, the best of each search, measured by the mean over its fresh
trainings, is one value, and strategies are compared over these values. A known
architecture was not searched for, so its values are always those of its
trainings; Welch's test, which requires neither pairs nor equal variances,
allows comparing them with searches. The repeats of two strategies have nothing
in common and are not paired.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses

import numpy as np

from jaxnas import errors, retraining, search, statistics


@dataclasses.dataclass(frozen=True)
class Side:
  """One side of a comparison.

  Attributes:
    name: the name in a sentence.
    short_name: the name in a verdict.
    values: the report measure of each unit, `[S]`; infinitely bad if a training
      failed or a search found nothing.
    unit: the unit that each value belongs to, `'search'` or `'training'`.
    role: the role of the arm that found the side's architectures; `KNOWN` if
      none did.
    group: the name of that arm, or of the known architecture.
  """

  name: str
  short_name: str
  values: np.ndarray
  unit: str
  role: search.Role
  group: str = ''


def sides(
  measure: statistics.Measure,
  results: Sequence[retraining.Result],
  arms: Sequence[search.Arm],
) -> list[Side]:
  """Returns the sides that can be compared.

  Args:
    measure: the measure to compare by.
    results: the result of every entry that was retrained.
    arms: the arms of the search, including every repeat of each.
  """
  groups: dict[str, list[retraining.Result]] = {}
  for row in results:
    # A search is represented by its find of the highest reward, not by the knee
    # or the cheapest of its front.
    if row.contestant.part:
      continue
    groups.setdefault(row.contestant.group, []).append(row)
  by_name: dict[str, list[search.Arm]] = {}
  for arm in arms:
    by_name.setdefault(arm.name, []).append(arm)
  found = []
  for group, rows in groups.items():
    searches = by_name.get(group, [])
    if not searches:
      found.append(
        Side(group, group, rows[0].report, 'training', search.Role.KNOWN, group)
      )
    elif len(searches) == 1:
      number = rows[0].contestant.label.split()[-1]
      name = f'{number} (by {searches[0].label})'
      found.append(
        Side(name, number, rows[0].report, 'training', searches[0].role, group)
      )
    else:
      means = [row.report.mean() for row in rows]
      means += [measure.worst] * (len(searches) - len(rows))
      label = searches[0].label
      found.append(
        Side(label, label, np.array(means), 'search', searches[0].role, group)
      )
  return found


def pairs(compared: Sequence[Side]) -> list[tuple[Side, Side]]:
  """Returns the pairs of sides to compare.

  Every other side is compared with the baselines of the search, and every side
  that was found by searching also with the known architectures.

  Args:
    compared: the sides.
  """
  baselines = [side for side in compared if side.role is search.Role.BASELINE]
  others = [side for side in compared if side.role is not search.Role.BASELINE]
  found = [side for side in others if side.role is search.Role.SEARCHED]
  known = [side for side in others if side.role is search.Role.KNOWN]
  return [
    *((side, other) for other in baselines for side in others),
    *((side, other) for side in found for other in known),
  ]


def lines(measure: statistics.Measure, compared: Sequence[Side]) -> list[str]:
  """Returns the verdicts on sides, one line each, and a note about them.

  Args:
    measure: the measure to compare by.
    compared: the sides, of which `pairs` chooses.
  """
  return verdicts(measure, pairs(compared))


def verdicts(
  measure: statistics.Measure, told: Sequence[tuple[Side, Side]]
) -> list[str]:
  """Returns the verdicts on pairs, one line each, and a note about them.

  All comparisons share one correction; see `statistics.compare`.

  Args:
    measure: the measure to compare by.
    told: the pairs of sides.
  """
  comparisons = statistics.compare(
    measure, [(side.values, other.values) for side, other in told]
  )
  sentences = [
    f'{side.name} against {other.name}{_over(side, other)}: '
    f'{_verdict(measure, side, other, comparison)}.'
    for (side, other), comparison in zip(told, comparisons, strict=True)
  ]
  num_tested = sum(np.isfinite(each.p_value) for each in comparisons)
  if not num_tested:
    return sentences
  units = {side.unit for pair in told for side in pair}
  over = 'fresh trainings'
  if 'search' in units:
    over = 'searches'
    if 'training' in units:
      over += ', those of known architectures over fresh trainings'
  note = f'Intervals (95 %) and p-values are over {over}'
  if num_tested > 1:
    note += f', and corrected for the {num_tested} comparisons (Holm)'
  if any(is_of_single_searches(*pair) for pair in told):
    note += (
      '. The find of one search says nothing about its strategy; comparing '
      'strategies takes several searches of each ('
      + errors.choose('--num_repeats', 'arms with repeat=0, 1, ...')
      + ')'
    )
  return [*sentences, f'{note}.']


def is_of_single_searches(side: Side, other: Side) -> bool:
  """Returns whether both sides are the finds of one search each.

  Args:
    side: one side.
    other: the other side.
  """
  return side.unit == other.unit == 'training' and search.Role.KNOWN not in (
    side.role,
    other.role,
  )


def _over(side: Side, other: Side) -> str:
  if 'search' not in (side.unit, other.unit):
    return ''
  plurals: Mapping[str, str] = {'search': 'searches', 'training': 'trainings'}
  counts = [
    f'{len(each.values)} {plurals[each.unit]}' for each in (side, other)
  ]
  if counts[0] == counts[1]:
    return f', {counts[0]} each'
  return f', {counts[0]} and {counts[1]}'


def _verdict(measure, side, other, comparison) -> str:
  if np.isnan(comparison.value):
    return (
      'a training failed, no comparison'
      if 'search' not in (side.unit, other.unit)
      else 'a training failed or a search found nothing, no comparison'
    )
  if np.isnan(comparison.p_value):
    return 'the values have no spread, so no comparison is possible'
  of_architectures = is_of_single_searches(side, other)
  verdict = 'no significant difference'
  if of_architectures:
    verdict += (
      ' between these architectures, which says nothing about the strategies'
    )
  if comparison.is_better is not None:
    better = side if comparison.is_better else other
    verdict = f'{better.short_name} is better'
    if of_architectures:
      verdict = (
        f'{better.short_name} is the better architecture, which says nothing '
        'about the strategies'
      )
  if measure.is_ratio:
    value, low, high = (f'{x:.3f}' for x in comparison[:3])
    kind = f'{measure.name} ratio'
  else:
    value, low, high = map(measure.difference_text, comparison[:3])
    kind = measure.difference_name
  return (
    f'{kind} {value}, interval {low} to {high}, '
    f'{statistics.p_text(comparison.p_value)}: {verdict}'
  )
