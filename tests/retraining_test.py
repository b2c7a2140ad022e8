# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of retraining with a task that costs nothing."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas import contestants as contestants_lib
from jaxnas import retraining as retraining_lib
from jaxnas import rewards
from jaxnas.records import trial_log
from jaxnas.spaces import recurrent_cell
from jaxnas.trainers import blocks
from jaxnas.types import Reward, Status, Task, Trained

CELLS = [
  recurrent_cell.parse(['add', name, 'add', name, 'add', name, *end])
  for name, end in (
    ('tanh', ['add', 'tanh', 0, 0]),
    ('relu', ['add', 'relu', 0, 0]),
  )
]


def make_trainer(level, block_size=2):
  """A child's perplexity is its program, best at the learning rate 0.1."""

  def init(program, key, learning_rate):
    value = level if program is None else program
    value = value + jnp.abs(jnp.log10(learning_rate) + 1)
    value = value + 0.01 * jax.random.uniform(key)
    return value, jnp.isfinite(learning_rate) & (learning_rate < 5)

  def measure(split, program, state):
    del program
    # What is better on one split is worse on the other.
    return {'perplexity': jnp.where(split == 1, state[0], 40 - state[0])}

  task = Task(
    init,
    lambda data, program, state, key, learning_rate, span: state,
    lambda state: {'is_alive': state[1]},
    measure,
    train_data=jnp.zeros(()),
    splits={'validation': jnp.array(1.0), 'report': jnp.array(2.0)},
    assemble=None if level is not None else assemble,
    program_axes=None if level is not None else 0,
  )
  return blocks.BlockTrainer(task, block_size)


def assemble(architectures):
  return np.array(
    [10.0 if cell == CELLS[0] else 20.0 for cell in architectures], np.float32
  )


@pytest.fixture(scope='module')
def retraining():
  contestants = (
    contestants_lib.Contestant('LSTM', 'LSTM', 'lstm', 100, 5),
    *(
      contestants_lib.Contestant(
        f'random #{number}',
        'random',
        'space',
        num_params=101,
        features=4,
        architecture=cell,
        tokens=(number,),
      )
      for number, cell in enumerate(CELLS)
    ),
  )
  return retraining_lib.Retraining(
    contestants=contestants,
    trainers={
      'space': make_trainer(None, 4),
      'lstm': make_trainer(15.0),
    },
    learning_rates=(0.01, 0.1),
    num_selection_seeds=2,
    num_seeds=3,
    num_steps=7,
    key=jax.random.key(0),
    reward=rewards.make_perplexity_reward(),
  )


@pytest.fixture
def log(tmp_path):
  with trial_log.TrialLog(tmp_path / 'trials.jsonl') as log:
    yield log


def test_rewards_below_zero_are_as_good_as_any(retraining, log):
  negative = Reward(
    lambda _, metrics: -metrics['validation_perplexity'], floor=-100.0
  )
  retraining = dataclasses.replace(retraining, reward=negative)
  retraining_lib.run(retraining, log)
  assert {trial.status for trial in log.trials} == {'ok'}
  assert max(trial.reward for trial in log.trials) < 0
  rows = retraining_lib.results(retraining, log)
  assert all(np.isfinite(row.report).all() for row in rows)


def test_one_of_an_entry_is_chosen_and_trained_with_fresh_seeds(
  retraining, log
):
  # To choose: three contestants, two rates, two seeds; then the LSTM and one
  # cell, three seeds.
  assert retraining_lib.num_left(retraining, log) == 12 + 6
  retraining_lib.run(retraining, log)
  assert retraining_lib.num_left(retraining, log) == 0
  assert len(log.trials) == 18
  settings = {tuple(sorted(t.settings.items())) for t in log.trials}
  assert len(settings) == 18
  lstm, cell = retraining_lib.results(retraining, log)
  for row, label, level, count in (
    (lstm, 'LSTM', 15, 1),
    (cell, 'random #0', 10, 2),
  ):
    assert row.contestant.label == label
    assert row.learning_rate == 0.1
    assert row.num_contestants == count
    np.testing.assert_allclose(row.validation, level, atol=0.02)
    np.testing.assert_allclose(row.report, 40 - row.validation, rtol=1e-6)
    np.testing.assert_allclose(row.selection, level, atol=0.02)
    # No training that chose is among those that are reported.
    assert len({*row.validation, *row.selection}) == 5
  # The same seeds for all.
  np.testing.assert_allclose(
    lstm.validation - 15, cell.validation - 10, atol=1e-5
  )


def test_every_search_has_an_entry_and_seeds_of_its_own(retraining, log):
  lstm, first, second = retraining.contestants
  changed = dataclasses.replace(
    retraining,
    contestants=(lstm, first, dataclasses.replace(second, repeat=1)),
  )
  assert retraining_lib.num_left(changed, log) == 12 + 9
  retraining_lib.run(changed, log)
  lstm, first, second = retraining_lib.results(changed, log)
  assert second.contestant.label == 'random #1'
  assert second.num_contestants == 1
  np.testing.assert_allclose(
    lstm.validation - 15, first.validation - 10, atol=1e-5
  )
  noise = {*(first.validation - 10), *(second.validation - 20)}
  assert len(np.unique(np.round(list(noise), 5))) == 6
  repeats = {t.repeat for t in log.trials if t.settings['label'] == 'random #1'}
  assert repeats == {1}


