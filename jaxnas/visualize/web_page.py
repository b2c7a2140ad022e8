# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The frame of a report as a web page that stands alone.

The page loads nothing, and is the same byte for byte whenever it is made again
of the same contents. It can be read without its script, which only sorts tables
and shows the values of curves.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
import functools
import hashlib
import importlib.resources
import os
import re
import string
from typing import Any, Protocol

from jaxnas import files
from jaxnas.visualize import line_chart, markup

FILE = 'report.html'
"""The page's name in the folder of its run."""

MAX_BYTES = 2_000_000
"""A page is smaller than this."""


class _Template(string.Template):
  # Scripts and style sheets have other uses for a dollar.
  delimiter = '@@'


class Charts:
  """The charts of a page.

  Attributes:
    data: the data of the charts, which the page's script shows.
  """

  def __init__(self) -> None:
    self.data: list[dict[str, Any]] = []

  def draw(self, chart: line_chart.Chart) -> str:
    """Returns the next chart of the page as HTML."""
    self.data.append(line_chart.to_json(chart))
    return line_chart.draw(chart, len(self.data) - 1)


class Page(Protocol):
  """The contents of a page."""

  @property
  def title(self) -> str:
    """The heading of the page."""

  @property
  def is_done(self) -> bool:
    """Whether the verdict is the last word."""

  @property
  def charts(self) -> Charts:
    """The charts that the sections show."""

  def lead(self) -> str:
    """Returns a line on what was done."""

  def verdict(self) -> str:
    """Returns the verdict in a sentence or two."""

  def sections(self) -> Sequence[str]:
    """Returns the sections as HTML, made by `markup.section`."""


def render(page: Page) -> str:
  """Returns a page as HTML.

  Args:
    page: the contents of the page.
  """
  template, script_hash = _load_template()
  sections = page.sections()
  return template.substitute(
    script_hash=script_hash,
    title=markup.escape(page.title),
    lead=markup.escape(page.lead()),
    verdict=markup.escape(page.verdict()),
    verdict_kind='done' if page.is_done else 'open',
    links=''.join(
      f'<a href="#{identity}">{name}</a>'
      for identity, name in re.findall(
        r'<section id="([\w-]+)"><h2>([^<]*)</h2>', ''.join(sections)
      )
    ),
    sections='\n'.join(sections),
    data=markup.embed_json({'charts': page.charts.data}),
  )


def write(path: str | os.PathLike[str], page: str) -> None:
  """Writes a page.

  Args:
    path: the HTML file; an existing one is replaced.
    page: the page.

  Raises:
    OSError: the file cannot be written.
  """
  with files.replacing(path) as file:
    file.write(page.encode())


def draw_tiles(tiles: dict[str, str]) -> str:
  """Returns a few numbers of a run as HTML.

  Args:
    tiles: the numbers by name, spelled.
  """
  items = ''.join(
    f'<div><dt>{markup.escape(name)}</dt><dd>{markup.escape(value)}</dd></div>'
    for name, value in tiles.items()
  )
  return f'<dl class="tiles">{items}</dl>'


@functools.cache
def _load_template() -> tuple[_Template, str]:
  """Returns the template, and the hash by which browsers know its script."""
  files_of_package = importlib.resources.files('jaxnas.visualize')
  text = files_of_package.joinpath('report.html').read_text(encoding='utf-8')
  (script,) = re.findall(r'<script>(.*?)</script>', text, re.DOTALL)
  digest = hashlib.sha256(script.encode()).digest()
  return _Template(text), f'sha256-{base64.b64encode(digest).decode()}'
