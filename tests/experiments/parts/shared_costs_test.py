# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import pytest

from experiments import search_recurrent_cell
from experiments.parts import shared_costs


def make(**changes):
  return search_recurrent_cell.Config(
    **{'sharing': 'leaf', 'base': 2, 'num_repeats': 2} | changes
  )


def test_the_steps_of_shared_weights_cost_what_other_searches_cost():
  config = shared_costs.complete(make(num_repeats=1), 17)
  # By hand: 256 trials of 80 steps, less 50 trainings and 1,000 cells forward
  # on 4 minibatches, are 15,146 2/3; a step trains 8, and of 4 steps 3 judge 64
  # forward.
  assert config.num_trials == 512
  assert config.shared_steps == 630
  costs = shared_costs.of(config, 17)
  assert costs.total(config.shared_steps) <= 256 * 80
  assert costs.total(config.shared_steps + 1) > 256 * 80
  assert costs.steps(4) == pytest.approx(4 * 8 + 3 * 64 / 3)
  assert costs.ranking == pytest.approx(1000 * 4 / 3)
  # The other search with shared weights takes more steps, none of which judges.
  uniform = costs.num_uniform_steps(config.shared_steps)
  assert uniform * 8 == pytest.approx(costs.steps(config.shared_steps), abs=8)


@pytest.mark.parametrize('estimator', ['reinforce', 'gumbel', 'darts'])
def test_other_searches_cost_what_given_steps_cost(estimator):
  config = shared_costs.complete(
    make(shared_steps=100, estimator=estimator, trials_per_update=4), 3
  )
  each = {'reinforce': 64 / 3, 'gumbel': 8, 'darts': 1}[estimator]
  # All three minibatches, since there are no more.
  cost = 100 * 8 + 75 * each + 1000 + 50 * 80
  trials = config.num_trials // 4
  assert not trials % 4
  assert trials - 4 < cost / 80 <= trials
  assert config.shared_steps == 100
  told = shared_costs.describe(config, 3)
  assert f'That is the cost of {cost / 80:,.1f} trials' in told
  assert f'each other search has {trials:,}.' in told
  # What was chosen once stays.
  assert shared_costs.complete(config, 3) == config


def test_too_few_trials_for_any_step_are_refused():
  with pytest.raises(ValueError, match='trials of 80 steps costs less than'):
    shared_costs.complete(make(num_trials=128), 17)


def test_too_many_trials_are_refused():
  with pytest.raises(ValueError, match='1,000,000,000 are possible'):
    shared_costs.complete(make(shared_steps=10**9), 17)


def test_without_sharing_nothing_changes():
  config = make(sharing='none')
  assert shared_costs.complete(config, 3) is config
