# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The state of a run, which is a fold over its log.

It is restored from a checkpoint where there is one, and follows from the log
alone where there is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import functools
from typing import Any, NamedTuple
import zlib

import jax
import numpy as np

from jaxnas import arms as arms_lib
from jaxnas import errors
from jaxnas import history as history_lib
from jaxnas import in_flight as in_flight_lib
from jaxnas import window as window_lib
from jaxnas.records import checkpoints as checkpoints_lib
from jaxnas.records import round_log, trial_log
from jaxnas.types import SearchSpace


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


def arm_key(key: jax.Array, arm: arms_lib.Arm) -> jax.Array:
  """Returns the key that all of an arm's randomness follows from.

  Args:
    key: the search's random key.
    arm: the arm.
  """
  name = zlib.crc32(f'{arm.name}/{arm.repeat}'.encode())
  return jax.random.fold_in(key, name)


def start(
  space: SearchSpace, arms: Sequence[arms_lib.Arm], key: jax.Array
) -> SearchState:
  """Returns the state before the first trial.

  Args:
    space: the search space.
    arms: the arms of the search.
    key: the search's random key.
  """
  return _start(_folds(space, arms, key))


def _start(folds: Sequence[window_lib.Fold]) -> SearchState:
  return SearchState(
    num_trials=np.array(0, np.int32),
    checksum=np.array(0, np.uint32),
    windows=tuple(fold.start() for fold in folds),
  )


def _folds(
  space: SearchSpace,
  arms: Sequence[arms_lib.Arm],
  key: jax.Array,
  history: history_lib.History | None = None,
) -> list[window_lib.Fold]:
  """Returns the folds of all arms, whose trials may exceed their budgets."""
  reached = {arm.identity: arm.num_groups for arm in arms}
  if history is not None:
    for trial, proposal in zip(history.trials, history.proposals, strict=True):
      identity = trial.arm, trial.repeat
      for arm in arms:
        if arm.identity == identity:
          group = proposal // arm.batch_size
          reached[identity] = max(reached[identity], group + 1)
  return [
    window_lib.Fold(arm, arm_key(key, arm), space, reached[arm.identity])
    for arm in arms
  ]


class Folded:
  """The state of a run, which follows its log.

  Attributes:
    state: the state.
  """

  def __init__(
    self,
    space: SearchSpace,
    arms: Sequence[arms_lib.Arm],
    key: jax.Array,
    history: history_lib.History,
    checkpoints: checkpoints_lib.Checkpoints | None,
    checkpoint_every: int,
    rounds: round_log.RoundLog | None,
  ):
    """Restores the state, and folds the rest of the log.

    Args:
      space: the search space.
      arms: the arms of the search.
      key: the search's random key.
      history: the trials so far.
      checkpoints: the store of states, if any.
      checkpoint_every: the number of rounds between checkpoints.
      rounds: the log of what strategies say, if any.
    """
    self._space, self._arms = space, tuple(arms)
    self._history, self._rounds = history, rounds
    self._checkpoints, self._every = checkpoints, checkpoint_every
    self._folds = _folds(space, arms, key, history)
    self._places = {arm.identity: place for place, arm in enumerate(arms)}
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
      for arm, window in zip(self._arms, state.windows, strict=True)
      for version in range(int(window.num_told))
    )

  def _has_rounds_ahead(self, rounds: round_log.RoundLog) -> bool:
    """Returns whether the round log has what strategies have yet to say."""
    num_told = {
      arm.identity: window.num_told
      for arm, window in zip(self._arms, self.state.windows, strict=True)
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
    before, fold = windows[place], self._folds[place]
    windows[place], told, asked = fold.record(before, proposal, trial.reward)
    self.state = SearchState(
      num_trials=np.array(index + 1, np.int32),
      checksum=np.array(
        self._checksum(int(self.state.checksum), index), np.uint32
      ),
      windows=tuple(windows),
    )
    if asked is not None:
      self._asked.extend(self._proposals(place, asked))
    if told is not None and self._rounds is not None:
      identity = told.version, trial.arm, trial.repeat
      # What is recorded already need not be estimated again.
      if identity not in self._rounds:
        yield round_log.Round(*identity, told.metrics, fold.policy(before))

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
        and history_lib.is_of(trial, self._space, tokens)
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
    arm, fold = self._arms[place], self._folds[place]
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
        for arm, window in zip(self._arms, self.state.windows, strict=True)
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
