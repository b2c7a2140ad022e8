# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The report on estimators of a policy's gradient: table, verdicts, picture."""

from __future__ import annotations

from collections.abc import Sequence
import math
import pathlib
from typing import Any, NamedTuple

from jaxnas.records import workdir
from jaxnas.runs import gradient_errors
from jaxnas.visualize import estimators as estimator_plot
from jaxnas.visualize import pictures, progress

LABELS = {
  'reinforce': 'REINFORCE',
  'leave_one_out': 'REINFORCE, leave-one-out',
  'darts': 'DARTS',
  'gumbel': 'Gumbel-softmax',
  'gumbel_clipped': 'Gumbel-softmax, clipped',
  'straight_through': 'straight-through',
  'straight_through_clipped': 'straight-through, clipped',
}
"""The estimators' names in tables, in their order."""

_NOTES = (
  'Bias, variance and error are relative to the exact gradient: norms to its '
  'norm, the variance (summed over all logits) to its square. Brackets hold '
  '95 % intervals of the bias, without what noise adds to it.',
  'Clipped: no draw is longer than the median of the norms of all draws.',
  'The error is the root of bias^2 + variance; the cosine of an update is the '
  'mean of that of single estimates with the exact gradient.',
)


class Policy(NamedTuple):
  """A policy whose gradient is estimated.

  Attributes:
    label: the policy's name in tables.
    scale: the standard deviation of its logits.
    reward: its expected reward, exactly.
    norm: the norm of the exact gradient.
  """

  label: str
  scale: float
  reward: float
  norm: float


class Row(NamedTuple):
  """An estimator at one policy.

  Attributes:
    policy: the policy.
    estimator: the estimator, a key of `LABELS`.
    temperature: its temperature; `None` if it has none.
    errors: the errors of its estimates.
    seconds: the core-seconds of one draw; NaN where that was not measured.
  """

  policy: Policy
  estimator: str
  temperature: float | None
  errors: gradient_errors.Errors
  seconds: float

  @property
  def name(self) -> str:
    """The estimator with its temperature."""
    label = LABELS[self.estimator]
    return (
      label if self.temperature is None else f'{label} {self.temperature:g}'
    )

  def to_json(self) -> dict[str, Any]:
    """Returns the row as a dict; see `workdir.plain_json`."""
    return {
      'policy': self.policy.label,
      'estimator': self.estimator,
      'temperature': self.temperature,
      'milliseconds': _or_none(1000 * self.seconds),
      'bias': self.errors.bias,
      'bias_interval': list(self.errors.bias_interval),
      'mean_cosine': self.errors.mean_cosine,
      'num_dropped': self.errors.num_dropped,
      'variance': _by_draws(self.errors.variance),
      'cosine': _by_draws(self.errors.cosine),
    }


