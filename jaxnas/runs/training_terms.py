# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The terms in which a long training is measured, recorded and reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any

from jaxnas import statistics
from jaxnas.training import text_task
from jaxnas.visualize import progress

_NUM_SHOWN = 10


@dataclasses.dataclass(frozen=True)
class Terms:
  """The names and number formats for a training and its epochs.

  Attributes:
    measure: the measure that epochs are compared by.
    train_metric: the training's own metric of an epoch, such as `'loss'`.
    counted: the elements of a split, such as `'images'`.
    remedy: the settings to lower if a training diverges.
    has_report: whether the report split differs from the validation split.
    is_by_character: whether perplexities are per character, and reported in
      bits too.
  """

  measure: statistics.Measure
  train_metric: str
  counted: str
  remedy: str
  has_report: bool = True
  is_by_character: bool = False

  def field(self, split: str) -> str:
    """Returns the name, in the files, of the measure on a split."""
    return f'{split}_{self.measure.name}'

  @property
  def train_field(self) -> str:
    """The name, in the files, of the training's own metric."""
    return f'train_{self.train_metric}'

  def spell(self, value: float) -> str:
    """Returns a value of the measure as text."""
    return self.measure.text(value)

  def place(self, epoch: int, value: float) -> tuple[dict[str, float], str]:
    """Returns the best value so far, in the form for a progress display.

    Args:
      epoch: the number of the best epoch; 0 if there is none.
      value: the measure of that epoch.

    Returns:
      The best value by name, and a note that explains it.
    """
    if not epoch:
      return {}, ''
    note = f'validation {self.measure.name}'
    if self.measure.unit:
      note = f'{note} in {self.measure.unit}'
    return {f'epoch {epoch}': self.measure.scale * value}, note

  def epoch_line(self, line: Mapping[str, Any], is_best: bool) -> str:
    """Returns a sentence about an epoch.

    Args:
      line: the line of the epoch in `epochs.jsonl`.
      is_best: whether the epoch is the best so far.
    """
    return (
      f'Epoch {line["epoch"]}: training {self.train_metric} '
      f'{self._spell_training(line)}, validation {self.measure.name} '
      f'{self.spell(line[self.field("validation")])}'
      f'{" (best)" if is_best else ""}; learning rate '
      f'{line["learning_rate"]:.4g}.'
    )

  def result_line(self, result: Mapping[str, Any]) -> str:
    """Returns a sentence about the contents of `result.json`."""
    validation, report = (
      self._spell_in_bits(result[self.field(split)])
      for split in ('validation', 'report')
    )
    rest = f' and {report} on report' if self.has_report else ''
    return (
      f'Best: epoch {result["epoch"]}, {self.measure.name} {validation} on '
      f'validation{rest}.'
    )

  def test_line(self, test: Mapping[str, Any]) -> str:
    """Returns a sentence about the contents of `test.json`."""
    return (
      f'Test {self.measure.name}: '
      f'{self._spell_in_bits(test[self.field("test")])} '
      f'({test[f"num_{self.counted}"]:,} {self.counted}).'
    )

  def show_epochs(self, lines: Sequence[Mapping[str, Any]], best: int) -> None:
    """Prints a table of the last epochs and the best one.

    Args:
      lines: the lines of `epochs.jsonl`.
      best: the best epoch, counted from 1.
    """
    first = max(0, len(lines) - _NUM_SHOWN)
    shown = sorted({best - 1, *range(first, len(lines))})
    name = self.measure.name
    progress.table(
      f'After each epoch: the last {len(lines) - first} and the best'
      if len(shown) < len(lines)
      else 'After each epoch',
      [
        'epoch',
        f'training {self.train_metric}',
        f'validation {name}',
        'learning rate',
      ],
      [
        [
          f'{lines[index]["epoch"]}{" (best)" if index == best - 1 else ""}',
          self._spell_training(lines[index]),
          self.spell(lines[index][self.field('validation')]),
          f'{lines[index]["learning_rate"]:.4g}',
        ]
        for index in shown
      ],
      spare=('learning rate',),
    )

  def _spell_in_bits(self, value: float) -> str:
    if not self.is_by_character:
      return self.spell(value)
    bits = text_task.bits_of(value)
    return f'{self.spell(value)} ({bits:.3f} bits per character)'

  def _spell_training(self, line) -> str:
    value = line[self.train_field]
    is_same = self.train_metric == self.measure.name
    return self.spell(value) if is_same else f'{value:.4f}'
