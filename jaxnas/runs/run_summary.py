# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A run's subject and results, as the summary in its folder holds them."""

from __future__ import annotations

import math

import numpy as np

from jaxnas import retraining as retraining_lib
from jaxnas.records import summary as summary_lib
from jaxnas.records import trial_log, workdir
from jaxnas.runs import comparison, headline, search_report, shared_report
from jaxnas.runs.experiment import Experiment


def describe(experiment: Experiment) -> summary_lib.Summary:
  """Returns the summary of a run, without results so far.

  Args:
    experiment: the experiment.
  """
  search = experiment.search
  shared = {phase.arm: phase.cost for phase in experiment.phases}
  return summary_lib.Summary(
    space=search.space.name,
    space_size=summary_lib.spell_size(search.space.size),
    decisions=tuple(map(summary_lib.Options.of, search.space.decisions)),
    arms=tuple(
      summary_lib.Arm(
        arm.name,
        arm.repeat,
        arm.label,
        arm.role.value,
        arm.num_trials,
        arm.batch_size,
        arm.replicas,
        arm.replicas_per_update,
        shared.get(arm.identity, 0.0),
      )
      for arm in search.arms
    ),
    known=tuple(experiment.known),
    measure=experiment.measure,
    search_metric=experiment.search_metric,
    own_reward=experiment.own_reward,
  )


def find_results(
  experiment: Experiment,
  log: trial_log.TrialLog,
  retraining: retraining_lib.Retraining,
  best: retraining_lib.Result | None,
) -> summary_lib.Results:
  """Returns the results of a finished run.

  Args:
    experiment: the experiment.
    log: the trial log with all trials and trainings.
    retraining: the settings of the retraining.
    best: the best architecture that the search found; `None` if it found none.
  """
  measure, arms = experiment.measure, experiment.search.arms
  results = retraining_lib.results(retraining, log)
  sides = comparison.sides(measure, results, arms)
  failures = search_report.failures(arms, log.trials)
  labels = [each.contestant.label for each in results]
  unit = experiment.unit
  has_report = experiment.has_report and retraining_lib.has_report(
    retraining, log
  )
  return summary_lib.Results(
    headline=headline.write(measure, sides, best, has_report),
    verdicts=(
      *failures,
      *comparison.lines(measure, sides),
      *shared_report.verdicts(experiment, log),
    ),
    rows=tuple(_row(experiment, each) for each in results),
    best=None if best is None else labels.index(best.contestant.label),
    length=f'{retraining.num_steps} {unit}' if unit else '',
    has_report=has_report,
  )


def _row(experiment, result: retraining_lib.Result) -> summary_lib.Row:
  contestant = result.contestant
  architecture = contestant.architecture
  return summary_lib.Row(
    name=search_report.row_name(experiment.search.arms, result),
    label=contestant.label,
    is_found=contestant.tokens is not None,
    architecture={}
    if architecture is None
    else workdir.plain_json(architecture.to_json()),
    num_contestants=result.num_contestants,
    num_params=contestant.num_params,
    num_multiply_adds=contestant.num_multiply_adds,
    learning_rate=result.learning_rate
    if experiment.has_learning_rates
    else None,
    validation=_finite(result.validation),
    report=_finite(result.report),
    rewards=_finite(result.rewards),
  )


def _finite(values: np.ndarray) -> tuple[float | None, ...]:
  return tuple(
    each if math.isfinite(each) else None for each in map(float, values)
  )
