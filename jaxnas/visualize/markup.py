# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Pieces of HTML whose texts may come from strangers: all of them are escaped.

A function that returns HTML takes plain text, unless its docstring says
otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
import html
import itertools
import json
import re
from typing import Any, NamedTuple

from jaxnas.records import workdir

_MAX_TEXT = 500
_MAX_NAME = 80
_MAX_FACTS = 200
# A page may not contain control characters, nor halves of characters, as the
# names of files have that are no UTF-8.
_FORBIDDEN = re.compile('[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]')


class Cell(NamedTuple):
  """A cell of a table.

  Attributes:
    text: the text.
    value: the number that the cell is sorted by; the text decides if `None`.
  """

  text: str
  value: float | None = None


Row = Sequence[Cell | str]


def escape(text: Any) -> str:
  """Returns a text as HTML, also for use within a quoted attribute."""
  return html.escape(_FORBIDDEN.sub('\ufffd', str(text)), quote=True)


def embed_json(value: Any) -> str:
  """Returns JSON that can stand within a `script` element.

  Args:
    value: a value that `workdir.plain_json` accepts.
  """
  text = json.dumps(
    workdir.plain_json(value), separators=(',', ':'), allow_nan=False
  )
  # An element of a script ends at `</`, whatever surrounds it.
  for letter in '<>&\u2028\u2029':
    text = text.replace(letter, f'\\u{ord(letter):04x}')
  return text


def table(columns: Sequence[str], rows: Iterable[Row], name: str) -> str:
  """Returns a table that scrolls sideways in a box of its own.

  Args:
    columns: the headings; that of the first column heads the rows.
    rows: the cells of each row, as many as there are columns.
    name: the table's name for those who cannot see it.
  """
  rows = list(rows)
  numeric = [
    any(_is_number(row[place]) for row in rows) for place in range(len(columns))
  ]
  head = ''.join(
    f'<th scope="col"{_number_class(is_number)}>{escape(column)}</th>'
    for column, is_number in zip(columns, numeric, strict=True)
  )
  body = '\n'.join(
    f'<tr>{"".join(map(_draw_cell, row, numeric))}</tr>' for row in rows
  )
  return (
    f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(name)}'
    f'"><table data-sort><thead><tr>{head}</tr></thead>\n'
    f'<tbody>{body}</tbody></table></div>'
  )


def _is_number(cell: Cell | str) -> bool:
  return isinstance(cell, Cell) and cell.value is not None


def _number_class(is_number: bool) -> str:
  return ' class="number"' if is_number else ''


def _draw_cell(cell: Cell | str, is_number: bool) -> str:
  text = cell.text if isinstance(cell, Cell) else cell
  value = ''
  if isinstance(cell, Cell) and cell.value is not None:
    value = f' data-value="{cell.value:.9g}"'
  return f'<td{_number_class(is_number)}{value}>{escape(text)}</td>'


def facts(entries: Mapping[str, Any]) -> str:
  """Returns a list of names and their values.

  Args:
    entries: the values by name; those that are no text are spelled as JSON.
  """
  items = ''.join(
    f'<div><dt>{escape(shorten(name))}</dt><dd>{escape(spell(value))}</dd></div>'
    for name, value in itertools.islice(entries.items(), _MAX_FACTS)
  )
  left = len(entries) - _MAX_FACTS
  note = paragraphs([f'{left:,} more.'], 'note') if left > 0 else ''
  return f'<dl class="facts">{items}</dl>{note}'


def spell(value: Any) -> str:
  """Returns a value from a JSON file as text, which ends where it gets long."""
  text = _spell(value)
  return text if len(text) <= _MAX_TEXT else f'{text[:_MAX_TEXT]} …'


def shorten(name: str) -> str:
  """Returns a name, which ends where it gets long."""
  return name if len(name) <= _MAX_NAME else f'{name[:_MAX_NAME]}…'


def _spell(value: Any) -> str:
  if isinstance(value, str):
    return value
  if value is None:
    return '–'
  if isinstance(value, bool):
    return 'yes' if value else 'no'
  if isinstance(value, list | tuple) and not any(
    isinstance(each, list | tuple | dict) for each in value
  ):
    return ', '.join(map(_spell, value)) or 'none'
  return json.dumps(workdir.plain_json(value), ensure_ascii=False)


def paragraphs(lines: Iterable[str], kind: str = '') -> str:
  """Returns a paragraph for each line.

  Args:
    lines: the lines.
    kind: the class of the paragraphs, if any.
  """
  label = f' class="{kind}"' if kind else ''
  return ''.join(f'<p{label}>{escape(line)}</p>' for line in lines)


def bullets(lines: Iterable[str]) -> str:
  """Returns a list with a point for each line."""
  items = ''.join(f'<li>{escape(line)}</li>' for line in lines)
  return f'<ul>{items}</ul>'


def section(identity: str, title: str, *content: str) -> str:
  """Returns a section of a page.

  Args:
    identity: the section's id, which links name.
    title: the heading.
    *content: HTML.
  """
  body = '\n'.join(content)
  return (
    f'<section id="{identity}"><h2>{escape(title)}</h2>\n{body}\n</section>'
  )


def unfold(title: str, content: str, is_open: bool = False) -> str:
  """Returns a part of a page that opens by a click.

  Args:
    title: the line that is always seen.
    content: HTML.
    is_open: whether it is open at first.
  """
  state = ' open' if is_open else ''
  return (
    f'<details{state}><summary>{escape(title)}</summary>{content}</details>'
  )
