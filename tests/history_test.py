# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas import history as history_lib
from jaxnas import search as search_lib
from jaxnas.records import checkpoints, round_log, trial_log
from jaxnas.spaces import hyperparameters
from jaxnas.strategies import random_search
from jaxnas.types import Choice, Evaluation, Evaluator, Range, Status, Strategy

SPACE = hyperparameters.make_space(
  {'x': Range(0.0, 1.0), 'kind': Choice(('a', 'b'))}
)
RANDOM = random_search.make_random_search(SPACE.decisions)


def make_moody():
  """Makes a strategy whose proposals follow from every reward before."""

  def ask(state, key, num_trials, num_active=None):
    key = jax.random.fold_in(key, jnp.int32(state * 1000))
    return RANDOM.ask(RANDOM.init(key), key, num_trials, num_active)

  def tell(state, proposals, rewards):
    return state + rewards.sum(), {}

  return Strategy(lambda key: jnp.zeros(()), ask, tell)


MOODY = make_moody()


class KilledError(Exception):
  pass


class Function:
  """A function with a fault, which is the reason of those trials that fail."""

  def __init__(
    self, fails=lambda number: '', kill_after=None, status=Status.FAILED
  ):
    self.status = status
    self.fails = fails
    self.num_calls = 0
    self.kill_after = kill_after
    self.evaluator = Evaluator(self.evaluate, 3, -1.0)

  def evaluate(self, keys, tokens):
    if self.kill_after is not None and self.num_calls >= self.kill_after:
      raise KilledError
    numbers = range(self.num_calls, self.num_calls + len(tokens))
    self.num_calls += len(tokens)
    reasons = tuple(self.fails(number) for number in numbers)
    is_ok = np.array([not reason for reason in reasons])
    noise = np.asarray(jax.vmap(jax.random.uniform)(keys))
    rewards = tokens[:, 0] / 255 + 0.01 * noise
    return Evaluation(
      rewards=np.where(is_ok, rewards, -1.0).astype(np.float32),
      metrics={},
      status=np.where(is_ok, Status.OK, self.status),
      reasons=reasons,
    )


def run(folder, function, **settings):
  """Runs a search of 36 trials; returns its trials."""
  names = {'max_failures', 'reevaluate_duplicates'}
  search = search_lib.Search(
    SPACE,
    (
      search_lib.Arm('moody', MOODY, 24, 4),
      search_lib.Arm('random', RANDOM, 12, 2),
    ),
    function.evaluator,
    jax.random.key(3),
    **{name: settings.pop(name) for name in names & set(settings)},
  )
  folder.mkdir(exist_ok=True)
  with (
    trial_log.TrialLog(folder / 'trials.jsonl') as log,
    checkpoints.Checkpoints(folder / 'checkpoints') as saved,
    round_log.RoundLog(folder / 'rounds.jsonl') as rounds,
  ):
    search_lib.run(
      search, log, saved, checkpoint_every=2, rounds=rounds, **settings
    )
    # As many rounds as there are, and of no other rewards.
    means = {
      each.identity: each.metrics.get('mean_reward') for each in rounds.rounds
    }
    assert len(means) == 12
    for index in range(6):
      first = 6 * index + 4
      rewards = [trial.reward for trial in log.trials[first : first + 2]]
      assert means[index, 'random', 0] == pytest.approx(np.mean(rewards))
    return list(log.trials)


@pytest.fixture(scope='module')
def sound(tmp_path_factory):
  """The trials of a function without a fault."""
  return run(tmp_path_factory.mktemp('sound') / 'run', Function())


def always(number):
  return f"KeyError at train.py:7: 'rate {number}'"


def test_a_function_that_always_fails_is_stopped_and_redone(tmp_path, sound):
  broken = Function(always)
  message = (
    r'first 8 trials all failed alike \(failed\): KeyError at train\.py:7: '
    r"'rate 7'\. Fix the function and start again with redo_failed=True"
  )
  with pytest.raises(ValueError, match=message):
    run(tmp_path, broken)
  # The block in which it was seen, and no more.
  assert broken.num_calls == 9
  again = Function()
  with pytest.raises(ValueError, match='first 8 trials all failed'):
    run(tmp_path, again)
  assert again.num_calls == 0
  assert run(tmp_path, again, redo_failed=True) == sound
  kept = trial_log.read_trials(tmp_path / 'trials.jsonl.1')
  assert [trial.reason for trial in kept] == [always(n) for n in range(9)]


def test_failures_that_are_expected_do_not_stop_a_run(tmp_path, caplog):
  with caplog.at_level('WARNING'):
    trials = run(tmp_path, Function(always), max_failures=0)
  assert len(trials) == 36
  assert 'All 36 trials failed, so nothing was found; the last' in caplog.text
  with pytest.raises(ValueError, match='at least 0, got -1'):
    run(tmp_path, Function(), max_failures=-1)


