# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""What retrained winners tell: of architectures, or of strategies.

A strategy that searched once has one find, and however often that is trained,
the luck of the search stays in it: what is told then is of the found
architectures, over their trainings. Where every strategy searched several
times, each search's best, by the mean over its fresh trainings, is one value,
and strategies are compared over those. A known architecture was not searched
for, so its values are its trainings in either case; Welch's test, which asks
neither for pairs nor for equal spreads, lets them stand beside searches.
Repeats of two strategies have nothing in common and are not paired.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses

import numpy as np

from jaxnas import retraining, search, statistics


@dataclasses.dataclass(frozen=True)
class Side:
  """One side of a comparison.

  Attributes:
    name: what a sentence calls it.
    short_name: what a verdict calls it.
    values: the report measure, one a unit, `[S]`; infinitely bad where a
      training failed, or a search found nothing.
    unit: what a value is of, `'search'` or `'training'`.
    role: of the arm that found it; known where none did.
  """

  name: str
  short_name: str
  values: np.ndarray
  unit: str
  role: search.Role


def sides(
  measure: statistics.Measure,
  results: Sequence[retraining.Result],
  arms: Sequence[search.Arm],
) -> list[Side]:
  """Returns what there is to compare.

  Args:
    measure: what is compared.
    results: of every entry that was retrained.
    arms: of the search, every repeat of each.
  """
  groups: dict[str, list[retraining.Result]] = {}
  for row in results:
    groups.setdefault(row.contestant.group, []).append(row)
  by_name: dict[str, list[search.Arm]] = {}
  for arm in arms:
    by_name.setdefault(arm.name, []).append(arm)
  found = []
  for group, rows in groups.items():
    searches = by_name.get(group, [])
    if not searches:
      found.append(
        Side(group, group, rows[0].report, 'training', search.Role.KNOWN)
      )
    elif len(searches) == 1:
      number = rows[0].contestant.label.split()[-1]
      name = f'{number} (by {searches[0].label})'
      found.append(
        Side(name, number, rows[0].report, 'training', searches[0].role)
      )
    else:
      means = [row.report.mean() for row in rows]
      means += [measure.worst] * (len(searches) - len(rows))
      label = searches[0].label
      found.append(
        Side(label, label, np.array(means), 'search', searches[0].role)
      )
  return found


def pairs(compared: Sequence[Side]) -> list[tuple[Side, Side]]:
  """Returns who is compared with whom.

  All others with the baselines of the search; and what the others found also
  with what people would have taken.

  Args:
    compared: all sides.
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
  """Returns the verdicts, a line each, and what to know about them.

  All are told together, so they share one correction; see
  `statistics.compare`.

  Args:
    measure: what is compared.
    compared: all sides.
  """
  told = pairs(compared)
  comparisons = statistics.compare(
    measure, [(side.values, other.values) for side, other in told]
  )
  verdicts = [
    f'{side.name} against {other.name}{_over(side, other)}: '
    f'{_verdict(measure, side, other, comparison)}.'
    for (side, other), comparison in zip(told, comparisons, strict=True)
  ]
  num_tested = sum(np.isfinite(each.p_value) for each in comparisons)
  if not num_tested:
    return verdicts
  units = {side.unit for pair in told for side in pair}
  over = 'fresh trainings'
  if 'search' in units:
    over = 'searches'
    if 'training' in units:
      over += ', those of known architectures over fresh trainings'
  note = f'Intervals (95 %) and p-values are over {over}'
  if num_tested > 1:
    note += f', and corrected for the {num_tested} comparisons (Holm)'
  if any(_is_of_single_searches(*pair) for pair in told):
    note += (
      '. What one search found tells nothing of its strategy: that takes '
      'several searches of each (--num_repeats, or arms with repeat=0, 1, ...)'
    )
  return [*verdicts, f'{note}.']


def _is_of_single_searches(side: Side, other: Side) -> bool:
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
    return 'the values have no spread, so nothing can be told'
  of_architectures = _is_of_single_searches(side, other)
  verdict = 'no difference can be told'
  if of_architectures:
    verdict += ' between these architectures, nor anything of the strategies'
  if comparison.is_better is not None:
    better = side if comparison.is_better else other
    verdict = f'{better.short_name} is better'
    if of_architectures:
      verdict = (
        f'{better.short_name} is the better architecture, which tells nothing '
        'of the strategies'
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
