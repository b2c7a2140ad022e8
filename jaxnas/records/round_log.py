# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The log of the strategies' metrics: one line per round of each arm.

The lines of some rounds also say how the policy that proposed them distributes
each decision. Of a long search there are ever fewer of these, so that the file
stays small: all of the first 64 rounds, every second one of the next 64, every
fourth one of the next 128, and so on. Which ones they are does not depend on
the length of the search, which may be extended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
import math
import os
import pathlib
from typing import Any

import numpy as np

from jaxnas.records import trial_log


@dataclasses.dataclass(frozen=True)
class Round:
  """The metrics that a strategy returned for the rewards of one round.

  Attributes:
    round: the number of the round, from 0.
    arm: the name of the strategy's arm.
    repeat: the number of the arm's repeat.
    metrics: the strategy's metrics, such as `mean_reward`, `baseline`,
      `entropy` and `grad_norm`; NaN for one that is not finite.
    probabilities: how likely the policy that proposed the round was to choose
      each outcome of every decision, in order, rounded to a thousandth; NaN for
      one that is not finite. The outcomes of decisions that were not made are
      missing at the end. `None` if it is not known.
  """

  round: int
  arm: str
  repeat: int
  metrics: Mapping[str, float]
  probabilities: Sequence[float] | None = None

  @property
  def identity(self) -> tuple[int, str, int]:
    """The fields that identify a line within a run."""
    return self.round, self.arm, self.repeat

  @classmethod
  def from_json(cls, fields: Mapping[str, Any]) -> Round:
    """Returns the round in a line; raises `ValueError` if it holds none."""
    expected = [field.name for field in dataclasses.fields(cls)]
    try:
      entry = cls(**fields)
      metrics = {name: _number(value) for name, value in entry.metrics.items()}
      probabilities = entry.probabilities
      if probabilities is not None:
        probabilities = tuple(map(_number, probabilities))
        if any(each < 0 or each > 1 for each in probabilities):
          raise ValueError('probabilities are from 0 to 1')
    except (TypeError, AttributeError, ValueError) as error:
      raise ValueError(
        f'A round has the fields {", ".join(expected)} ({error}).'
      ) from None
    numbers = entry.round, entry.repeat
    if not all(type(number) is int and number >= 0 for number in numbers):
      raise ValueError(f'A round and a repeat are integers, got {numbers}.')
    if not isinstance(entry.arm, str):
      raise ValueError(f'The arm of a round is text, got {entry.arm!r}.')
    return dataclasses.replace(
      entry, metrics=metrics, probabilities=probabilities
    )

  def to_json(self) -> dict[str, Any]:
    """Returns the fields of the round's line."""
    fields = dataclasses.asdict(self)
    if self.probabilities is None:
      del fields['probabilities']
    return fields


class RoundLog:
  """The rounds of a run, in order.

  Attributes:
    rounds: all rounds in the file, including those appended.
  """

  def __init__(self, path: str | os.PathLike):
    """Opens the log, creating it if needed.

    Args:
      path: the log file. A truncated last line is removed, with a warning.

    Raises:
      ValueError: a line is damaged.
    """
    self._path = pathlib.Path(path)
    self._lines = trial_log.JsonLines(path)
    try:
      self.rounds = _to_rounds(path, self._lines.lines)
    except ValueError:
      self._lines.close()
      raise
    self._recorded = {each.identity for each in self.rounds}

  def __contains__(self, identity: tuple[int, str, int]) -> bool:
    return identity in self._recorded

  def append(self, rounds: Sequence[Round]) -> None:
    """Writes the rounds not yet in the log; returns once they are on disk.

    A resumed run replays the trial log to its strategies and so produces rounds
    again that the log already has.

    Args:
      rounds: the rounds of all arms.

    Raises:
      OSError: not everything could be written. The log is closed; reopen it.
    """
    new = [each for each in rounds if each.identity not in self]
    self._lines.append([each.to_json() for each in new])
    self.rounds.extend(new)
    self._recorded.update(each.identity for each in new)

  def begin_anew(self) -> None:
    """Sets the file aside and starts an empty one."""
    self._lines.set_aside()
    self._lines = trial_log.JsonLines(self._path)
    self.rounds = []
    self._recorded = set()

  def close(self) -> None:
    """Closes the file."""
    self._lines.close()

  def __enter__(self) -> RoundLog:
    return self

  def __exit__(self, *exc_info) -> None:
    self.close()


def has_probabilities(round_index: int) -> bool:
  """Returns whether the line of a round says what the policy prefers."""
  spacing = 1
  while round_index >= 64 * spacing:
    spacing *= 2
  return round_index % spacing == 0


def rounded(probabilities: np.ndarray) -> tuple[float, ...]:
  """Returns the probabilities of a policy as a round's line has them.

  Args:
    probabilities: the probability of each outcome, `[V]`; -1 where the decision
      is not made.
  """
  is_made = probabilities != -1
  num_made = int(np.max(np.flatnonzero(is_made), initial=-1)) + 1
  values = np.where(is_made, probabilities.clip(0, 1), math.nan)[:num_made]
  return tuple(round(each, 3) for each in values.tolist())


def read_rounds(path: str | os.PathLike) -> list[Round]:
  """Returns the rounds in a log, without changing it; none if it is missing.

  Args:
    path: the log file; a truncated last line is ignored.

  Raises:
    ValueError: another line is damaged.
  """
  if not pathlib.Path(path).exists():
    return []
  return _to_rounds(path, trial_log.read_json_lines(path))


def _number(value: Any) -> float:
  return math.nan if value is None else float(value)


def _to_rounds(path, lines: Sequence[Mapping[str, Any]]) -> list[Round]:
  rounds = []
  for number, fields in enumerate(lines, start=1):
    try:
      rounds.append(Round.from_json(fields))
    except ValueError as error:
      raise ValueError(
        f'{path}: line {number} is damaged ({error}); restore the file from a '
        'copy, or move it away: a resumed run writes it again.'
      ) from None
  return rounds
