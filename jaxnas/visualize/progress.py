# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Live progress and tables, for terminals and plain files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import math
import pathlib
import sys
import textwrap
import time
from typing import TextIO

from rich import box, cells, console, progress, text
from rich import table as rich_table

# A table whose first column would be narrower counts as too wide.
_MIN_FIRST_COLUMN = 12


class Progress:
  """Shows the progress of a run, its rate and the time left.

  On a terminal it is a live line, elsewhere a plain line from time to time.
  """

  def __init__(
    self,
    total: int,
    stream: TextIO | None = None,
    interval: float = 10.0,
    unit: str = 'trial',
    clock: Callable[[], float] = time.monotonic,
  ):
    """Makes the display.

    Args:
      total: the number of trials in the run.
      stream: the stream to write to; standard output by default.
      interval: the minimum time between plain lines, in seconds.
      unit: the noun for what is counted.
      clock: a function that returns the time in seconds.
    """
    self._stream = stream or sys.stdout
    self._total = total
    self._interval = interval
    self._unit = unit
    self._clock = clock
    self._first: tuple[float, int] | None = None
    self._last_line = -math.inf
    self._pending = ''
    self._live: progress.Progress | None = None
    if _is_terminal(self._stream):
      self._live = progress.Progress(
        progress.BarColumn(bar_width=24),
        progress.TextColumn(
          '{task.description}',
          markup=False,
          # A long line is wrapped; by default it would be truncated.
          table_column=rich_table.Column(no_wrap=False),
        ),
        console=console.Console(file=self._stream),
      )
      self._task = self._live.add_task('', total=total)

  def __enter__(self) -> Progress:
    if self._live:
      self._live.start()
    return self

  def __exit__(self, *exc_info) -> None:
    if self._live:
      self._live.stop()
    elif self._pending:
      self._write(self._pending)

  def update(
    self, done: int, best: Mapping[str, float] | None = None, note: str = ''
  ) -> None:
    """Shows a new state.

    Args:
      done: the number of trials done. Those of the first call were done before
        and do not count for the rate.
      best: the best so far of each arm.
      note: a description of `best`, or of the current work.
    """
    now = self._clock()
    if self._first is None:
      self._first = now, done
    line = self._describe(now, done, best or {}, note)
    if self._live:
      self._live.update(self._task, completed=done, description=line)
      return
    self._pending = line
    if now - self._last_line >= self._interval:
      self._last_line = now
      self._write(line)

  def print(self, text: str) -> None:
    """Prints a line above the display."""
    if self._live:
      self._live.console.print(
        text, markup=False, highlight=False, soft_wrap=True
      )
    else:
      self._write(text)

  def _write(self, line: str) -> None:
    self._pending = ''
    print(line, file=self._stream, flush=True)

  def _describe(self, now, done, best, note) -> str:
    assert self._first is not None
    started, before = self._first
    parts = [f'{self._unit} {done:,}/{self._total:,}']
    if now > started and done > before:
      rate = (done - before) / (now - started)
      parts.append(
        f'{rate:.1f} {self._unit}s/s'
        if rate >= 1
        else f'{1 / rate:.1f} s/{self._unit}'
      )
      if done < self._total:
        parts.append(f'{duration((self._total - done) / rate)} left')
    if best:
      values = ', '.join(f'{name} {value:.4g}' for name, value in best.items())
      parts.append(f'best {note}: {values}' if note else f'best: {values}')
    elif note:
      parts.append(note)
    return ' | '.join(parts)


def _is_terminal(stream: TextIO) -> bool:
  return stream.isatty() and not console.Console(file=stream).is_dumb_terminal


