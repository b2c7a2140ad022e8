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

from collections.abc import Callable, Iterator, Sequence
import dataclasses
import functools
from typing import Any, NamedTuple
import zlib

import jax
import numpy as np

from jaxnas import arms as arms_lib
from jaxnas import errors, pure_search
from jaxnas import history as history_lib
from jaxnas import in_flight as in_flight_lib
from jaxnas import window as window_lib
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
  """

  space: SearchSpace
  arms: tuple[Arm, ...]
  evaluator: Evaluator
  key: jax.Array
  reevaluate_duplicates: bool = False
  max_failures: int = 8

  def __post_init__(self):
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
    """What proposes: the arms' strategies, and their `num_active` if any."""
    parts: dict[str, Any] = {}
    for arm in self.arms:
      name = f'{arm.name} {arm.repeat}' if arm.repeat else arm.name
      parts[name] = arm.strategy
      if arm.num_active is not None:
        parts[f'{name} num_active'] = arm.num_active
    return parts


RETRAIN = history_lib.RETRAIN
History = history_lib.History


class SearchState(NamedTuple):
  """The state of a run after any of its trials, which a checkpoint stores.

  Attributes:
    num_trials: the number of trials that it follows from.
    checksum: a checksum of those trials.
    windows: the state of every arm.
  """

  num_trials: np.ndarray
  checksum: np.ndarray
  windows: tuple[window_lib.Window, ...]

  @property
  def strategies(self) -> tuple[Any, ...]:
    """The state of every arm's strategy."""
    return tuple(window.strategy for window in self.windows)


Progress = Callable[[Sequence[trial_log.Trial]], None]
"""A callback that gets new trials as they are recorded."""


def init(search: Search) -> SearchState:
  """Returns the state before the first trial."""
  return _start(_folds(search))


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
      has changed is then told and not refused.
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
  history = History(search.space, log, replay)
  history.check_start(search.max_failures)
  folded = _Folded(search, history, checkpoints, checkpoint_every, rounds)
  in_flight = in_flight_lib.InFlight(
    search.space,
    search.arms,
    search.key,
    [arm_key(search, arm) for arm in search.arms],
    # Where keys follow from the numbers of lines, the lines are in order.
    queues.open_queue(search.evaluator, is_in_order=history.is_numbered),
    history,
    search.reevaluate_duplicates,
    replay,
  )
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


def arm_key(search: Search, arm: Arm) -> jax.Array:
  """Returns the key that all of an arm's randomness follows from."""
  name = zlib.crc32(f'{arm.name}/{arm.repeat}'.encode())
  return jax.random.fold_in(search.key, name)


