# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The failures of a run, by kind and reason, for its report."""

from __future__ import annotations

import collections
from collections.abc import Sequence
import math
import re

from jaxnas.records import trial_log
from jaxnas.types import Status
from jaxnas.visualize import markup

_MAX_ROWS = 40
_MAX_REASON = 300
_DIVERGED = Status.DIVERGED.name.lower()
_IN_TRAINING = 'the loss or a gradient was not finite'
_NUMBER = re.compile(r'[-+]?\b(?:\d[\d.]*(?:e[-+]?\d+)?|inf)\b')


def draw(trials: Sequence[trial_log.Trial]) -> str:
  """Returns what failed, by kind, and why.

  Args:
    trials: all trials of the run, retrainings included.
  """
  trials = [each for each in trials if each.status != trial_log.INFEASIBLE]
  failed = [trial for trial in trials if trial.has_failed]
  # A duplicate repeats the failure of the trial that it repeats.
  failed = [trial for trial in failed if trial.duplicate_of is None]
  trained = sum(trial.duplicate_of is None for trial in trials)
  if not failed:
    return markup.paragraphs([f'None of {trained:,} trainings failed.'])
  groups: dict[tuple[str, str], list[trial_log.Trial]] = {}
  for trial in failed:
    groups.setdefault((trial.status, _kind_of_reason(trial)), []).append(trial)
  rows: list[markup.Row] = [
    [
      _words(status),
      markup.Cell(f'{len(mine):,}', len(mine)),
      ', '.join(dict.fromkeys(_proposer(trial) for trial in mine)),
      ', '.join(f'#{trial.number}' for trial in mine[:5])
      + (' …' if len(mine) > 5 else ''),
      _reason(mine)[:_MAX_REASON],
    ]
    for (status, _), mine in sorted(
      groups.items(), key=lambda item: -len(item[1])
    )
  ]
  left_out = rows[_MAX_ROWS:]
  kinds = collections.Counter(trial.status for trial in failed)
  spelled = ', '.join(
    f'{n:,} {_words(kind)}' for kind, n in kinds.most_common()
  )
  lines = [f'{len(failed):,} of {trained:,} trainings failed: {spelled}.']
  if left_out:
    lines.append(f'{len(left_out):,} rarer reasons are left out.')
  columns = ['kind', 'trainings', 'proposed by', 'trials', 'reason']
  return markup.paragraphs(lines) + markup.table(
    columns, rows[:_MAX_ROWS], 'Failures'
  )


def _kind_of_reason(trial: trial_log.Trial) -> str:
  """Returns a reason without its numbers, which differ from trial to trial."""
  place, colon, message = trial.reason.partition(': ')
  if ' at ' not in place:
    return _NUMBER.sub('…', trial.reason)
  # The line of a file tells failures apart.
  return f'{place}{colon}{_NUMBER.sub("…", message)}'


def _reason(trials: Sequence[trial_log.Trial]) -> str:
  """Returns the reason that failures of one kind have in common."""
  reasons = list(dict.fromkeys(trial.reason for trial in trials))
  if reasons != ['']:
    return reasons[0] + (' (its numbers vary)' if len(reasons) > 1 else '')
  if trials[0].status != _DIVERGED:
    return 'not recorded'
  # A child says nothing but how far it came before it was frozen.
  steps = [trial.metrics.get('num_trained', math.nan) for trial in trials]
  if not all(map(math.isfinite, steps)):
    return f'{_IN_TRAINING} during the training'
  first, last = round(min(steps)), round(max(steps))
  told = f'{first:,}' if first == last else f'{first:,} to {last:,}'
  return f'{_IN_TRAINING} after {told} {"step" if last == 1 else "steps"}'


def _words(name: str) -> str:
  return name.replace('_', ' ')


def _proposer(trial: trial_log.Trial) -> str:
  return 'retraining' if trial.arm == trial_log.RETRAIN else trial.arm
