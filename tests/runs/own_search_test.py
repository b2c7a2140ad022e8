# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of a run of one's own, with children that cost nothing."""

import csv
import dataclasses
import itertools
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas import records, search, statistics
from jaxnas.controllers import recurrent
from jaxnas.records import trial_log, workdir
from jaxnas.runs import own_search, search_run
from jaxnas.spaces import hyperparameters
from jaxnas.strategies import random_search, reinforce
from jaxnas.trainers import blocks, functions
from jaxnas.types import Reward, Task

SPACE = hyperparameters.make_space(
  {'x': hyperparameters.Range(0, 1), 'y': hyperparameters.Choice((1, 2))}
)
LOSS = statistics.Measure('loss', False, False, spec='.3f')
REWARD = Reward(lambda _, metrics: -metrics['validation_loss'], -100.0)
DATA = np.arange(3, dtype=np.float32)


@pytest.fixture(scope='module')
def trainer():
  """A child's loss is its program's distance from a third, and some noise."""

  def init(program, key, learning_rate):
    loss = jnp.abs(program - 1 / 3) + 0.01 * jax.random.uniform(key)
    return loss + learning_rate

  task = Task(
    init,
    lambda data, program, state, key, learning_rate, span: state + data[0],
    lambda state: {'is_alive': state < 100},
    lambda split, program, state: {'loss': state + split},
    train_data=DATA,
    splits={'validation': jnp.zeros(()), 'report': jnp.zeros(())},
    assemble=lambda values: np.array([each['x'] for each in values], 'f'),
    program_axes=0,
  )
  return blocks.BlockTrainer(task, 4)


def return_a_number(value, seed):
  return -abs(value['x'] - 1 / 3) - seed / 2**40


def report_a_number(value, seed):
  reward = return_a_number(value, seed)
  return {'reward': reward, 'report': 10 * reward}


def arms(num_trials=8, space=SPACE):
  strategy = random_search.make_random_search(space.decisions)
  return [
    search.Arm('mine', strategy, num_trials, 4),
    search.Arm('random', strategy, num_trials, 4, role=search.Role.BASELINE),
  ]


def run(folder, trainer, **changes):
  arguments = {
    'space': SPACE,
    'arms': arms(),
    'learning_rates': (0.1, 0.2),
    'num_steps': 3,
    'known': {'usual': {'x': 0.123, 'y': 2}},
    'data': DATA,
    'num_winners': 1,
    'num_selection_seeds': 1,
    'num_seeds': 2,
  } | changes
  reward, measure = (
    arguments.pop('reward', REWARD),
    arguments.pop('measure', LOSS),
  )
  space, arms_, rest = arguments.pop('space'), arguments.pop('arms'), arguments
  own_search.run(folder, space, arms_, trainer, reward, measure, **rest)


# What is best by it is worst by the measure, far from a third.
LARGEST = Reward(lambda architectures, _: [each['x'] for each in architectures])


def test_the_reward_chooses_and_stands_in_the_tables(tmp_path, trainer, capsys):
  run(tmp_path, trainer, reward=LARGEST, num_winners=3)
  shown = capsys.readouterr().out
  searched = [
    trial for trial in records.read(tmp_path) if trial.arm != search.RETRAIN
  ]
  best = json.loads((tmp_path / 'best.json').read_text())
  largest = max(trial.reward for trial in searched)
  assert best['architecture']['x'] == pytest.approx(largest)
  assert best['reward'] == pytest.approx([largest] * 2)
  assert best['learning_rate'] in (0.1, 0.2)
  assert best['num_steps'] == 6
  for words in ('best reward', 'its loss', 'best loss', 'median of all'):
    assert words in shown
  retrained = shown.split('Retrained, 6 steps')[1]
  assert 'the reward chose the best' in retrained
  assert f'{largest:.4g}' in retrained


def test_the_last_trials_are_counted_as_there_are(tmp_path, trainer, capsys):
  run(tmp_path, trainer, arms=arms(64), known={})
  assert 'median of last 64' in capsys.readouterr().out


def test_an_arm_without_trials_is_a_row(tmp_path, trainer, capsys):
  mine, random = arms(4)
  run(tmp_path, trainer, arms=[dataclasses.replace(mine, num_trials=0), random])
  assert re.search(r'mine +0 +0 +- +- +-', capsys.readouterr().out)


