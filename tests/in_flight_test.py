# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of searches whose blocks finish in any order."""

import contextlib
import dataclasses
import json
import random
import time

import jax
import numpy as np
import pytest

from jaxnas import pure_search
from jaxnas import search as search_lib
from jaxnas.controllers import recurrent
from jaxnas.datasets import reward_table
from jaxnas.records import checkpoints, round_log, trial_log
from jaxnas.spaces import recurrent_cell
from jaxnas.strategies import evolution, fixed, ppo, random_search, reinforce
from jaxnas.types import Evaluation, Evaluator, Status

SPACE = recurrent_cell.make_space(2)
CONTROLLER = recurrent.make_controller(SPACE.decisions, features=3)
STRATEGIES = {
  'reinforce': reinforce.make_reinforce(CONTROLLER, 0.2),
  'ppo': ppo.make_ppo(CONTROLLER, 0.2),
  'evolution': evolution.make_evolution(SPACE.decisions, 5, 2),
  'random': random_search.make_random_search(SPACE.decisions),
}
EXAMPLE = SPACE.encode(recurrent_cell.KNOWN_CELLS['paper_example'])
# The second is the first with the leaves swapped, and equal.
KNOWN = [
  EXAMPLE,
  np.concatenate([EXAMPLE[[2, 3, 0, 1]], EXAMPLE[4:8], 1 - EXAMPLE[8:]]),
  np.zeros_like(EXAMPLE),
  EXAMPLE,
]


class KilledError(Exception):
  pass


class Queue:
  """Blocks that finish in random order, some at a time.

  Attributes:
    sizes: the number of trials of each block.
    block_size: the largest of them that is possible.
  """

  block_size = 3

  def __init__(self, num_workers, seed, kill_after=None):
    self.num_workers, self.kill_after = num_workers, kill_after
    self.random = random.Random(seed)
    self.blocks, self.sizes = {}, []

  @property
  def num_wanted(self):
    return self.num_workers - len(self.blocks)

  def submit(self, keys, tokens):
    self.blocks[len(self.sizes)] = keys, tokens
    self.sizes.append(len(tokens))
    return len(self.sizes) - 1

  def collect(self):
    if self.kill_after is not None:
      if not self.kill_after:
        raise KilledError
      self.kill_after -= 1
    finished = self.random.sample(
      sorted(self.blocks), self.random.randint(1, min(2, len(self.blocks)))
    )
    return [(each, evaluate(*self.blocks.pop(each))) for each in finished]


def evaluate(keys, tokens):
  """Rewards that depend on the key, and now and then a failure."""
  noise = np.asarray(jax.vmap(jax.random.uniform)(keys))
  score = np.array([np.mean(SPACE.canonical(row) == 1) for row in tokens])
  failed = tokens[:, 0] + tokens[:, 1] == 0
  rewards = (score + 0.01 * noise).astype(np.float32)
  return Evaluation(
    rewards=np.where(failed, np.float32(0), rewards),
    metrics={'noise': noise},
    status=np.where(failed, Status.DIVERGED, Status.OK),
  )


def make_search(queue=None, block_size=3, num_trials=24, **changes):
  """Makes a search of three arms; `changes` are those of the arms."""
  if queue is not None:
    queue.block_size = block_size
  evaluator = Evaluator(
    evaluate, block_size, 0.0, 'task', queue and (lambda: queue)
  )
  names = changes.pop('names', ('reinforce', 'random'))
  settings = {'batch_size': 2} | changes
  reevaluate = settings.pop('reevaluate_duplicates', False)
  arms = [search_lib.Arm('known', fixed.make_fixed(KNOWN), 4, 4)]
  for name in names:
    arms.append(search_lib.Arm(name, STRATEGIES[name], num_trials, **settings))
  return search_lib.Search(
    SPACE, tuple(arms), evaluator, jax.random.key(7), reevaluate
  )


def run(folder, search, with_checkpoints=True, **settings):
  folder.mkdir(exist_ok=True)
  with (
    trial_log.TrialLog(folder / 'trials.jsonl') as log,
    checkpoints.Checkpoints(folder / 'checkpoints') as saved,
    round_log.RoundLog(folder / 'rounds.jsonl') as rounds,
  ):
    return search_lib.run(
      search,
      log,
      saved if with_checkpoints else None,
      checkpoint_every=1,
      rounds=rounds,
      **settings,
    )


def read(folder):
  return trial_log.read_trials(folder / 'trials.jsonl')


