# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The summary of a run: everything to show that its logs do not contain.

`summary.json` describes the search space, the arms and the measure by which
architectures are compared. It is written when a run starts and again, with the
results, when it ends, so that a run can be shown from its folder alone.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import math
import os
import pathlib
import types
import typing
from typing import Any

from jaxnas import statistics
from jaxnas.decisions import AnchorPoint, Choice, Decision, Range
from jaxnas.records import workdir

_FILE = 'summary.json'
# Python refuses to spell integers of more than 4,300 digits.
_MAX_BITS = 14_000


@dataclasses.dataclass(frozen=True)
class Options:
  """A decision of the space, in words.

  Attributes:
    name: the decision's name.
    kind: the kind of decision: `'choice'`, `'range'` or `'anchors'`.
    labels: the values of the decision's token, in order; for an anchor point
      the earlier layers, each of which has its own token.
  """

  name: str
  kind: str
  labels: tuple[str, ...]

  @property
  def num_tokens(self) -> int:
    """The number of tokens that the decision takes."""
    return len(self.labels) if self.kind == 'anchors' else 1

  @classmethod
  def of(cls, decision: Decision) -> Options:
    """Returns a decision in words."""
    if isinstance(decision, AnchorPoint):
      layers = map(str, range(decision.num_previous))
      return cls(decision.name, 'anchors', tuple(layers))
    if isinstance(decision, Range):
      values = map(decision.value, range(decision.num_choices))
      return cls(
        decision.name, 'range', tuple(f'{each:.4g}' for each in values)
      )
    assert isinstance(decision, Choice)
    return cls(decision.name, 'choice', tuple(map(str, decision.values)))


@dataclasses.dataclass(frozen=True)
class Arm:
  """An arm of the search; its fields are those of `arms.Arm`.

  Attributes:
    name: the arm's name in the log.
    repeat: the number of the arm's repeat.
    label: the arm's name in tables.
    role: the value of the arm's role.
    num_trials: the budget, in proposals.
    batch_size: the number of proposals in a round.
    replicas: the number of batches in flight.
    replicas_per_update: the number of finished batches told at a time.
    shared_trials: the cost of a phase with shared weights before the search, in
      trials.
  """

  name: str
  repeat: int
  label: str
  role: str
  num_trials: int
  batch_size: int
  replicas: int = 1
  replicas_per_update: int = 1
  shared_trials: float = 0.0


@dataclasses.dataclass(frozen=True)
class Row:
  """An architecture that was retrained, as a row of the table.

  A measurement that is not finite, such as that of a training that failed, is
  `None`.

  Attributes:
    name: the row's name in the table.
    label: the label of its trainings in the log.
    is_found: whether the search found it; known architectures are not found.
    architecture: the architecture as a JSON-compatible dict.
    num_contestants: the number of architectures that it was chosen from.
    num_params: the number of parameters, if known.
    num_multiply_adds: the number of multiply-adds, if known.
    learning_rate: the learning rate, if the run chose one.
    validation: the validation measure of each fresh training.
    report: the report measure of each fresh training.
    rewards: the reward of each fresh training.
  """

  name: str
  label: str
  is_found: bool
  architecture: Mapping[str, Any]
  num_contestants: int
  num_params: int | None
  num_multiply_adds: int | None
  learning_rate: float | None
  validation: tuple[float | None, ...]
  report: tuple[float | None, ...]
  rewards: tuple[float | None, ...]


@dataclasses.dataclass(frozen=True)
class Results:
  """The results of a finished run.

  Attributes:
    headline: the verdict, in one or two sentences.
    verdicts: all comparisons, one line each, and notes on them.
    rows: the architectures that were retrained.
    best: the index in `rows` of the best architecture found, if any.
    length: the length of a training, such as `'160 steps'`; may be empty.
    has_report: whether the report measure comes from separate data.
  """

  headline: str
  verdicts: tuple[str, ...]
  rows: tuple[Row, ...]
  best: int | None
  length: str
  has_report: bool


@dataclasses.dataclass(frozen=True)
class Summary:
  """The description of a run, and its results.

  Attributes:
    space: the name of the search space.
    space_size: the number of token sequences of the space, from `spell_size`.
    decisions: the decisions of the space.
    arms: the arms that proposed architectures.
    known: the names of the architectures that the known arm proposes, in order.
    measure: the measure that architectures are compared by.
    search_metric: the metric of a search trial that its reward is based on.
    own_reward: whether the reward is the user's own function.
    results: the results; `None` before the end of the run.
  """

  space: str
  space_size: str
  decisions: tuple[Options, ...]
  arms: tuple[Arm, ...]
  known: tuple[str, ...]
  measure: statistics.Measure
  search_metric: str
  own_reward: bool
  results: Results | None = None


def spell_size(size: int) -> str:
  """Returns a number of architectures as text.

  It is not written as a number, because JSON readers of other languages round
  large integers.

  Args:
    size: the number.

  Returns:
    The decimal digits or, if there are thousands of them, the largest power of
    ten that is not larger, such as `'10^5990'`.
  """
  if size.bit_length() <= _MAX_BITS:
    return str(size)
  return f'10^{math.floor(math.log10(size))}'


def write(folder: str | os.PathLike, summary: Summary) -> None:
  """Writes the summary of a run.

  Args:
    folder: the folder of the run.
    summary: the summary.

  Raises:
    OSError: the file cannot be written.
  """
  path = pathlib.Path(folder, _FILE)
  workdir.write_json(path, dataclasses.asdict(summary), sealed=True)


def read(folder: str | os.PathLike) -> Summary | None:
  """Returns the summary of a run; `None` if the run has none.

  Args:
    folder: the folder of the run; one of an older version has no summary.

  Raises:
    ValueError: the file is damaged.
  """
  path = pathlib.Path(folder, _FILE)
  if not path.exists():
    return None
  try:
    return _build(Summary, workdir.read_json(path), 'the summary')
  except TypeError as error:
    raise ValueError(
      f'{path} is damaged: {error}; delete it, and the run writes it again.'
    ) from None


def _build(kind: Any, value: Any, name: str) -> Any:
  """Returns a value from JSON, converted to the expected type.

  Args:
    kind: the expected type, a class or an annotation of the dataclasses above.
    value: the value from JSON.
    name: the value's name in errors.

  Raises:
    TypeError: the value has another type.
  """
  if isinstance(kind, types.UnionType):
    if value is None:
      return None
    kind = next(each for each in kind.__args__ if each is not type(None))
  origin = typing.get_origin(kind)
  if origin is tuple and isinstance(value, list):
    return tuple(
      _build(kind.__args__[0], each, f'{name}[{place}]')
      for place, each in enumerate(value)
    )
  if isinstance(value, dict) and dataclasses.is_dataclass(kind):
    hints = typing.get_type_hints(kind)
    # An older version lacks those that have defaults.
    needed = {
      each.name
      for each in dataclasses.fields(kind)
      if each.default is dataclasses.MISSING
    }
    if not needed <= value.keys() <= hints.keys():
      raise TypeError(
        f'{name} has the fields {", ".join(hints)}; got {", ".join(value)}'
      )
    fields = {each: _build(hints[each], value[each], each) for each in value}
    return typing.cast(Any, kind)(**fields)
  if kind is float and type(value) is int:
    return float(value)
  if origin is not tuple and type(value) is (dict if origin else kind):
    return value
  expected = getattr(kind, '__name__', str(kind))
  raise TypeError(f'{name} must be a {expected}, got {value!r:.80}')
