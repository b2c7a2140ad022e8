# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import types

from jaxnas.visualize import report_front
from tests.records import search_fronts_test

OBJECTIVES = search_fronts_test.OBJECTIVES


def run_of(trials):
  searched = [each for each in trials if each.arm != 'retrain']
  arms = [
    types.SimpleNamespace(name=name, label=label, role=role)
    for name, label, role in (
      ('known', 'known', 'known'),
      ('evolution', 'evolution', 'searched'),
      ('random', 'random search', 'baseline'),
    )
  ]
  summary = types.SimpleNamespace(arms=arms)
  return types.SimpleNamespace(searched=searched), summary


def test_each_strategy_has_a_staircase():
  chart = report_front.chart(*run_of(search_fronts_test.TRIALS), OBJECTIVES)
  drawn = {
    each.name: (each.x.tolist(), each.y.tolist()) for each in chart.curves
  }
  assert drawn == {
    'evolution': ([10, 30, 90], [0.5, 0.7, 0.9]),
    'random search': ([20], [0.8]),
  }
  assert all(each.is_stepped for each in chart.curves)


def test_the_table_has_the_front_of_the_run():
  table = report_front.table(*run_of(search_fronts_test.TRIALS), OBJECTIVES)
  places = [table.index(f'#{number}') for number in (1, 2, 0)]
  assert places == sorted(places)
  assert '#8' not in table
  assert 'random search' in table
  nothing = report_front.table(*run_of([]), OBJECTIVES)
  assert 'No trial of the search succeeded.' in nothing
