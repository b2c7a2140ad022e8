# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

from jaxnas.records import in_turn, trial_log


def make_trials(*names):
  return {
    name: trial_log.Trial(9, name, 0, None, {}, 1.0, {}, 'ok') for name in names
  }


def test_trials_wait_for_their_turn(tmp_path):
  told = []
  with trial_log.TrialLog(tmp_path / 'trials.jsonl') as log:
    lines = in_turn.InTurn(log, ['b', 'a', 'c'], told.append)
    lines.add(make_trials('a', 'x'))
    assert not log.trials
    lines.add(make_trials('b'))
    assert [each.arm for each in log.trials] == ['b', 'a']
    # Whoever has no turn comes after all that have one.
    lines.add(make_trials('c'))
    lines.add(make_trials('y'))
    lines.close()
    assert [each.arm for each in log.trials] == ['b', 'a', 'c', 'x', 'y']
    assert [each.number for each in log.trials] == [0, 1, 2, 3, 4]
    assert [each for block in told for each in block] == log.trials


def test_a_turn_that_does_not_come_holds_nothing_back(tmp_path):
  with trial_log.TrialLog(tmp_path / 'trials.jsonl') as log:
    lines = in_turn.InTurn(log, ['b', 'a'])
    lines.add(make_trials('a', 'x'))
    lines.close()
    assert [each.arm for each in log.trials] == ['a', 'x']
