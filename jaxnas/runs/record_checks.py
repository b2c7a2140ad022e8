# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Checks of a run's records before the run is continued or shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxnas import search as search_lib
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
  seconds = {f'{name}_seconds': float for name in ('wall', 'compile', 'train')}
  trial_log.check_fields(timings.path, timings.lines, **seconds)
  check_measure(experiment.search_metric, log.trials)
  for number, trial in enumerate(log.trials):
    is_retrained = trial.arm == search_lib.RETRAIN
    split = 'validation_' if is_retrained else ''
    metric = experiment.measure.name if split else experiment.search_metric
    try:
      if is_retrained:
        trial_log.check_fields(log.path, [trial.settings], **_RETRAINED)
      else:
        decoded = experiment.search.space.decode(np.array(trial.tokens))
        if workdir.plain_json(decoded.to_json()) != trial.architecture:
          raise ValueError('its tokens are not those of its architecture')
      if trial.status == 'ok' and f'{split}{metric}' not in trial.metrics:
        raise ValueError(f'it has no {split}{metric}')
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
