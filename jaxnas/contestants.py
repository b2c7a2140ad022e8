# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The contestants of a retraining: winners of searches, and known networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import dataclasses

import numpy as np

from jaxnas.records import trial_log
from jaxnas.types import Architecture


@dataclasses.dataclass(frozen=True)
class Contestant:
  """An architecture to be retrained.

  Attributes:
    label: the contestant's name in the log, such as `'reinforce #12'`.
    group: the name of what it represents in the comparison, such as
      `'reinforce'`.
    trainer: the name of the trainer that trains it.
    num_params: the number of its parameters, if tables show it.
    features: the number of its hidden units, if the comparison chose it.
    num_multiply_adds: the multiply-adds of one example's forward pass, if
      tables show it.
    architecture: the architecture; `None` if its trainer trains only one.
    tokens: the architecture's tokens, if it comes from a search.
    learning_rates: a learning-rate grid of its own, for a learning rate that
      the search found; the grid of the retraining by default.
    repeat: the number of the search, within the group, that found it. One
      contestant is chosen for each group, repeat and part.
    part: the part of the search's front that it stands for, one of
      `records.search_fronts.PARTS`; empty without several objectives.
  """

  label: str
  group: str
  trainer: str
  num_params: int | None = None
  features: int | None = None
  num_multiply_adds: int | None = None
  architecture: Architecture | None = None
  tokens: tuple[int, ...] | None = None
  learning_rates: tuple[float, ...] | None = None
  repeat: int = 0
  part: str = ''

  @property
  def entry(self) -> tuple[str, int, str]:
    """The group, repeat and part for which it is a candidate."""
    return self.group, self.repeat, self.part


def top(
  trials: Sequence[trial_log.Trial],
  arm: str,
  count: int,
  canonical: Callable[[np.ndarray], np.ndarray] = np.asarray,
  repeat: int = 0,
) -> list[trial_log.Trial]:
  """Returns the best distinct trials of one search.

  Of equally good ones the first proposed comes first, whatever the order in
  which workers finished them.

  Args:
    trials: the trials in the log.
    arm: the arm's name.
    count: the largest number to return; trials that failed or that stopped at
      a rung are left out.
    canonical: the function that maps equal architectures to equal tokens.
    repeat: the number of the arm's repeat.
  """
  best: dict[bytes, trial_log.Trial] = {}
  complete = {trial.number for trial in trials if trial.is_complete}
  candidates = [
    trial
    for trial in trials
    if (trial.arm, trial.repeat) == (arm, repeat)
    # The first of equal ones may have stopped at a rung.
    and trial.duplicate_of not in complete
    and trial.is_complete
  ]
  for trial in sorted(candidates, key=_rank):
    tokens = canonical(np.array(trial.tokens, np.int32))
    best.setdefault(tokens.tobytes(), trial)
  return list(best.values())[:count]


def _rank(trial: trial_log.Trial) -> tuple[float, int]:
  # Logs of older versions have no proposals, and are in their order.
  order = trial.number if trial.proposal is None else trial.proposal
  return -trial.reward, order


def equal_features(
  count: Callable[[int], int], num_params: int, max_features: int = 4096
) -> int:
  """Returns the width whose number of parameters is nearest to `num_params`.

  Args:
    count: `features -> number of parameters`, increasing.
    num_params: the number of parameters wanted.
    max_features: the largest width to try.
  """
  low, high = 1, max_features
  while low < high:
    middle = (low + high) // 2
    if count(middle) < num_params:
      low = middle + 1
    else:
      high = middle
  return min(
    (max(1, low - 1), low), key=lambda width: abs(count(width) - num_params)
  )
