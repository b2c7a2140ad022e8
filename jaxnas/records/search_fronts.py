# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The fronts of a run's trials: the reward against costs.

Objectives are named as they stand in the log: `'reward'`, of which more is
better, and metrics that are costs, of which less is better.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from jaxnas import fronts
from jaxnas.records import trial_log

REWARD = 'reward'

PARTS = ('', 'knee', 'cheapest')
"""The parts of a front that are retrained: its end of the highest reward, its
knee, and its end of the lowest first cost."""


def front(
  trials: Iterable[trial_log.Trial],
  objectives: Sequence[str],
  identity: tuple[str, int] | None = None,
) -> list[trial_log.Trial]:
  """Returns the trials that no other dominates, the highest reward first.

  Args:
    trials: the trials in the log; failed, infeasible, stopped and repeated
      ones, and retrainings, do not count.
    objectives: the names of the objectives, the reward first.
    identity: the name and repeat of the arm whose front it is; that of all arms
      by default.
  """
  trials = list(trials)
  complete = {trial.number for trial in trials if trial.is_complete}
  good = [
    trial
    for trial in trials
    if trial.is_complete
    # The first of equal ones may have stopped at a rung.
    and trial.duplicate_of not in complete
    and trial.arm != trial_log.RETRAIN
    and identity in (None, (trial.arm, trial.repeat))
  ]
  if not good:
    return []
  return [good[row] for row in fronts.front(points(good, objectives))]


def points(
  trials: Sequence[trial_log.Trial], objectives: Sequence[str]
) -> np.ndarray:
  """Returns trials as points of which more is better, `float64[N, M]`.

  Args:
    trials: the trials.
    objectives: the names of the objectives.
  """
  return np.array(
    [
      [
        trial.reward if name == REWARD else -trial.metrics[name]
        for name in objectives
      ]
      for trial in trials
    ],
    np.float64,
  ).reshape(-1, len(objectives))


def parts(
  best: Sequence[trial_log.Trial], objectives: Sequence[str]
) -> dict[str, trial_log.Trial]:
  """Returns a front's ends and its knee, each trial once, by `PARTS`.

  Args:
    best: a front, as `front` returns it.
    objectives: the names of the objectives.
  """
  if not best:
    return {}
  values = points(best, objectives)
  cheapest = int(values[:, 1].argmax())
  rows = {'': 0, 'knee': fronts.knee(values), 'cheapest': cheapest}
  found: dict[int, str] = {}
  for part in ('', 'cheapest', 'knee'):
    found.setdefault(rows[part], part)
  chosen = {part: best[row] for row, part in found.items()}
  return {part: chosen[part] for part in PARTS if part in chosen}


def reference(
  trials: Sequence[trial_log.Trial], objectives: Sequence[str]
) -> list[float]:
  """Returns the worst of each objective among trials, for a hypervolume.

  Args:
    trials: the trials of all arms that are compared, in the log; those that
      failed do not count.
    objectives: the names of the objectives.
  """
  good = [
    trial
    for trial in trials
    if trial.status == 'ok' and trial.arm != trial_log.RETRAIN
  ]
  values = points(good, objectives)
  return values.min(axis=0).tolist() if len(good) else [0.0] * len(objectives)