def test_another_measure_compares_the_same_run_anew(tmp_path, trainer, capsys):
  run(tmp_path, trainer)
  distance = statistics.Measure('distance', True, False)
  with pytest.raises(
    ValueError, match=r"'distance', which .* they measure loss"
  ):
    run(tmp_path, trainer, measure=distance)
  # The measure is no part of what was recorded.
  percent = dataclasses.replace(LOSS, scale=100, unit='%')
  run(tmp_path, trainer, measure=percent)
  assert 'nothing is left to train' in capsys.readouterr().out


@pytest.mark.slow
def test_a_misspelled_measure_does_not_keep_the_folder(tmp_path):
  reward = Reward(lambda _, metrics: metrics['validation_reward'], -9.0)
  settings = {'arms': arms(4), 'reward': reward, 'learning_rates': None}
  with functions.FunctionTrainer(return_a_number) as trainer:
    misspelled = statistics.Measure('rewrad', True, False)
    with pytest.raises(ValueError, match="'validation_rewrad', which"):
      run(tmp_path, trainer, measure=misspelled, **settings)
    measure = statistics.Measure('reward', True, False)
    run(tmp_path, trainer, measure=measure, **settings)


def test_a_folder_without_trials_takes_other_settings(
  tmp_path, trainer, monkeypatch
):
  def stop(*arguments, **settings):
    raise KeyboardInterrupt

  with monkeypatch.context() as patch:
    patch.setattr(trainer, 'run', stop)
    with pytest.raises(KeyboardInterrupt):
      run(tmp_path, trainer, arms=arms(4), seed=7)
  assert json.loads((tmp_path / 'config.json').read_text())['seed'] == 7
  run(tmp_path, trainer, arms=arms(4), seed=8, data=2 * DATA)
  # From here on, they are those of its trials.
  with pytest.raises(ValueError, match="'seed' is 8"):
    run(tmp_path, trainer, arms=arms(4), seed=7, data=2 * DATA)


def test_how_many_decisions_an_arm_makes_is_part_of_a_run(tmp_path, trainer):
  mine, random = arms(4)

  def run_with(count, **settings):
    each = dataclasses.replace(mine, num_active=lambda _: count, **settings)
    run(tmp_path, trainer, arms=[each, random])

  run_with(2)
  with pytest.raises(ValueError, match='proposes trials has changed'):
    run_with(3, num_trials=8)
  run_with(2, num_trials=8)


def test_a_run_has_all_that_an_experiment_has(tmp_path, trainer, capsys):
  run(tmp_path, trainer)
  shown = capsys.readouterr().out
  trials = records.read(tmp_path)
  assert {trial.status for trial in trials} == {'ok'}
  assert max(trial.reward for trial in trials) < 0
  searched = [trial for trial in trials if trial.arm in ('mine', 'random')]
  best = json.loads((tmp_path / 'best.json').read_text())
  assert best['architecture'] in [trial.architecture for trial in searched]
  # One of each, at two rates, to choose; and two of the one that was chosen.
  retrained = [trial for trial in trials if trial.arm == search.RETRAIN]
  assert len(retrained) == 3 * 2 + 3 * 2
  usual = [each for each in retrained if each.settings['label'] == 'usual']
  assert {each.architecture['x'] for each in usual} == {0.123}
  rates = [each.settings['learning_rate'] for each in usual]
  assert rates == [0.1, 0.2, 0.1, 0.1]
  assert {each.settings['num_steps'] for each in retrained} == {6}
  assert 'loss difference' in shown
  assert 'parameters' not in shown
  for name in ('curve.png', 'rounds.jsonl', 'manifest.json', 'timings.jsonl'):
    assert (tmp_path / name).stat().st_size > 0
  content = (tmp_path / 'trials.jsonl').read_bytes()
  run(tmp_path, trainer)
  assert 'Found the finished run' in capsys.readouterr().out
  assert (tmp_path / 'trials.jsonl').read_bytes() == content


def read_scalars(folder):
  """Returns the values of each name in `scalars.csv`, by steps."""
  scalars = {}
  with open(folder / 'scalars.csv', newline='') as file:
    for row in csv.DictReader(file):
      steps = scalars.setdefault(row['name'], {})
      # Each once, however often the run was resumed.
      assert (row['axis'], row['step']) not in steps
      steps[row['axis'], row['step']] = float(row['value'])
  return scalars


