# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of what searches of a table amount to."""

import json

import numpy as np

from jaxnas.datasets import named_tables, reward_table
from jaxnas.runs import many_searches, regret_report

TABLE = named_tables.NamedTable(
  reward_table.Table((4, 5), np.linspace(0.0, 1.0, 20, dtype=np.float32)),
  'twenty',
  ('A line about it.',),
)
LABELS = {'good': 'the good one', 'plain': 'the plain one'}


def make(*names, baseline='plain'):
  entries = {
    'good': np.array([[3, 19, 19], [4, 18, 19], [5, 17, 19]], np.int32),
    'plain': np.array([[3, 4, 5], [6, 7, 8], [1, 2, 9]], np.int32),
  }
  found = {name: many_searches.Searches(entries[name], 2.0) for name in names}
  return regret_report.Report(TABLE, found, LABELS, baseline)


def test_strategies_are_compared_with_the_baseline_that_is_named(capsys):
  report = make('good', 'plain')
  assert report.results['plain'].against_random is None
  against = report.results['good'].against_random
  assert against.better == 1.0
  assert against.difference.value < 0
  report.show()
  shown = ' '.join(capsys.readouterr().out.split())
  assert 'the good one against the plain one, paired by seed: regret' in shown
  assert 'A line about it.' in shown


def test_without_the_baseline_nothing_is_compared(capsys):
  report = make('good')
  assert report.results['good'].against_random is None
  report.show()
  assert 'paired by seed' not in capsys.readouterr().out


def test_the_headline_says_what_is_better():
  assert make('good', 'plain').headline() == (
    'Lowest mean regret after 3 trials: the good one, 0. the good one is '
    'better than the plain one.'
  )
  assert (
    make('good', 'plain', baseline='good')
    .headline()
    .endswith(' the plain one is worse than the good one.')
  )
  assert make('plain').headline() == (
    'Lowest mean regret after 3 trials: the plain one, 0.614.'
  )


def test_the_file_has_the_table_and_every_strategy(tmp_path):
  make('good', 'plain').write(tmp_path)
  content = json.loads((tmp_path / 'results.json').read_text())
  assert content['table']['name'] == 'twenty'
  assert set(content['strategies']) == {'good', 'plain'}
  assert (content['num_seeds'], content['num_trials']) == (3, 3)
