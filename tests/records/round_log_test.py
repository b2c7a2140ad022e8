# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import math

import pytest

from jaxnas.records import round_log

ROUNDS = [
  round_log.Round(0, 'mine', 0, {'mean_reward': 0.5, 'entropy': math.inf}),
  round_log.Round(0, 'mine', 1, {'mean_reward': -0.25}),
  round_log.Round(1, 'mine', 0, {'mean_reward': 1e-300}),
]


def test_rounds_are_read_as_they_were_written(tmp_path):
  path = tmp_path / 'rounds.jsonl'
  with round_log.RoundLog(path) as log:
    log.append(ROUNDS[:2])
    log.append(ROUNDS[2:])
    assert log.rounds == ROUNDS
  read = round_log.read_rounds(path)
  assert [each.identity for each in read] == [each.identity for each in ROUNDS]
  assert [each.metrics['mean_reward'] for each in read] == [0.5, -0.25, 1e-300]
  # JSON has no other numbers.
  assert math.isnan(read[0].metrics['entropy'])


def test_what_is_recorded_is_not_written_again(tmp_path):
  path = tmp_path / 'rounds.jsonl'
  with round_log.RoundLog(path) as log:
    log.append(ROUNDS[:1])
  with round_log.RoundLog(path) as log:
    assert ROUNDS[0].identity in log
    assert ROUNDS[1].identity not in log
    log.append(ROUNDS)
  assert len(round_log.read_rounds(path)) == len(ROUNDS)


def test_a_line_that_was_cut_is_written_again(tmp_path):
  path = tmp_path / 'rounds.jsonl'
  with round_log.RoundLog(path) as log:
    log.append(ROUNDS)
  whole = path.read_bytes()
  path.write_bytes(whole[:-9])
  with round_log.RoundLog(path) as log:
    assert len(log.rounds) == 2
    log.append(ROUNDS)
  assert path.read_bytes() == whole


@pytest.mark.parametrize(
  'line',
  [
    '{"round":0,"arm":"mine","repeat":0}',
    '{"round":0,"arm":"mine","repeat":0,"metrics":[1]}',
    '{"round":0,"arm":"mine","repeat":0,"metrics":{"a":"b"}}',
    '{"round":0.5,"arm":"mine","repeat":0,"metrics":{}}',
    '{"round":0,"arm":"mine","repeat":-1,"metrics":{}}',
    '{"round":0,"arm":3,"repeat":0,"metrics":{}}',
    '[]',
  ],
)
def test_a_damaged_line_is_named(tmp_path, line):
  path = tmp_path / 'rounds.jsonl'
  whole = '{"round":0,"arm":"mine","repeat":0,"metrics":{}}\n'
  path.write_text(f'{line}\n{whole}')
  for read in (round_log.RoundLog, round_log.read_rounds):
    with pytest.raises(ValueError, match=r'rounds\.jsonl: line 1 is damaged'):
      read(path)


def test_an_older_run_has_no_rounds(tmp_path):
  assert round_log.read_rounds(tmp_path / 'rounds.jsonl') == []