def test_scalars_are_those_of_the_records_after_a_cut(
  tmp_path, trainer, monkeypatch
):
  append = trial_log.TrialLog.append
  blocks_left = 2

  def be_killed(self, trials):
    nonlocal blocks_left
    append(self, trials)
    blocks_left -= 1
    if not blocks_left:
      raise KeyboardInterrupt

  with monkeypatch.context() as patch:
    patch.setattr(trial_log.TrialLog, 'append', be_killed)
    with pytest.raises(KeyboardInterrupt):
      run(tmp_path, trainer, log_to='csv')
  assert 0 < len(read_scalars(tmp_path)['mine/reward']) < 8
  run(tmp_path, trainer, log_to=('csv', 'tensorboard'))
  scalars = read_scalars(tmp_path)
  trials = records.read(tmp_path)
  for arm in ('mine', 'random'):
    rewards = {
      ('trial', str(each.number)): each.reward
      for each in trials
      if each.arm == arm
    }
    assert scalars[f'{arm}/reward'] == rewards
    assert [*scalars[f'{arm}/best_reward_so_far'].values()] == [
      *itertools.accumulate(rewards.values(), max)
    ]
    assert {*scalars[f'{arm}/tell/mean_reward']} == {
      ('round', '0'),
      ('round', '1'),
    }
  retrained = [each for each in trials if each.arm == search.RETRAIN]
  assert [
    *scalars['retrain/usual/report_loss'].values(),
  ] == [
    each.metrics['report_loss']
    for each in retrained
    if each.settings['label'] == 'usual' and 'report_loss' in each.metrics
  ]
  assert list((tmp_path / 'tensorboard').glob('events.out.tfevents.*'))


def test_the_last_round_is_written_before_the_retraining(
  tmp_path, trainer, monkeypatch
):
  def be_killed(*_):
    raise KeyboardInterrupt

  monkeypatch.setattr(search_run.retraining_lib, 'run', be_killed)
  with pytest.raises(KeyboardInterrupt):
    run(tmp_path, trainer, log_to='csv')
  assert ('round', '1') in read_scalars(tmp_path)['mine/tell/mean_reward']


def test_a_run_does_not_change_with_its_sinks(tmp_path, trainer, caplog):
  for name in ('plain', 'failing'):
    (tmp_path / name).mkdir()
  # No file can be written in its place.
  (tmp_path / 'failing' / 'scalars.csv').mkdir()
  run(tmp_path / 'plain', trainer)
  with caplog.at_level('WARNING', logger='absl'):
    run(tmp_path / 'failing', trainer, log_to=('csv',))
  messages = [record.getMessage() for record in caplog.records]
  assert sum('log_to=csv failed' in message for message in messages) == 1
  for name in ('trials.jsonl', 'rounds.jsonl', 'best.json', 'config.json'):
    one, other = (
      (tmp_path / folder / name).read_bytes() for folder in ('plain', 'failing')
    )
    assert one == other, name
  # A finished run can still be written.
  run(tmp_path / 'plain', trainer, log_to=('csv',))
  assert len(read_scalars(tmp_path / 'plain')['mine/reward']) == 8


def test_more_trials_go_on_and_other_settings_do_not(tmp_path, trainer):
  run(tmp_path, trainer, arms=arms(4))
  run(tmp_path, trainer)
  searched = [
    trial for trial in records.read(tmp_path) if trial.arm != search.RETRAIN
  ]
  assert len(searched) == 16
  for changes, message in (
    ({'data': DATA + 1}, 'other data'),
    ({'seed': 1}, "'seed' is 0"),
    ({'num_steps': 4}, "'num_steps' is 3"),
    ({'known': {}}, "'known'"),
    ({'learning_rates': (0.1,)}, "'learning_rates'"),
  ):
    with pytest.raises(ValueError, match=message):
      run(tmp_path, trainer, **changes)


