# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of the search loop with an evaluator that costs nothing."""

import dataclasses
import functools
import json
import shutil

import jax
import numpy as np
import pytest

from jaxnas import search as search_lib
from jaxnas.controllers import recurrent
from jaxnas.datasets import reward_table as tables
from jaxnas.records import checkpoints, round_log, trial_log
from jaxnas.spaces import conv_net, hyperparameters, recurrent_cell
from jaxnas.strategies import fixed, random_search, reinforce
from jaxnas.types import Evaluation, Evaluator, Status, Strategy

SPACE = recurrent_cell.make_space(2)
CONTROLLER = recurrent.make_controller(SPACE.decisions, features=4)
STRATEGIES = {
  'reinforce': reinforce.make_reinforce(CONTROLLER, learning_rate=0.2),
  'random': random_search.make_random_search(SPACE.decisions),
}
EXAMPLE = SPACE.encode(recurrent_cell.KNOWN_CELLS['paper_example'])
OTHER = np.zeros_like(EXAMPLE)
# The second is the first with the leaves swapped: equal, and in one batch.
KNOWN = [
  EXAMPLE,
  np.concatenate([EXAMPLE[[2, 3, 0, 1]], EXAMPLE[4:8], 1 - EXAMPLE[8:]]),
  OTHER,
  EXAMPLE,
]


class KilledError(Exception):
  pass


class CountingEvaluator:
  """A reward that depends on the canonical tokens and, a little, on the key."""

  def __init__(self, block_size=3, kill_after=None):
    self.num_evaluated = 0
    self.kill_after = kill_after
    self.evaluator = Evaluator(self.evaluate, block_size, 0.0)

  def evaluate(self, keys, tokens):
    assert 0 < len(tokens) <= self.evaluator.block_size
    if self.kill_after is not None and self.num_evaluated >= self.kill_after:
      raise KilledError
    self.num_evaluated += len(tokens)
    noise = jax.vmap(jax.random.uniform)(keys)
    score = np.array([np.mean(SPACE.canonical(row) == 1) for row in tokens])
    rewards = (score + 0.01 * np.asarray(noise)).astype(np.float32)
    # One combination fails, as children do.
    failed = tokens[:, 0] + tokens[:, 1] == 0
    return Evaluation(
      rewards=np.where(failed, np.float32(0), rewards),
      metrics={
        'noise': np.asarray(noise),
        'num_trained': np.full(len(tokens), 8, np.int32),
      },
      status=np.where(failed, Status.DIVERGED, Status.OK),
    )


def make_search(evaluator, num_trials=24, **changes):
  arms = (
    search_lib.Arm('known', fixed.make_fixed(KNOWN), 4, 2),
    search_lib.Arm('reinforce', STRATEGIES['reinforce'], num_trials, 6),
    search_lib.Arm('random', STRATEGIES['random'], num_trials, 6),
    search_lib.Arm('random', STRATEGIES['random'], num_trials, 6, repeat=1),
  )
  search = search_lib.Search(SPACE, arms, evaluator, jax.random.key(7))
  return dataclasses.replace(search, **changes)


def run_once(folder, evaluator, **changes):
  search = make_search(evaluator.evaluator, **changes)
  with (
    trial_log.TrialLog(folder / 'trials.jsonl') as log,
    checkpoints.Checkpoints(folder / 'checkpoints') as saved,
    round_log.RoundLog(folder / 'rounds.jsonl') as rounds,
  ):
    state = search_lib.run(
      search, log, saved, checkpoint_every=2, rounds=rounds
    )
    return state, list(log.trials)


def content(folder):
  return (folder / 'trials.jsonl').read_bytes()


def said(folder):
  return (folder / 'rounds.jsonl').read_bytes()


def assert_same_state(first, second):
  jax.tree.map(np.testing.assert_array_equal, first, second)


@pytest.fixture(scope='module')
def uninterrupted(tmp_path_factory):
  folder = tmp_path_factory.mktemp('uninterrupted')
  evaluator = CountingEvaluator()
  state, trials = run_once(folder, evaluator)
  return folder, state, trials, evaluator


