# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The past of a search: the trials in its log.

Failed trials are replayed like all others until the user says that the fault is
fixed: `redo_failed` then starts a new log. From the first failure on,
strategies learn from other rewards and may propose other architectures; a trial
that recurs exactly takes its result from the old log, unless it failed.
"""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence
from typing import Any

from absl import logging
import numpy as np

from jaxnas import errors
from jaxnas.records import checkpoints as checkpoints_lib
from jaxnas.records import fingerprint, round_log, trial_log, workdir
from jaxnas.types import Evaluator, SearchSpace, Status

RETRAIN = trial_log.RETRAIN

_OK = Status.OK.name.lower()
_DIVERGED = Status.DIVERGED.name.lower()
_INFEASIBLE = Status.INFEASIBLE.name.lower()
# Unlike a broken function, one child that diverges or does not fit into memory
# says nothing about the others. A child that diverged with a reason was trained
# to the end, and the reward, another function, is what failed.
_BY_FUNCTIONS = frozenset(
  status.name.lower()
  for status in (
    Status.FAILED,
    Status.CRASHED,
    Status.TIMED_OUT,
    Status.NOT_FINITE,
    Status.DIVERGED,
  )
)


class History:
  """The trial log, with an index of its trials by arm and proposal.

  Attributes:
    log: the run's trial log.
    trials: the trials in the log that a strategy proposed, in order.
    proposals: the position of each trial's proposal in its arm.
    is_numbered: whether an older version began the log. Its trials, and those
      that are still to come, have random keys that follow from their numbers;
      they do not say what their proposals and versions are, and they finish in
      the order of proposal.
  """

  def __init__(
    self,
    space: SearchSpace,
    log: trial_log.TrialLog,
    like: Sequence[trial_log.Trial] = (),
    reuses: bool = True,
  ):
    """Indexes the log without writing anything.

    Args:
      space: the search space.
      log: the run's trial log.
      like: the trials of another log that the run is to repeat, if any.
      reuses: whether trials take their results from an older log; with rungs
        they do not, since how far a child trains depends on the others.
    """
    self.log = log
    self.trials: list[trial_log.Trial] = []
    self.proposals: list[int] = []
    self._space = space
    self._trials: dict[tuple[tuple[str, int], int], trial_log.Trial] = {}
    self._counts: collections.Counter[tuple[str, int]] = collections.Counter()
    earlier = _searched(log.earlier)
    begun = (*earlier[:1], *_searched(log.trials)[:1], *_searched(like)[:1])
    self.is_numbered = any(trial.proposal is None for trial in begun[:1])
    self._earlier = {
      (self._place(trial), trial.arm, trial.repeat, trial.tokens): trial
      for trial in earlier
      if trial.status == _OK
    }
    self._index(_searched(log.trials))
    if self._earlier and not self.trials:
      logging.warning(
        '%s was started over: %s',
        log.path,
        'trials that recur exactly take their results from the older files '
        'kept beside it.'
        if reuses
        else 'all trials of its search train again, since how far a child '
        'trains at rungs depends on the others.',
      )

  def append(self, trials: Sequence[trial_log.Trial]) -> None:
    """Records trials that a strategy proposed."""
    self.log.append(trials)
    self._index(trials)

  def find(
    self, identity: tuple[str, int], proposal: int
  ) -> trial_log.Trial | None:
    """Returns the trial of a proposal, if it is in the log.

    Args:
      identity: the arm's identity.
      proposal: the position of the proposal in its arm.
    """
    return self._trials.get((identity, proposal))

  def earlier(
    self, place: int, identity: tuple[str, int], tokens: np.ndarray
  ) -> trial_log.Trial | None:
    """Returns a trial's successful result in an older log, if there is one.

    Args:
      place: what the trial's random key depends on besides the arm: the
        position of its proposal, or its number if `is_numbered`.
      identity: the arm's identity.
      tokens: the architecture's tokens.
    """
    trial = self._earlier.get((place, *identity, tuple(tokens.tolist())))
    if trial is None or not is_of(trial, self._space, tokens):
      return None
    return trial

  def _index(self, trials: Sequence[trial_log.Trial]) -> None:
    self.trials.extend(trials)
    for trial in trials:
      identity = trial.arm, trial.repeat
      proposal = trial.proposal
      if proposal is None:
        proposal = self._counts[identity]
      self._counts[identity] += 1
      self.proposals.append(proposal)
      self._trials[identity, proposal] = trial

  def _place(self, trial: trial_log.Trial) -> int | None:
    return trial.number if self.is_numbered else trial.proposal

  def check_start(self, max_failures: int) -> None:
    """Checks that a function does not fail the same way from the start.

    Args:
      max_failures: the number of first trials that must not all fail for one
        reason; 0 checks nothing.

    Raises:
      ValueError: the first trials that were evaluated all failed for one
        reason.
    """
    start: list[trial_log.Trial] = []
    for trial in self.trials:
      if len(start) == max_failures:
        break
      if trial.duplicate_of is None and trial.status != _INFEASIBLE:
        start.append(trial)
    if not max_failures or len(start) < max_failures:
      return
    kinds = {(each.status, errors.kind_of(each.reason)) for each in start}
    status, reason = start[0].status, start[0].reason
    if len(kinds) > 1 or status not in _BY_FUNCTIONS or not reason:
      return
    raise ValueError(
      f'The first {max_failures} trials all failed alike '
      f'({status.replace("_", " ")}): {start[-1].reason}. Fix the '
      f'{"reward" if status == _DIVERGED else "function"} and start again with '
      + errors.choose(
        '--redo_failed.',
        'redo_failed=True; if such failures are expected, start again with '
        'max_failures=0.',
      )
    )

  def warn_of_failures(self) -> None:
    """Warns if no trial has a result."""
    if self.trials and all(trial.status != _OK for trial in self.trials):
      reasons = [trial.reason for trial in self.trials if trial.reason]
      logging.warning(
        'All %d trials failed, so nothing was found%s',
        len(self.trials),
        f'; the last reason: {reasons[-1]}' if reasons else '.',
      )


def check_replay(
  turns: Mapping[tuple[tuple[str, int], int], int],
  budgets: Mapping[tuple[str, int], int],
  num_recorded: int,
) -> None:
  """Checks that a search proposes all trials of a log to replay.

  Args:
    turns: the order of those trials, by arm and proposal.
    budgets: the number of proposals of each arm.
    num_recorded: the number of trials that the search's own log has already,
      which no budget undoes.

  Raises:
    ValueError: some are beyond the budget, or of an arm that is not there.
  """
  for (identity, proposal), turn in turns.items():
    budget = budgets.get(identity, 0)
    if turn >= num_recorded and proposal >= budget:
      name, repeat = identity
      count = sum(each == identity for each, _ in turns)
      number = f', search {repeat + 1},' if repeat else ''
      raise ValueError(
        f'The log to replay has {count} trials of {name}{number} and this '
        f'search asks for {budget}; replay it with the '
        + errors.choose('--num_trials, --strategies', 'arms, their num_trials')
        + ' and other settings that wrote it.'
      )


def _searched(trials: Sequence[trial_log.Trial]) -> list[trial_log.Trial]:
  """Returns the trials that a strategy proposed."""
  return [trial for trial in trials if trial.arm != RETRAIN]


def is_of(
  trial: trial_log.Trial, space: SearchSpace, tokens: np.ndarray
) -> bool:
  """Returns whether a trial has exactly these tokens and their meaning.

  Args:
    trial: a trial from a log.
    space: the search space; after a change of its values, equal tokens mean
      another architecture.
    tokens: the architecture's tokens.
  """
  return trial.tokens == tuple(tokens.tolist()) and workdir.plain_json(
    trial.architecture
  ) == workdir.plain_json(space.decode(tokens).to_json())


def check_task(
  evaluator: Evaluator,
  log: trial_log.TrialLog,
  same_task: bool = False,
  redo_failed: bool = False,
  is_finished: bool = False,
) -> None:
  """Checks that the evaluator is the one that the log was written with.

  Its fingerprint is recorded in a file beside the log, `trials.task.json`.

  Args:
    evaluator: that of the search.
    log: the run's trial log.
    same_task: whether to trust an evaluator that differs; see `search.run`.
    redo_failed: whether failed trials run again. A repaired evaluator is
      expected then, so a warning names what differs.
    is_finished: whether no trial is left to run. A warning then says that the
      results are not those of this evaluator.

  Raises:
    ValueError: the evaluator differs.
  """
  fingerprint.check(
    log.path.with_suffix('.task.json'),
    evaluator.evaluate if evaluator.task is None else evaluator.task,
    # Before the first trial there is nothing that it could differ from.
    same_task or not (log.trials or log.earlier),
    redo_failed,
    is_finished,
  )


def check_strategies(
  strategies: Mapping[str, Any],
  log: trial_log.TrialLog,
  same_task: bool = False,
  is_finished: bool = False,
) -> None:
  """Checks that strategies are those that the log was written with.

  A run resumed with another one has no seed and settings that repeat it. Their
  fingerprints are recorded in a file beside the log, `trials.strategies.json`;
  a log from before there were any is trusted.

  Args:
    strategies: those of the search, and what else decides what is proposed, by
      the names of their arms.
    log: the run's trial log.
    same_task: whether to trust strategies that differ; see `search.run`.
    is_finished: whether no trial is left to run. A warning then says that the
      results are not those of these strategies.

  Raises:
    ValueError: a strategy differs.
  """
  fingerprint.check(
    log.path.with_suffix('.strategies.json'),
    strategies,
    same_task or not (log.trials or log.earlier),
    is_finished=is_finished,
    what='What proposes trials',
    # Strategies of a user's own may be the methods of one object.
    with_attributes=True,
  )


def redo_failed(
  log: trial_log.TrialLog,
  checkpoints: checkpoints_lib.Checkpoints | None = None,
  rounds: round_log.RoundLog | None = None,
) -> int:
  """Starts a new log if trials of the search, or retrainings, have failed.

  The old file stays beside the new one, and results in it that recur are reused
  rather than trained again, even if the run is killed in between; but with
  rungs all trials of the search train again.

  Args:
    log: the run's trial log.
    checkpoints: the run's checkpoints, which are deleted because they contain
      what was learnt from failures.
    rounds: the run's round log, which is started over too.

  Returns:
    The number of failed trials.
  """
  failed = [trial for trial in log.trials if trial.has_failed]
  if failed:
    # The log comes last, because everything else can be recomputed from it.
    if checkpoints is not None:
      checkpoints.clear()
    if rounds is not None:
      rounds.begin_anew()
    kept = log.begin_anew()
    logging.warning(
      '%d trials had failed, the first of them trial %d, and will run again; '
      'the old log is kept as %s.',
      len(failed),
      failed[0].number,
      kept,
    )
  return len(failed)
