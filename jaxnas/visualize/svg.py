# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""What pictures in SVG have in common: the sheet, its title, its text."""

from __future__ import annotations

from collections.abc import Iterable
from xml.sax import saxutils

INK, MUTED = '#24292f', '#5b6470'

MARGIN = 20
"""Between the edge of a sheet and what is drawn on it."""


def sheet(
  width: float,
  height: float,
  title: str,
  name: str,
  description: str,
  parts: Iterable[str],
) -> str:
  """Returns a standalone picture, without ids and style sheets.

  Args:
    width: width of the sheet, pixels.
    height: height of the sheet, pixels.
    title: what to write above; may be empty.
    name: what the picture is called where it has no title.
    description: the same in words, for those who cannot see it.
    parts: elements, from the undermost to the topmost.
  """
  size = f'{width:g} {height:g}'
  name = saxutils.escape(title or name)
  lines = [
    f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" '
    f'width="{width:g}" height="{height:g}" role="img" '
    'font-family="sans-serif">',
    f'<title>{name}</title>',
    f'<desc>{saxutils.escape(description)}</desc>',
    f'<rect width="{width:g}" height="{height:g}" fill="#ffffff"/>',
  ]
  if title:
    lines.append(text(width / 2, MARGIN + 6, name, 15, weight='bold'))
  return '\n'.join([*lines, *parts, '</svg>', ''])


def printable(title: str) -> str:
  """Returns a title without what cannot be printed."""
  return ''.join(letter for letter in title if letter.isprintable())


def text(
  x: float,
  y: float,
  content: str,
  size: float,
  color: str = INK,
  weight: str = 'normal',
  anchor: str = 'middle',
) -> str:
  """Returns a line of text.

  Args:
    x: where its anchor is.
    y: where its baseline is.
    content: the text, escaped, or elements of it.
    size: of the font, in pixels.
    color: of the letters.
    weight: `'normal'` or `'bold'`.
    anchor: `'start'`, `'middle'` or `'end'`.
  """
  return (
    f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" fill="{color}" '
    f'font-weight="{weight}" text-anchor="{anchor}">{content}</text>'
  )