def test_a_contestant_can_have_learning_rates_of_its_own(retraining, log):
  first, second, *others = retraining.contestants
  own = dataclasses.replace(second, learning_rates=(0.05,))
  changed = dataclasses.replace(retraining, contestants=(first, own, *others))
  assert retraining_lib.num_left(changed, log) == 10 + 6
  retraining_lib.run(changed, log)
  rates: dict = {}
  for trial in log.trials:
    if trial.settings['stage'] == 'selection':
      rates.setdefault(trial.settings['label'], []).append(
        trial.settings['learning_rate']
      )
  assert rates[own.label] == [0.05] * 2
  assert sorted(rates[first.label]) == [0.01] * 2 + [0.1] * 2
  for row in retraining_lib.results(changed, log):
    is_own = row.contestant is own
    assert row.learning_rate == (0.05 if is_own else 0.1)
  with pytest.raises(ValueError, match='positive learning rates'):
    dataclasses.replace(
      retraining, contestants=(dataclasses.replace(own, learning_rates=(0.0,)),)
    )


def test_killed_after_any_line_it_goes_on_to_the_same_log(
  retraining, log, tmp_path
):
  retraining_lib.run(retraining, log)
  lines = (tmp_path / 'trials.jsonl').read_bytes().splitlines(keepends=True)
  assert len(lines) == 18
  path = tmp_path / 'killed.jsonl'
  for count in range(18):
    path.write_bytes(b''.join(lines[:count]) + lines[count][:40])
    with trial_log.TrialLog(path) as killed:
      assert retraining_lib.num_left(retraining, killed) == 18 - count
      retraining_lib.run(retraining, killed)
    assert path.read_bytes() == b''.join(lines)


def test_a_log_that_begins_anew_trains_again_what_failed(
  retraining, log, monkeypatch
):
  retraining_lib.run(retraining, log)
  sound = list(log.trials)
  broken = [
    dataclasses.replace(each, status='out_of_memory')
    if each.number in (3, 7)
    else each
    for each in sound
  ]
  log.begin_anew()
  log.append(broken)
  log.earlier = []
  log.begin_anew()
  trained = []
  run = blocks.BlockTrainer.run

  def run_and_note(self, architectures, *arguments, **settings):
    trained.extend(architectures)
    return run(self, architectures, *arguments, **settings)

  monkeypatch.setattr(blocks.BlockTrainer, 'run', run_and_note)
  retraining_lib.run(retraining, log)
  assert log.trials == sound
  assert len(trained) == 2


def test_a_log_of_before_there_were_stages_is_chosen_by(
  retraining, log, tmp_path
):
  retraining_lib.run(retraining, log)
  with trial_log.TrialLog(tmp_path / 'old.jsonl') as old:
    old.append(
      [
        dataclasses.replace(
          trial,
          settings={
            name: value
            for name, value in trial.settings.items()
            if name != 'stage'
          },
        )
        for trial in log.trials
        if trial.settings['stage'] == 'selection'
      ]
    )
    assert retraining_lib.num_left(retraining, old) == 6
    retraining_lib.run(retraining, old)
    for row, expected in zip(
      retraining_lib.results(retraining, old),
      retraining_lib.results(retraining, log),
      strict=True,
    ):
      np.testing.assert_array_equal(row.report, expected.report)


def test_diverged_seed_is_never_the_best(retraining, log):
  changed = dataclasses.replace(retraining, learning_rates=(0.01, 10.0))
  retraining_lib.run(changed, log)
  assert {trial.status for trial in log.trials} == {'ok', 'diverged'}
  for row in retraining_lib.results(changed, log):
    assert row.learning_rate == 0.01
  only = dataclasses.replace(retraining, learning_rates=(10.0,))
  retraining_lib.run(only, log)
  for row in retraining_lib.results(only, log):
    assert np.isinf(row.report).all()


def test_another_architecture_of_one_name_is_another_job(retraining, log):
  retraining_lib.run(retraining, log)
  larger = dataclasses.replace(
    retraining.contestants[0], num_params=5000, features=None
  )
  changed = dataclasses.replace(retraining, contestants=(larger,))
  assert retraining_lib.num_left(changed, log) == 4 + 3


def test_a_contestant_that_does_not_fit_fails_alone(retraining, log):
  class FullTrainer:
    block_size = 2

    def run(self, architectures, *arguments, **settings):
      status = np.full(len(architectures), Status.OUT_OF_MEMORY, np.int32)
      return Trained({}, status, ['too large'] * len(architectures))

  trainers = {**retraining.trainers, 'lstm': FullTrainer()}
  changed = dataclasses.replace(retraining, trainers=trainers)
  retraining_lib.run(changed, log)
  lstm, first = retraining_lib.results(changed, log)
  assert np.isinf(lstm.report).all()
  assert np.isfinite(first.report).all()
  assert {(t.status, t.reason) for t in log.trials} == {
    ('ok', ''),
    ('out_of_memory', 'too large'),
  }


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'learning_rates': ()}, 'positive learning rates'),
    ({'learning_rates': (0.1, 0.0)}, 'positive learning rates'),
    ({'num_seeds': 1}, 'at least 2 seeds'),
    ({'num_selection_seeds': 0}, 'at least 1 seed to choose by'),
  ],
)
def test_bad_retrainings_are_refused(retraining, changes, message):
  with pytest.raises(ValueError, match=message):
    dataclasses.replace(retraining, **changes)
