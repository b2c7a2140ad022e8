# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of the report of a run in a real browser, where there is one."""

import numpy as np
from PIL import Image
import pytest

from jaxnas.records import folder as folder_lib
from jaxnas.visualize import report, web_page
from tests.visualize import browser, report_runs

PROGRAM = browser.find()
WIDTHS = (400, 1400)

pytestmark = pytest.mark.skipif(
  PROGRAM is None, reason='There is no Chromium to look at the page with.'
)


@pytest.fixture(scope='module')
def page(tmp_path_factory):
  folder = tmp_path_factory.mktemp('browser')
  with browser.start(PROGRAM, folder) as started:
    yield started


@pytest.fixture(scope='module', params=report_runs.SPACES)
def path(request, tmp_path_factory):
  folder = tmp_path_factory.mktemp('runs') / request.param
  space = report_runs.SPACES[request.param]
  report_runs.make_run(folder, space, name=space.name)
  path = folder / 'report.html'
  web_page.write(path, report.render(folder_lib.read(folder)))
  return path


def middle(page, selector):
  """Returns the middle of the first element of a selector, scrolled to."""
  page.evaluate(
    f"document.querySelector('{selector}').scrollIntoView("
    "{block: 'center', behavior: 'instant'})"
  )
  box = page.evaluate(
    f"document.querySelector('{selector}').getBoundingClientRect().toJSON()"
  )
  return box['x'] + box['width'] / 2, box['y'] + box['height'] / 2


@pytest.mark.parametrize('width', WIDTHS)
def test_nothing_is_wider_than_the_window(page, path, width):
  page.open(path, width)
  assert page.evaluate('innerWidth') == width
  assert page.evaluate('document.documentElement.scrollWidth') <= width
  # Only boxes that scroll by themselves hold what is wider.
  outside = page.evaluate(
    "[...document.querySelectorAll('body *')].filter((each) =>"
    ' !each.closest("svg") && !each.closest(".scroll *")'
    ' && each.getBoundingClientRect().right > innerWidth + 1)'
    '.map((each) => each.outerHTML.slice(0, 80))'
  )
  assert outside == []
  assert page.problems == []


@pytest.mark.parametrize('width', WIDTHS)
def test_letters_are_large_enough_to_be_read(page, path, width):
  page.open(path, width)
  smallest = page.evaluate(
    "Math.min(...[...document.querySelectorAll('body *')]"
    '.filter((each) => !each.closest("svg"))'
    '.map((each) => parseFloat(getComputedStyle(each).fontSize)))'
  )
  assert smallest >= 12


@pytest.mark.parametrize('width', WIDTHS)
def test_a_table_is_sorted_by_a_click(page, path, width):
  page.open(path, width)
  column = (
    "[...document.querySelector('#retrained table').tBodies[0].rows]"
    '.map((row) => row.cells[0].textContent)'
  )
  before = page.evaluate(column)
  assert before[0] == 'LSTM'
  heading = '#retrained th:nth-child(1) button'
  page.point_at(*middle(page, heading), clicks=True)
  assert page.evaluate(column) == sorted(before)
  sort = "document.querySelector('#retrained th').getAttribute('aria-sort')"
  assert page.evaluate(sort) == 'ascending'
  page.point_at(*middle(page, heading), clicks=True)
  assert page.evaluate(column) == sorted(before, reverse=True)
  assert page.evaluate(sort) == 'descending'
  assert page.problems == []


def test_numbers_are_sorted_as_numbers(page, path):
  page.open(path, 1400)
  page.evaluate(
    "[...document.querySelectorAll('#retrained th button')]"
    ".find((each) => each.textContent === 'parameters').click()"
  )
  names = page.evaluate(
    "[...document.querySelector('#retrained table').tBodies[0].rows]"
    '.map((row) => row.textContent)'
  )
  # As texts, 1,234,567 would come before 7,654.
  assert '7,654' in names[0]
  assert '1,234,567' in names[1]


@pytest.mark.parametrize('width', WIDTHS)
def test_the_pointer_shows_the_values_of_a_curve(page, path, width):
  page.open(path, width)
  hidden = "document.querySelector('.chart .tip').hidden"
  assert page.evaluate(hidden)
  page.point_at(*middle(page, '.chart .canvas'))
  assert not page.evaluate(hidden)
  told = page.evaluate("document.querySelector('.chart .tip').textContent")
  assert told.startswith('proposals of one search: 1')
  assert 'REINFORCE (2 searches): ' in told
  assert ' to ' in told
  box = page.evaluate(
    "document.querySelector('.chart .tip').getBoundingClientRect().toJSON()"
  )
  assert box['left'] >= 0
  assert box['right'] <= width
  page.point_at(1, 1)
  assert page.evaluate(hidden)
  assert page.problems == []


def test_a_small_picture_can_be_enlarged(page, path):
  page.open(path, 1400)
  if not page.evaluate("document.querySelector('.card .paper') !== null"):
    assert not page.evaluate("document.querySelector('.card button')")
    return
  width = "document.querySelector('.card').getBoundingClientRect().width"
  small = page.evaluate(width)
  page.point_at(*middle(page, '.card button'), clicks=True)
  assert page.evaluate(width) > 2 * small
  page.point_at(*middle(page, '.card button'), clicks=True)
  assert page.evaluate(width) == small


def test_the_page_is_light_or_dark_as_the_reader_likes(page, path, tmp_path):
  means = []
  for is_dark in (False, True):
    page.open(path, 400, is_dark)
    page.screenshot(tmp_path / 'page.png', height=900)
    with Image.open(tmp_path / 'page.png') as picture:
      means.append(np.asarray(picture.convert('L')).mean())
  assert means[0] > 200
  assert means[1] < 70


def test_a_script_that_slipped_in_would_not_run(page, path, tmp_path):
  text = path.read_text(encoding='utf-8')
  changed = tmp_path / 'changed.html'
  changed.write_text(
    text.replace('</main>', '<script>window.slipped = 1</script></main>'),
    encoding='utf-8',
  )
  page.open(changed, 1400)
  assert page.evaluate('window.slipped') is None
  assert any('Content Security Policy' in each for each in page.problems)
  page.problems.clear()
