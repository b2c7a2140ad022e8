# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest

from jaxnas import evaluators
from jaxnas.costs import extremes, limits
from jaxnas.spaces import hyperparameters
from jaxnas.types import Choice, Reward, Status

SPACE = hyperparameters.make_space({'a': Choice((1, 20, 3000))})
COSTS = {'size': lambda each: each['a'], 'depth': lambda each: 2}
LIMITS = limits.Limits({'size': 20, 'depth': 5}, COSTS)
ALL = extremes.find(SPACE, COSTS['size'])


def tokens(token):
  return np.array([token], np.int32)


def test_what_is_exceeded_is_told():
  assert LIMITS.exceeded({'a': 20}) == ''
  assert LIMITS.exceeded({'a': 3000}) == (
    'size is 3,000, above the limit of 20'
  )
  assert 'size is nan' in LIMITS.exceeded({'a': float('nan')})
  is_allowed = LIMITS.allows(SPACE)
  assert [is_allowed(tokens(each)) for each in range(3)] == [True, True, False]


def test_costs_are_told_with_all_their_digits():
  found = limits.Limits({'size': 1234567}, COSTS).exceeded({'a': 12345678})
  assert found == 'size is 12,345,678, above the limit of 1,234,567'
  bounds = extremes.Extremes(1234567.0, 7654321.0, 'of all', 'of all')
  with pytest.raises(
    ValueError,
    match='meets size <= 999,999: the least size is 1,234,567, of all',
  ):
    limits.check_met('size', 999999, bounds)
  with pytest.raises(
    ValueError,
    match='size = 98,765,432: the greatest size is 7,654,321, of all',
  ):
    limits.check_target('size', 98765432, bounds)
  assert limits.spell(0.123456789) == '0.123457'
  assert limits.spell(float('nan')) == 'nan'


def test_an_evaluator_screens_without_training():
  evaluator = evaluators.make_evaluator(
    SPACE, _Trainer(), Reward(lambda *_: 1, -3.0), 0.1, limits=LIMITS
  )
  assert evaluator.screen(tokens(1)) is None
  found = evaluator.screen(tokens(2))
  assert found.rewards.tolist() == [-3.0]
  assert found.status.tolist() == [Status.INFEASIBLE]
  assert found.metrics == {'size': [3000], 'depth': [2]}
  assert found.reasons == ('size is 3,000, above the limit of 20',)
  assert evaluator.task['limits'] == {'size': 20, 'depth': 5}


class _Trainer:
  block_size = 1


@pytest.mark.parametrize(
  ('most', 'message'),
  [
    ({'sise': 1}, "limit on 'sise', which is not a cost; the costs are dept"),
    ({'size': 0}, "limit on 'size' must be positive, got 0"),
  ],
)
def test_bad_limits_are_refused(most, message):
  with pytest.raises(ValueError, match=message):
    limits.Limits(most, COSTS)


def test_limits_and_targets_that_nothing_meets_are_found():
  limits.check_met('size', 1, ALL)
  limits.check_target('size', 25, ALL)
  with pytest.raises(
    ValueError,
    match=r'meets --max=0\.5: the least size is 1, of all 3 architectures\.',
  ):
    limits.check_met('size', 0.5, ALL, '--max=0.5')
  with pytest.raises(
    ValueError, match=r'= 0\.5: the least size is 1, of all 3'
  ):
    limits.check_target('size', 0.5, ALL)
  with pytest.raises(ValueError, match='the greatest size is 3,000, of all 3'):
    limits.check_target('size', 4000, ALL)
  constant = extremes.find(SPACE, COSTS['depth'])
  with pytest.raises(ValueError, match='have depth 2, so the target'):
    limits.check_target('depth', 2, constant)


def test_what_not_all_architectures_show_is_no_error():
  partly = 'of 5 architectures that were looked at, not of all'
  bounds = extremes.Extremes(1, 3, partly, partly)
  limits.check_met('size', 0.5, bounds)
  limits.check_target('size', 4, bounds)
  with pytest.raises(ValueError, match='the least size is 1, counted exactly'):
    limits.check_met('size', 0.5, bounds.with_low(1))
