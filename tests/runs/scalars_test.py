# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import math
import types

import numpy as np

from jaxnas import generations
from jaxnas.records import round_log, trial_log
from jaxnas.runs import scalars


def trial(number, arm, reward, repeat=0, status='ok', **fields):
  return trial_log.Trial(
    number=number,
    arm=arm,
    repeat=repeat,
    tokens=(1,),
    architecture={},
    reward=reward,
    status=status,
    **{'metrics': {}, **fields},
  )


def test_trials_give_rewards_the_best_so_far_and_metrics():
  log = types.SimpleNamespace(
    trials=[
      trial(0, 'ppo', -3.0, status='diverged', metrics={'x': math.nan}),
      trial(1, 'ppo', -2.0, metrics={'x': 5}),
      trial(2, 'ppo', -4.0, repeat=1),
    ]
  )
  source = scalars.OfSearch(log)
  assert source.take() == [
    ('trial', 0, {'ppo/reward': -3.0}),
    (
      'trial',
      1,
      {'ppo/x': 5.0, 'ppo/reward': -2.0, 'ppo/best_reward_so_far': -2.0},
    ),
    ('trial', 2, {'ppo_1/reward': -4.0, 'ppo_1/best_reward_so_far': -4.0}),
  ]
  assert source.take() == []
  log.trials += [
    trial(3, 'ppo', -2.5),
    trial(4, 'retrain', 9.0, settings={'label': 'a #1'}, metrics={'y': 7.0}),
    trial(5, 'ppo', 0.0, status='diverged'),
  ]
  assert source.take() == [
    ('trial', 3, {'ppo/reward': -2.5, 'ppo/best_reward_so_far': -2.0}),
    ('trial', 4, {'retrain/a #1/y': 7.0}),
    ('trial', 5, {'ppo/reward': 0.0, 'ppo/best_reward_so_far': -2.0}),
  ]


def test_rounds_give_what_strategies_say():
  log = types.SimpleNamespace(trials=[])
  rounds = types.SimpleNamespace(rounds=[])
  source = scalars.OfSearch(log, rounds)
  assert source.take() == []
  rounds.rounds += [
    round_log.Round(0, 'ppo', 0, {'entropy': 1.5, 'grad_norm': math.nan}),
    round_log.Round(0, 'ppo', 2, {'entropy': 2.5}),
  ]
  log.trials.append(trial(0, 'ppo', 1.0))
  assert [point[:2] for point in source.take()] == [
    ('trial', 0),
    ('round', 0),
    ('round', 0),
  ]
  rounds.rounds.append(round_log.Round(1, 'ppo', 2, {'entropy': 0.5}))
  assert source.take() == [('round', 1, {'ppo_2/tell/entropy': 0.5})]


def test_epochs_give_the_numbers_of_their_lines():
  lines = [{'epoch': 1, 'learning_rate': 0.5, 'training_loss': None}]
  source = scalars.OfEpochs(lines)
  assert source.take() == [('epoch', 1, {'learning_rate': 0.5})]
  lines.append({'epoch': 2, 'learning_rate': np.float64(0.25)})
  assert source.take() == [('epoch', 2, {'learning_rate': 0.25})]
  assert source.take() == []


def test_a_training_ends_with_what_no_epoch_measures():
  results = []
  source = scalars.OfEpochs([{'epoch': 1, 'rate': 0.5}], results)
  assert source.take() == [('epoch', 1, {'rate': 0.5})]
  result = {'num_epochs': 3, 'epoch': 1, 'validation_loss': 1.0}
  results.append({**result, 'report_loss': 2.0, 'weights_sha256': 'ab'})
  assert source.take() == [('result', 3, {'report_loss': 2.0})]
  results.append({**result, 'test_loss': 4.0, 'num_images': 7})
  assert source.take() == [('result', 3, {'test_loss': 4.0})]
  assert source.take() == []


def test_generations_give_means_over_lineages():
  generation = generations.Generation(
    branch='control',
    number=1,
    cells=(None, None),
    candidates=(((1,),), ((2,),)),
    rewards=(1.0, 2.0),
    areas=(0.25, 0.75),
    late_means=(3.0, math.nan),
    num_replaced=(0, 0),
    is_finite=(True, True),
  )
  found, retrained = [generation], []
  source = scalars.OfSuccession(found, retrained)
  means = {'control/rewards': 1.5, 'control/areas': 0.5}
  assert source.take() == [('generation', 1, means)]
  retrained += [
    {'tokens': [1], 'seed': 7, 'report': 2.0, 'validation': None},
    {'tokens': [2], 'seed': 7, 'report': 4.0, 'validation': 1.0},
  ]
  assert source.take() == [
    ('retraining', 0, {'retrain/report': 2.0}),
    ('retraining', 1, {'retrain/report': 4.0, 'retrain/validation': 1.0}),
  ]