def test_a_repair_is_told_and_a_change_without_one_refused(
  tmp_path, sound, caplog
):
  def function(rate, fails=lambda number: ''):
    made = Function(fails)
    made.evaluator = made.evaluator._replace(task={'rate': rate})
    return made

  run(tmp_path, function(1, lambda n: always(n) if n == 14 else ''))
  with pytest.raises(ValueError, match='written: rate of the task'):
    run(tmp_path, function(2))
  with caplog.at_level('WARNING', logger='absl'):
    assert run(tmp_path, function(2), redo_failed=True) == sound
    assert run(tmp_path, function(2)) == sound
  told = [record.getMessage() for record in caplog.records]
  (repair,) = (message for message in told if 'has changed' in message)
  assert 'rate of the task' in repair


@pytest.mark.parametrize(
  'fails',
  [
    # Another place, another kind, one that did not fail, nobody knows why.
    lambda number: f'KeyError at train.py:{7 + (number == 5)}: 0',
    lambda number: f'{"OSError" if number == 7 else "KeyError"} at a.py:7: 0',
    lambda number: '' if number == 3 else always(number),
    lambda number: f'its process ended with exit code {number}',
  ],
)
def test_failures_that_differ_do_not_stop_a_run(tmp_path, fails):
  trials = run(tmp_path, Function(fails))
  assert len(trials) == 36


def test_children_that_do_not_fit_do_not_stop_a_run(tmp_path):
  trials = run(tmp_path, Function(always, status=Status.OUT_OF_MEMORY))
  assert len(trials) == 36


@pytest.mark.parametrize('reevaluate_duplicates', [False, True])
def test_failed_trials_are_redone_as_if_they_had_not_failed(
  tmp_path, sound, reevaluate_duplicates
):
  if reevaluate_duplicates:
    sound = run(
      tmp_path / 'sound',
      Function(),
      reevaluate_duplicates=reevaluate_duplicates,
    )
  folder = tmp_path / 'run'
  broken = Function(lambda number: always(number) if number == 14 else '')
  before = run(folder, broken, reevaluate_duplicates=reevaluate_duplicates)
  # What was told of the failure has changed what was proposed.
  assert [t.tokens for t in before] != [t.tokens for t in sound]
  mended = Function()
  after = run(
    folder,
    mended,
    reevaluate_duplicates=reevaluate_duplicates,
    redo_failed=True,
  )
  assert after == sound
  # Not what the learning arm had proposed before it was told of the failure,
  # nor what the other one proposes, but for a trial that was the failure.
  first = next(trial for trial in before if trial.status == 'failed')
  num_learnt = sum(trial.arm == 'moody' for trial in before[first.number :])
  assert 1 <= mended.num_calls <= num_learnt + 1
  assert trial_log.read_trials(folder / 'trials.jsonl.1') == before
  # Nothing has failed now, so nothing begins anew.
  assert run(folder, Function(kill_after=0), redo_failed=True) == sound
  assert not (folder / 'trials.jsonl.2').exists()


@pytest.mark.parametrize('num_lost', [0, 5])
@pytest.mark.parametrize('redo_failed', [False, True])
def test_killed_while_failures_are_redone_and_resumed(
  tmp_path, sound, num_lost, redo_failed
):
  run(tmp_path, Function(lambda n: always(n) if n in (2, 20) else ''))
  with pytest.raises(KilledError):
    run(tmp_path, Function(kill_after=6), redo_failed=True)
  path = tmp_path / 'trials.jsonl'
  lines = path.read_bytes().splitlines(keepends=True)
  path.write_bytes(b''.join(lines[: len(lines) - num_lost]))
  assert run(tmp_path, Function(), redo_failed=redo_failed) == sound


def test_killed_between_the_two_files(tmp_path, sound):
  run(tmp_path, Function(lambda n: always(n) if n == 20 else ''))
  with trial_log.TrialLog(tmp_path / 'trials.jsonl') as log:
    with checkpoints.Checkpoints(tmp_path / 'checkpoints') as saved:
      assert history_lib.redo_failed(log, saved) == 1
      assert saved.restore_newest({}) is None
    assert log.trials == []
  (tmp_path / 'trials.jsonl').unlink()
  resumed = Function()
  assert run(tmp_path, resumed) == sound
  assert resumed.num_calls < 30


def test_earlier_results_of_another_space_are_not_taken(tmp_path):
  run(tmp_path, Function(lambda n: always(n) if n == 20 else ''))
  other = hyperparameters.make_space(
    {'x': Range(0.0, 2.0), 'kind': Choice(('a', 'b'))}
  )
  with trial_log.TrialLog(tmp_path / 'trials.jsonl') as log:
    history_lib.redo_failed(log)
    tokens = np.array(log.earlier[0].tokens, np.int32)
    place = 0, ('moody', 0), tokens
    assert history_lib.History(SPACE, log).earlier(*place) == log.earlier[0]
    assert history_lib.History(other, log).earlier(*place) is None