class Report:
  """A comparison of estimators.

  Attributes:
    rows: the estimators at each policy, policy by policy.
  """

  def __init__(self, title: str, num_draws: Sequence[int], rows: Sequence[Row]):
    """Makes the report.

    Args:
      title: what was measured, for table and picture.
      num_draws: the numbers of draws that errors are known for, ascending.
      rows: the estimators at each policy, policy by policy.
    """
    self._title, self._num_draws, self.rows = title, tuple(num_draws), rows

  def show(self) -> None:
    """Prints the table and the verdicts."""
    draws = [_count(count) for count in self._num_draws]
    progress.table(
      self._title,
      [
        'policy, estimator, temperature',
        'bias',
        'interval',
        *(f'variance, {each}' for each in draws),
        f'error, {draws[-1]}',
        'cosine of the mean',
        *(f'of an update, {each}' for each in draws),
        'not finite',
        'ms a draw',
      ],
      [self._row(row) for row in self.rows],
      spare=('ms a draw', 'not finite', 'cosine of the mean'),
    )
    for line in (*self.verdicts(), *_NOTES):
      print(line)

  def _row(self, row: Row) -> list[str]:
    errors = row.errors
    low, high = errors.bias_interval
    return [
      f'{row.policy.label}: {row.name}',
      f'{errors.bias:.3g}',
      '-' if low == high else f'{low:.2g} to {high:.2g}',
      *(_number(errors.variance[count], '.3g') for count in self._num_draws),
      _number(errors.total(self._num_draws[-1]), '.3g'),
      f'{errors.mean_cosine:.3f}',
      *(_number(errors.cosine[count], '.3f') for count in self._num_draws),
      f'{errors.num_dropped:,}',
      _number(1000 * row.seconds, '.3g'),
    ]

  def verdicts(self) -> list[str]:
    """Returns sentences about each policy, with the most draws of an update."""
    count = self._num_draws[-1]
    lines = []
    for policy in dict.fromkeys(row.policy for row in self.rows):
      rows = [row for row in self.rows if row.policy == policy]
      aligned = max(rows, key=lambda row: _low(row.errors.cosine[count]))
      closest = min(rows, key=lambda row: _high(row.errors.total(count)))
      lines.append(
        f'{policy.label} (expected reward {policy.reward:.4f}, exact gradient '
        f'{policy.norm:.2g}): with {_count(count)} an update, {closest.name} '
        f'has the least error ({closest.errors.total(count):.2f}) and '
        f'{aligned.name} the best direction (cosine '
        f'{aligned.errors.cosine[count]:.2f}).'
      )
    unbiased = [
      LABELS[name]
      for name in LABELS
      if (mine := [row for row in self.rows if row.estimator == name])
      and all(_is_unbiased(row.errors) for row in mine)
    ]
    lines.append(
      'Without a bias, as far as intervals tell, at every policy: '
      f'{"; ".join(unbiased) if unbiased else "no estimator"}.'
    )
    return lines

  def write(self, folder: pathlib.Path) -> None:
    """Writes `estimators.json`."""
    workdir.write_json(
      folder / 'estimators.json',
      {
        'title': self._title,
        'num_draws': list(self._num_draws),
        'verdicts': self.verdicts(),
        'policies': [
          policy._asdict()
          for policy in dict.fromkeys(row.policy for row in self.rows)
        ],
        'estimators': [row.to_json() for row in self.rows],
      },
      sealed=True,
    )

  def draw(self, folder: pathlib.Path) -> None:
    """Draws `estimators.png`."""
    count = self._num_draws[-1]
    panels = [
      estimator_plot.Panel(
        policy.label,
        [
          _series(rows, count)
          for name in LABELS
          if (
            rows := [
              row
              for row in self.rows
              if row.policy == policy and row.estimator == name
            ]
          )
        ],
      )
      for policy in dict.fromkeys(row.policy for row in self.rows)
    ]
    pictures.draw(
      estimator_plot.plot_estimators,
      folder / 'estimators.png',
      panels,
      f'variance, {_count(count)}',
      self._title,
    )


def _series(rows: Sequence[Row], count: int) -> estimator_plot.Series:
  """Returns the points of one estimator at one policy."""
  return estimator_plot.Series(
    LABELS[rows[0].estimator],
    None
    if rows[0].temperature is None
    else [float(row.temperature or 0) for row in rows],
    [row.errors.bias for row in rows],
    [row.errors.bias_interval for row in rows],
    [row.errors.variance[count] for row in rows],
    _variant_of(rows[0].estimator),
  )


def _variant_of(estimator: str) -> str | None:
  whole = estimator.removesuffix('_clipped')
  return None if whole == estimator else LABELS[whole]


def _is_unbiased(errors: gradient_errors.Errors) -> bool:
  """Returns whether a bias of 0 is likely, and one that matters is not."""
  low, high = errors.bias_interval
  return low == 0 and high < 0.5


def _count(count: int) -> str:
  return f'{count} draw' if count == 1 else f'{count} draws'


def _number(value: float, spec: str) -> str:
  return '-' if math.isnan(value) else format(value, spec)


def _low(value: float) -> float:
  return -math.inf if math.isnan(value) else value


def _high(value: float) -> float:
  return math.inf if math.isnan(value) else value


def _or_none(value: float) -> float | None:
  return None if math.isnan(value) else value


def _by_draws(values) -> dict[str, float | None]:
  return {str(count): _or_none(value) for count, value in values.items()}