def duration(seconds: float) -> str:
  """Returns a duration as text, such as `'2 min 05 s'`."""
  if seconds < 10:
    return f'{seconds:.1f} s'
  minutes, rest = divmod(round(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  if hours:
    return f'{hours} h {minutes:02d} min'
  return f'{minutes} min {rest:02d} s' if minutes else f'{rest} s'


def table(
  title: str,
  columns: Sequence[str],
  rows: Sequence[Sequence[str]],
  stream: TextIO | None = None,
  spare: Sequence[str] = (),
) -> None:
  """Prints a table with the first column flush left and the others flush right.

  On a terminal it is drawn with lines. If that is too narrow, headings are
  broken between words, then spare columns are left out, as a line says, then
  rows become columns, and finally each row becomes a block of lines. Elsewhere
  columns are as wide as their longest entry. No entry is ever truncated, and
  only the first column is wrapped.

  Args:
    title: the line above the table.
    columns: the headings.
    rows: the entries of each row, one per column.
    stream: the stream to write to; standard output by default.
    spare: the headings of columns that can be left out, least important first.
  """
  stream = stream or sys.stdout
  if not _is_terminal(stream):
    _print_aligned(title, columns, rows, stream)
    return
  terminal = console.Console(file=stream)
  left_out: list[str] = []
  for name in ('', *(name for name in spare if name in columns)):
    if name:
      left_out.append(name)
    kept = [i for i, each in enumerate(columns) if each not in left_out]
    fewer = [[row[i] for i in kept] for row in (columns, *rows)]
    if _draw(terminal, title, fewer[0], fewer[1:], left_out):
      return
  turned = [list(row) for row in zip(columns, *rows, strict=True)]
  if not _draw(terminal, title, turned[0], turned[1:], []):
    _print_blocks(title, columns, rows, stream)


def _draw(
  terminal: console.Console,
  title: str,
  columns: Sequence[str],
  rows: Sequence[Sequence[str]],
  left_out: Sequence[str],
) -> bool:
  """Draws a table, or returns false if it does not fit."""
  entries = [
    max(map(cells.cell_len, column)) for column in zip(*rows, strict=True)
  ] or [0] * len(columns)
  words = [max(map(cells.cell_len, name.split() or [''])) for name in columns]
  whole = list(map(max, entries, map(cells.cell_len, columns)))
  broken = list(map(max, entries, words))
  for widths in (whole, broken):
    # Each other column has a blank on either side and one between columns.
    left = terminal.width - sum(width + 3 for width in widths[1:]) - 4
    if left >= min(widths[0], _MIN_FIRST_COLUMN):
      break
  else:
    return False
  drawn = rich_table.Table(
    title=text.Text(title), title_justify='left', box=box.SIMPLE_HEAD
  )
  for index, name in enumerate(columns):
    lines = textwrap.wrap(name, max(1, widths[index])) if index else [name]
    drawn.add_column(
      text.Text('\n'.join(lines)),
      justify='right' if index else 'left',
      overflow='fold',
      no_wrap=bool(index),
      vertical='bottom',
    )
  for row in rows:
    drawn.add_row(*map(text.Text, row))
  terminal.print(drawn)
  if left_out:
    terminal.print(
      text.Text(f'Not shown, for lack of space: {", ".join(left_out)}.\n')
    )
  return True


def files(folder: pathlib.Path, names: Sequence[str]) -> None:
  """Prints the paths of the files of a finished run.

  Args:
    folder: the run's folder.
    names: the names of the files; missing ones are left out.
  """
  print('Wrote:')
  for name in names:
    if (folder / name).exists():
      print(f'  {folder / name}')


def _print_aligned(title, columns, rows, stream) -> None:
  widths = [
    max(map(len, column)) for column in zip(columns, *rows, strict=True)
  ]
  print(f'\n{title}', file=stream)
  for row in (columns, ['-' * width for width in widths], *rows):
    first, *others = (
      entry.rjust(width) if index else entry.ljust(width)
      for index, (entry, width) in enumerate(zip(row, widths, strict=True))
    )
    print('  '.join([first, *others]).rstrip(), file=stream)
  print(file=stream, flush=True)


def _print_blocks(title, columns, rows, stream) -> None:
  print(f'\n{title}', file=stream)
  for first, *others in rows:
    print(f'\n{columns[0]}: {first}', file=stream)
    for name, entry in zip(columns[1:], others, strict=True):
      print(f'  {name}: {entry}'.rstrip(), file=stream)
  print(file=stream, flush=True)
