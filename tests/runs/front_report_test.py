# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import csv
import types

import pytest

from jaxnas import search
from jaxnas.runs import front_report
from tests.records import search_fronts_test

ARMS = [
  search.Arm('known', None, 1, 1, role=search.Role.KNOWN),
  search.Arm('evolution', None, 4, 4, label='evolution'),
  search.Arm('evolution', None, 4, 4, repeat=1, label='evolution'),
  search.Arm('random', None, 4, 4, label='random search'),
]


def write(path, objectives):
  experiment = types.SimpleNamespace(
    objectives=objectives, search=types.SimpleNamespace(arms=ARMS)
  )
  log = types.SimpleNamespace(trials=search_fronts_test.TRIALS)
  return front_report.write(experiment, path, log)


def test_the_front_of_each_search_is_a_file_a_table_and_a_picture(
  tmp_path, capsys, monkeypatch
):
  monkeypatch.setenv('COLUMNS', '200')
  assert write(tmp_path, ('reward', 'size')) == ['front.csv', 'front.png']
  with open(tmp_path / 'front.csv', newline='') as file:
    rows = list(csv.DictReader(file))
  told = [
    (row['trial'], row['reward'], row['size'], row['part'], row['is_on_front'])
    for row in rows
  ]
  assert told == [
    ('1', '0.9', '90.0', 'highest reward', '1'),
    ('0', '0.5', '10.0', 'cheapest', '1'),
    ('8', '0.7', '30.0', 'highest reward', '0'),
    ('2', '0.8', '20.0', 'highest reward', '1'),
  ]
  assert (tmp_path / 'front.png').stat().st_size > 1000
  printed = ' '.join(capsys.readouterr().out.split())
  # (0.5 - 0.4) 80, which the end of the highest reward adds nothing to, since
  # it costs the most; and (0.7 - 0.4) 60. The mean is 13.
  assert 'reward 0.4, size 90' in printed
  line = printed[printed.index('evolution 2 1.5 2 of 3 13 ') :]
  low, high = (float(word) for word in line.split()[7:10:2])
  assert low + high == pytest.approx(26, rel=1e-3)
  assert 'random search 1 1 1 of 3 28 -' in printed


def test_with_one_objective_there_is_no_front(tmp_path, capsys):
  assert write(tmp_path, ()) == []
  assert not list(tmp_path.iterdir())
  assert not capsys.readouterr().out