def content(folder):
  return (folder / 'trials.jsonl').read_bytes()


def sorted_lines(folder):
  """The trials without what their order decides, sorted."""
  trials = read(folder)
  lines = []
  for trial in trials:
    line = trial.to_json() | {'is_duplicate': trial.duplicate_of is not None}
    del line['number'], line['duplicate_of']
    lines.append(json.dumps(line, sort_keys=True))
    if trial.duplicate_of is not None:
      first = trials[trial.duplicate_of]
      assert first.number < trial.number
      assert (first.arm, first.duplicate_of) == (trial.arm, None)
  return sorted(lines)


def assert_equal(one, other):
  assert jax.tree.structure(one) == jax.tree.structure(other)
  jax.tree.map(np.testing.assert_array_equal, one, other)


def said(folder):
  rounds = round_log.read_rounds(folder / 'rounds.jsonl')
  return sorted(rounds, key=lambda each: each.identity)


ASYNCHRONOUS = {'replicas': 3, 'replicas_per_update': 2}


@pytest.mark.slow
@pytest.mark.parametrize('num_workers', [1, 2, 4])
@pytest.mark.parametrize('reevaluate_duplicates', [False, True])
def test_workers_do_not_matter_in_lock_step(
  tmp_path, num_workers, reevaluate_duplicates
):
  changes = {'reevaluate_duplicates': reevaluate_duplicates}
  state = run(tmp_path / 'local', make_search(**changes))
  queue = Queue(num_workers, 3)
  other = run(tmp_path / 'other', make_search(queue, **changes))
  assert sorted_lines(tmp_path / 'other') == sorted_lines(tmp_path / 'local')
  assert_equal(other.windows, state.windows)
  assert said(tmp_path / 'other') == said(tmp_path / 'local')
  assert max(queue.sizes) == 3


@pytest.mark.parametrize('changes', [{}, ASYNCHRONOUS])
def test_one_worker_writes_the_same_bytes_whenever_it_was_killed(
  tmp_path, changes
):
  names = ('reinforce', 'random')
  search = make_search(names=names, **changes)
  # Arms in step with each other; the known cells would have fewer replicas.
  search = dataclasses.replace(search, arms=search.arms[1:])
  state = run(tmp_path / 'whole', search)
  whole = content(tmp_path / 'whole')
  lines = whole.splitlines(keepends=True)
  assert len(lines) == 48
  for length in range(0, 48, 5):
    folder = tmp_path / str(length)
    folder.mkdir()
    (folder / 'trials.jsonl').write_bytes(b''.join(lines[:length]))
    resumed = run(folder, search, with_checkpoints=False)
    assert content(folder) == whole
    assert (folder / 'rounds.jsonl').read_bytes() == (
      tmp_path / 'whole' / 'rounds.jsonl'
    ).read_bytes()
    assert_equal(resumed, state)


@pytest.mark.parametrize('names', [('reinforce', 'ppo'), ('evolution',)])
def test_killed_at_every_moment_and_resumed(tmp_path, names):
  changes = {'names': names, 'num_trials': 16, **ASYNCHRONOUS}
  changes['block_size'] = 1
  kept = b''
  for moment in range(100):
    # Every start is killed after one more answer.
    queue, state = Queue(3, moment, kill_after=2), None
    with contextlib.suppress(KilledError):
      state = run(tmp_path / 'run', make_search(queue, **changes))
    assert content(tmp_path / 'run').startswith(kept)
    kept = content(tmp_path / 'run')
    if state is not None:
      break
  assert moment > 4
  trials = read(tmp_path / 'run')
  for name in names:
    mine = sorted(each.proposal for each in trials if each.arm == name)
    assert mine == list(range(16))
  # What was in flight when it was killed does not count.
  again = make_search(Queue(4, 1), **changes)
  assert_equal(run(tmp_path / 'again', again, replay=trials), state)
  assert content(tmp_path / 'again') == kept


def test_what_was_killed_is_a_fold_over_its_log(tmp_path):
  for moment in (1, 3, 5, 7):
    folder = tmp_path / str(moment)
    with pytest.raises(KilledError):
      run(folder, make_search(Queue(3, 1, moment), **ASYNCHRONOUS))
    prefix = content(folder)
    state = run(folder, make_search(Queue(2, moment), **ASYNCHRONOUS))
    assert content(folder).startswith(prefix)
    (tmp_path / 'log').mkdir(exist_ok=True)
    (tmp_path / 'log' / 'trials.jsonl').write_bytes(content(folder))
    folded = run(
      tmp_path / 'log',
      make_search(Queue(1, 0, 0), **ASYNCHRONOUS),
      with_checkpoints=False,
    )
    assert_equal(folded, state)
    (tmp_path / 'log' / 'rounds.jsonl').unlink()