def test_a_changed_task_is_told_at_the_end_and_after_a_repair(
  tmp_path, trainer, caplog, capsys
):
  run(tmp_path, trainer)
  path = tmp_path / 'trials.jsonl'
  content = path.read_bytes()
  other = dataclasses.replace(REWARD, floor=-200.0)

  def told():
    messages = [record.getMessage() for record in caplog.records]
    caplog.clear()
    return [message for message in messages if 'has changed' in message]

  with caplog.at_level('WARNING', logger='absl'):
    for changes in ({}, {'redo_failed': True}):
      run(tmp_path, trainer, reward=other, **changes)
      (message,) = told()
      assert 'written: reward.floor of the task. What is shown' in message
    run(tmp_path, trainer)
    assert not told()
    with pytest.raises(ValueError, match=r'written: reward\.floor of the task'):
      run(tmp_path, trainer, reward=other, arms=arms(12))
    assert path.read_bytes() == content
    trials = records.read(tmp_path)
    path.unlink()
    with trial_log.TrialLog(path) as log:
      trials[2] = dataclasses.replace(
        trials[2], status='diverged', reward=-100.0, metrics={}
      )
      log.append(trials)
    run(tmp_path, trainer, reward=other, redo_failed=True)
    (message,) = told()
    assert 'written: reward.floor of the task. Trials that failed' in message
    assert path.read_bytes() == content
    run(tmp_path, trainer, reward=other)
    assert not told()
  assert capsys.readouterr().out.count('Found the finished run') == 4


@pytest.mark.slow
def test_another_strategy_needs_another_folder(tmp_path, trainer, caplog):
  def mine(learning_rate, num_trials):
    controller = recurrent.make_controller(SPACE.decisions, features=4)
    strategy = reinforce.make_reinforce(controller, learning_rate)
    return [search.Arm('mine', strategy, num_trials, 4), arms()[1]]

  run(tmp_path, trainer, arms=mine(0.01, 8))
  with pytest.raises(ValueError, match=r'proposes trials has .*step_size'):
    run(tmp_path, trainer, arms=mine(0.5, 12))
  with caplog.at_level('WARNING', logger='absl'):
    run(tmp_path, trainer, arms=mine(0.5, 8))
  assert 'What is shown are the results of the old one' in caplog.text
  run(tmp_path, trainer, arms=mine(0.01, 12))


def test_no_more_trials_are_shown_than_there_are(tmp_path, trainer, capsys):
  run(tmp_path, trainer)
  # Its rounds come back by a replay, of fewer trials than the log has.
  (tmp_path / 'rounds.jsonl').unlink()
  capsys.readouterr()
  run(tmp_path, trainer, arms=arms(4), num_seeds=3)
  shown = re.findall(r'trial (\d+)/(\d+)', capsys.readouterr().out)
  assert shown
  assert all(int(done) <= int(total) for done, total in shown)


def test_files_of_another_run_are_refused_or_written_anew(
  tmp_path, trainer, caplog
):
  one, other = tmp_path / 'one', tmp_path / 'other'
  for seed, folder in enumerate((one, other)):
    run(folder, trainer, seed=seed)
  for name in ('trials.jsonl', 'rounds.jsonl', 'timings.jsonl'):
    kept = (one / name).read_bytes()
    (one / name).write_bytes((other / name).read_bytes())
    with pytest.raises(ValueError, match=f'{name} does not begin as this run'):
      run(one, trainer)
    (one / name).write_bytes(kept)
  best = one / 'best.json'
  kept = best.read_bytes()
  with caplog.at_level('WARNING', logger='absl'):
    run(one, trainer)
    best.write_bytes(b'{')  # Cut: written anew, too.
    run(one, trainer)
    assert not caplog.records
    best.write_bytes((other / 'best.json').read_bytes())
    run(one, trainer)
  (record,) = caplog.records
  assert 'held another architecture than the best of' in record.getMessage()
  assert best.read_bytes() == kept
  # A run of an older version, which recorded nothing of its logs.
  (one / 'logs.json').unlink()
  run(one, trainer)
  assert 'rounds.jsonl' in workdir.read_json(one / 'logs.json')


@dataclasses.dataclass(frozen=True)
class Point:
  x: float

  def __getitem__(self, name):
    return getattr(self, name)

  def to_json(self):
    return {'x': self.x}


