# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import csv
import json
import math

import pytest

from jaxnas import records
from jaxnas.records import trial_log

TRIALS = [
  trial_log.Trial(0, 'mine', 0, (0, 2), {'x': 1.5}, 0.5, {'loss': 2.0}, 'ok'),
  trial_log.Trial(
    1, 'mine', 1, (1, 1), {'x': 'a,"b"\n'}, 0.0, {}, 'failed', reason='a: b'
  ),
  trial_log.Trial(
    2, 'retrain', 0, None, {'x': 1.5}, -1.0, {'loss': math.nan, 'size': 3},
    'ok', settings={'seed': 4},
  ),
]  # fmt: skip


@pytest.fixture
def folder(tmp_path):
  with trial_log.TrialLog(tmp_path / 'trials.jsonl') as log:
    log.append(TRIALS)
  return tmp_path


def test_a_run_is_read_in_two_lines(folder):
  for place in (folder, str(folder), folder / 'trials.jsonl'):
    trials = records.read(place)
    assert [each.number for each in trials] == [0, 1, 2]
    assert trials[:2] == TRIALS[:2]


def test_rows_have_the_same_names_in_one_order(folder):
  rows = records.flatten(records.read(folder))
  assert {tuple(row) for row in rows} == {
    (
      'number', 'arm', 'repeat', 'proposal', 'version', 'status', 'reward',
      'duplicate_of',
      'metrics.loss', 'metrics.size', 'settings.seed', 'tokens',
      'architecture', 'reason',
    )
  }  # fmt: skip
  assert [row['metrics.loss'] for row in rows][:2] == [2.0, None]
  assert [row['settings.seed'] for row in rows] == [None, None, 4]
  assert json.loads(rows[1]['architecture']) == TRIALS[1].architecture
  assert rows[2]['tokens'] is None


def test_a_csv_file_holds_what_the_log_does(folder, tmp_path):
  records.write_csv(tmp_path / 'trials.csv', records.read(folder))
  with open(tmp_path / 'trials.csv', encoding='utf-8', newline='') as file:
    rows = list(csv.DictReader(file))
  assert [float(row['reward']) for row in rows] == [0.5, 0.0, -1.0]
  assert [json.loads(row['architecture']) for row in rows] == [
    trial.architecture for trial in TRIALS
  ]
  assert rows[1]['reason'] == 'a: b'
  records.write_csv(tmp_path / 'trials.csv', [])
  assert (tmp_path / 'trials.csv').read_text().split() == ['number']


def test_where_there_is_no_run_that_is_said(tmp_path):
  with pytest.raises(
    ValueError, match=r'There is no run in .*trials\.jsonl is'
  ):
    records.read(tmp_path)
  with pytest.raises(ValueError, match=r'There is no run in .*missing'):
    records.read(tmp_path / 'missing')
