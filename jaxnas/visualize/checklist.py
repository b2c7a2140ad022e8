# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""What an honest report of a search contains, and what of it a run fulfills.

The points are those of "Best Practices for Scientific Research on Neural
Architecture Search", Lindauer and Hutter, 2020
(https://arxiv.org/abs/1909.02453), and of "Random Search and Reproducibility
for Neural Architecture Search", Li and Talwalkar, 2019
(https://arxiv.org/abs/1902.07638).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
import enum
import math
from typing import Any, NamedTuple

from jaxnas.records import folder as folder_lib
from jaxnas.records import steps
from jaxnas.records import summary as summary_lib
from jaxnas.visualize import markup


class Answer(enum.Enum):
  """Whether a run fulfills a point: the sign and the words of the answer."""

  YES = ('✓', 'yes')
  PARTLY = ('◐', 'partly')
  NO = ('✗', 'no')
  UNKNOWN = ('?', 'not recorded')
  NOT_APPLICABLE = ('–', 'does not apply')


class Point(NamedTuple):
  """A point of the list.

  Attributes:
    title: what a report should contain.
    answer: whether this run does.
    reason: what the answer rests on.
  """

  title: str
  answer: Answer
  reason: str


def check(run: folder_lib.Run, summary: summary_lib.Summary) -> list[Point]:
  """Returns every point with its answer.

  Args:
    run: the run.
    summary: the run's summary, or what stands for it.
  """
  return [
    *_of_comparison(run, summary),
    *_of_retraining(run, summary),
    *_of_records(run, summary),
  ]


def draw(points: Sequence[Point]) -> str:
  """Returns the list as HTML."""
  items = ''.join(
    f'<li class="{each.answer.name.lower()}"><span class="sign" '
    f'aria-hidden="true">{each.answer.value[0]}</span><div><strong>'
    f'{markup.escape(each.title)}</strong> <em>{each.answer.value[1]}</em>'
    f'<p>{markup.escape(each.reason)}</p></div></li>'
    for each in points
  )
  num_yes = sum(each.answer is Answer.YES for each in points)
  num_asked = sum(each.answer is not Answer.NOT_APPLICABLE for each in points)
  told = f'This run fulfills {num_yes} of {num_asked} points that apply to it.'
  return f'{markup.paragraphs([told])}<ul class="checklist">{items}</ul>'


_NEARLY_EQUAL = 0.9


def _searches(summary: summary_lib.Summary) -> dict[str, list[summary_lib.Arm]]:
  """Returns the arms of each strategy, without known architectures."""
  found: dict[str, list[summary_lib.Arm]] = {}
  for arm in summary.arms:
    if arm.role != 'known':
      found.setdefault(arm.name, []).append(arm)
  return found


def _of_comparison(run, summary) -> Iterator[Point]:
  searches = _searches(summary)
  budgets = {
    name: sum(trial.arm == name for trial in run.searched)
    + round(sum(arm.shared_trials for arm in arms))
    for name, arms in searches.items()
  }
  has_shared = any(arm.shared_trials for arm in summary.arms)
  has_rungs = steps.are_known(run.searched)
  if has_rungs:
    budgets = {
      name: steps.spent([each for each in run.searched if each.arm == name])
      for name in searches
    }
  spelled = ', '.join(
    f'{arms[0].label} {budgets[name]:,}' for name, arms in searches.items()
  )
  title = 'Random search at equal cost'
  baselines = [
    name for name, arms in searches.items() if arms[0].role == 'baseline'
  ]
  if not baselines:
    yield Point(
      title, Answer.NO, 'No arm of the run is a baseline such as random search.'
    )
  else:
    is_equal = len(set(budgets.values())) == 1 and len(budgets) > 1
    if has_rungs or has_shared:
      # Failures, duplicates and whole batches make budgets differ a little.
      is_equal = len(budgets) > 1 and (
        min(budgets.values()) >= _NEARLY_EQUAL * max(budgets.values())
      )
    yield Point(
      title,
      Answer.YES if is_equal else Answer.PARTLY,
      (
        f'Steps at which children were trained: {spelled}.'
        if has_rungs
        else f'Proposals: {spelled}.'
      )
      + (' The cost of shared weights is among them.' if has_shared else '')
      + ('' if is_equal else ' A comparison needs equal budgets of several.'),
    )
  yield Point(
    'The same data, space and training for every method',
    Answer.YES if len(searches) > 1 else Answer.NOT_APPLICABLE,
    'All arms of a run share one space, one evaluator and one data set.'
    if len(searches) > 1
    else 'The run has one method only.',
  )
  counts = {name: len(arms) for name, arms in searches.items()}
  fewest = min(counts.values(), default=0)
  yield Point(
    'Several searches of each strategy, with their spread',
    Answer.YES if fewest >= 3 else Answer.PARTLY if fewest == 2 else Answer.NO,
    f'{fewest} {"search" if fewest == 1 else "searches"} of each strategy'
    + ('; one search says nothing about its strategy.' if fewest < 2 else '.'),
  )
  yield Point(
    'Performance over cost, not only at the end',
    Answer.YES if run.searched else Answer.NO,
    'The curves show every search by its number of proposals.'
    if run.searched
    else 'There is no trial yet.',
  )
  others = [arms for arms in searches.values() if arms[0].role == 'searched']
  yield Point(
    'Ablations of the method',
    Answer.PARTLY if len(others) > 1 else Answer.NO,
    'Several strategies are compared, but none is run without one of its parts.'
    if len(others) > 1
    else 'A run has one setting of each strategy; compare it with others.',
  )
  yield Point(
    "How the method's own settings were chosen",
    Answer.UNKNOWN,
    'A run does not know what was tried before it; say it beside the results.',
  )


def _of_retraining(run, summary) -> Iterator[Point]:
  results = summary.results
  title = 'Winners retrained with fresh seeds, and their spread'
  if results is None or not results.rows:
    yield Point(title, Answer.NO, 'No retraining is finished.')
  else:
    fewest = min(len(row.report) for row in results.rows)
    failed = sum(each is None for row in results.rows for each in row.report)
    yield Point(
      title,
      Answer.YES if fewest >= 3 else Answer.PARTLY,
      f'{fewest} fresh trainings of each, which took part in no choice'
      + (f'; {failed} of all failed and count as failed.' if failed else '.'),
    )
    tested = any('interval' in line for line in results.verdicts)
    yield Point(
      'Intervals, and a correction for several comparisons',
      Answer.YES if tested else Answer.NO,
      "Welch's test with Holm's correction; intervals of 95 %."
      if tested
      else 'No two sides could be compared by a test.',
    )
    most = max(row.num_contestants for row in results.rows)
    yield Point(
      'Best of n, with n',
      Answer.YES,
      f'Each row says of how many it was chosen, at most {most}.',
    )
    known = [row.name for row in results.rows if not row.is_found]
    yield Point(
      'Architectures that people would have used, beside the found ones',
      Answer.YES if known else Answer.NO,
      f'Trained alike: {", ".join(known)}.' if known else 'There are none.',
    )
    yield Point(
      'Reported on data that no reward and no choice came from',
      Answer.YES if results.has_report else Answer.NO,
      'The report split is used for the table and the verdicts alone.'
      if results.has_report
      else 'There is no report split: all is measured on validation data.',
    )
  # Only data of the package's own have a hash of what is seen of them.
  is_own = summary.own_reward and 'seen_hash' not in run.manifest
  yield Point(
    'Test data untouched',
    Answer.UNKNOWN if is_own else Answer.YES,
    'The children are your own; what they read is not known here.'
    if is_own
    else 'A search cannot open the test split; a long training opens it once.',
  )


def of_code(manifest: Mapping[str, Any]) -> list[Point]:
  """Returns the points on code, seeds, versions and hardware.

  Args:
    manifest: the run's manifest; empty if it has none.
  """
  versions, git = (_part(manifest, name) for name in ('versions', 'git'))
  is_clean = bool(git.get('commit')) and git.get('dirty') is False
  device = _part(manifest, 'device')
  has_all = bool(versions and device) and 'seed' in manifest
  return [
    Point(
      'The code of the search and of the training',
      Answer.YES if is_clean else Answer.PARTLY if versions else Answer.NO,
      f'jaxnas {versions.get("jaxnas", "of an unknown version")}, '
      + (
        f'commit {str(git["commit"])[:12]}, unchanged.'
        if is_clean
        else f'commit {str(git["commit"])[:12]}, changed by hand.'
        if git.get('commit')
        else 'no commit recorded.'
      ),
    ),
    Point(
      'Exact seeds, versions and hardware',
      Answer.YES if has_all else Answer.NO,
      f'Seed {manifest.get("seed")}, jax {versions.get("jax")}, '
      f'{device.get("count")} × {device.get("kind")}.'
      if has_all
      else 'The run has no manifest.',
    ),
  ]


def of_cost(timings: Sequence[Mapping[str, Any]]) -> Point:
  """Returns the point on the cost of a run.

  Args:
    timings: the lines of `timings.jsonl`.
  """
  wall = math.fsum(line['wall_seconds'] for line in timings)
  return Point(
    'The whole cost, with compiling, failures and retraining',
    Answer.YES if wall else Answer.UNKNOWN,
    f'{wall:,.0f} s in all, see above; trials that failed are part of it.'
    if wall
    else 'The run has no timings.',
  )


def _of_records(run, summary) -> Iterator[Point]:
  yield from of_code(run.manifest)
  yield Point(
    'The size of the search space',
    Answer.YES if summary.space_size else Answer.UNKNOWN,
    f'{spell_size(summary.space_size)} sequences of tokens.'
    if summary.space_size
    else 'The folder is of an older version.',
  )
  yield of_cost(run.timings)
  yield Point(
    'With shared weights: their rank correlation with separate trainings',
    Answer.NOT_APPLICABLE,
    'Children share no weights: each is trained from its own first weights.',
  )


def _part(manifest: Mapping[str, Any], name: str) -> Mapping[str, Any]:
  part = manifest.get(name)
  return part if isinstance(part, Mapping) else {}


_RAISED = str.maketrans('0123456789', '⁰¹²³⁴⁵⁶⁷⁸⁹')


def spell_size(size: str) -> str:
  """Returns the size of a space to read, such as `'2.2 × 10⁹'`.

  Args:
    size: what `summary.spell_size` returned; anything else stays as it is.
  """
  if size.startswith('10^'):
    return f'10{size[3:].translate(_RAISED)}'
  if not size.isdecimal():
    return size
  if len(size) < 8:
    return f'{int(size):,}'
  power = str(len(size) - 1).translate(_RAISED)
  return f'{size[0]}.{size[1]} × 10{power}'
