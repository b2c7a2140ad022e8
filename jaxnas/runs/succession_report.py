# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The report on a succession of controllers: a table and a verdict."""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence
import textwrap
from typing import Any

import numpy as np

from jaxnas import generations as generations_lib
from jaxnas import statistics
from jaxnas import succession as succession_lib
from jaxnas.types import SearchSpace
from jaxnas.visualize import progress

CONTROL, SUCCESSION = succession_lib.CONTROL, succession_lib.SUCCESSION


def report_perplexities(lines) -> dict[tuple[int, ...], float]:
  """Returns each cell's report perplexity, as a geometric mean over seeds."""
  values: dict[tuple[int, ...], list[float]] = {}
  # The bits of a sum depend on its order, and workers finish in any order.
  for line in sorted(lines, key=lambda each: each['seed']):
    # Values that are not finite are written as null.
    value = np.inf if line['report'] is None else line['report']
    values.setdefault(tuple(line['tokens']), []).append(value)
  return {
    cell: float(np.exp(np.mean(np.log(each)))) for cell, each in values.items()
  }


def last_found(generations):
  """Returns the last generation, its most frequent cell and its count."""
  last = [each for each in generations if each.branch == SUCCESSION][-1]
  return last, *most_found(last)


def most_found(generation) -> tuple[tuple[int, ...], int]:
  """Returns the most frequent cell, of ties the best one, and its count."""
  counts = collections.Counter(generation.found)
  rewards = dict(zip(generation.found, generation.rewards, strict=True))
  best = max(counts, key=lambda cell: (counts[cell], rewards[cell]))
  return best, counts[best]


COLUMNS = (
  'generation',
  'different cells',
  'found again',
  'best reward',
  'report perplexity',
  'anytime area',
  'against control',
  'late mean reward',
  'replaced',
  'lost',
)
"""The headings of the table of generations."""


def show(
  num_trials: int,
  space: SearchSpace,
  generations: Sequence[generations_lib.Generation],
  lines: Sequence[Mapping[str, Any]],
) -> None:
  """Prints the table of all generations and the verdict.

  Args:
    num_trials: the number of trials of a search.
    space: the space of the cells.
    generations: every generation of both branches.
    lines: the records of the retrainings.
  """
  progress.table(
    f'{title(num_trials, generations)}; means over lineages, of perplexities '
    'the median',
    COLUMNS,
    rows(generations, lines),
    spare=(
      'lost',
      'replaced',
      'late mean reward',
      'different cells',
      'found again',
    ),
  )
  for name, text in LEGEND.items():
    print(textwrap.fill(f'{name}: {text}', 80, subsequent_indent='  '))
  print('\nFound most often:')
  for name, cell, count in most_found_cells(space, generations):
    print(f'  {name}: {cell} ({count} times)')
  for line in verdicts(generations, lines):
    print(line)


def title(
  num_trials: int, generations: Sequence[generations_lib.Generation]
) -> str:
  """Returns how much was searched, as `'20 lineages, 500 trials a search'`."""
  num_lineages = len(generations[0].rewards)
  return f'{num_lineages} lineages, {num_trials} trials a search'


def name_of(generation: generations_lib.Generation) -> str:
  """Returns the name of a generation in tables."""
  if not generation.number:
    return '0, LSTM'
  return f'{generation.number}, {generation.branch}'


def in_order(
  generations: Sequence[generations_lib.Generation],
) -> list[generations_lib.Generation]:
  """Returns the generations in the order of tables."""
  return sorted(generations, key=lambda each: (each.number, each.branch))


def rows(
  generations: Sequence[generations_lib.Generation],
  lines: Sequence[Mapping[str, Any]],
) -> list[list[str]]:
  """Returns the rows of the table of generations, as `COLUMNS` heads them.

  Args:
    generations: the generations; all before each of these are included.
    lines: the records of the retrainings, of all cells or of none.
  """
  perplexities = report_perplexities(lines)
  by_place = {(each.branch, each.number): each for each in generations}
  against = generations_lib.against_control(generations)
  table = []
  for generation in in_order(generations):
    number, branch = generation.number, generation.branch
    parent = by_place.get((branch, number - 1), by_place[CONTROL, 0])
    values = [perplexities.get(cell, np.nan) for cell in generation.found]
    ratio = ''
    if branch == SUCCESSION:
      ratio = _percent(against[number])
    table.append(
      [
        name_of(generation),
        f'{len(set(generation.found))}',
        f'{generations_lib.repeats_of(generation, parent).sum()}'
        if number
        else '',
        f'{np.mean(generation.rewards):.4f}',
        f'{np.median(values):.2f}' if lines else '',
        f'{np.mean(generation.areas):.4f}',
        ratio,
        f'{np.mean(generation.late_means):.4f}',
        str(sum(generation.num_replaced)),
        str(generation.is_finite.count(False)),
      ]
    )
  return table