def test_log_is_complete_and_in_order(uninterrupted):
  _, state, trials, evaluator = uninterrupted
  assert [trial.number for trial in trials] == list(range(4 + 3 * 24))
  assert int(state.num_trials) == len(trials)
  counts = {}
  for trial in trials:
    key = trial.arm, trial.repeat
    counts[key] = counts.get(key, 0) + 1
  assert counts == {
    ('known', 0): 4,
    ('reinforce', 0): 24,
    ('random', 0): 24,
    ('random', 1): 24,
  }
  new = [trial for trial in trials if trial.duplicate_of is None]
  assert evaluator.num_evaluated == len(new)
  assert {trial.status for trial in trials} == {'ok', 'diverged'}
  for trial in trials:
    cell = SPACE.decode(np.array(trial.tokens))
    assert recurrent_cell.RecurrentCell.from_json(trial.architecture) == cell


def test_duplicates_are_of_their_own_arm_and_share_the_reward(uninterrupted):
  trials = uninterrupted[2]
  known = [trial for trial in trials if trial.arm == 'known']
  assert [trial.duplicate_of for trial in known] == [None, 0, None, 0]
  first = {}
  for trial in trials:
    key = (
      trial.arm,
      trial.repeat,
      SPACE.canonical(np.array(trial.tokens)).tobytes(),
    )
    assert trial.duplicate_of == first.get(key)
    if key in first:
      assert trial.reward == trials[first[key]].reward
    first.setdefault(key, trial.number)


def test_repeats_propose_different_architectures(uninterrupted):
  trials = uninterrupted[2]
  first, second = (
    [t.tokens for t in trials if (t.arm, t.repeat) == ('random', repeat)]
    for repeat in (0, 1)
  )
  assert first != second


@pytest.mark.parametrize('kill_after', [0, 1, 4, 13, 20, 31, 40])
def test_killed_and_resumed_equals_uninterrupted(
  tmp_path, uninterrupted, kill_after
):
  folder, state, _, evaluator = uninterrupted
  first = CountingEvaluator(kill_after=kill_after)
  with pytest.raises(KilledError):
    run_once(tmp_path, first)
  second = CountingEvaluator()
  resumed, _ = run_once(tmp_path, second)
  assert content(tmp_path) == content(folder)
  assert said(tmp_path) == said(folder)
  assert_same_state(resumed, state)
  # Nothing that was recorded is trained again.
  assert first.num_evaluated + second.num_evaluated == evaluator.num_evaluated


