# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

from jaxnas.records import folder, round_log, standing, trial_log


def make_trial(number, arm, version):
  return trial_log.Trial(
    number, arm, 0, (1,), {}, 0.5, {}, 'ok', proposal=number, version=version
  )


def test_an_arm_says_how_far_it_is():
  trials = [
    make_trial(0, 'mine', 0),
    make_trial(1, 'old', None),
    make_trial(2, 'mine', 1),
    make_trial(3, trial_log.RETRAIN, None),
  ]
  rounds = [round_log.Round(index, 'mine', 0, {}) for index in range(4)]
  run = folder.Run('runs/mine', trials, rounds, [], {}, {}, None)
  assert standing.of(run) == [
    standing.Standing('mine', 0, 2, None, 4, 3),
    standing.Standing('old', 0, 1, None, 0, None),
  ]


def test_workers_are_those_that_joined_and_have_not_ended(tmp_path):
  assert standing.num_workers(tmp_path) is None
  lines = [
    '{"event": "joined", "worker": "process 1"}',
    '{"event": "joined", "worker": "process 2"}',
    '{"event": "answered", "worker": "process 2"}',
    '{"event": "died", "worker": "process 1"}',
    '{"event": "jo',
    '{"event": "joined", "worker": "process 3"}',
  ]
  (tmp_path / 'events.jsonl').write_text('\n'.join(lines))
  assert standing.num_workers(tmp_path) == 2