def test_a_space_of_ones_own_needs_nothing_of_this_package(tmp_path, trainer):
  space = dataclasses.replace(
    SPACE,
    name='points',
    decode=lambda tokens: Point(float(tokens[0]) / 255),
    encode=lambda point: np.array([round(point.x * 255), 0], np.int32),
    canonical=lambda tokens: np.array([tokens[0], 0], np.int32),
  )
  run(
    tmp_path,
    trainer,
    space=space,
    known={'middle': Point(0.5)},
    learning_rates=lambda point: 0.1 + point.x,
    num_params=lambda point: 7,
  )
  best = json.loads((tmp_path / 'best.json').read_text())
  assert best['kind'] == 'other'
  assert best['num_params'] == 7
  assert best['learning_rate'] == pytest.approx(0.1 + best['architecture']['x'])


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'known': {'mine': {'x': 0.5, 'y': 1}}}, "name of an arm, 'mine'"),
    (
      {'known': {'usual': {'x': 0.5}}},
      "'usual': Expected a mapping with",
    ),
    ({'learning_rates': ()}, 'learning_rates must be at least one'),
    ({'num_steps': 0}, 'num_steps must be at least 1, got 0'),
    ({'num_winners': 0}, 'num_winners must be at least 1, got 0'),
    ({'retrain_steps': -1}, 'retrain_steps must be at least 1, got -1'),
    ({'num_seeds': 1}, 'at least 2 seeds to show a spread, got 1'),
    ({'num_selection_seeds': 1.5}, 'seeds must be a whole number; got 1.5'),
    ({'seed': 'a'}, "seed must be a whole number; got 'a'"),
    ({'costs': [len]}, 'costs must be a mapping from names'),
    ({'costs': {'size': str}}, "The cost 'size' must be a number; got"),
    ({'num_params': 3}, 'num_params must be a function of an arch.*; got 3'),
    ({'reward': Reward(lambda *_: 1.0)}, r'number for each of 1 .* shape \(\)'),
    ({'learning_rates': (0.1, 0.0)}, 'a positive number, got 0.0'),
    ({'learning_rates': 'abc'}, "a positive number, got 'a'"),
    # Not of the known one, which has another x.
    ({'learning_rates': lambda value: value['x']}, r"got 0.* for {'x': 0.*1}"),
    ({'learning_rates': lambda value: value['z']}, "hyperparameter 'z'; there"),
    ({'learning_rates': None}, r'none is given.*learning_rates=\(0.001'),
    (
      {'measure': statistics.Measure('lose', True, True)},
      "'lose', .*measure loss",
    ),
    (
      {'reward': Reward(lambda _, metrics: metrics['validation_lose'])},
      "no metric 'validation_lose'; there are validation_loss",
    ),
    ({'costs': {'size': lambda value: value['z']}}, "The cost 'size' failed"),
    (
      {'costs': {'validation_loss': lambda _: 1}},
      "A cost and a metric are both called 'validation_loss'; give",
    ),
    (
      {'reward': Reward(lambda value, _: [value['x']])},
      r'^The reward failed: TypeError at .*own_search_test\.py:\d+: list ind',
    ),
    ({'num_params': lambda value: value['z']}, 'num_params failed'),
    ({'log_to': 'tb'}, "log_to names 'tb'; expected some of tensorboard"),
    ({'known': 'usual'}, 'known must be a mapping from names'),
    ({'measure': 'loss'}, r"measure must be jaxnas.Measure\(.*got 'loss'"),
    ({'reward': print}, r'reward must be jaxnas.Reward\('),
    ({'space': {'x': 1}}, 'space must be a SearchSpace, such as'),
    ({'arms': [random_search]}, 'arms must be jaxnas.Arm, one or a sequence'),
    (
      {'arms': search.Arm('mine', random_search.make_random_search, 4, 4)},
      "strategy of arm 'mine' must be a strategy, such as",
    ),
  ],
)
def test_bad_arguments_are_named(tmp_path, trainer, changes, message):
  with pytest.raises(ValueError, match=message):
    run(tmp_path, trainer, **changes)
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
  ('folder', 'message'),
  [(3, 'folder must be the path of a folder; got 3'), (__file__, 'is a file')],
)
def test_a_run_needs_a_folder(trainer, folder, message):
  with pytest.raises(ValueError, match=message):
    run(folder, trainer)


def test_one_arm_and_one_rate_need_no_brackets(tmp_path, trainer):
  run(tmp_path, trainer, arms=arms(4)[1], learning_rates=0.1)
  trials = records.read(tmp_path)
  assert {trial.settings.get('learning_rate', 0.1) for trial in trials} == {0.1}