def test_log_cut_in_a_line_and_between_rounds(tmp_path, uninterrupted):
  folder, state, *_ = uninterrupted
  whole = content(folder)
  for size in (len(whole) // 3, len(whole) - 5):
    case = tmp_path / str(size)
    case.mkdir()
    (case / 'trials.jsonl').write_bytes(whole[:size])
    resumed, _ = run_once(case, CountingEvaluator())
    assert content(case) == whole
    assert_same_state(resumed, state)


def test_state_without_checkpoints_is_made_from_the_log(
  tmp_path, uninterrupted
):
  folder, state, *_ = uninterrupted
  (tmp_path / 'trials.jsonl').write_bytes(content(folder))
  evaluator = CountingEvaluator()
  resumed, _ = run_once(tmp_path, evaluator)
  assert evaluator.num_evaluated == 0
  assert_same_state(resumed, state)


def test_checkpoint_ahead_of_the_log_is_not_used(tmp_path, uninterrupted):
  folder, state, *_ = uninterrupted
  run_once(tmp_path, CountingEvaluator())
  whole = content(folder)
  (tmp_path / 'trials.jsonl').write_bytes(whole[: len(whole) // 2])
  resumed, _ = run_once(tmp_path, CountingEvaluator())
  assert content(tmp_path) == whole
  assert_same_state(resumed, state)


def test_more_trials_go_on_where_fewer_ended(tmp_path, uninterrupted):
  folder, state, *_ = uninterrupted
  run_once(tmp_path, CountingEvaluator(), num_trials=12)
  resumed, _ = run_once(tmp_path, CountingEvaluator())
  assert content(tmp_path) == content(folder)
  assert said(tmp_path) == said(folder)
  assert_same_state(resumed, state)


def test_retraining_lines_are_no_part_of_the_search(tmp_path):
  _, trials = run_once(tmp_path, CountingEvaluator(), num_trials=12)
  with trial_log.TrialLog(tmp_path / 'trials.jsonl') as log:
    log.append(
      [
        dataclasses.replace(
          trials[0], number=len(trials), arm=search_lib.RETRAIN
        )
      ]
    )
  _, longer = run_once(tmp_path, CountingEvaluator(), num_trials=18)
  assert len(longer) == 4 + 3 * 18 + 1
  assert [trial.number for trial in longer] == list(range(len(longer)))


def test_what_strategies_say_is_a_line_a_round(uninterrupted):
  rounds = round_log.read_rounds(uninterrupted[0] / 'rounds.jsonl')
  known, random = ('known', 0), [('random', 0), ('random', 1)]
  arms = [[known, ('reinforce', 0), *random]] * 2
  arms += [[('reinforce', 0), *random]] * 2
  assert [each.identity for each in rounds] == [
    (index, *arm) for index, row in enumerate(arms) for arm in row
  ]
  trials = [each for each in uninterrupted[2] if each.arm == 'reinforce']
  mine = [each for each in rounds if each.arm == 'reinforce']
  assert mine[0].metrics.keys() == {
    'mean_reward', 'baseline', 'entropy', 'grad_norm',
  }  # fmt: skip
  for index, entry in enumerate(mine):
    rewards = [each.reward for each in trials[6 * index : 6 * index + 6]]
    np.testing.assert_allclose(
      entry.metrics['mean_reward'], np.mean(rewards), rtol=1e-6
    )


def test_a_policy_says_what_it_prefers(uninterrupted):
  rounds = round_log.read_rounds(uninterrupted[0] / 'rounds.jsonl')
  ends = np.cumsum([each.num_outcomes for each in SPACE.decisions])
  for each in rounds:
    if each.arm != 'reinforce':
      assert each.probabilities is None
      continue
    parts = np.split(np.array(each.probabilities), ends)
    assert not len(parts.pop())
    for part, decision in zip(parts, SPACE.decisions, strict=True):
      assert len(part) == decision.num_outcomes
      assert sum(part) == pytest.approx(1, abs=1e-3 * len(part))
  first, *_, last = [each for each in rounds if each.arm == 'reinforce']
  # It starts out nearly uniform, and learns.
  change = np.subtract(last.probabilities, first.probabilities)
  assert np.abs(change).max() > 0.02


@pytest.mark.parametrize('kept', [0, 1, 5, 13])
def test_rounds_that_were_lost_are_said_again(tmp_path, uninterrupted, kept):
  folder = uninterrupted[0]
  shutil.copytree(folder, tmp_path / 'run')
  path = tmp_path / 'run' / 'rounds.jsonl'
  lines = path.read_bytes().splitlines(keepends=True)
  path.write_bytes(b''.join(lines[:kept]) + lines[kept][:7])
  run_once(tmp_path / 'run', CountingEvaluator(kill_after=0))
  assert content(tmp_path / 'run') == content(folder)
  assert said(tmp_path / 'run') == said(folder)


def test_log_of_another_run_is_refused(tmp_path, uninterrupted):
  folder = uninterrupted[0]
  (tmp_path / 'trials.jsonl').write_bytes(content(folder))
  with pytest.raises(ValueError, match=r'not the one .* another folder'):
    run_once(tmp_path, CountingEvaluator(), key=jax.random.key(8))


def test_log_of_a_space_with_other_values_is_refused(tmp_path):
  def search_in(*values):
    space = hyperparameters.make_space(
      {
        'rate': hyperparameters.Choice(values),
        'width': hyperparameters.Choice((1, 2)),
      }
    )
    evaluator = Evaluator(
      lambda keys, tokens: Evaluation(
        np.ones(len(tokens), np.float32), {}, np.zeros(len(tokens), np.int32)
      ),
      4,
      0.0,
    )
    arm = search_lib.Arm(
      'random', random_search.make_random_search(space.decisions), 4, 4
    )
    search = search_lib.Search(space, (arm,), evaluator, jax.random.key(0))
    with trial_log.TrialLog(tmp_path / 'trials.jsonl') as log:
      search_lib.run(search, log)
      return len(log.trials)

  assert search_in(0.1, 0.2) == 4
  assert search_in(0.1, 0.2) == 4
  with pytest.raises(ValueError, match='What proposes trials has changed'):
    search_in(0.1, 0.3)


def test_duplicates_can_be_trained_again(tmp_path):
  evaluator = CountingEvaluator()
  _, trials = run_once(tmp_path, evaluator, reevaluate_duplicates=True)
  assert evaluator.num_evaluated == len(trials)
  again = [t for t in trials if t.duplicate_of is not None]
  assert again
  assert any(t.reward != trials[t.duplicate_of].reward for t in again)


def test_trial_depends_on_its_number_not_on_the_block_size(
  tmp_path, uninterrupted
):
  folder = uninterrupted[0]
  run_once(tmp_path, CountingEvaluator(block_size=7))
  assert content(tmp_path) == content(folder)


def test_reinforce_finds_better_cells_than_it_began_with(tmp_path):
  _, trials = run_once(tmp_path, CountingEvaluator(), num_trials=240)
  rewards = [trial.reward for trial in trials if trial.arm == 'reinforce']
  assert np.mean(rewards[-48:]) > np.mean(rewards[:48]) + 0.1


def test_progress_is_told_of_every_trial(tmp_path):
  told = []
  search = make_search(CountingEvaluator().evaluator)
  with trial_log.TrialLog(tmp_path / 'trials.jsonl') as log:
    search_lib.run(search, log, on_trials=told.extend)
    assert told == log.trials


def test_a_resumed_search_tells_of_new_trials_only(tmp_path, uninterrupted):
  folder, _, trials, _ = uninterrupted
  lines = content(folder).splitlines(keepends=True)
  path = tmp_path / 'trials.jsonl'
  # Two whole rounds and a part of one.
  path.write_bytes(b''.join(lines[: 2 * 20 + 5]))
  told = []
  with trial_log.TrialLog(path) as log:
    search = make_search(CountingEvaluator().evaluator)
    search_lib.run(search, log, on_trials=told.append)
  assert all(told)
  assert [each for block in told for each in block] == trials[2 * 20 + 5 :]


def test_arms_need_distinct_names():
  arm = search_lib.Arm('random', STRATEGIES['random'], 4, 2)
  with pytest.raises(ValueError, match='distinct names'):
    search_lib.Search(
      SPACE, (arm, arm), CountingEvaluator().evaluator, jax.random.key(0)
    )


def make_growing_search(evaluator, num_trials):
  space = conv_net.make_space(3, (1, 3), (1,), (2, 4))
  schedule = search_lib.DepthSchedule(1, 1, 12, 3, conv_net.layer_decisions())
  arms = tuple(
    search_lib.Arm(name, strategy, num_trials, 4, num_active=schedule)
    for name, strategy in (
      ('random', random_search.make_random_search(space.decisions)),
      (
        'reinforce',
        reinforce.make_reinforce(
          recurrent.make_controller(space.decisions, features=4)
        ),
      ),
    )
  )
  return search_lib.Search(space, arms, evaluator, jax.random.key(3))


@pytest.mark.slow
def test_depth_grows_with_the_trials_and_is_logged(tmp_path):
  def evaluate(keys, tokens):
    rewards = 1.0 + np.asarray(jax.vmap(jax.random.uniform)(keys))
    return Evaluation(rewards, {}, np.zeros(len(tokens), np.int32))

  contents = []
  for name, pieces in (('whole', (40,)), ('pieces', (16, 28, 40))):
    with trial_log.TrialLog(tmp_path / name) as log:
      for num_trials in pieces:
        search = make_growing_search(Evaluator(evaluate, 3, 0.0), num_trials)
        search_lib.run(search, log)
    contents.append((tmp_path / name).read_bytes())
    for arm in ('random', 'reinforce'):
      trials = [trial for trial in log.trials if trial.arm == arm]
      depths = [len(trial.architecture['layers']) for trial in trials]
      assert depths == [1] * 12 + [2] * 12 + [3] * 16
      assert [t.settings['num_active'] for t in trials] == [
        4 * depth for depth in depths
      ]
  # A budget that was raised twice is no other run.
  whole, pieces = (
    {
      (trial['arm'], tuple(trial['tokens']))
      for trial in map(json.loads, content.splitlines())
    }
    for content in contents
  )
  assert whole == pieces


TABLE = tables.Table(
  tuple(decision.num_choices for decision in SPACE.decisions),
  np.random.default_rng(0).uniform(size=SPACE.size),
)


def scan_table(strategy, key):
  return search_lib.scan(strategy, TABLE.look_up, key, 4, 6)


SCANS = {
  name: jax.jit(functools.partial(scan_table, strategy))
  for name, strategy in STRATEGIES.items()
}


@pytest.mark.parametrize('space', [SPACE, tables.make_space(TABLE)])
def test_scan_equals_run_trial_for_trial(tmp_path, space):
  evaluator = tables.make_evaluator(TABLE)
  search = make_search(evaluator, space=space)
  # A cell's equals up to swaps are other entries of this random table.
  search = dataclasses.replace(search, reevaluate_duplicates=space is SPACE)
  with trial_log.TrialLog(tmp_path / 'trials.jsonl') as log:
    state = search_lib.run(search, log)
  for arm, after in zip(search.arms[1:], state.strategies[1:], strict=True):
    key = search_lib.arm_key(search, arm)
    result = SCANS[arm.name](key)
    trials = [t for t in log.trials if (t.arm, t.repeat) == arm.identity]
    np.testing.assert_array_equal(
      result.tokens.reshape(-1, space.num_tokens),
      [trial.tokens for trial in trials],
    )
    np.testing.assert_array_equal(
      result.rewards.reshape(-1),
      np.array([trial.reward for trial in trials], np.float32),
    )
    assert result.metrics['mean_reward'].shape == (4,)
    # One program and several differ in the last bits, and Adam divides by the
    # size of the gradient, however small it is.
    jax.tree.map(
      lambda one, other: np.testing.assert_allclose(one, other, atol=1e-4),
      result.state,
      after,
    )


def test_a_log_is_continued_by_the_task_that_it_was_written_with(tmp_path):
  def evaluator_of(scale):
    def evaluate(keys, tokens):
      rewards = np.mean(tokens, 1, dtype=np.float32) * np.float32(scale)
      return Evaluation(rewards, {}, np.full(len(tokens), Status.OK))

    return Evaluator(evaluate, 4, 0.0)

  arm = search_lib.Arm('random', STRATEGIES['random'], 4, 4)

  def run(scale, num_trials, **settings):
    longer = dataclasses.replace(arm, num_trials=num_trials)
    search = search_lib.Search(
      SPACE, (longer,), evaluator_of(scale), jax.random.key(0)
    )
    with trial_log.TrialLog(tmp_path / 'trials.jsonl') as log:
      search_lib.run(search, log, **settings)

  run(1.0, 4)
  before = content(tmp_path)
  with pytest.raises(ValueError, match=r'has changed since .*scale.*same_task'):
    run(2.0, 8)
  assert content(tmp_path) == before
  run(1.0, 8)
  run(2.0, 12, same_task=True)
  run(2.0, 16)


def test_a_strategy_does_not_spend_more_than_the_budget(tmp_path):
  greedy = STRATEGIES['random']._replace(
    ask=lambda state, key, num_trials: STRATEGIES['random'].ask(state, key, 7)
  )
  counting = CountingEvaluator()
  search = make_search(counting.evaluator)
  search = dataclasses.replace(
    search, arms=(*search.arms, search_lib.Arm('greedy', greedy, 8, 4))
  )
  with (
    trial_log.TrialLog(tmp_path / 'trials.jsonl') as log,
    pytest.raises(ValueError, match=r"arm 'greedy' was asked for 4 .* 7;"),
  ):
    search_lib.run(search, log)
  assert not counting.num_evaluated


class Method:
  """A strategy of a user's own, as the methods of one object."""

  def __init__(self, step):
    self.step = step
    self.asked = []

  def ask(self, state, key, num_trials):
    self.asked.append(num_trials)
    return STRATEGIES['random'].ask(state, key, num_trials)

  def tell(self, state, proposals, rewards):
    return STRATEGIES['random'].tell(state, proposals, rewards * self.step)

  def make(self):
    return Strategy(STRATEGIES['random'].init, self.ask, self.tell)


def reinforce_at(learning_rate):
  return reinforce.make_reinforce(CONTROLLER, learning_rate)


@pytest.mark.parametrize(
  ('make', 'setting'),
  [
    (reinforce_at, 'step_size'),
    (lambda value: Method(value).make(), 'step of the Method'),
  ],
)
def test_a_log_is_continued_by_the_strategies_that_it_was_written_with(
  tmp_path, make, setting
):
  evaluator = CountingEvaluator().evaluator

  def run(strategy, num_trials, **settings):
    search = search_lib.Search(
      SPACE,
      (
        search_lib.Arm('mine', strategy, num_trials, 4),
        search_lib.Arm('random', STRATEGIES['random'], 8, 4),
      ),
      evaluator,
      jax.random.key(0),
    )
    with (
      trial_log.TrialLog(tmp_path / 'trials.jsonl') as log,
      checkpoints.Checkpoints(tmp_path / 'checkpoints') as saved,
    ):
      search_lib.run(search, log, saved, **settings)

  run(make(0.5), 8)
  before = content(tmp_path)
  message = f'proposes trials has changed since .*{setting}.*same_task'
  with pytest.raises(ValueError, match=message):
    run(make(0.01), 12)
  assert content(tmp_path) == before
  # That of a version which knew no such record.
  record = tmp_path / 'trials.strategies.json'
  record.unlink()
  run(make(0.5), 12)
  assert record.exists()
  run(make(0.01), 16, same_task=True)
  run(make(0.01), 20)
