# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""What strategies that searched several times found while they searched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import dataclasses

import numpy as np

from jaxnas import search, statistics
from jaxnas.records import trial_log
from jaxnas.runs import comparison
from jaxnas.runs.experiment import Experiment
from jaxnas.visualize import progress

_LAST = 64


def median_name(num_trials: int) -> str:
  """Returns the heading of the median of the last trials.

  Args:
    num_trials: the number of trials of the longest search.
  """
  return f'median of last {_LAST}' if num_trials >= _LAST else 'median of all'


def median(values: Sequence[float]) -> float:
  """Returns the median of the last 64 trials, or of all if there are fewer.

  Args:
    values: what the trials found, at least one.
  """
  return float(np.median(values[-_LAST:]))


def show(
  experiment: Experiment, log: trial_log.TrialLog, by_reward: bool
) -> None:
  """Prints a table and verdicts, if there were several searches of a strategy.

  Each search gives two values: that of its best trial, and the median of its
  last ones. Only trials that were trained to their end count.

  Args:
    experiment: the experiment.
    log: the log of its trials.
    by_reward: whether trials are compared by their rewards, in place of the
      experiment's measure.
  """
  metric = experiment.search_metric
  measure, name = experiment.measure, metric.replace('_', ' ')
  if by_reward:
    measure, name = statistics.REWARD, 'reward'

  def value(trial):
    return trial.reward if by_reward else trial.metrics[metric]

  found = _searches(experiment.search.arms, log.trials, value)
  if not found:
    return
  late = median_name(max(len(each) for _, lists in found for each in lists))
  quantities: dict[str, Callable[[list[float]], float]] = {
    'best': measure.best,
    late: median,
  }
  sides = {
    quantity: [
      comparison.Side(
        name=arm.label,
        short_name=arm.label,
        values=np.array(
          [of(each) if each else measure.worst for each in lists]
        ),
        unit='search',
        role=arm.role,
        group=arm.name,
      )
      for arm, lists in found
    ]
    for quantity, of in quantities.items()
  }
  progress.table(
    f'Over searches: mean {name} of the best trial of each and of the median '
    'of its last ones, one training each, and their standard deviation from '
    'search to search',
    ['strategy', 'searches', 'best', '+-', late, 'spread'],
    [
      [
        rows[0].name,
        str(len(rows[0].values)),
        *(text for side in rows for text in _texts(measure, side.values)),
      ]
      for rows in zip(*sides.values(), strict=True)
    ],
  )
  pairs = [
    (dataclasses.replace(side, name=f'{quantity}: {side.name}'), other)
    for quantity, several in sides.items()
    for side, other in comparison.pairs(several)
  ]
  for line in comparison.verdicts(measure, pairs):
    print(line[0].upper() + line[1:])


def _searches(arms, trials, value):
  """Returns each arm that has repeats, and the values of all its searches."""
  values: dict[tuple[str, int], list[float]]
  values = {arm.identity: [] for arm in arms}
  for trial in trials:
    if trial.is_complete and (trial.arm, trial.repeat) in values:
      values[trial.arm, trial.repeat].append(value(trial))
  repeats: dict[str, list[search.Arm]] = {}
  for arm in arms:
    repeats.setdefault(arm.name, []).append(arm)
  return [
    (several[0], [values[arm.identity] for arm in several])
    for several in repeats.values()
    if len(several) > 1
  ]


def _texts(measure, values):
  if not np.isfinite(values).all():
    return f'{(~np.isfinite(values)).sum()} found nothing', '-'
  return measure.text(values.mean()), measure.text(values.std(ddof=1))
