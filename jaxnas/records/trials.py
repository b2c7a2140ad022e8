# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""One evaluated architecture, and the form in which a log holds it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
import dataclasses
import math
from typing import Any

from jaxnas.records import workdir
from jaxnas.types import Status

RETRAIN = 'retrain'
"""The arm of trials that compare winners; no strategy learns from them."""

INFEASIBLE = Status.INFEASIBLE.name.lower()
"""The status of a trial whose architecture exceeds a limit."""

_OK = Status.OK.name.lower()


@dataclasses.dataclass(frozen=True)
class Trial:
  """One evaluated architecture.

  Attributes:
    number: the position of the trial in the run, from 0.
    arm: the name of the arm that proposed it.
    repeat: the number of the arm's repeat.
    tokens: the proposal, `T` integers; `None` for an architecture that no
      strategy proposed.
    architecture: the architecture as a JSON-compatible dict.
    reward: the reward that the strategy was told; finite.
    metrics: the other measurements; NaN where there was nothing to measure.
    status: how the training ended, for example `'ok'` or `'diverged'`.
    duplicate_of: the number of the earlier trial whose result was reused.
    settings: any further settings, such as a retraining's learning rate.
    reason: one line on why the trial failed, if known; not written to the file
      if empty.
    proposal: the position of the proposal among those of its arm and repeat,
      from 0, on which its random key depends; `None`, and not written, where no
      strategy proposed and in logs that an older version began.
    version: the number of times that the strategy had been told rewards when it
      proposed; `None` like `proposal`.
    steps: the number of steps after which the child was measured, in a search
      with rungs; the next three fields, too, are written there alone.
    rung: the rung of that measurement, from 0; `None` for a child that trained
      to its end whatever its rewards were.
    is_stopped: whether the child was alive and did not go on to the next rung.
      The strategy was then told `rung_scale.told_rewards`.
    curve: the reward itself at each number of steps at which the child was
      measured alive, pairs of both.
  """

  number: int
  arm: str
  repeat: int
  tokens: tuple[int, ...] | None
  architecture: Mapping[str, Any]
  reward: float
  metrics: Mapping[str, float]
  status: str
  duplicate_of: int | None = None
  settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  reason: str = ''
  proposal: int | None = None
  version: int | None = None
  steps: int | None = None
  rung: int | None = None
  is_stopped: bool = False
  curve: tuple[tuple[int, float], ...] = ()

  @property
  def is_complete(self) -> bool:
    """Whether the child was trained to its end, and did not fail."""
    return self.status == _OK and not self.is_stopped

  def __post_init__(self):
    if not _is_finite(self.reward):
      raise ValueError(
        f'Trial {self.number} has the reward {self.reward}; a reward must be '
        'finite, so give a failed trial the floor reward.'
      )
    if self.duplicate_of is not None and self.duplicate_of >= self.number:
      raise ValueError(
        f'Trial {self.number} is marked as a duplicate of the later trial '
        f'{self.duplicate_of}.'
      )

  @property
  def has_failed(self) -> bool:
    """Whether a training failed; one that was not begun has not."""
    return self.status not in (_OK, INFEASIBLE)

  def to_json(self) -> dict[str, Any]:
    """Returns the trial as a dict that `json.dumps` accepts."""
    plain = {
      field.name: workdir.plain_json(getattr(self, field.name))
      for field in dataclasses.fields(self)
    }
    for name, usual in _USUAL.items():
      if plain[name] == usual:
        del plain[name]
    return plain

  @classmethod
  def from_json(cls, fields: Mapping[str, Any]) -> Trial:
    """Returns the trial that `to_json` wrote; raises `ValueError` if none."""
    expected = [field.name for field in dataclasses.fields(cls)]
    if sorted({**_USUAL, **fields}) != sorted(expected):
      raise ValueError(
        f'A trial has the fields {", ".join(expected)}; got '
        f'{", ".join(sorted(fields))}.'
      )
    for name, (is_kind, kind) in _KINDS.items():
      value = fields.get(name, _USUAL.get(name))
      if not is_kind(value):
        raise ValueError(f'The {name} of a trial is {kind}, got {value!r}.')
    tokens, metrics = fields['tokens'], fields['metrics']
    return cls(
      **{
        **fields,
        'tokens': None if tokens is None else tuple(tokens),
        'reward': float(fields['reward']),
        'curve': tuple(
          (steps, float(reward)) for steps, reward in fields.get('curve', ())
        ),
        'metrics': {
          name: math.nan if value is None else _number(value)
          for name, value in metrics.items()
        },
      }
    )


def _is_int(value: Any) -> bool:
  return isinstance(value, int) and not isinstance(value, bool)


def _is_point(value: Any) -> bool:
  return (
    isinstance(value, list)
    and len(value) == 2
    and _is_int(value[0])
    and _is_number(value[1])
    and _is_finite(value[1])
  )


def _is_number(value: Any) -> bool:
  return isinstance(value, float) or (_is_int(value) and _is_finite(value))


def _is_finite(value: Any) -> bool:
  try:
    return math.isfinite(value)
  except OverflowError:  # An integer beyond the range of a float.
    return False


# The fields that are written only where they say something.
_USUAL: dict[str, Any] = {
  'reason': '',
  'proposal': None,
  'version': None,
  'steps': None,
  'rung': None,
  'is_stopped': False,
  'curve': [],
}
_OK = Status.OK.name.lower()
_STATUSES = tuple(status.name.lower() for status in Status)
# The check that from_json makes of each field, and its name in errors.
_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
  'number': (_is_int, 'an integer'),
  'arm': (lambda value: isinstance(value, str), 'text'),
  'repeat': (_is_int, 'an integer'),
  'tokens': (
    lambda value: (
      value is None or (isinstance(value, list) and all(map(_is_int, value)))
    ),
    'a list of integers or null',
  ),
  'architecture': (lambda value: isinstance(value, dict), 'an object'),
  'reward': (_is_number, 'a number'),
  'metrics': (
    lambda value: (
      isinstance(value, dict)
      and all(each is None or _is_number(each) for each in value.values())
    ),
    'an object of numbers',
  ),
  'status': (_STATUSES.__contains__, f'one of {", ".join(_STATUSES)}'),
  'duplicate_of': (
    lambda value: value is None or _is_int(value),
    'an integer or null',
  ),
  **dict.fromkeys(
    ('proposal', 'version', 'steps', 'rung'),
    (
      lambda value: value is None or (_is_int(value) and value >= 0),
      'a natural number',
    ),
  ),
  'is_stopped': (lambda value: isinstance(value, bool), 'true or false'),
  'curve': (
    lambda value: isinstance(value, list) and all(map(_is_point, value)),
    'a list of pairs of steps and a reward',
  ),
  'settings': (lambda value: isinstance(value, dict), 'an object'),
  'reason': (lambda value: isinstance(value, str), 'text'),
}


def _number(value: Any) -> float:
  # A count stays an integer, so that a duplicate's line repeats it exactly.
  return value if isinstance(value, int) else float(value)
