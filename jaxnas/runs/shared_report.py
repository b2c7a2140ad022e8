# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""What shared rewards are worth: how they rank what was trained alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import math
from typing import NamedTuple

import numpy as np

from jaxnas import search as search_lib
from jaxnas import statistics
from jaxnas.records import trial_log
from jaxnas.runs import shared_phases
from jaxnas.runs.experiment import Experiment


class Pairs(NamedTuple):
  """Shared rewards beside those of trainings, of the same architectures.

  Attributes:
    shared: the rewards with shared weights, `[N]`.
    alone: the rewards of architectures trained one by one, `[N]`.
  """

  shared: np.ndarray
  alone: np.ndarray


def verdicts(experiment: Experiment, log: trial_log.TrialLog) -> list[str]:
  """Returns what shared weights cost and what their rewards said, if any.

  Args:
    experiment: the experiment, whose phases are finished.
    log: the log of its trials.
  """
  if not experiment.phases:
    return []
  return [
    experiment.counted,
    *lines(
      experiment.search.arms, experiment.phases, experiment.found, log.trials
    ),
  ]


def lines(
  arms: Sequence[search_lib.Arm],
  phases: Sequence[shared_phases.Phase],
  found: Mapping[shared_phases.Identity, shared_phases.Found],
  trials: Sequence[trial_log.Trial],
) -> list[str]:
  """Returns one line per strategy on what shared rewards said.

  Args:
    arms: the arms of the search.
    phases: the phases of the run with shared weights.
    found: what each phase found, by the identity of its arm.
    trials: all trials of the log.
  """
  labels = {arm.name: arm.label for arm in arms}
  told = []
  for name in dict.fromkeys(phase.arm[0] for phase in phases):
    mine = [phase for phase in phases if phase.arm[0] == name]
    results = [found[phase.arm] for phase in mine]
    random = [
      pairs(trials, phase.baseline, each.random_tokens, each.random_rewards)
      for phase, each in zip(mine, results, strict=True)
    ]
    ranked = [
      pairs(trials, phase.arm, each.tokens, each.rewards)
      for phase, each in zip(mine, results, strict=True)
    ]
    both = [
      Pairs(*map(np.concatenate, zip(*each, strict=True)))
      for each in zip(random, ranked, strict=True)
    ]
    told.append(
      f'Shared against own weights, {labels[name]}: rank correlation of '
      f'rewards {_correlation(random)} over {_counts(random)} random '
      f'architectures, {_correlation(both)} with the {_counts(ranked)} that '
      f'were ranked first. {_deaths(results)}'
    )
  return told


def pairs(
  trials: Sequence[trial_log.Trial],
  identity: shared_phases.Identity,
  tokens: Sequence[tuple[int, ...]],
  rewards: Sequence[float],
) -> Pairs:
  """Returns both rewards of the architectures that an arm trained.

  Args:
    trials: all trials of the log.
    identity: the identity of the arm.
    tokens: the architectures that were judged with shared weights; equal ones
      count once.
    rewards: their shared rewards.
  """
  alone = {
    trial.tokens: trial.reward
    for trial in trials
    if (trial.arm, trial.repeat) == identity
    and trial.status != trial_log.INFEASIBLE
  }
  both = {
    each: (reward, alone[each])
    for each, reward in zip(tokens, rewards, strict=True)
    if each in alone
  }
  return Pairs(*np.array(list(both.values()), np.float64).reshape(-1, 2).T)


def _correlation(of_searches: Sequence[Pairs]) -> str:
  """Returns the rank correlation with its interval, in words.

  That of one search is over architectures, and that of several over searches.
  """
  if len(of_searches) == 1:
    interval = statistics.rank_correlation_interval(*of_searches[0])
  else:
    values = np.array(
      [statistics.rank_correlation(*each) for each in of_searches]
    )
    known = values[np.isfinite(values)]
    if not len(known):
      return 'undefined'
    interval = statistics.mean_interval(known)
  if math.isnan(interval.value):
    return 'undefined'
  if math.isnan(interval.low):
    return f'{interval.value:.2f}'
  # Student's interval of a few searches may go beyond any correlation.
  low, high = max(-1.0, interval.low), min(1.0, interval.high)
  return f'{interval.value:.2f} ({low:.2f} to {high:.2f})'


def _counts(of_searches: Sequence[Pairs]) -> str:
  counts = [len(each.shared) for each in of_searches]
  if len(counts) == 1:
    return f'{counts[0]}'
  return ' + '.join(map(str, counts))


def _deaths(results: Sequence[shared_phases.Found]) -> str:
  """Returns what became of the architectures drawn, a sentence."""

  def total(name):
    return f'{sum(getattr(each, name) for each in results):,}'

  return (
    f'Of {total("num_drawn")} drawn {total("num_distinct")} were distinct, '
    f'{total("num_dead")} of them dead; {total("num_dropped")} of '
    f'{total("num_gradients")} gradients, of dead architectures, were dropped.'
  )
