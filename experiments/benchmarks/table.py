# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The table of a benchmark: rows, what they must reach, and their text."""

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
    row: the group it belongs to, by which it is asked for.
    name: what is measured.
    unit: of `ours` and `theirs`.
    ours: what jaxnas needs or gives.
    theirs: the same of what it is compared with, if anything.
    ratio: how much better ours is, or which fraction of theirs.
    floor: what must be reached, by the ratio where there is one, else by ours.
    goal: what should be reached.
    is_limit: whether `floor` and `goal` are upper bounds.
    extrapolated: which of `'ours'` and `'theirs'` were measured in part.
    note: how it was measured.
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
    """What was reached: `'goal'`, `'floor'`, `'no'`, or `'-'`: none is set."""
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
  """Makes the folder of a table's file: before minutes of measuring, not after.

  Args:
    output: the file's path; `~` is the user's folder.

  Raises:
    OSError: the folder can not be made, or the path is one.
  """
  path = prepared.expand(output)
  path.parent.mkdir(parents=True, exist_ok=True)
  if path.is_dir():
    raise IsADirectoryError(
      errno.EISDIR, 'output must be a file, and is a folder', str(path)
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
    output: the file.
    config: the benchmark's settings, a dataclass.
    rows: what was measured.
    about: lines of the header, by name; a value may itself be a mapping.
    left_out: why rows are missing, by name.
    seconds: how long it all took.
  """
  print(format_table(rows, about, left_out, seconds), flush=True)
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
    rows: what was measured.
    about: lines of the header, by name; a value may itself be a mapping.
    left_out: why rows are missing, by name.
    seconds: how long it all took.
  """
  lines = [f'{name}: {_spell(value)}' for name, value in about.items()]
  lines += ['', *_grid(rows), '']
  if any(row.extrapolated for row in rows):
    lines.append('~: measured in part and extrapolated linearly.')
  lines += dict.fromkeys(f'{row.row}: {row.note}' for row in rows if row.note)
  lines += [f'{name}: left out, {why}.' for name, why in left_out.items()]
  lines.append(f'Measured in {seconds:.0f} s.')
  return '\n'.join(lines)


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
