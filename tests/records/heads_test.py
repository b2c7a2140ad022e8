# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import contextlib

import pytest

from jaxnas.records import heads, round_log, trial_log


@contextlib.contextmanager
def open_log(folder):
  with (
    trial_log.JsonLines(folder / 'a.jsonl') as log,
    heads.guard(folder, lambda: heads.of(log)),
  ):
    yield log


def test_a_log_of_another_run_is_refused(tmp_path):
  for name in ('one', 'other'):
    (tmp_path / name).mkdir()
    with open_log(tmp_path / name) as log:
      log.append([{'of': name, 'loss': 0.1}, {'of': name}])
  folder = tmp_path / 'one'
  with open_log(folder) as log:
    log.append([{'more': 1}])
  other = (tmp_path / 'other' / 'a.jsonl').read_bytes()
  (folder / 'a.jsonl').write_bytes(other)
  with (
    pytest.raises(ValueError, match=r'a\.jsonl does not begin as this'),
    open_log(folder),
  ):
    pass


def test_a_reader_compares_and_writes_nothing(tmp_path):
  def firsts():
    return {'trials.jsonl': {'reward': 0.1}}

  heads.check(tmp_path, firsts)
  assert not list(tmp_path.iterdir())
  heads.note(tmp_path, firsts)
  heads.check(tmp_path, firsts)
  # A log that an older version did not record.
  heads.check(tmp_path, lambda: {'rounds.jsonl': {'round': 0}})
  with pytest.raises(ValueError, match=r'trials\.jsonl does not begin as this'):
    heads.check(tmp_path, lambda: {'trials.jsonl': {'reward': 0.2}})


def test_the_logs_of_a_search_begin_with_its_first_trial_and_round():
  trial = trial_log.Trial(0, 'a', 0, (1,), {'x': 1}, 0.5, {}, 'ok')
  first = round_log.Round(0, 'a', 0, {'mean_reward': 0.5})
  assert heads.of_search([], []) == {}
  assert heads.of_search([trial], [first]) == {
    'trials.jsonl': trial.to_json(),
    'rounds.jsonl': {
      'round': 0,
      'arm': 'a',
      'repeat': 0,
      'metrics': {'mean_reward': 0.5},
    },
  }


def test_a_log_that_was_taken_away_is_begun_anew(tmp_path):
  with open_log(tmp_path) as log:
    log.append([{'loss': 0.1}])
  (tmp_path / 'a.jsonl').unlink()
  with open_log(tmp_path) as log:
    # As after a kill before the run has ended.
    assert not (tmp_path / 'logs.json').exists()
    log.append([{'loss': 0.2}])
  with open_log(tmp_path) as log:
    assert log.lines == [{'loss': 0.2}]
