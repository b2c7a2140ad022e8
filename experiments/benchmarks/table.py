# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The table of a benchmark: rows, their bounds and their text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
import errno
import pathlib
from typing import Any

from jaxnas.datasets import prepared
from jaxnas.records import workdir


@dataclasses.dataclass(frozen=True)
class Row:
  """A row of the table.

  Attributes:
    row: the group that the row belongs to, by which it is requested.
    name: the quantity measured.
    unit: the unit of `ours` and `theirs`.
    ours: the value for jaxnas.
    theirs: the value for what it is compared with, if anything.
    ratio: the factor by which ours is better, or ours as a fraction of theirs.
    floor: the value that the ratio, or `ours` without one, must reach.
    goal: the value that it should reach.
    is_limit: whether `floor` and `goal` are upper bounds.
    extrapolated: the sides, `'ours'` or `'theirs'`, that were measured in part.
    note: how the row was measured.
  """

  row: str
  name: str
  unit: str
  ours: float
  theirs: float | None = None
  ratio: float | None = None
  floor: float | None = None
  goal: float | None = None
  is_limit: bool = False
  extrapolated: tuple[str, ...] = ()
  note: str = ''

  @property
  def met(self) -> str:
    """The bound reached: `'goal'`, `'floor'`, `'no'`, or `'-'` without one."""
    value = self.ours if self.ratio is None else self.ratio
    sign = -1 if self.is_limit else 1
    for name, bound in (('goal', self.goal), ('floor', self.floor)):
      if bound is not None and sign * value >= sign * bound:
        return name
    return '-' if self.floor is None else 'no'

  def to_json(self) -> dict[str, Any]:
    """Returns the row as a dict."""
    return {**dataclasses.asdict(self), 'met': self.met}


def prepare(output: str) -> pathlib.Path:
  """Creates the folder of a table's file, to fail before measuring.

  Args:
    output: the path of the file, in which `~` is expanded.

  Raises:
    OSError: the folder cannot be created, or the path is a folder.
  """
  path = prepared.expand(output)
  path.parent.mkdir(parents=True, exist_ok=True)
  if path.is_dir():
    raise IsADirectoryError(
      errno.EISDIR, 'output must be a file, but is a folder', str(path)
    )
  return path


def publish(
  output: pathlib.Path,
  config: Any,
  rows: Sequence[Row],
  about: Mapping[str, Any],
  left_out: Mapping[str, str],
  seconds: float,
) -> None:
  """Prints a table and writes it as JSON.

  Args:
    output: the file to write.
    config: the benchmark's settings, a dataclass.
    rows: the measured rows.
    about: the lines of the header, by name; a value may itself be a mapping.
    left_out: the reasons why rows are missing, by name.
    seconds: the duration of the whole benchmark, in seconds.
  """
  print(format_table(rows, about, left_out, seconds), flush=True)
  write(output, config, rows, about, left_out, seconds)


def write(
  output: pathlib.Path,
  config: Any,
  rows: Sequence[Row],
  about: Mapping[str, Any],
  left_out: Mapping[str, str],
  seconds: float,
) -> None:
  """Writes a table as JSON; the arguments are those of `publish`."""
  workdir.write_json(
    output,
    {
      'about': about,
      'config': dataclasses.asdict(config),
      'rows': [row.to_json() for row in rows],
      'left_out': left_out,
      'seconds': seconds,
    },
  )


def format_table(
  rows: Sequence[Row],
  about: Mapping[str, Any],
  left_out: Mapping[str, str],
  seconds: float,
) -> str:
  """Returns the table as Markdown, with a header and notes.

  Args:
    rows: the measured rows.
    about: the lines of the header, by name; a value may itself be a mapping.
    left_out: the reasons why rows are missing, by name.
    seconds: the duration of the whole benchmark, in seconds.
  """
  lines = [f'{name}: {_spell(value)}' for name, value in about.items()]
  lines += ['', *_grid(rows), '']
  if any(row.extrapolated for row in rows):
    lines.append('~: measured in part and extrapolated linearly.')
  lines += dict.fromkeys(f'{row.row}: {row.note}' for row in rows if row.note)
  lines += [f'{name}: left out, {why}.' for name, why in left_out.items()]
  lines.append(f'Measured in {seconds:.0f} s.')
  return '\n'.join(lines)


def spell_row(row: Row) -> str:
  """Returns a row in one line, as it is told while others are measured."""
  text = f'{row.name}: {_number(row.ours)} {row.unit}'
  if row.theirs is not None:
    text += f', against {_number(row.theirs)}'
  return text + (f' (ratio {_number(row.ratio)})' if row.ratio else '')


def _grid(rows: Sequence[Row]) -> list[str]:
  texts = [['', 'ours', 'theirs', 'unit', 'ratio', 'floor', 'goal', 'met']]
  for row in rows:
    sides = [
      ('~' if side in row.extrapolated else '') + _number(value)
      for side, value in (('ours', row.ours), ('theirs', row.theirs))
    ]
    sign = '<= ' if row.is_limit else ''
    bounds = [
      '' if bound is None else sign + _number(bound)
      for bound in (row.floor, row.goal)
    ]
    name = f'{row.name} [{row.row}]'
    texts.append([name, *sides, row.unit, _number(row.ratio), *bounds, row.met])
  widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
  texts.insert(1, ['-' * width for width in widths])
  return [f'| {" | ".join(map(str.ljust, cells, widths))} |' for cells in texts]


def _number(value: float | None) -> str:
  if value is None:
    return ''
  return f'{value:,.0f}' if abs(value) >= 100 else f'{value:.3g}'


def _spell(value: Any) -> str:
  if not isinstance(value, Mapping):
    return str(value)
  return ', '.join(f'{name} {part}' for name, part in value.items())
