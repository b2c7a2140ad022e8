# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of reading a whole run."""

import pytest

from jaxnas.records import folder, trial_log


def trial(number, arm):
  return trial_log.Trial(number, arm, 0, (0,), {}, 0.5, {}, 'ok')


def write_log(path, *arms):
  with trial_log.TrialLog(path / 'trials.jsonl') as log:
    log.append([trial(*each) for each in enumerate(arms)])


def test_trials_are_told_from_retrainings(tmp_path):
  write_log(tmp_path, 'ppo', 'ppo', 'retrain')
  run = folder.read(tmp_path)
  assert [each.number for each in run.searched] == [0, 1]
  assert [each.number for each in run.retrained] == [2]
  # Nothing else is there, as in the folder of an older version.
  assert (run.summary, run.config, run.rounds, run.timings) == (
    None,
    {},
    [],
    [],
  )


def test_a_damaged_timing_is_named(tmp_path):
  write_log(tmp_path, 'ppo')
  with trial_log.JsonLines(tmp_path / 'timings.jsonl') as lines:
    lines.append([{'phase': 'search', 'wall_seconds': 'long'}])
  with pytest.raises(ValueError, match="its wall_seconds is 'long'"):
    folder.read(tmp_path)


def test_a_folder_without_a_run_is_refused(tmp_path):
  with pytest.raises(ValueError, match='There is no run in'):
    folder.read(tmp_path)
