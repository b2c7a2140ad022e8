# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Who takes part in a retraining: the best of searches, and known networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import dataclasses

import numpy as np

from jaxnas.records import trial_log
from jaxnas.types import Architecture


@dataclasses.dataclass(frozen=True)
class Contestant:
  """An architecture that is retrained.

  Attributes:
    label: names the contestant in the log, as `'reinforce #12'`.
    group: what it stands for in the comparison, as `'reinforce'`.
    trainer: which trainer trains it.
    num_params: how many parameters it has, where that is told.
    features: its hidden units, where that is a choice of the comparison.
    num_multiply_adds: of one example forward, where that is told.
    architecture: what the trainer trains; `None` where it knows no other.
    tokens: its tokens, if it comes from the search.
    learning_rates: its own grid, where the learning rate is part of what was
      found; that of the retraining by default.
    repeat: which search of the group found it. Of one group and repeat one is
      chosen.
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

  @property
  def entry(self) -> tuple[str, int]:
    """What it is one candidate of: a group, and a repeat of it."""
    return self.group, self.repeat


def top(
  trials: Sequence[trial_log.Trial],
  arm: str,
  count: int,
  canonical: Callable[[np.ndarray], np.ndarray] = np.asarray,
  repeat: int = 0,
) -> list[trial_log.Trial]:
  """Returns the best distinct trials of one search.

  Args:
    trials: the log.
    arm: the arm's name.
    count: how many at most; trials that failed are not among them.
    canonical: makes the tokens of equal architectures equal.
    repeat: which repeat of the arm.
  """
  best: dict[bytes, trial_log.Trial] = {}
  candidates = [
    trial
    for trial in trials
    if (trial.arm, trial.repeat) == (arm, repeat)
    and trial.duplicate_of is None
    and trial.status == 'ok'
  ]
  for trial in sorted(candidates, key=lambda trial: -trial.reward):
    tokens = canonical(np.array(trial.tokens, np.int32))
    best.setdefault(tokens.tobytes(), trial)
  return list(best.values())[:count]


def equal_features(
  count: Callable[[int], int], num_params: int, max_features: int = 4096
) -> int:
  """Returns the width at which a network has about so many parameters.

  Args:
    count: `features -> number of parameters`, growing.
    num_params: the number wanted.
    max_features: the largest width tried.
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
