# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import math

import numpy as np
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


def test_probabilities_are_kept_if_there_are_any(tmp_path):
  path = tmp_path / 'rounds.jsonl'
  known = round_log.Round(2, 'mine', 0, {}, (0.25, math.nan, 1.0))
  with round_log.RoundLog(path) as log:
    log.append([*ROUNDS, known])
  assert path.read_text().count('probabilities') == 1
  *others, read = round_log.read_rounds(path)
  assert all(each.probabilities is None for each in others)
  np.testing.assert_array_equal(read.probabilities, known.probabilities)


def test_probabilities_are_rounded_and_end_with_what_was_decided():
  rounded = round_log.rounded
  found = rounded(np.array([0.33333, 1 + 1e-6, 0.66667, -1, 0.5, -1, -1]))
  np.testing.assert_array_equal(found, [0.333, 1, 0.667, math.nan, 0.5])
  assert rounded(np.full(3, -1.0)) == ()


def test_long_searches_have_ever_fewer_rounds_with_probabilities():
  numbers = [each for each in range(2048) if round_log.has_probabilities(each)]
  assert numbers[:64] == list(range(64))
  assert numbers[64:96] == list(range(64, 128, 2))
  assert numbers[96:128] == list(range(128, 256, 4))
  assert len(numbers) == 64 + 5 * 32


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
    '{"round":0,"arm":"a","repeat":0,"metrics":{},"probabilities":0.5}',
    '{"round":0,"arm":"a","repeat":0,"metrics":{},"probabilities":["a"]}',
    '{"round":0,"arm":"a","repeat":0,"metrics":{},"probabilities":[1.5]}',
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
