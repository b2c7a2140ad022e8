# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The records of a run as scalars, for the sinks that `log_to` names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import math
import statistics
from typing import Any

from jaxnas import generations as generations_lib
from jaxnas import search as search_lib
from jaxnas.records import round_log, trial_log
from jaxnas.records.sinks import RESULT, Point


class OfSearch:
  """The scalars of a search, its strategies and its retrainings.

  A trial gives `<arm>/reward` and `<arm>/<metric>`, which are its own, and
  `<arm>/best_reward_so_far`, the highest reward of its search so far, not
  counting trials that a rung stopped; a strategy's report on a round gives
  `<arm>/tell/<metric>`; a retraining gives `retrain/<label>/<metric>`. Values
  that are not finite are left out.
  """

  def __init__(
    self, log: trial_log.TrialLog, rounds: round_log.RoundLog | None = None
  ):
    """Starts before the first line of the records.

    Args:
      log: the log of trials and retrainings; it may grow.
      rounds: the log of the strategies' reports, if any; it may grow.
    """
    self._log, self._rounds = log, rounds
    self._num_trials = self._num_rounds = 0
    self._best: dict[str, float] = {}

  def take(self) -> list[Point]:
    """Returns the points recorded since the last call."""
    trials = self._log.trials[self._num_trials :]
    rounds = self._rounds.rounds[self._num_rounds :] if self._rounds else []
    self._num_trials += len(trials)
    self._num_rounds += len(rounds)
    return [
      *(self._of_trial(trial) for trial in trials),
      *(
        Point(
          'round',
          each.round,
          _finite(f'{_name(each.arm, each.repeat)}/tell', each.metrics),
        )
        for each in rounds
      ),
    ]

  def _of_trial(self, trial: trial_log.Trial) -> Point:
    if trial.arm == search_lib.RETRAIN:
      label = trial.settings.get('label', trial.number)
      return Point(
        'trial', trial.number, _finite(f'retrain/{label}', trial.metrics)
      )
    arm = _name(trial.arm, trial.repeat)
    rewards = {'reward': trial.reward}
    if trial.is_complete:
      self._best[arm] = max(self._best.get(arm, -math.inf), trial.reward)
    if arm in self._best:
      rewards['best_reward_so_far'] = self._best[arm]
    return Point(
      'trial', trial.number, _finite(arm, {**trial.metrics, **rewards})
    )


class OfEpochs:
  """The scalars of a long training.

  They are the numbers of each epoch's line and, at the end, the measures on the
  report split and the test split.
  """

  def __init__(
    self,
    lines: Sequence[Mapping[str, Any]],
    results: Sequence[Mapping[str, Any]] = (),
  ):
    """Starts before the first epoch.

    Args:
      lines: the lines of `epochs.jsonl`; they may grow.
      results: the contents of `result.json` and `test.json`, as soon as these
        files exist.
    """
    self._lines, self._results = lines, results
    self._num_taken = self._num_results = 0

  def take(self) -> list[Point]:
    """Returns the points recorded since the last call."""
    lines = self._lines[self._num_taken :]
    results = self._results[self._num_results :]
    self._num_taken += len(lines)
    self._num_results += len(results)
    return [
      *(
        Point(
          'epoch',
          line['epoch'],
          _finite('', {name: line[name] for name in line if name != 'epoch'}),
        )
        for line in lines
      ),
      *(
        Point(
          RESULT,
          result['num_epochs'],
          _finite(
            '',
            {
              name: value
              for name, value in result.items()
              if name.startswith(('report_', 'test_'))
            },
          ),
        )
        for result in results
      ),
    ]


class OfSuccession:
  """The scalars of a succession: means over lineages, and retrainings.

  A generation gives `<branch>/<field>` for its rewards, areas and late means; a
  retraining gives `retrain/<split>`, with its number as the step.
  """

  def __init__(
    self,
    generations: Sequence[generations_lib.Generation],
    retrained: Sequence[Mapping[str, Any]],
  ):
    """Starts before the first generation.

    Args:
      generations: the finished generations; they may grow.
      retrained: the lines of `retrainings.jsonl`; they may grow.
    """
    self._generations, self._retrained = generations, retrained
    self._num_generations = self._num_retrained = 0

  def take(self) -> list[Point]:
    """Returns the points recorded since the last call."""
    generations = self._generations[self._num_generations :]
    retrained = self._retrained[self._num_retrained :]
    first = self._num_retrained
    self._num_generations += len(generations)
    self._num_retrained += len(retrained)
    return [
      *(
        Point(
          'generation',
          each.number,
          _finite(
            each.branch,
            {
              name: statistics.fmean(getattr(each, name))
              for name in ('rewards', 'areas', 'late_means')
            },
          ),
        )
        for each in generations
      ),
      *(
        Point(
          'retraining',
          number,
          _finite('retrain', {k: v for k, v in line.items() if k != 'seed'}),
        )
        for number, line in enumerate(retrained, first)
      ),
    ]


def _name(arm: str, repeat: int) -> str:
  return f'{arm}_{repeat}' if repeat else arm


def _finite(prefix: str, values: Mapping[str, Any]) -> dict[str, float]:
  """Returns the values that are finite numbers, by prefixed name."""
  return {
    f'{prefix}/{name}' if prefix else name: float(value)
    for name, value in values.items()
    if isinstance(value, (int, float)) and math.isfinite(value)
  }
