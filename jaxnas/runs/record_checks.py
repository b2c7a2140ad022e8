# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Checks of a run's records before the run is continued or shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jaxnas import search as search_lib
from jaxnas import statistics
from jaxnas.records import trial_log, workdir
from jaxnas.runs.experiment import Experiment

_RETRAINED: dict[str, Any] = {
  'label': str,
  'features': (int, type(None)),
  'num_params': (int, type(None)),
  'learning_rate': float,
  'seed': int,
  'num_steps': int,
}


def check_records(
  experiment: Experiment,
  log: trial_log.TrialLog,
  timings: trial_log.JsonLines,
) -> None:
  """Checks the parts of a log that are shown without retraining or replay.

  Args:
    experiment: the experiment.
    log: the run's trial log.
    timings: the run's timings.

  Raises:
    ValueError: a line is damaged, or no child has the metric of the measure.
  """
  _check_timings(timings)
  check_measure(experiment.search_metric, log.trials)

  def check(trial):
    if trial.arm == search_lib.RETRAIN:
      _check_training(log, trial, experiment.measure)
      return
    decoded = experiment.search.space.decode(np.array(trial.tokens))
    if workdir.plain_json(decoded.to_json()) != trial.architecture:
      raise ValueError('its tokens are not those of its architecture')
    _check_metric(trial, experiment.search_metric)

  _check_each(log, check)


def check_trainings(
  measure: statistics.Measure,
  log: trial_log.TrialLog,
  timings: trial_log.JsonLines,
) -> None:
  """Checks the log of a retraining without a search.

  Args:
    measure: the measure that architectures are compared by.
    log: the run's trial log.
    timings: the run's timings.

  Raises:
    ValueError: a line is damaged, or is not that of a training.
  """
  _check_timings(timings)

  def check(trial):
    if trial.arm != search_lib.RETRAIN:
      raise ValueError(f'it is of the arm {trial.arm!r}')
    _check_training(log, trial, measure)

  _check_each(log, check)


def _check_timings(timings: trial_log.JsonLines) -> None:
  seconds = {f'{name}_seconds': float for name in ('wall', 'compile', 'train')}
  trial_log.check_fields(timings.path, timings.lines, **seconds)


def _check_training(log, trial, measure) -> None:
  trial_log.check_fields(log.path, [trial.settings], **_RETRAINED)
  _check_metric(trial, f'validation_{measure.name}')


def _check_metric(trial, metric) -> None:
  if trial.status == 'ok' and metric not in trial.metrics:
    raise ValueError(f'it has no {metric}')


def _check_each(
  log: trial_log.TrialLog, check: Callable[[trial_log.Trial], None]
) -> None:
  """Calls a check with every trial; an error says which is damaged."""
  for number, trial in enumerate(log.trials):
    try:
      check(trial)
    except (ValueError, TypeError, KeyError) as error:
      raise ValueError(
        f'{log.path}: trial {number} is damaged ({error}); restore the file '
        f'from a copy or cut it before line {number + 1} and resume.'
      ) from None


def check_measure(metric: str, trials: Sequence[trial_log.Trial]) -> None:
  """Checks that children have the metric that they are compared by.

  Args:
    metric: the name of the metric.
    trials: trials of the run.

  Raises:
    ValueError: no child has the metric.
  """
  have = [trial.metrics for trial in trials if trial.status == 'ok']
  if have and not any(metric in each for each in have):
    raise ValueError(
      f'The measure needs the metric {metric!r}, which children lack; they '
      f'have {", ".join(sorted(have[0])) or "none"}.'
    )