def test_checkpoint_of_another_log_is_not_used(tmp_path):
  whole = run(tmp_path, make_search(Queue(3, 1), **ASYNCHRONOUS))
  lines = content(tmp_path).splitlines(keepends=True)
  (tmp_path / 'trials.jsonl').write_bytes(b''.join(lines[:20]))
  (tmp_path / 'rounds.jsonl').unlink()
  # The log grows past the checkpoints, in another order.
  run(tmp_path, make_search(Queue(3, 2), **ASYNCHRONOUS), False)
  state = run(tmp_path, make_search(Queue(3, 3), **ASYNCHRONOUS))
  (tmp_path / 'rounds.jsonl').unlink()
  folded = run(tmp_path, make_search(Queue(1, 0, 0), **ASYNCHRONOUS), False)
  assert_equal(folded, state)
  assert folded.checksum != whole.checksum


def test_keys_follow_from_arm_and_proposal(tmp_path):
  run(tmp_path / 'a', make_search(Queue(4, 1, None), 1, **ASYNCHRONOUS))
  search = make_search(Queue(2, 5, None), 4, **ASYNCHRONOUS)
  run(tmp_path / 'b', search)
  for folder in (tmp_path / 'a', tmp_path / 'b'):
    for trial in read(folder):
      if trial.duplicate_of is None:
        (arm,) = (arm for arm in search.arms if arm.name == trial.arm)
        key = pure_search.trial_key(
          search_lib.arm_key(search, arm), trial.proposal
        )
        assert trial.metrics['noise'] == float(jax.random.uniform(key))


def test_no_two_keys_of_an_arm_are_the_same():
  key = jax.random.key(0)
  keys = [pure_search.init_key(key)]
  keys += [pure_search.round_key(key, each) for each in range(500)]
  keys += [pure_search.trial_key(key, each) for each in range(500)]
  data = {jax.random.key_data(each).tobytes() for each in keys}
  assert len(data) == len(keys)


@pytest.mark.parametrize(
  'changes', [{}, ASYNCHRONOUS, {'replicas': 4, 'batch_size': 1}]
)
def test_a_trial_says_which_version_proposed_it(tmp_path, changes):
  search = make_search(Queue(3, 2), **changes)
  run(tmp_path, search)
  for arm in search.arms:
    trials = [trial for trial in read(tmp_path) if trial.arm == arm.name]
    assert sorted(trial.proposal for trial in trials) == list(
      range(arm.num_trials)
    )
    for trial in trials:
      group = trial.proposal // arm.batch_size
      assert trial.version == max(
        0, (group - arm.replicas + 1) // arm.replicas_per_update
      )


def test_a_queue_is_told_how_far_the_search_is_behind(tmp_path):
  for replicas in (1, 4):
    lags = []

    class Telling(Queue):
      def tell_lag(self, lag):
        self.lag = lag

      def collect(self):
        lags.append(self.lag())  # noqa: B023  # Called in this round alone.
        return super().collect()

    run(
      tmp_path / str(replicas),
      make_search(Telling(3, 0), num_trials=48, replicas=replicas),
    )
    assert lags[0] == 0
    assert (max(lags) > 0) == (replicas > 1)
    assert max(lags) <= replicas


def test_a_duplicate_waits_for_the_trial_that_it_repeats(tmp_path):
  class Slow(Queue):
    """The first block finishes last."""

    def collect(self):
      last = max(self.blocks)
      return [(last, evaluate(*self.blocks.pop(last)))]

  queue = Slow(9, 0)
  search = make_search(queue, block_size=1, names=())
  run(tmp_path, search)
  trials = read(tmp_path)
  assert [each.proposal for each in trials] == [2, 0, 1, 3]
  assert [each.duplicate_of for each in trials] == [None, None, 1, 1]
  assert trials[1].reward == trials[2].reward == trials[3].reward
  assert queue.sizes == [1, 1]


def test_a_repeated_trial_is_trained_anew_but_follows_the_first(tmp_path):
  class Slow(Queue):
    def collect(self):
      last = max(self.blocks)
      return [(last, evaluate(*self.blocks.pop(last)))]

  queue = Slow(9, 0)
  run(
    tmp_path,
    make_search(queue, block_size=1, names=(), reevaluate_duplicates=True),
  )
  trials = read(tmp_path)
  assert [each.proposal for each in trials] == [2, 0, 1, 3]
  assert len({each.reward for each in trials}) == 4
  assert queue.sizes == [1] * 4