def expected_rounds(search: Search) -> list[tuple[int, str, int]]:
  """Returns the identities of the entries of a finished run's round log."""
  return [
    (version, *arm.identity)
    for arm in search.arms
    for version in range(arm.num_groups // arm.replicas_per_update)
  ]


Scan = pure_search.Scan
scan = pure_search.scan


def _start(folds: Sequence[window_lib.Fold]) -> SearchState:
  return SearchState(
    num_trials=np.array(0, np.int32),
    checksum=np.array(0, np.uint32),
    windows=tuple(fold.start() for fold in folds),
  )


def _folds(
  search: Search, history: History | None = None
) -> list[window_lib.Fold]:
  """Returns the folds of all arms.

  Args:
    search: the settings of the run.
    history: the trials so far, which may be more than the arms' budgets.
  """
  reached = {arm.identity: arm.num_groups for arm in search.arms}
  if history is not None:
    for trial, proposal in zip(history.trials, history.proposals, strict=True):
      identity = trial.arm, trial.repeat
      for arm in search.arms:
        if arm.identity == identity:
          group = proposal // arm.batch_size
          reached[identity] = max(reached[identity], group + 1)
  return [
    window_lib.Fold(
      arm,
      arm_key(search, arm),
      search.space.num_tokens,
      reached[arm.identity],
    )
    for arm in search.arms
  ]


class _Folded:
  """The state of a run, which follows its log.

  Attributes:
    state: the state.
  """

  def __init__(
    self,
    search: Search,
    history: History,
    checkpoints: checkpoints_lib.Checkpoints | None,
    checkpoint_every: int,
    rounds: round_log.RoundLog | None,
  ):
    """Restores the state, and folds what the log has besides."""
    self._search, self._history, self._rounds = search, history, rounds
    self._checkpoints, self._every = checkpoints, checkpoint_every
    self._folds = _folds(search, history)
    self._places = {
      arm.identity: place for place, arm in enumerate(search.arms)
    }
    self._asked: list[in_flight_lib.Proposal] = []
    self.state = _start(self._folds)
    restored = self._restored()
    self._saved = -1 if restored is None else int(restored.num_trials)
    if restored is not None:
      self.state = restored
    self.catch_up()
    if rounds is not None and self._has_rounds_ahead(rounds):
      # The log was cut by hand, and may go on in another order.
      rounds.begin_anew()
      self.state = _start(self._folds)
      self.catch_up()
    self._asked = [
      proposal
      for place, window in enumerate(self.state.windows)
      for group in window.open
      for proposal in self._proposals(place, group)
    ]

  def take_asked(self) -> list[in_flight_lib.Proposal]:
    """Returns what was proposed since the last call, within the budgets."""
    asked, self._asked = self._asked, []
    return asked

  def catch_up(self, is_checked: bool = True) -> None:
    """Folds the trials that the history has and the state has not.

    Args:
      is_checked: whether to check that they are those that the arms propose.
    """
    before = self._num_rounds()
    said: list[round_log.Round] = []
    for index in range(int(self.state.num_trials), len(self._history.trials)):
      said.extend(self._record(index, is_checked))
    if self._rounds is not None and said:
      self._rounds.append(said)
    if self._num_rounds() // self._every > before // self._every:
      self._save()

  def finish(self) -> None:
    """Saves the last state."""
    if self.state.num_trials != self._saved:
      self._save()

  def _restored(self) -> SearchState | None:
    """Returns the state of the newest checkpoint, if it is of this log."""
    if self._checkpoints is None:
      return None
    restored = self._checkpoints.restore_newest(self.state, _OLDER)
    if restored is None:
      return None
    state = restored[1]
    # Trials are logged before their state is saved, so another log means that
    # it was cut by hand; then the log decides.
    num_trials = int(state.num_trials)
    if num_trials > len(self._history.trials) or state.checksum != (
      functools.reduce(self._checksum, range(num_trials), 0)
    ):
      return None
    if not self._has_rounds(state):
      return None
    try:
      windows = [
        fold.extend(window)
        for fold, window in zip(self._folds, state.windows, strict=True)
      ]
    except window_lib.NotExtendableError:
      return None
    return state._replace(windows=tuple(windows))

  def _has_rounds(self, state: SearchState) -> bool:
    """Returns whether the round log has all that strategies have said."""
    # Rounds that are missing come back when the trial log is folded.
    return self._rounds is None or all(
      (version, *arm.identity) in self._rounds
      for arm, window in zip(self._search.arms, state.windows, strict=True)
      for version in range(int(window.num_told))
    )

  def _has_rounds_ahead(self, rounds: round_log.RoundLog) -> bool:
    """Returns whether the round log has what strategies have yet to say."""
    num_told = {
      arm.identity: window.num_told
      for arm, window in zip(self._search.arms, self.state.windows, strict=True)
    }
    return any(
      each.round >= num_told.get((each.arm, each.repeat), each.round + 1)
      for each in rounds.rounds
    )

  def _checksum(self, checksum: int, index: int) -> int:
    trial = self._history.trials[index]
    proposal = self._history.proposals[index]
    line = f'{trial.arm}/{trial.repeat}/{proposal}/{trial.reward!r}'
    return zlib.crc32(line.encode(), checksum)

  def _record(self, index: int, is_checked: bool) -> Iterator[round_log.Round]:
    """Folds a trial; yields what its arm's strategy said, if it was told."""
    trial = self._history.trials[index]
    proposal = self._history.proposals[index]
    if is_checked:
      self._check(trial, proposal)
    place = self._places[trial.arm, trial.repeat]
    windows = list(self.state.windows)
    windows[place], told, asked = self._folds[place].record(
      windows[place], proposal, trial.reward
    )
    self.state = SearchState(
      num_trials=np.array(index + 1, np.int32),
      checksum=np.array(
        self._checksum(int(self.state.checksum), index), np.uint32
      ),
      windows=tuple(windows),
    )
    if asked is not None:
      self._asked.extend(self._proposals(place, asked))
    if told is not None:
      yield round_log.Round(told.version, trial.arm, trial.repeat, told.metrics)

  def _check(self, trial: trial_log.Trial, proposal: int) -> None:
    """Checks that a trial is what its arm has in flight."""
    place = self._places.get((trial.arm, trial.repeat))
    if place is not None:
      fold = self._folds[place]
      tokens = fold.find(self.state.windows[place], proposal)
      version = fold.version(proposal // fold.arm.batch_size)
      if (
        tokens is not None
        and trial.version in (None, version)
        and history_lib.is_of(trial, self._search.space, tokens)
      ):
        return
    raise ValueError(
      f'Trial {trial.number} in {self._history.log.path} is not the one that '
      'this run proposes there: it was written with other settings, versions '
      f'or hardware. Start with {errors.another_folder()}.'
    )

  def _proposals(
    self, place: int, group: window_lib.Group
  ) -> list[in_flight_lib.Proposal]:
    """Returns what a group still needs to have evaluated."""
    arm, fold = self._search.arms[place], self._folds[place]
    index = int(group.number)
    if index >= arm.num_groups:
      return []
    return [
      in_flight_lib.Proposal(
        place,
        proposal,
        fold.version(index),
        tokens,
        arm.settings(index * arm.batch_size),
      )
      for proposal, tokens in window_lib.rows(group, arm.batch_size)
    ]

  def _num_rounds(self) -> int:
    """Returns the number of rounds that are complete, until all are."""
    return min(
      (
        int(window.num_finished) // arm.replicas
        for arm, window in zip(
          self._search.arms, self.state.windows, strict=True
        )
        if window.num_finished < arm.num_groups
      ),
      default=0,
    )

  def _save(self) -> None:
    if self._checkpoints is not None:
      self._saved = int(self.state.num_trials)
      self._checkpoints.save(self._saved, self.state)


# States of versions before there were windows have this leaf.
_OLDER = 'state.round'
