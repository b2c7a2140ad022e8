# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The curves of a report: the best so far, rewards, and the entropy.

Letters: `S` searches of one strategy, `P` points of a curve.
"""

from __future__ import annotations

from collections.abc import Sequence
import itertools
import math

import numpy as np

from jaxnas import statistics
from jaxnas.records import folder as folder_lib
from jaxnas.records import summary as summary_lib
from jaxnas.records import trial_log
from jaxnas.visualize import line_chart, policy_maps

Searches = dict[str, list[list[trial_log.Trial]]]
"""The trials of each search, by the name of the arm."""


def split(run: folder_lib.Run, summary: summary_lib.Summary) -> Searches:
  """Returns the trials of each search that has any, by the arm's name.

  Known architectures are not searched for, and have none.

  Args:
    run: the run.
    summary: the run's summary.
  """
  found: Searches = {}
  for arm in summary.arms:
    mine = [
      trial
      for trial in run.searched
      if (trial.arm, trial.repeat) == (arm.name, arm.repeat)
    ]
    if mine and arm.role != 'known':
      found.setdefault(arm.name, []).append(mine)
  return found


def labels(summary: summary_lib.Summary) -> dict[str, str]:
  """Returns the names of the arms in tables, by their names in the log."""
  return {arm.name: arm.label for arm in summary.arms}


def best_so_far(
  searches: Searches, summary: summary_lib.Summary
) -> line_chart.Chart:
  """Returns the chart of the best of each search after every proposal.

  Args:
    searches: the trials of each search.
    summary: the run's summary.
  """
  measure, metric = summary.measure, summary.search_metric
  if summary.own_reward or not metric:
    measure, metric = statistics.REWARD, 'reward'
  curves = []
  for name, trials in searches.items():
    best = [_best(measure, metric, each) for each in trials]
    curves.append(_over_searches(summary, name, best, is_stepped=True))
  return line_chart.Chart(
    f'Best {metric.removeprefix("best_").replace("_", " ")} so far',
    'proposals of one search',
    f'{measure.name}, {"higher" if measure.is_higher_better else "lower"} is '
    'better',
    curves,
    _note(searches),
    measure.text,
  )


def _best(
  measure: statistics.Measure, metric: str, trials: Sequence[trial_log.Trial]
) -> np.ndarray:
  """Returns the best value so far, `[P]`; NaN before the first success."""
  values = [
    trial.reward if metric == 'reward' else trial.metrics.get(metric, math.nan)
    for trial in trials
  ]
  values = [
    value if trial.is_complete and math.isfinite(value) else math.nan
    for trial, value in zip(trials, values, strict=True)
  ]
  follow = np.fmax if measure.is_higher_better else np.fmin
  return follow.accumulate(np.array(values, np.float64))


def _over_searches(
  summary: summary_lib.Summary,
  name: str,
  values: Sequence[np.ndarray],
  is_stepped: bool = False,
) -> line_chart.Curve:
  """Returns the mean over searches, as far as all of them have gone."""
  length = min(map(len, values))
  stacked = np.array([each[:length] for each in values], np.float64)
  mean, low, high = statistics.mean_interval(stacked)
  count = f' ({len(values)} searches)' if len(values) > 1 else ''
  return line_chart.Curve(
    f'{labels(summary).get(name, name)}{count}',
    _color(summary, name),
    np.arange(1.0, length + 1),
    mean,
    low,
    high,
    list(stacked) if len(values) > 1 else (),
    is_stepped,
  )


def _note(searches: Searches) -> str:
  most = max(map(len, searches.values()), default=0)
  if most > 1:
    return (
      'Thick: the mean over searches, with its 95 % interval, cut at the edge. '
      'Thin: each search.'
    )
  return (
    'There is one search of each strategy, so there is no interval over '
    'searches; that takes several of each.'
  )


def rewards(
  searches: Searches, summary: summary_lib.Summary
) -> line_chart.Chart:
  """Returns the chart of the mean reward in each window of a search.

  Args:
    searches: the trials of each search.
    summary: the run's summary.
  """
  curves = []
  for name, trials in searches.items():
    length = max(map(len, trials))
    edges = policy_maps.windows(length, len(trials))
    pooled = [
      np.array([trial.reward for each in trials for trial in each[a:b]])
      for a, b in edges
    ]
    means, lows, highs = zip(
      *map(statistics.mean_interval, pooled), strict=True
    )
    curves.append(
      line_chart.Curve(
        labels(summary).get(name, name),
        _color(summary, name),
        np.array([b for _, b in edges], np.float64),
        np.array(means),
        np.array(lows),
        np.array(highs),
      )
    )
  return line_chart.Chart(
    'Mean reward of what was proposed',
    'proposals of one search',
    'reward, higher is better',
    curves,
    'Each point is the mean of the proposals since the point before, with the '
    '95 % interval over them, cut at the edge; failed ones have the lowest '
    'reward.',
  )


def entropy(
  run: folder_lib.Run, summary: summary_lib.Summary
) -> line_chart.Chart:
  """Returns the chart of the entropy of the policies over rounds.

  Args:
    run: the run.
    summary: the run's summary.
  """
  curves = []
  names = dict.fromkeys(arm.name for arm in summary.arms)
  for name in names:
    rounds = sorted(
      (
        each
        for each in run.rounds
        if each.arm == name and 'entropy' in each.metrics
      ),
      key=lambda each: (each.repeat, each.round),
    )
    values = [
      np.array([each.metrics['entropy'] for each in group])
      for _, group in itertools.groupby(rounds, key=lambda each: each.repeat)
    ]
    if values:
      curves.append(_over_searches(summary, name, values))
  several = any(curve.parts for curve in curves)
  return line_chart.Chart(
    'Entropy of the policies',
    'rounds',
    'nats; lower is more certain',
    curves,
    'The entropy of a whole architecture, summed over its decisions. Random '
    'search keeps the entropy of the uniform distribution.'
    + (' The mean over searches, with its 95 % interval.' if several else ''),
  )


def _color(summary: summary_lib.Summary, name: str) -> int:
  """Returns the number of an arm's color, the same in all charts."""
  names = dict.fromkeys(a.name for a in summary.arms if a.role != 'known')
  return list(names).index(name) if name in names else len(names)
