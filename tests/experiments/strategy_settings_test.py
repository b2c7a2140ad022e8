# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import inspect

import pytest

from experiments import strategy_settings
from jaxnas.strategies import evolution, ppo, reinforce
from jaxnas.types import Choice

DECISIONS = (Choice((1, 2), 'one'), Choice((1, 2, 3), 'other'))


def test_an_unknown_strategy_is_named():
  with pytest.raises(ValueError, match="'annealing'; expected some of reinf"):
    strategy_settings.make_strategy(
      'annealing', strategy_settings.StrategySettings(), DECISIONS, None
    )


def test_only_what_trains_a_policy_asks_for_a_controller():
  for name in ('random', 'evolution'):
    strategy_settings.make_strategy(
      name, strategy_settings.StrategySettings(), DECISIONS, None
    )


@pytest.mark.parametrize(
  ('make', 'names'),
  [
    (
      reinforce.make_reinforce,
      {
        'learning_rate': 'controller_learning_rate',
        'baseline_decay': 'baseline_decay',
        'entropy_weight': 'entropy_weight',
        'correction': 'correction',
      },
    ),
    (
      ppo.make_ppo,
      {
        'learning_rate': 'controller_learning_rate',
        'baseline_decay': 'baseline_decay',
        'entropy_weight': 'entropy_weight',
        'clip': 'ppo_clip',
        'num_epochs': 'ppo_epochs',
      },
    ),
    (
      evolution.make_evolution,
      {'population_size': 'population_size', 'sample_size': 'sample_size'},
    ),
  ],
)
def test_defaults_are_those_of_the_library(make, names):
  parameters = inspect.signature(make).parameters
  settings = strategy_settings.StrategySettings()
  for name, setting in names.items():
    assert parameters[name].default == getattr(settings, setting), name
