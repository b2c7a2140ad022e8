# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""What a search has behind it: the trials of its log, and what they are for.

Trials that failed are replayed as they are, like all others, until somebody
says that the fault is mended: `redo_failed` begins the log anew. The strategies
then learn what they would have learnt without the fault, so that they may
propose other architectures from there on; a trial that comes again as it was
has its old result, unless it failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from absl import logging
import numpy as np

from jaxnas.records import checkpoints as checkpoints_lib
from jaxnas.records import round_log, trial_log, workdir
from jaxnas.types import SearchSpace, Status
from jaxnas.workers import process

RETRAIN = 'retrain'
"""The arm of trials that compare winners; no strategy learns from them."""

_OK = Status.OK.name.lower()
# A child that diverges or does not fit says nothing of the others.
_BY_FUNCTIONS = frozenset(
  status.name.lower()
  for status in (
    Status.FAILED,
    Status.CRASHED,
    Status.TIMED_OUT,
    Status.NOT_FINITE,
  )
)


class History:
  """The trial log, and which architectures each arm has already had.

  Attributes:
    log: the run's trial log.
    trials: those of its trials that a strategy proposed, in order.
  """

  def __init__(self, space: SearchSpace, log: trial_log.TrialLog):
    """Reads the log; nothing is written."""
    self.log = log
    self.trials = [trial for trial in log.trials if trial.arm != RETRAIN]
    self._space = space
    self._first: dict[tuple[Any, ...], int] = {}
    for trial in self.trials:
      self.first_number(
        (trial.arm, trial.repeat), np.asarray(trial.tokens), trial.number
      )
    self._earlier = {
      (trial.number, trial.arm, trial.repeat, trial.tokens): trial
      for trial in log.earlier
      if trial.status == _OK and trial.arm != RETRAIN
    }
    if self._earlier and not self.trials:
      logging.warning(
        '%s was begun anew: trials that come again as they were have their '
        'results from the files that are kept beside it.',
        log.path,
      )

  def append(self, trials: Sequence[trial_log.Trial]) -> None:
    """Records trials that a strategy proposed."""
    self.log.append(trials)
    self.trials.extend(trials)

  def first_number(
    self, identity: tuple[str, int], tokens: np.ndarray, number: int
  ) -> int:
    """Returns the first trial in which an arm had an architecture.

    Args:
      identity: the arm.
      tokens: the architecture; what differs by its canonical form is another.
      number: the trial that has it now; kept if it is the first.
    """
    canonical = self._space.canonical(tokens).tobytes()
    return self._first.setdefault((identity, canonical), number)

  def earlier(
    self, number: int, identity: tuple[str, int], tokens: np.ndarray
  ) -> trial_log.Trial | None:
    """Returns what a trial was before the log began anew, if it was all right.

    Args:
      number: its place in the run, which its result depends on.
      identity: the arm.
      tokens: the architecture.
    """
    trial = self._earlier.get((number, *identity, tuple(tokens.tolist())))
    if trial is None or not is_of(trial, self._space, tokens):
      return None
    return trial

  def check_start(self, max_failures: int) -> None:
    """Checks that a function does not fail the same way from the start on.

    Args:
      max_failures: so many may; any number for 0.

    Raises:
      ValueError: the first trials that were evaluated failed for one reason.
    """
    start: list[trial_log.Trial] = []
    for trial in self.trials:
      if len(start) == max_failures:
        break
      if trial.duplicate_of is None:
        start.append(trial)
    if not max_failures or len(start) < max_failures:
      return
    kinds = {(each.status, process.kind_of(each.reason)) for each in start}
    status, reason = start[0].status, start[0].reason
    if len(kinds) > 1 or status not in _BY_FUNCTIONS or not reason:
      return
    raise ValueError(
      f'The first {max_failures} trials all failed alike '
      f'({status.replace("_", " ")}): {start[-1].reason}. Mend the '
      'function and start again with redo_failed=True; if such failures are to '
      'be expected, start again with max_failures=0.'
    )

  def warn_of_failures(self) -> None:
    """Says so where no trial has a result."""
    if self.trials and all(trial.status != _OK for trial in self.trials):
      reasons = [trial.reason for trial in self.trials if trial.reason]
      logging.warning(
        'All %d trials failed, so nothing was found%s',
        len(self.trials),
        f'; the last reason: {reasons[-1]}' if reasons else '.',
      )


def is_of(
  trial: trial_log.Trial, space: SearchSpace, tokens: np.ndarray
) -> bool:
  """Returns whether a trial is of an architecture, token by token.

  Args:
    trial: any.
    space: what the tokens mean; equal tokens say something else in a space
      whose values were changed.
    tokens: the architecture.
  """
  return trial.tokens == tuple(tokens.tolist()) and workdir.plain_json(
    trial.architecture
  ) == workdir.plain_json(space.decode(tokens).to_json())


def redo_failed(
  log: trial_log.TrialLog,
  checkpoints: checkpoints_lib.Checkpoints | None = None,
  rounds: round_log.RoundLog | None = None,
) -> int:
  """Begins a log anew where trials of the search, or retrainings, failed.

  The old file stays beside the new one; nothing that it has and that comes
  again is trained again, also where the run is killed meanwhile.

  Args:
    log: the run's trial log.
    checkpoints: the run's, which tell of what was learnt from failures, and are
      deleted.
    rounds: the run's, which begin anew too.

  Returns:
    How many trials had failed.
  """
  failed = [trial for trial in log.trials if trial.status != _OK]
  if failed:
    # The log comes last, which all else is made from again.
    if checkpoints is not None:
      checkpoints.clear()
    if rounds is not None:
      rounds.begin_anew()
    kept = log.begin_anew()
    logging.warning(
      '%d trials had failed, the first of them trial %d, and are run again; '
      'the old log is kept as %s.',
      len(failed),
      failed[0].number,
      kept,
    )
  return len(failed)
