# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of the pages of all kinds of runs in a browser, if there is one."""

import pytest

from jaxnas.runs import run_page
from tests.runs import (
  regret_page_test,
  succession_page_test,
  tuning_page_test,
)
from tests.visualize import browser

PROGRAM = browser.find()
RUNS = {
  'tuning': tuning_page_test.make_run,
  'succession': succession_page_test.make_run,
  'comparison': lambda folder: regret_page_test.make_run(
    folder, 'good', 'plain'
  ),
}

pytestmark = pytest.mark.skipif(
  PROGRAM is None, reason='There is no Chromium to look at the page with.'
)


@pytest.fixture(scope='module')
def page(tmp_path_factory):
  folder = tmp_path_factory.mktemp('browser')
  with browser.start(PROGRAM, folder) as started:
    yield started


@pytest.fixture(scope='module', params=RUNS)
def path(request, tmp_path_factory):
  folder = tmp_path_factory.mktemp('runs') / request.param
  return run_page.write(RUNS[request.param](folder))


@pytest.mark.parametrize('width', [400, 1400])
@pytest.mark.parametrize('is_dark', [False, True])
def test_pages_fit_the_window(page, path, width, is_dark):
  page.open(path, width, is_dark)
  assert page.evaluate('innerWidth') == width
  assert page.evaluate('document.documentElement.scrollWidth') <= width
  outside = page.evaluate(
    "[...document.querySelectorAll('body *')].filter((each) =>"
    ' !each.closest("svg") && !each.closest(".scroll *")'
    ' && each.getBoundingClientRect().right > innerWidth + 1)'
    '.map((each) => each.outerHTML.slice(0, 80))'
  )
  assert outside == []
  smallest = page.evaluate(
    "Math.min(...[...document.querySelectorAll('body *')]"
    '.filter((each) => !each.closest("svg"))'
    '.map((each) => parseFloat(getComputedStyle(each).fontSize)))'
  )
  assert smallest >= 12
  assert page.problems == []


def test_every_chart_tells_its_values(page, path):
  page.open(path, 1400)
  hidden = page.evaluate(
    "[...document.querySelectorAll('.chart .canvas')].filter((canvas) => {"
    '  const box = canvas.getBoundingClientRect();'
    "  canvas.dispatchEvent(new PointerEvent('pointermove', {"
    '    clientX: box.x + box.width / 2, clientY: box.y + 5}));'
    "  return canvas.querySelector('.tip').hidden;"
    '}).length'
  )
  assert hidden == 0
  assert page.evaluate("document.querySelectorAll('.chart .tip').length") > 0
  assert page.problems == []


def test_trainings_are_sorted_by_their_numbers(page, tmp_path):
  page.open(run_page.write(tuning_page_test.make_run(tmp_path / 'run')), 1400)
  page.evaluate("document.querySelector('#trainings th button').click()")
  names = page.evaluate(
    "[...document.querySelector('#trainings table').tBodies[0].rows]"
    '.map((row) => row.cells[0].textContent)'
  )
  assert names == ['#0 (usual)', '#1', '#2', '#3']
