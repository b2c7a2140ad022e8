# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of which page a run gets."""

import pytest

from jaxnas.runs import run_page
from tests.runs import (
  regret_page_test,
  succession_page_test,
  tuning_page_test,
)
from tests.visualize import report_runs


def test_every_kind_of_run_has_its_page(tmp_path):
  folders = {
    'Search for a recurrent cell': report_runs.make_run(tmp_path / 'search'),
    'Tuning of a long training': tuning_page_test.make_run(tmp_path / 'tune'),
    'Succession of controllers': succession_page_test.make_run(
      tmp_path / 'cells'
    ),
    'Comparison of strategies': regret_page_test.make_run(
      tmp_path / 'compared', 'good', 'plain'
    ),
  }
  for title, folder in folders.items():
    path = run_page.write(folder)
    assert path == folder / 'report.html'
    assert f'<h1>{title}</h1>' in path.read_text(encoding='utf-8')


def test_a_folder_without_a_run_is_refused(tmp_path):
  with pytest.raises(ValueError, match='There is no run in'):
    run_page.write(tmp_path)
  assert not list(tmp_path.iterdir())


def test_only_searches_have_trials_to_list(tmp_path):
  assert run_page.is_search(tuning_page_test.make_run(tmp_path / 'tune'))
  assert run_page.is_search(tmp_path)
  cells = succession_page_test.make_run(tmp_path / 'cells')
  assert not run_page.is_search(cells)
  assert not run_page.is_search(regret_page_test.make_run(tmp_path / 'begun'))