@pytest.mark.parametrize(
  'changes', [{}, ASYNCHRONOUS, {'replicas': 5, 'reevaluate_duplicates': True}]
)
def test_a_log_is_replayed_byte_for_byte(tmp_path, changes):
  state = run(tmp_path / 'first', make_search(Queue(3, 1), **changes))
  trials = read(tmp_path / 'first')
  rounds = (tmp_path / 'first' / 'rounds.jsonl').read_bytes()
  for name, queue in (
    ('one', None),
    ('two', Queue(2, 9)),
    ('six', Queue(6, 4)),
  ):
    folder = tmp_path / name
    again = run(folder, make_search(queue, **changes), replay=trials)
    assert content(folder) == content(tmp_path / 'first')
    assert (folder / 'rounds.jsonl').read_bytes() == rounds
    assert_equal(again, state)
  # Also if the replay itself is killed.
  with pytest.raises(KilledError):
    run(
      tmp_path / 'killed',
      make_search(Queue(2, 3, 5), **changes),
      replay=trials,
    )
  run(tmp_path / 'killed', make_search(Queue(4, 3), **changes), replay=trials)
  assert content(tmp_path / 'killed') == content(tmp_path / 'first')


def test_after_a_shorter_log_the_order_is_free(tmp_path):
  run(tmp_path / 'first', make_search(Queue(3, 1), **ASYNCHRONOUS))
  trials = read(tmp_path / 'first')
  run(
    tmp_path / 'again',
    make_search(Queue(3, 2), **ASYNCHRONOUS),
    replay=trials[:20],
  )
  assert read(tmp_path / 'again')[:20] == trials[:20]
  assert len(read(tmp_path / 'again')) == len(trials)


def test_a_log_of_another_run_is_not_replayed(tmp_path):
  run(tmp_path / 'first', make_search(Queue(3, 1), **ASYNCHRONOUS))
  trials = read(tmp_path / 'first')

  def replay(name, trials, **changes):
    search = make_search(Queue(3, 1), **ASYNCHRONOUS)
    run(tmp_path / name, dataclasses.replace(search, **changes), replay=trials)

  with pytest.raises(
    ValueError, match=r'of another run: line \d+ is the first'
  ):
    replay('seed', trials, key=jax.random.key(8))
  assert content(tmp_path / 'seed') == b''
  better = [*trials]
  better[11] = dataclasses.replace(trials[11], reward=0.125)
  with pytest.raises(ValueError, match=r'line 12 .*its reward is .* here'):
    replay('reward', better)
  assert read(tmp_path / 'reward') == trials[: len(read(tmp_path / 'reward'))]
  fewer = make_search(num_trials=12, **ASYNCHRONOUS).arms
  with pytest.raises(
    ValueError,
    match='has 24 trials of reinforce and this search asks for 12; replay it '
    'with the arms, their num_trials and other settings that wrote it',
  ):
    replay('fewer', trials, arms=fewer)
  with pytest.raises(ValueError, match=r'of random and .* asks for 0'):
    replay('none', trials, arms=make_search(**ASYNCHRONOUS).arms[:2])
  # A proposal that is not made before those that precede it.
  late = [trials[-1], *trials[:-1]]
  with pytest.raises(ValueError, match=r'of another run: line'):
    replay('late', late)
  # What has been recorded already is compared as well.
  run(tmp_path / 'other', make_search(Queue(3, 2), **ASYNCHRONOUS))
  with pytest.raises(ValueError, match=r'of another run: line'):
    replay('other', trials)


@pytest.mark.parametrize('changes', [{}, ASYNCHRONOUS])
def test_a_budget_may_grow_and_shrink(tmp_path, changes):
  run(tmp_path / 'run', make_search(Queue(3, 1), num_trials=12, **changes))
  short = read(tmp_path / 'run')
  state = run(
    tmp_path / 'run', make_search(Queue(3, 2), num_trials=24, **changes)
  )
  trials = read(tmp_path / 'run')
  assert trials[: len(short)] == short
  assert len(trials) == 4 + 2 * 24
  # As if some replicas had been slow.
  run(
    tmp_path / 'again',
    make_search(Queue(2, 5), num_trials=24, **changes),
    replay=trials,
  )
  assert content(tmp_path / 'again') == content(tmp_path / 'run')
  less = run(
    tmp_path / 'run', make_search(Queue(1, 0, 0), num_trials=12, **changes)
  )
  assert_equal(less, state)


