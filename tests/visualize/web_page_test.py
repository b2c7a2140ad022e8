# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of the frame of a report."""

import dataclasses

import numpy as np

from jaxnas.visualize import line_chart, markup, web_page


@dataclasses.dataclass
class Page:
  """A page of given contents."""

  is_done: bool
  charts: web_page.Charts
  drawn: str
  title: str = '<t>'

  def lead(self):
    return 'l & l'

  def verdict(self):
    return 'v > w'

  def sections(self):
    return [markup.section('one', 'Salt & pepper', self.drawn)]


def render(is_done=True):
  charts = web_page.Charts()
  lines = [
    line_chart.Curve(
      name, 0, np.arange(3.0), np.arange(3.0), *(np.full(3, np.nan),) * 2
    )
    for name in ('first', 'second')
  ]
  drawn = ''.join(
    charts.draw(line_chart.Chart('title', 'x', 'y', [line], 'note'))
    for line in lines
  )
  return web_page.render(Page(is_done, charts, drawn)), charts


def test_charts_are_numbered_as_their_data_are():
  page, charts = render()
  assert [each['curves'][0]['name'] for each in charts.data] == [
    'first',
    'second',
  ]
  assert page.index('data-chart="0"') < page.index('data-chart="1"')


def test_texts_are_escaped_once():
  page, _ = render()
  assert '<h1>&lt;t&gt;</h1>' in page
  assert 'l &amp; l' in page
  assert '<a href="#one">Salt &amp; pepper</a>' in page
  assert '<div class="verdict done" id="verdict"><p>v &gt; w</p>' in page
  assert '<div class="verdict open"' in render(is_done=False)[0]
  assert '@@' not in page


def test_a_page_replaces_another(tmp_path):
  path = tmp_path / web_page.FILE
  path.write_text('old')
  web_page.write(path, 'é')
  assert path.read_bytes() == 'é'.encode()
  assert '<dt>a &lt;</dt><dd>1</dd>' in web_page.draw_tiles({'a <': '1'})
