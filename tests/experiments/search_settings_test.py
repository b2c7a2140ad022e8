# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of the arms that settings make, and of what people call them."""

import jax
import pytest

from experiments import (
  machine_settings,
  search_settings,
  strategy_settings,
  worker_settings,
)
from jaxnas.controllers import recurrent
from jaxnas.records import trial_log
from jaxnas.spaces import recurrent_cell
from jaxnas.trainers import blocks

SPACE = recurrent_cell.make_space(base=2)


def small(**changes):
  settings = {
    'strategies': strategy_settings.STRATEGIES,
    'num_trials': 64,
    'num_repeats': 2,
    'trials_per_update': 4,
    'population_size': 6,
    'sample_size': 3,
  }
  return search_settings.Settings(**settings | changes)


def make_arms(config, known=()):
  search_settings.check(config, num_steps=1)
  return search_settings.make_arms(
    config,
    SPACE,
    known,
    lambda: recurrent.make_controller(
      SPACE.decisions, num_layers=1, features=config.controller_features
    ),
  )


@pytest.mark.parametrize(
  ('changes', 'expected'),
  [
    # Two workers share a round of 32; this process has two devices.
    ({'gpus_per_worker': 1, 'num_workers': 2}, 16),
    ({'gpus_per_worker': 3, 'num_workers': 2}, 18),
    ({'gpus_per_worker': 1, 'num_workers': 2, 'replicas': 4}, 64),
    ({'gpus_per_worker': 1, 'num_workers': 2, 'replicas': 40}, 128),
    ({'gpus_per_worker': 2, 'num_workers': 2, 'replicas': 40}, 256),
    ({'gpus_per_worker': 1, 'num_workers': 64}, 2),
    ({'gpus_per_worker': 0, 'num_workers': 2}, 0),
    ({'gpus_per_worker': 1, 'num_workers': 2, 'block_size': 6}, 0),
  ],
)
def test_workers_with_gpus_share_what_is_in_flight(
  changes, expected, monkeypatch
):
  monkeypatch.setattr(machine_settings, 'choose_num_devices', lambda _: 2)
  config = small(**changes)
  assert config.round_size == 32
  size = worker_settings.gpu_block_size(config, blocks.default_block_size)
  assert size == expected


def test_every_strategy_has_its_arms_and_an_equal_share():
  known = [recurrent_cell.KNOWN_CELLS['paper_example']]
  first, *arms = make_arms(small(), known)
  assert (first.name, first.num_trials) == ('known', 1)
  assert [arm.identity for arm in arms] == [
    (name, repeat)
    for name in ('reinforce', 'ppo', 'evolution', 'random')
    for repeat in (0, 1)
  ]
  assert {(arm.num_trials, arm.batch_size) for arm in arms} == {(8, 4)}


def test_random_search_without_rungs_is_one_more_search():
  config = small(halving=4, compare_fidelity=True)
  arms = make_arms(config)
  *halved, first, second = arms
  assert all(arm.is_halved for arm in halved)
  for repeat, arm in enumerate((first, second)):
    assert arm.identity == ('random_full', repeat)
    assert (arm.num_trials, arm.is_halved) == (8, False)
    assert arm.label == 'random search, no rungs'
  without = small(halving=4)
  assert config.num_retrainings(0) == without.num_retrainings(0) * 5 // 4
  with pytest.raises(ValueError, match='such as --halving=4'):
    search_settings.check(small(compare_fidelity=True), num_steps=1)


def test_winners_are_trained_fully():
  def make_trial(number, arm, **fields):
    return trial_log.Trial(
      *(number, arm, 0, (number,), {}, number / 10, {}, 'ok'),
      **{'steps': 8, 'proposal': number, **fields},
    )

  trials = [
    make_trial(0, 'random', rung=1),
    make_trial(1, 'random', rung=0, is_stopped=True, steps=4),
    make_trial(2, 'random_full'),
  ]
  config = small(
    strategies=('random',), num_repeats=1, halving=4, compare_fidelity=True
  )
  found = [
    (fields['label'], trial.number)
    for fields, trial in search_settings.winners(config, trials)
  ]
  assert found == [('random_full #2', 2), ('random #0', 0)]


def test_settings_reach_their_strategies():
  config = small(strategies=('ppo', 'evolution'), controller_features=3)
  ppo, _, evolution, _ = make_arms(config)
  key = jax.random.key(0)
  assert ppo.strategy.init(key).params['kernel'].shape[1] == 3
  population = evolution.strategy.init(key).tokens
  assert population.shape == (6, SPACE.num_tokens)


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'strategies': ('ppo', 'annealing')}, "Unknown strategy 'annealing'"),
    ({'strategies': ('ppo', 'ppp'), 'num_trials': 32}, 'reinforce, ppo, evol'),
    ({'num_trials': 60}, 'multiple of 32'),
    ({'strategies': ()}, 'strategies is empty; name at least one'),
    (
      {'retrain_learning_rates': (0.1, 0.1)},
      '--retrain_learning_rates must be at least one rate, all different',
    ),
    ({'population_size': 8}, r'population_size \(8\) .* has 8 trials'),
    ({'population_size': 2}, r'sample_size must be .* \(2\), got 3'),
    (
      {'population_size': 0},
      'population_size must be from 1 to 100,000, got 0',
    ),
    ({'sample_size': 0}, 'sample_size must be from 1 .* got 0'),
    ({'ppo_epochs': 0}, 'ppo_epochs must be from 1 to 100,000, got 0'),
    ({'ppo_clip': 1.0}, 'ppo_clip must be .* below 1, got 1.0'),
    ({'controller_learning_rate': -1.0}, '--controller_learning_rate must be'),
  ],
)
def test_bad_settings_are_refused(changes, message):
  with pytest.raises(ValueError, match=message):
    make_arms(small(**changes))


def test_a_small_budget_is_refused_for_evolution_alone():
  config = small(strategies=('ppo', 'random'), population_size=100)
  assert len(make_arms(config)) == 4