@pytest.mark.parametrize('with_checkpoints', [False, True])
def test_a_budget_may_be_none_or_less_than_is_in_flight(
  tmp_path, with_checkpoints
):
  contents = []
  # In groups of 2, of which 3 are in flight.
  for num_trials in (0, 12, 2, 0, 12):
    search = make_search(Queue(1, 0), num_trials=num_trials, **ASYNCHRONOUS)
    state = run(tmp_path, search, with_checkpoints)
    contents.append(content(tmp_path))
  assert len(contents[0].splitlines()) == 4
  assert len(contents[1].splitlines()) == 4 + 2 * 12
  assert len(set(contents[1:])) == 1
  assert [int(each.num_finished) for each in state.windows] == [1, 6, 6]


@pytest.mark.slow
def test_a_run_that_grew_after_retraining_is_replayed(tmp_path):
  def make(seed, num_trials):
    queue = Queue(3, seed)
    return make_search(queue, num_trials=num_trials, **ASYNCHRONOUS)

  run(tmp_path / 'first', make(1, 12))
  with trial_log.TrialLog(tmp_path / 'first' / 'trials.jsonl') as log:
    retrained = dataclasses.replace(
      log.trials[0], number=len(log.trials), arm='retrain', proposal=None
    )
    log.append([retrained])
  run(tmp_path / 'first', make(2, 96))
  trials = read(tmp_path / 'first')
  # One that repeats a trial after the retraining.
  assert any((each.duplicate_of or 0) > retrained.number for each in trials)
  run(tmp_path / 'again', make(3, 96), replay=trials)
  again = read(tmp_path / 'again')
  searched = [each for each in trials if each.arm != 'retrain']
  for each, other in zip(searched, again, strict=True):
    numbers = {'number': other.number, 'duplicate_of': other.duplicate_of}
    assert dataclasses.replace(each, **numbers) == other
  wrong = [
    dataclasses.replace(each, duplicate_of=each.duplicate_of and 0)
    for each in trials
  ]
  with pytest.raises(ValueError, match=r'its duplicate_of is \d+ here'):
    run(tmp_path / 'wrong', make(3, 96), replay=wrong)


def test_what_strategies_said_of_trials_that_were_cut_is_dropped(tmp_path):
  run(tmp_path, make_search(Queue(3, 1), **ASYNCHRONOUS))
  before = said(tmp_path)
  lines = content(tmp_path).splitlines(keepends=True)
  (tmp_path / 'trials.jsonl').write_bytes(b''.join(lines[:20]))
  # The log goes on in another order.
  run(tmp_path, make_search(Queue(3, 2), **ASYNCHRONOUS))
  after = said(tmp_path)
  assert [each.identity for each in after] == [each.identity for each in before]
  assert after != before
  (tmp_path / 'rounds.jsonl').unlink()
  run(tmp_path, make_search(Queue(1, 0, 0), **ASYNCHRONOUS))
  assert said(tmp_path) == after


def test_a_window_is_not_resumed_with_another(tmp_path):
  run(tmp_path, make_search(Queue(3, 1), replicas=3, num_trials=12))
  with pytest.raises(ValueError, match=r'not the one that this run proposes'):
    run(tmp_path, make_search(Queue(3, 1), replicas=2, num_trials=12), False)


def test_steady_state_evolution(tmp_path):
  search = make_search(Queue(4, 1), names=('evolution',), batch_size=1)
  run(tmp_path, search)
  rounds = round_log.read_rounds(tmp_path / 'rounds.jsonl')
  mine = [each.round for each in rounds if each.arm == 'evolution']
  assert mine == list(range(24))


@pytest.mark.slow
def test_folding_a_long_log_is_fast(tmp_path):
  """A log of 15,000 lines takes less than 30 s on an idle machine."""
  queue = Queue(1, 0)
  search = make_search(
    queue,
    block_size=50,
    num_trials=1504,
    names=('reinforce',),
    batch_size=8,
    replicas=10,
  )
  search = dataclasses.replace(search, arms=search.arms[1:])
  run(tmp_path, search, with_checkpoints=False)
  started = time.process_time()
  run(tmp_path, search, with_checkpoints=False)
  # A tenth of the log, on a machine that may be busy.
  assert time.process_time() - started < 9


