# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of the fold that gives the state of a run after its log."""

import jax
import numpy as np
import pytest

from jaxnas import arms as arms_lib
from jaxnas import folding
from jaxnas import history as history_lib
from jaxnas.records import checkpoints, round_log, trial_log
from jaxnas.spaces import recurrent_cell
from jaxnas.strategies import evolution

SPACE = recurrent_cell.make_space(2)
KEY = jax.random.key(3)
ARM = arms_lib.Arm(
  'evolution',
  evolution.make_evolution(SPACE.decisions, 4, sample_size=2),
  num_trials=12,
  batch_size=3,
)


def next_trial(number, proposal):
  """Returns the trial of a proposal, whose reward its number decides."""
  return trial_log.Trial(
    number=number,
    arm=ARM.name,
    repeat=ARM.repeat,
    tokens=tuple(proposal.tokens.tolist()),
    architecture=SPACE.decode(proposal.tokens).to_json(),
    reward=float(np.sin(number)),
    metrics={},
    status='ok',
    proposal=proposal.proposal,
    version=proposal.version,
  )


def fold(folder, num_trials, has_checkpoints=True):
  """Continues a run up to some trials; returns its state."""
  folder.mkdir(exist_ok=True)
  with (
    trial_log.TrialLog(folder / 'trials.jsonl') as log,
    round_log.RoundLog(folder / 'rounds.jsonl') as rounds,
    checkpoints.Checkpoints(folder / 'checkpoints') as saved,
  ):
    history = history_lib.History(SPACE, log)
    folded = folding.Folded(
      *(SPACE, [ARM], KEY, history),
      *(saved if has_checkpoints else None, 2, rounds),
    )
    asked = folded.take_asked()
    while len(log.trials) < num_trials:
      history.append([next_trial(len(log.trials), asked.pop(0))])
      folded.catch_up(is_checked=False)
      asked += folded.take_asked()
    folded.finish()
    return folded.state


def assert_same(one, other):
  jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.mark.parametrize('has_checkpoints', [True, False])
@pytest.mark.parametrize('num_trials', [1, 3, 7])
def test_a_state_does_not_depend_on_where_a_run_was_cut(
  tmp_path, num_trials, has_checkpoints
):
  whole = fold(tmp_path / 'whole', 12)
  fold(tmp_path / 'cut', num_trials, has_checkpoints)
  assert_same(fold(tmp_path / 'cut', 12), whole)
  assert int(whole.num_trials) == 12
  (window,) = whole.windows
  assert (int(window.num_told), int(window.num_finished)) == (4, 4)
  # The strategy has learnt: it is not what it was.
  (first,) = folding.start(SPACE, [ARM], KEY).strategies
  with pytest.raises(AssertionError):
    assert_same(whole.strategies[0], first)


def test_arms_and_repeats_have_keys_of_their_own():
  arms = [
    arms_lib.Arm(name, ARM.strategy, 3, 3, repeat)
    for name in ('one', 'other')
    for repeat in (0, 1)
  ]
  keys = [jax.random.key_data(folding.arm_key(KEY, arm)) for arm in arms]
  assert len({tuple(np.asarray(each).tolist()) for each in keys}) == 4


def test_a_trial_that_is_not_proposed_is_refused(tmp_path):
  fold(tmp_path, 2)
  with trial_log.TrialLog(tmp_path / 'trials.jsonl') as log:
    history = history_lib.History(SPACE, log)
    other = jax.random.key(4)
    with pytest.raises(ValueError, match=r'Trial 0 in .* is not the one'):
      folding.Folded(SPACE, [ARM], other, history, None, 2, None)
