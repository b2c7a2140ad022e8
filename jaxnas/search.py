# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The search loop: propose, evaluate, record, learn.

A run has one or more arms that share nothing. Every arm keeps a window of
proposals in flight, see `window`; all of them are evaluated together, in blocks
that finish in any order, see `in_flight`. A trial is logged before anything is
learnt from it, and the state of a run is a fold over its log: a run that was
killed folds what it has logged and continues as if nothing had happened.

If rewards are a pure function of tokens, such as those of a table, `scan` runs
an arm's whole search as one compiled program.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import dataclasses
from typing import Any

import jax

from jaxnas import arms as arms_lib
from jaxnas import folding, halved_rounds, pure_search
from jaxnas import history as history_lib
from jaxnas import in_flight as in_flight_lib
from jaxnas import rungs as rungs_lib
from jaxnas.evaluators import queues
from jaxnas.records import checkpoints as checkpoints_lib
from jaxnas.records import round_log, trial_log
from jaxnas.types import Evaluator, SearchSpace

Arm = arms_lib.Arm
Role = arms_lib.Role
DepthSchedule = arms_lib.DepthSchedule


@dataclasses.dataclass(frozen=True)
class Search:
  """The settings of a run; made once, outside loops.

  Attributes:
    space: the search space.
    arms: the arms, with distinct identities.
    evaluator: the evaluator of all arms.
    key: the random key that all randomness of the run follows from.
    reevaluate_duplicates: whether an architecture that its arm has already
      proposed is trained again, instead of getting its old reward.
    max_failures: the number of trials that, if they all fail for the same
      reason from the start, stop the run; 0 never stops it.
    rungs: how children share steps, most of them stopping early; all of them
      train to the end by default.
  """

  space: SearchSpace
  arms: tuple[Arm, ...]
  evaluator: Evaluator
  key: jax.Array
  reevaluate_duplicates: bool = False
  max_failures: int = 8
  rungs: rungs_lib.Halving | None = None

  def __post_init__(self):
    if self.rungs is not None:
      self.rungs.check(self.evaluator, self.arms)
    if self.max_failures < 0:
      raise ValueError(
        f'max_failures must be at least 0, got {self.max_failures}.'
      )
    identities = [arm.identity for arm in self.arms]
    if len(set(identities)) != len(identities):
      raise ValueError(f'Arms need distinct names, got {identities}.')

  @property
  def num_trials(self) -> int:
    """The number of trials of all arms together."""
    return sum(arm.num_trials for arm in self.arms)

  @property
  def strategies(self) -> dict[str, Any]:
    """What proposes: the arms' strategies, and their `num_active` if any.

    With rungs, what is decided there belongs to it.
    """
    parts: dict[str, Any] = {}
    if self.rungs is not None:
      parts |= rungs_lib.RULES
    for arm in self.arms:
      name = f'{arm.name} {arm.repeat}' if arm.repeat else arm.name
      parts[name] = arm.strategy
      if arm.num_active is not None:
        parts[f'{name} num_active'] = arm.num_active
    return parts


RETRAIN = history_lib.RETRAIN
History = history_lib.History


SearchState = folding.SearchState
Progress = Callable[[Sequence[trial_log.Trial]], None]
"""A callback that gets new trials as they are recorded."""


def init(search: Search) -> SearchState:
  """Returns the state before the first trial."""
  return folding.start(search.space, search.arms, search.key)


def run(
  search: Search,
  log: trial_log.TrialLog,
  checkpoints: checkpoints_lib.Checkpoints | None = None,
  checkpoint_every: int = 4,
  on_trials: Progress | None = None,
  rounds: round_log.RoundLog | None = None,
  redo_failed: bool = False,
  same_task: bool = False,
  replay: Sequence[trial_log.Trial] = (),
) -> SearchState:
  """Runs all trials, or those that remain.

  Args:
    search: the settings of the run.
    log: the run's trial log; trials in it are not evaluated again.
    checkpoints: the store of states. If there is none, or it is damaged, the
      state is folded from the log.
    checkpoint_every: the number of rounds from one checkpoint to the next; in a
      round, every replica of every arm finishes a batch.
    on_trials: a callback that gets new trials as they are recorded.
    rounds: the log of the metrics that strategies return.
    redo_failed: whether to run failed trials again, for instance after fixing
      the function that they call; see `history.redo_failed`. An evaluator that
      has changed then causes a warning instead of an error.
    same_task: whether to trust that the evaluator gives the same results as the
      one that the log was written with, although its code or data differ, and
      the strategies the same proposals.
    replay: the trials of another log of this run. Trials are recorded in their
      order, whatever the order in which they finish, so that a search with
      several batches in flight gives the same log again.

  Returns:
    The state after the last trial.

  Raises:
    ValueError: the log belongs to another search, the evaluator or a strategy
      has changed, the trials to replay are not those of this search, or the
      first trials all failed for one reason.
  """
  history_lib.check_task(search.evaluator, log, same_task, redo_failed)
  history_lib.check_strategies(search.strategies, log, same_task)
  if redo_failed:
    history_lib.redo_failed(log, checkpoints, rounds)
  replay = [trial for trial in replay if trial.arm != RETRAIN]
  history = History(search.space, log, replay, reuses=search.rungs is None)
  history.check_start(search.max_failures)
  folded = folding.Folded(
    search.space,
    search.arms,
    search.key,
    history,
    checkpoints,
    checkpoint_every,
    rounds,
  )
  in_flight = _begin(search, history, replay)
  in_flight.add(folded.take_asked())
  while trials := in_flight.collect():
    history.append(trials)
    if on_trials is not None:
      on_trials(trials)
    history.check_start(search.max_failures)
    folded.catch_up(is_checked=False)
    in_flight.add(folded.take_asked())
  folded.finish()
  history.warn_of_failures()
  return folded.state


def _begin(
  search: Search,
  history: History,
  replay: Sequence[trial_log.Trial],
) -> in_flight_lib.InFlight | halved_rounds.HalvedRounds:
  """Returns what evaluates proposals, with nothing in flight."""
  arm_keys = [arm_key(search, arm) for arm in search.arms]
  if search.rungs is None:
    rungs_lib.check_has_none(history.trials)
    return in_flight_lib.InFlight(
      search.space,
      search.arms,
      search.key,
      arm_keys,
      # Where keys follow from the numbers of lines, the lines are in order.
      queues.open_queue(search.evaluator, is_in_order=history.is_numbered),
      history,
      search.reevaluate_duplicates,
      replay,
      search.evaluator.screen,
    )
  if replay:
    raise ValueError(
      'A search with rungs always records its trials in the same order; leave '
      'replay out.'
    )
  return halved_rounds.HalvedRounds(
    search.space,
    search.arms,
    arm_keys,
    search.evaluator,
    search.rungs,
    history,
    search.reevaluate_duplicates,
  )


def arm_key(search: Search, arm: Arm) -> jax.Array:
  """Returns the key that all of an arm's randomness follows from."""
  return folding.arm_key(search.key, arm)


def expected_rounds(search: Search) -> list[tuple[int, str, int]]:
  """Returns the identities of the entries of a finished run's round log."""
  return [
    (version, *arm.identity)
    for arm in search.arms
    for version in range(arm.num_groups // arm.replicas_per_update)
  ]


Scan = pure_search.Scan
scan = pure_search.scan
