# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of the checks alone; `own_search_test` has what a user sees of them."""

import numpy as np
import pytest

from jaxnas import statistics
from jaxnas.runs import own_checks
from jaxnas.spaces import hyperparameters
from jaxnas.types import Reward

SPACE = hyperparameters.make_space(
  {
    'rate': hyperparameters.Choice((0.1, 0.2, 0.0)),
    'kind': hyperparameters.Choice(('a', 'b')),
  }
)


class Trainer:
  """A trainer of a user's own, which knows no dry run."""

  block_size = 1

  def run(self, *arguments, **settings):
    raise AssertionError('nothing is trained')


def check(learning_rates=(0.1,), known=(), costs=None, num_params=None):
  own_checks.check(
    SPACE,
    Trainer(),
    Reward(lambda architectures, metrics: metrics['no such']),
    statistics.Measure('nothing', is_higher_better=True, is_ratio=False),
    learning_rates,
    known,
    costs or {},
    num_params,
  )


def test_every_choice_of_every_decision_is_tried_once():
  tried = [dict(each) for each in own_checks._corners(SPACE)]
  assert tried == [
    {'rate': 0.1, 'kind': 'a'},
    {'rate': 0.2, 'kind': 'a'},
    {'rate': 0.0, 'kind': 'a'},
    {'rate': 0.1, 'kind': 'b'},
  ]


def test_a_rate_of_any_choice_is_checked():
  check(lambda each: each['rate'] + 1)
  with pytest.raises(ValueError, match=r"got 0.0 for {'rate': 0.0"):
    check(lambda each: each['rate'])


def test_a_cost_sees_a_known_architecture_first():
  seen = []
  check(known=['mine'], costs={'size': lambda each: seen.append(each) or 1})
  assert seen == ['mine', *own_checks._corners(SPACE)]


def test_costs_and_sizes_are_tried_on_every_choice():
  latency = {'a': 1.0}
  with pytest.raises(ValueError, match=r"^The cost 'latency' failed: KeyError"):
    check(costs={'latency': lambda each: latency[each['kind']]})
  with pytest.raises(ValueError, match=r'^num_params failed: KeyError'):
    check(num_params=lambda each: latency[each['kind']])


def test_a_trainer_without_a_dry_run_is_trusted():
  check(None)


@pytest.mark.parametrize(
  ('given', 'grid'),
  [
    (None, ()),
    (len, ()),
    (0.1, (0.1,)),
    ([0.1, 1], (0.1, 1)),
    (np.array([0.5], np.float32), (0.5,)),
  ],
)
def test_a_grid_is_made_of_what_people_give(given, grid):
  found = own_checks.grid_of(given)
  assert found == grid
  # Which the settings of a run can hold.
  assert not any(isinstance(each, np.generic) for each in found)