@pytest.mark.parametrize('name', ['reinforce', 'ppo'])
@pytest.mark.parametrize(('replicas', 'per_update'), [(1, 1), (3, 1), (4, 2)])
def test_a_window_agrees_with_a_search_that_is_one_function(
  tmp_path, name, replicas, per_update
):
  table = reward_table.Table(
    tuple(decision.num_choices for decision in SPACE.decisions),
    np.random.default_rng(0).uniform(size=SPACE.size),
  )
  arm = search_lib.Arm(
    name,
    STRATEGIES[name],
    24,
    2,
    replicas=replicas,
    replicas_per_update=per_update,
  )
  search = search_lib.Search(
    SPACE,
    (arm,),
    reward_table.make_evaluator(table),
    jax.random.key(3),
    reevaluate_duplicates=True,
  )
  state = run(tmp_path, search)
  scanned = search_lib.scan(
    arm.strategy,
    table.look_up,
    search_lib.arm_key(search, arm),
    12 // per_update,
    2,
    replicas=replicas,
    replicas_per_update=per_update,
  )
  tokens = {each.proposal: each.tokens for each in read(tmp_path)}
  np.testing.assert_array_equal(
    scanned.tokens.reshape(24, -1), [tokens[each] for each in range(24)]
  )
  # One program and several differ in the last bits, which Adam magnifies where
  # a gradient is almost zero.
  jax.tree.map(
    lambda one, other: np.testing.assert_allclose(one, other, atol=5e-3),
    scanned.state,
    state.strategies[0],
  )


def is_over(tokens):
  """Whether an architecture exceeds a limit: too many of some operations."""
  return bool((np.asarray(SPACE.canonical(tokens)) == 1).sum() > 3)


def screened(queue=None, **changes):
  """A search that must train nothing that exceeds a limit."""
  search = make_search(queue, names=('evolution', 'random'), **changes)

  def screen(tokens):
    if not is_over(tokens):
      return None
    return Evaluation(
      np.zeros(1, np.float32),
      {'ones': np.array([4])},
      np.array([Status.INFEASIBLE]),
      ('4 ones',),
    )

  def judge(keys, tokens):
    assert not any(map(is_over, tokens))
    return evaluate(keys, tokens)

  evaluator = search.evaluator._replace(screen=screen, evaluate=judge)
  return dataclasses.replace(search, evaluator=evaluator)


def test_what_exceeds_a_limit_is_recorded_and_not_trained(tmp_path):
  run(tmp_path, screened())
  trials = read(tmp_path)
  over = [trial for trial in trials if trial.status == 'infeasible']
  assert len(over) > 4
  assert all(is_over(trial.tokens) for trial in over)
  assert not any(is_over(t.tokens) for t in trials if t not in over)
  first = over[0]
  assert (first.reward, first.metrics) == (0, {'ones': 4})
  assert first.reason == '4 ones'
  # Strategies were told of them, and they count as proposals.
  assert len(trials) == 4 + 2 * 24


@pytest.mark.parametrize('seed', range(2))
def test_screened_searches_are_the_same_with_workers_and_resumed(
  tmp_path, seed
):
  run(tmp_path / 'alone', screened())
  run(tmp_path / 'workers', screened(Queue(3, seed)))
  lines = sorted_lines(tmp_path / 'alone')
  assert sorted_lines(tmp_path / 'workers') == lines
  with contextlib.suppress(KilledError):
    run(tmp_path / 'killed', screened(Queue(2, seed, kill_after=5 + 7 * seed)))
  run(tmp_path / 'killed', screened(Queue(2, seed)))
  assert sorted_lines(tmp_path / 'killed') == lines


def test_failed_trials_alone_are_redone(tmp_path):
  run(tmp_path, screened())
  before = read(tmp_path)
  assert any(trial.status == 'diverged' for trial in before)
  run(tmp_path, screened(), redo_failed=True)
  assert (tmp_path / 'trials.jsonl.1').exists()
  only = tmp_path / 'only'
  search = screened()
  judge = search.evaluator.evaluate
  fine = search.evaluator._replace(
    evaluate=lambda keys, tokens: judge(keys, tokens)._replace(
      status=np.zeros(len(tokens), np.int32)
    )
  )
  search = dataclasses.replace(search, evaluator=fine)
  run(only, search)
  assert any(trial.status == 'infeasible' for trial in read(only))
  run(only, search, redo_failed=True)
  assert not (only / 'trials.jsonl.1').exists()
