# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import jax
import numpy as np
import pytest

from experiments import (
  search_conv_net,
  search_recurrent_cell,
  sharing_settings,
)
from experiments.parts import conv_nets, shared_costs
from jaxnas.controllers import recurrent as controllers
from jaxnas.spaces import recurrent_cell as spaces
from jaxnas.strategies import sharing
from jaxnas.types import Reward

SPACE = spaces.make_space(2)


def make(**changes):
  return search_recurrent_cell.Config(
    **{'sharing': 'leaf', 'base': 2, 'num_repeats': 2} | changes
  )


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    (
      {'sharing': 'none', 'estimator': 'gumbel'},
      '--estimator=gumbel needs --sharing',
    ),
    (
      {'sharing': 'none', 'num_ranked': 9},
      '--num_ranked=9 needs --sharing',
    ),
    (
      {'sharing': 'none', 'shared_steps': 9},
      '--shared_steps=9 needs --sharing',
    ),
    ({'estimator': 'gumble'}, "straight_through, darts, got 'gumble'"),
    ({'strategies': ('reinforce',)}, 'name random among --strategies, got rei'),
    ({'halving': 4}, 'not go together with --halving'),
    ({'objectives': ('reward', 'params')}, 'not go together with --objectives'),
    ({'max_params': 9}, 'not go together with --max_params and other limits'),
    ({'workers': 'processes'}, 'not go together with --workers'),
    ({'pod': True}, 'not go together with --pod'),
    (
      {'estimator': 'darts', 'reward': 'a:b'},
      '--estimator=darts descends the loss and not a reward, .* with --reward',
    ),
    (
      {'estimator': 'gumbel', 'cost_target': 9.0},
      'together with --cost_target; use reinforce',
    ),
    ({'judged_cells': 1}, 'leaves REINFORCE nothing to compare'),
    (
      {'estimator': 'darts', 'judged_cells': 2},
      '2 draws of darts would all be',
    ),
  ],
)
def test_what_does_not_go_together_is_refused(changes, message):
  with pytest.raises(ValueError, match=message) as raised:
    sharing_settings.check(make(**changes))
  assert '\n' not in str(raised.value)


@pytest.mark.parametrize('estimator', ['', *sharing_settings.LABELS])
def test_what_goes_together_is_accepted(estimator):
  sharing_settings.check(make(estimator=estimator))
  sharing_settings.check(make(sharing='operation', estimator=estimator))
  sharing_settings.check(search_recurrent_cell.Config())


def test_without_sharing_there_are_no_further_arms():
  config = make(sharing='none')
  assert sharing_settings.make_arms(config, SPACE) == []


class Supernet:
  num_minibatches = 7


@pytest.mark.parametrize('estimator', sharing_settings.LABELS)
def test_each_search_has_a_phase_with_a_key_of_its_own(estimator):
  config = shared_costs.complete(make(estimator=estimator, shared_steps=40), 7)
  arms = sharing_settings.make_arms(config, SPACE)
  phases = sharing_settings.make_phases(
    config,
    SPACE,
    Supernet(),
    Reward(lambda *_: 0.0),
    {},
    lambda: controllers.make_controller(
      SPACE.decisions, num_layers=1, features=4
    ),
  )
  assert [each.arm for each in phases] == [
    (f'shared_{estimator}', 0),
    (f'shared_{estimator}', 1),
    ('shared_random', 0),
    ('shared_random', 1),
  ]
  assert [each.identity for each in arms] == [each.arm for each in phases]
  assert {each.num_trials for each in arms} == {50}
  assert [each.baseline for each in phases] == [
    ('random', 0), ('random', 1), ('random', 0), ('random', 1)
  ]  # fmt: skip
  keys = {
    tuple(jax.random.key_data(each.search.key).tolist()) for each in phases
  }
  assert len(keys) == 4
  learning, uniform = phases[0].search, phases[2].search
  assert (learning.num_steps, learning.num_frozen) == (40, 10)
  assert learning.policy.learn is not None
  assert uniform.policy.learn is None
  assert uniform.num_frozen == uniform.num_steps > 40


def test_the_policy_of_networks_has_a_prior_of_its_connections():
  config = search_conv_net.Config(sharing=True)
  sharing_settings.check(config)
  assert config.has_sharing
  assert config.prior == (0.4, 0.8)
  changed = search_conv_net.Config(skip_prior=0.2, skip_weight=1.0)
  assert not changed.has_sharing
  with pytest.raises(ValueError, match=r'--skip_prior=0\.2 needs --sharing'):
    sharing_settings.check(changed)
  assert changed.prior == (0.2, 1.0)
  # There is nothing to choose, or no reward to lose.
  assert search_conv_net.Config(num_layers=1).prior is None
  assert search_conv_net.Config(skip_weight=0.0).prior is None
  assert make().prior is None


def test_the_prior_counts_when_the_policy_learns():
  def learn(**changes):
    config = search_conv_net.Config(
      **{
        'sharing': True,
        'shared_steps': 40,
        'num_layers': 2,
        'num_steps': 40,
        'controller_features': 4,
        'controller_layers': 1,
        'judged_cells': 4,
      }
      | changes
    )
    space = conv_nets.make_space(config)
    config = shared_costs.complete(config, 7)
    phases = sharing_settings.make_phases(
      *(config, space, Supernet(), Reward(lambda *_: 0.0), {}),
      lambda: conv_nets.make_controller(config, space),
    )
    policy = phases[0].search.policy
    judge = sharing.Judge(lambda tokens: np.zeros(len(tokens)), None)
    state = policy.init(jax.random.key(0))
    for step in range(2):
      state, metrics = policy.learn(state, jax.random.key(step), judge)
    return metrics

  assert learn()['skip_penalty'] > 0
  assert 'skip_penalty' not in learn(skip_weight=0.0)
