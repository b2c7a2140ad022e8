# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of the summary that a report shows."""

from jaxnas.decisions import Choice
from jaxnas.records import folder
from jaxnas.spaces import hyperparameters
from jaxnas.visualize import report_summary
from tests.visualize import report_runs


def test_a_summary_stays_but_for_long_names(tmp_path):
  long = 'x' * 200
  run = folder.read(
    report_runs.make_run(
      tmp_path / 'run',
      hyperparameters.make_space({long: Choice((long, 'b'))}),
      arms=(('a', long, 'searched'), ('b', 'B', 'baseline')),
    )
  )
  found = report_summary.of_run(run)
  assert found.arms[0].label == 'x' * 80 + '…'
  assert found.arms[0].name == 'a'
  assert found.decisions[0].labels == ('x' * 80 + '…', 'b')
  assert found.results == run.summary.results


def test_the_log_alone_tells_who_proposed(tmp_path):
  made = report_runs.make_run(tmp_path / 'run')
  run = folder.read(made)._replace(summary=None)
  found = report_summary.of_run(run)
  assert [(arm.name, arm.repeat, arm.role) for arm in found.arms] == [
    ('reinforce', 0, 'searched'),
    ('reinforce', 1, 'searched'),
    ('random', 0, 'baseline'),
    ('random', 1, 'baseline'),
  ]
  assert {arm.num_trials for arm in found.arms} == {24}
  assert found.results is None
