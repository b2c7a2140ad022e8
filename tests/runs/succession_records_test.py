# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of how the logs of a succession are read."""

import pathlib

import pytest

from jaxnas.records import heads, trial_log
from jaxnas.runs import succession_records
from tests.runs import succession_page_test

PATH = pathlib.Path('generations.jsonl')


def make_line(**changes):
  generation = succession_page_test.make_generation('control', 1)
  return {**generation.to_json(), **changes}


def test_a_folder_is_read_without_changing_it(tmp_path):
  folder = succession_page_test.make_run(tmp_path / 'run')
  before = {path: path.read_bytes() for path in folder.iterdir()}
  records = succession_records.read(folder)
  assert [(each.branch, each.number) for each in records.generations] == [
    ('control', 0),
    ('control', 1),
    ('succession', 1),
  ]
  assert len(records.retrainings) == 6
  assert [line['phase'] for line in records.timings] == ['search', 'retrain']
  assert records.config['base'] == 2
  assert before == {path: path.read_bytes() for path in folder.iterdir()}


def test_logs_of_another_run_are_refused(tmp_path):
  folder = succession_page_test.make_run(tmp_path / 'run')
  lines = trial_log.read_json_lines(folder / succession_records.GENERATIONS)
  heads.note(folder, lambda: {succession_records.GENERATIONS: lines[0]})
  succession_records.read(folder)
  heads.note(folder, lambda: {succession_records.GENERATIONS: lines[1]})
  with pytest.raises(ValueError, match='does not begin as this run'):
    succession_records.read(folder)


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'branch': 'other'}, "1 of 'other'"),
    ({'number': '1'}, "'1' of 'control'"),
    ({'rewards': [1.0]}, 'different numbers of lineages'),
    ({'rewards': []}, 'no entry for any lineage'),
    ({'areas': [1.0, 'x', 1.0, 1.0]}, "its areas have 'x'"),
    ({'areas': [1.0, float('nan'), 1.0, 1.0]}, 'its areas have nan'),
    ({'candidates': [[[1]], [], [[1]], [[1]]]}, 'has found no cell'),
    ({'candidates': [[['a']], [[1]], [[1]], [[1]]]}, 'has found no cell'),
    ({'more': 1}, 'A generation has the fields'),
  ],
)
def test_damaged_generations_are_named(changes, message):
  lines = [make_line(), make_line(**changes)]
  with pytest.raises(ValueError, match=r'jsonl: line 2 is damaged') as error:
    succession_records.to_generations(PATH, lines)
  assert message in str(error.value)


def test_damaged_retrainings_are_named():
  line = {'tokens': [1], 'seed': 1, 'validation': 3.5, 'report': None}
  succession_records.check_retrainings(PATH, [line])
  with pytest.raises(ValueError, match=r"line 2 .* seed is '1'"):
    succession_records.check_retrainings(PATH, [line, {**line, 'seed': '1'}])