def test_a_split_that_is_needed_later_is_missed_at_once(tmp_path, trainer):
  task = trainer.task._replace(splits={'validation': jnp.zeros(())})
  with pytest.raises(ValueError, match="no split 'report' to measure on; it"):
    run(tmp_path, blocks.BlockTrainer(task, 4))
  assert not list(tmp_path.iterdir())


def test_a_reward_that_is_never_a_number_stops_the_search(tmp_path, trainer):
  def rewards(architectures, metrics):
    return np.log(-metrics['validation_loss'])

  with pytest.raises(ValueError, match=r'first 8 trials .* reward was nan'):
    run(tmp_path, trainer, arms=arms(8), reward=Reward(rewards))
  trials = records.read(tmp_path)
  assert len(trials) == 8
  assert {each.reason for each in trials} == {'the reward was nan'}
  run(tmp_path, trainer, arms=arms(8), redo_failed=True)


def test_children_stop_at_rungs(tmp_path, trainer, capsys):
  run(tmp_path, trainer, halving=2, rungs=(1, 3))
  shown = capsys.readouterr().out
  assert 'Rungs: 1 and 3 steps; one child in 2 goes on.' in shown
  assert 'children ended' in shown
  searched = [
    trial for trial in records.read(tmp_path) if trial.arm != search.RETRAIN
  ]
  # A batch of 4 takes 8 steps, not 12: there are 3 of them in place of 2.
  assert len(searched) == 24
  assert {trial.steps for trial in searched} == {1, 3}
  assert sum(trial.is_complete for trial in searched) == 12
  best = json.loads((tmp_path / 'best.json').read_text())
  assert any(
    trial.is_complete and list(trial.tokens) == best['tokens']
    for trial in searched
  )
  assert 'Rungs: 1, 3 steps.' in (tmp_path / 'report.html').read_text()
  with pytest.raises(ValueError, match="Config field 'rungs'"):
    run(tmp_path, trainer, halving=2, rungs=(2, 3))


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    (
      {'halving': 2},
      r'has only 8; take more trials, .* rungs=\(64, 128, 256\)',
    ),
    ({'rungs': (1, 3)}, r'got \(1, 3\) and halving=0'),
    ({'halving': 4, 'rungs': '1,3'}, "rungs must be 'auto' or numbers"),
    ({'halving': 1, 'rungs': (1, 3)}, 'eta must be at least 2'),
    ({'halving': 4, 'rungs': (1, 4)}, 'full training of 3 steps, got 1, 4'),
  ],
)
def test_bad_rungs_are_told_before_anything_is_trained(
  tmp_path, trainer, changes, message
):
  with pytest.raises(ValueError, match=message):
    run(tmp_path / 'run', trainer, **changes)
  assert not (tmp_path / 'run').exists()


def test_a_function_has_no_rungs(tmp_path):
  with functions.FunctionTrainer(return_a_number) as trainer:
    measure = statistics.Measure('reward', True, True)
    reward = Reward(lambda _, metrics: metrics['validation_reward'])
    with pytest.raises(ValueError, match='a function trains to its end'):
      run(
        tmp_path / 'run',
        trainer,
        **{'reward': reward, 'measure': measure, 'learning_rates': None},
        **{'halving': 2, 'rungs': (1, 3)},
      )
  assert not (tmp_path / 'run').exists()


def size(value):
  return 100 * value['y'] + value['x']


def test_limits_and_targets_of_a_cost_of_ones_own(tmp_path, trainer, capsys):
  changes = {
    'costs': {'size': size},
    'limits': {'size': 101},
    'cost_target': ('size', 100.5),
    'cost_weight': -0.2,
  }
  run(tmp_path, trainer, **changes, known={'large': {'x': 0.25, 'y': 2}})
  trials = records.read(tmp_path)
  searched = [trial for trial in trials if trial.arm != search.RETRAIN]
  assert {trial.architecture['y'] for trial in searched} == {1}
  for trial in trials:
    cost = trial.metrics['size']
    quality = -trial.metrics['validation_loss']
    told = quality - 0.2 * abs(cost / 100.5 - 1)
    assert trial.reward == pytest.approx(told, rel=1e-5)
  # A known architecture takes part in what is reported, whatever it costs.
  assert any(
    trial.architecture['y'] == 2 for trial in trials if trial not in searched
  )
  run(tmp_path, trainer, **changes, known={'large': {'x': 0.25, 'y': 2}})
  assert 'nothing is left to train' in capsys.readouterr().out
  changes['limits'] = {'size': 150}
  with pytest.raises(ValueError, match="Config field 'limits'"):
    run(tmp_path, trainer, **changes, known={'large': {'x': 0.25, 'y': 2}})