def most_found_cells(
  space: SearchSpace, generations: Sequence[generations_lib.Generation]
) -> list[tuple[str, str, int]]:
  """Returns each generation's name, its most frequent cell and that count.

  Args:
    space: the space of the cells.
    generations: the generations.
  """
  found = []
  for generation in in_order(generations):
    tokens, count = most_found(generation)
    cell: Any = space.decode(np.array(tokens))
    found.append((name_of(generation), ','.join(map(str, cell.names)), count))
  return found


def verdicts(
  generations: Sequence[generations_lib.Generation],
  lines: Sequence[Mapping[str, Any]],
) -> list[str]:
  """Returns the verdict, and a sentence on the retrained cells if any.

  Args:
    generations: every generation of both branches.
    lines: the records of the retrainings, of all cells or of none.
  """
  told = [
    sentence(generations_lib.verdict(generations), len(generations[0].rewards))
  ]
  if lines:
    by_place = {(each.branch, each.number): each for each in generations}
    told.append(_retrained(report_perplexities(lines), by_place))
  return told


def _retrained(perplexities, by_place) -> str:
  """Returns a sentence on the retrained cells of the last generation."""
  last = max(number for _, number in by_place)
  pairs = [
    tuple(perplexities[cell] for cell in cells)
    for cells in zip(
      by_place[SUCCESSION, last].found,
      by_place[CONTROL, last].found,
      strict=True,
    )
  ]
  finite = [pair for pair in pairs if np.isfinite(pair).all()]
  if not finite:
    return 'Retrained, no pair of cells of the last generation stayed finite.'
  values, others = zip(*finite, strict=True)
  ratio = statistics.ratio_interval(values, others)
  return (
    'Retrained, the cells of its last generation have a report perplexity (of '
    f'text that no reward came from) of {_percent(ratio)} against the '
    f"control's, in the {len(finite)} of "
    f'{len(pairs)} lineages where both stayed finite.'
  )


def _percent(ratio: statistics.Interval | statistics.Comparison) -> str:
  value, low, high = (100 * (bound - 1) for bound in ratio[:3])
  if np.isnan(low):
    return f'{value:+z.2f} %'
  return f'{value:+z.2f} % ({low:+z.2f} to {high:+z.2f})'


LEGEND = {
  'found again': 'lineages that found the cell of the generation before',
  'report perplexity': 'of text that no reward came from, retrained',
  'anytime area': ('the best reward so far, mean over the trials of a search'),
  'against control': (
    'ratio of the areas, with an interval of 95 % for all generations together '
    '(Holm)'
  ),
  'late mean reward': 'of the last quarter of the trials',
  'replaced': (
    'best cells passed over, since they made the controller diverge'
  ),
  'lost': 'lineages whose controller diverged all the same',
}
"""The meanings of the table's columns."""

_VERDICTS = {
  'improved': 'Improved: the last generation searches better than the LSTM',
  'worse': 'Worse: the last generation searches worse than the LSTM',
  'converged': (
    'Converged: most lineages found the same cell again, and the last '
    'generation cannot be distinguished from the LSTM by how well it '
    'searches'
  ),
  'no difference': (
    'No difference: the last generation cannot be distinguished from the LSTM '
    'by how well it searches, nor is it certain that most lineages find the '
    'same cell again'
  ),
  'undecided': 'Undecided: a single lineage has no interval',
}


def sentence(verdict: generations_lib.Verdict, num_lineages: int) -> str:
  """Returns a verdict in words, with the numbers behind it."""
  repeats, control = verdict.repeats, verdict.control_repeats
  return (
    f'{_VERDICTS[verdict.kind]}; anytime area against control '
    f'{_percent(verdict.area_ratio)}, cells found again in '
    f'{round(repeats.value * num_lineages)} of {num_lineages} lineages (95 % '
    f'interval {100 * repeats.low:.0f} to {100 * repeats.high:.0f} %), by the '
    f'control in {round(control.value * num_lineages)}.'
  )
