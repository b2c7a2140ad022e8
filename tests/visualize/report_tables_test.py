# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of the tables of a report."""

import dataclasses
import re

import pytest

from jaxnas import statistics
from jaxnas.records import folder as folder_lib
from jaxnas.visualize import report_tables
from tests.visualize import report_runs


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  folder = tmp_path_factory.mktemp('runs') / 'run'
  return folder_lib.read(report_runs.make_run(folder))


def cells(html):
  return [
    re.findall(r'<td[^>]*>([^<]*)</td>', row)
    for row in re.findall(r'<tr>(<td.*?)</tr>', html)
  ]


def test_intervals_of_ratios_are_those_of_logarithms(run):
  (_, found) = cells(report_tables.draw_retraining(run.summary))
  assert found[1] == '41.00'
  # By hand: the geometric mean of 40, 41 and 42 is 40.99, and the interval is
  # 4.303 standard errors of the logarithms, 0.0141 each, to either side.
  assert found[2] == '38.58 to 43.55'
  accuracies = dataclasses.replace(run.summary, measure=statistics.ACCURACY)
  (_, found) = cells(report_tables.draw_retraining(accuracies))
  assert found[2] == '3851.59 to 4348.41 %'


def test_failed_trainings_have_neither_mean_nor_interval(run):
  (known, _) = cells(report_tables.draw_retraining(run.summary))
  assert known[1:3] == ['1 of 3 failed', '–']
  assert known[5] == '1,234,567'


def test_without_report_data_there_is_no_such_column(run):
  results = dataclasses.replace(run.summary.results, has_report=False)
  summary = dataclasses.replace(run.summary, results=results)
  drawn = report_tables.draw_retraining(summary)
  assert 'report perplexity' not in drawn
  assert 'There is no report data' in drawn


def test_time_is_told_by_phase(run):
  found = cells(report_tables.draw_cost(run.timings))
  assert found == [
    ['search', '10 s', '2.0 s', '5.0 s', '3.0 s'],
    ['retrain', '10 s', '2.0 s', '5.0 s', '3.0 s'],
    ['all', '20 s', '4.0 s', '10 s', '6.0 s'],
  ]
  busy = [{**line, 'train_seconds': 30.0} for line in run.timings]
  assert 'side by side' in report_tables.draw_cost(busy)


@pytest.mark.parametrize(
  ('command', 'told'),
  [
    (
      '/x/python -m a.b --workdir=/x --c=1',
      'python -m a.b \\\n  --workdir=runs/x \\\n  --c=1',
    ),
    (
      'python -m a.b --workdir /x --c=1',
      'python -m a.b \\\n  --workdir=runs/x \\\n  --c=1',
    ),
    ('python -m a.b --workdir=a/x', 'python -m a.b \\\n  --workdir=a/x'),
    ('python -m a.b --workdir=../x', 'python -m a.b \\\n  --workdir=runs/x'),
    ("python -m a.b --c='1 2'", "python -m a.b \\\n  '--c=1 2'"),
    ('python /x/mine.py', ''),
    ("python -m 'a", ''),
    (None, ''),
  ],
)
def test_a_command_is_told_without_paths(command, told):
  assert report_tables.spell_command(command) == told
