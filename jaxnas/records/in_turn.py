# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Trials that are recorded in the order of another log."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
import dataclasses
import itertools

from jaxnas.records import trial_log


class InTurn:
  """Records trials as they finish, but those of another log in its order."""

  def __init__(
    self,
    log: trial_log.TrialLog,
    turns: Sequence[Hashable],
    on_trials: Callable[[Sequence[trial_log.Trial]], None] | None = None,
  ):
    """Starts with no trial.

    Args:
      log: the log to record in.
      turns: the identities of the trials that are recorded first, in order.
      on_trials: a callback that gets new trials as they are recorded.
    """
    self._log, self._turns, self._on_trials = log, list(turns), on_trials
    self._held: dict[Hashable, trial_log.Trial] = {}

  def add(self, trials: Mapping[Hashable, trial_log.Trial]) -> None:
    """Takes trials, and records those whose turn it is.

    Args:
      trials: the trials by their identities; their numbers do not matter.
    """
    self._held.update(trials)
    ready = list(itertools.takewhile(self._held.__contains__, self._turns))
    self._turns = self._turns[len(ready) :]
    self._record(ready)
    if not self._turns:
      self.close()

  def close(self) -> None:
    """Records the trials that wait for a turn that does not come."""
    self._record(list(self._held))

  def _record(self, identities: Sequence[Hashable]) -> None:
    trials = [
      dataclasses.replace(self._held.pop(identity), number=number)
      for number, identity in enumerate(identities, len(self._log.trials))
    ]
    if trials:
      self._log.append(trials)
      if self._on_trials is not None:
        self._on_trials(trials)