def test_what_no_redraw_finds_is_infeasible(tmp_path, trainer):
  changes = {'costs': {'size': size}, 'limits': {'size': 101}, 'max_redraws': 0}
  run(tmp_path, trainer, **changes)
  trials = records.read(tmp_path)
  over = [trial for trial in trials if trial.status == 'infeasible']
  assert over
  assert all(trial.architecture['y'] == 2 for trial in over)
  assert {trial.reward for trial in over} == {-100}


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'limits': {'size': 99}}, 'meets size <= 99: the least size is 100'),
    ({'cost_target': ('size', 300)}, 'the greatest size is 201, of all'),
    (
      {'limits': {'weight': 9}},
      "target on 'weight', which is not .* costs are size",
    ),
    ({'limits': {'size': 0}}, "limit on 'size' must be a positive number, got"),
    ({'limits': {'size': 'ten'}}, "must be a positive number, got 'ten'"),
    ({'cost_weight': -0.2}, 'weighed against a target; give cost_target'),
    ({'cost_reward': 'hard'}, 'weighed against a target; give cost_target'),
    ({'limits': 10}, 'limits must be a mapping from names of costs'),
    ({'cost_target': 10}, 'cost_target must be the name of a cost and a'),
    (
      {'cost_target': ('size', 150), 'cost_reward': 'hard'},
      'multiplies, so rewards must not be negative',
    ),
    (
      {'limits': {'size': 150}, 'max_redraws': -1},
      'max_redraws must be at least 0',
    ),
  ],
)
def test_bad_limits_and_targets_are_told_before_anything_is_trained(
  tmp_path, trainer, changes, message
):
  with pytest.raises(ValueError, match=message):
    run(tmp_path / 'run', trainer, costs={'size': size}, **changes)
  assert not (tmp_path / 'run').exists()


def test_equal_arrays_have_one_hash():
  one = own_search.hash_arrays((DATA, {'y': jnp.ones(2)}))
  assert one == own_search.hash_arrays(
    (jnp.array(DATA), {'y': np.ones(2, 'f')})
  )
  for other in (DATA[::-1], DATA[:, None], DATA.astype(np.float64)):
    assert one != own_search.hash_arrays((other, {'y': jnp.ones(2)}))


@pytest.mark.slow
@pytest.mark.parametrize('has_report', [True, False])
def test_a_python_function_gets_all_of_it(tmp_path, capsys, has_report):
  with functions.FunctionTrainer(
    report_a_number if has_report else return_a_number, num_workers=2
  ) as trainer:
    own_search.run(
      tmp_path,
      SPACE,
      arms(4),
      trainer,
      Reward(lambda _, metrics: metrics['validation_reward'], -9.0),
      statistics.Measure('reward', True, False, spec='.3f'),
      known={'usual': {'x': 0.123, 'y': 2}},
      num_winners=1,
      num_selection_seeds=1,
      num_seeds=2,
    )
  shown = capsys.readouterr().out
  assert ('there is no report data' in shown) == (not has_report)
  assert ('report reward' in shown) == has_report
  # Nothing was estimated that it could be compared with.
  assert 'Real cost' not in shown
  assert 'learning rate' not in shown
  assert 'Retrained: mean reward of 2 fresh trainings' in shown
  assert shown.split('Wrote:\n')[1].split() == [
    str(tmp_path / name)
    for name in ('best.json', 'curve.png', 'report.html', 'trials.jsonl')
  ]
  trials = records.read(tmp_path)
  assert {trial.status for trial in trials} == {'ok'}
  assert max(trial.reward for trial in trials) < 0
  best = json.loads((tmp_path / 'best.json').read_text())
  factor = 10 if has_report else 1
  np.testing.assert_allclose(
    best['report_reward'], factor * np.array(best['validation_reward'])
  )
  # A function has no learning rate of ours, and no length.
  assert 'learning_rate' not in best
  assert not [name for name in best if name.startswith('num_')]
  assert 'its reward' not in shown
