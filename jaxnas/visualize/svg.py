# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The common parts of SVG pictures: the sheet, its title and its text."""

from __future__ import annotations

from collections.abc import Iterable
from xml.sax import saxutils

INK, MUTED = '#24292f', '#5b6470'

MARGIN = 20
"""The margin between the edge of a sheet and its content."""


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
    width: the width of the sheet, in pixels.
    height: the height of the sheet, in pixels.
    title: the title at the top; may be empty.
    name: the name of the picture if it has no title.
    description: the content in words, for readers who cannot see it.
    parts: the elements, from bottom to top.
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
  """Returns a title without unprintable characters."""
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
    x: the `x` of the anchor.
    y: the `y` of the baseline.
    content: the escaped text, or elements within it.
    size: the font size, in pixels.
    color: the color of the letters.
    weight: the font weight, `'normal'` or `'bold'`.
    anchor: the anchor of the text, `'start'`, `'middle'` or `'end'`.
  """
  return (
    f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" fill="{color}" '
    f'font-weight="{weight}" text-anchor="{anchor}">{content}</text>'
  )
