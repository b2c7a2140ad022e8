# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""How far the children of a search with rungs were trained."""

from __future__ import annotations

import collections
from collections.abc import Sequence

from jaxnas.records import trials as trials_lib


def are_known(trials: Sequence[trials_lib.Trial]) -> bool:
  """Returns whether trials are of a search with rungs."""
  return any(trial.steps is not None for trial in trials)


def spent(trials: Sequence[trials_lib.Trial]) -> int:
  """Returns the steps that trials took; a duplicate takes none."""
  return sum(trial.steps or 0 for trial in trials if trial.duplicate_of is None)


def reached(trials: Sequence[trials_lib.Trial]) -> dict[int, int]:
  """Returns how many children ended after each number of steps, growing.

  Args:
    trials: the trials; duplicates and children that failed do not count.
  """
  counts = collections.Counter(
    trial.steps
    for trial in trials
    if trial.steps is not None
    and trial.duplicate_of is None
    and (trial.is_stopped or trial.is_complete)
  )
  return dict(sorted(counts.items()))


def spell(trials: Sequence[trials_lib.Trial]) -> str:
  """Returns `reached` in words, such as `'12 at 20, 3 at 40, 1 at 80'`."""
  return ', '.join(
    f'{count:,} at {steps:,}' for steps, count in reached(trials).items()
  )
