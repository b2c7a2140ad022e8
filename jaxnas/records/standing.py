# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""How far a search is, told from its files alone while it runs."""

from __future__ import annotations

import contextlib
import json
import pathlib
from typing import NamedTuple

from jaxnas.records import events, folder

_ENDED = frozenset(('died', 'stopped', 'lost', 'refused'))


class Standing(NamedTuple):
  """How far an arm is.

  Attributes:
    arm: the arm's name.
    repeat: the number of the arm's repeat.
    num_trials: the number of trials recorded.
    budget: the number of trials wanted; `None` if no file tells.
    version: the number of times that the strategy was told rewards.
    lag: the number of times that it was told since it proposed the last trial
      in the log; `None` if the log does not say.
  """

  arm: str
  repeat: int
  num_trials: int
  budget: int | None
  version: int
  lag: int | None


def of(run: folder.Run) -> list[Standing]:
  """Returns how far each arm of a run is, in the order of the log.

  Args:
    run: the run, which may still be in progress.
  """
  budgets = {}
  if run.summary is not None:
    budgets = {
      (arm.name, arm.repeat): arm.num_trials for arm in run.summary.arms
    }
  found = []
  for arm in dict.fromkeys((each.arm, each.repeat) for each in run.searched):
    trials = [each for each in run.searched if (each.arm, each.repeat) == arm]
    version = sum((each.arm, each.repeat) == arm for each in run.rounds)
    proposed_by = trials[-1].version
    found.append(
      Standing(
        *arm,
        len(trials),
        budgets.get(arm),
        version,
        None if proposed_by is None else max(0, version - proposed_by),
      )
    )
  return found


def num_workers(path: pathlib.Path) -> int | None:
  """Returns the number of workers that have joined and not ended.

  Args:
    path: the folder of the run; `None` is returned if it has had no workers.
  """
  file = path / events.FILE_NAME
  if not file.exists():
    return None
  present: set[str] = set()
  for text in file.read_text(encoding='utf-8', errors='replace').splitlines():
    # A line that was cut short says nothing.
    with contextlib.suppress(ValueError, AttributeError):
      line = json.loads(text)
      if line.get('event') == 'joined':
        present.add(line.get('worker'))
      elif line.get('event') in _ENDED:
        present.discard(line.get('worker'))
  return len(present)
