# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest

from jaxnas import evaluators, rewards
from jaxnas.types import Reward, Status, Trained

OK, DIVERGED, FULL = Status.OK, Status.DIVERGED, Status.OUT_OF_MEMORY


def judge(values, status=None, floor=0.0):
  values = np.array(values, np.float32)
  status = np.zeros(len(values)) if status is None else status
  return evaluators.judge(
    range(len(values)),
    Trained({'value': values}, np.array(status, np.int32)),
    Reward(lambda architectures, metrics: metrics['value'], floor),
  )


def test_a_reward_that_is_not_finite_is_a_failure_and_a_low_one_is_none():
  values = [0.5, np.nan, np.inf, -np.inf, 0.0, -1.0, 0.125]
  evaluation = judge(values)
  np.testing.assert_array_equal(evaluation.rewards, [0.5, 0, 0, 0, 0, 0, 0.125])
  assert evaluation.status.tolist() == [
    OK, DIVERGED, DIVERGED, DIVERGED, OK, OK, OK
  ]  # fmt: skip
  assert evaluation.rewards.dtype == np.float32
  assert evaluation.status.dtype == np.int32
  assert evaluation.reasons[:3] == (
    '',
    'the reward was nan (value is nan)',
    'the reward was inf (value is inf)',
  )
  # What was measured is kept as it is.
  np.testing.assert_array_equal(evaluation.metrics['value'], values)
  assert set(evaluation.metrics) == {'value'}


def test_a_child_that_failed_gets_the_floor_whatever_it_measures():
  evaluation = judge([0.5, 0.25, 9.0], [DIVERGED, OK, FULL], floor=-2.0)
  assert evaluation.rewards.tolist() == [-2.0, 0.25, -2.0]
  assert evaluation.status.tolist() == [DIVERGED, OK, FULL]


def test_no_failure_is_worth_more_than_a_child(caplog):
  with caplog.at_level('WARNING', logger='absl'):
    evaluation = judge([-1.0, -2.0, -3.0, np.nan], floor=-2.0)
  assert evaluation.rewards.tolist() == [-1.0, -2.0, -2.0, -2.0]
  assert evaluation.status.tolist() == [OK, OK, OK, DIVERGED]
  assert '1 of 4 rewards, the lowest -3, are below the floor' in caplog.text
  assert 'the reward, -2' in caplog.text


def test_a_reward_warns_of_its_floor_once(caplog):
  reward = Reward(lambda architectures, metrics: metrics['value'])
  trained = Trained({'value': np.array([-1.0])}, np.array([OK]))
  with caplog.at_level('WARNING', logger='absl'):
    for _ in range(2):
      evaluators.judge(['x'], trained, reward)
  assert caplog.text.count('below the floor') == 1


def test_a_reward_is_made_of_a_function():
  with pytest.raises(ValueError, match="needs a function, got 'accuracy'"):
    Reward('accuracy')


@pytest.mark.parametrize('floor', [np.nan, -np.inf, -1e300, 'low'])
def test_a_floor_that_is_not_finite_is_refused(floor):
  with pytest.raises(ValueError, match='must be finite as a float32, got'):
    Reward(lambda architectures, metrics: metrics['value'], floor)


def test_perplexities_that_are_not_numbers_are_judged_in_silence(recwarn):
  perplexities = np.array([0.0, np.inf, np.nan], np.float32)
  evaluation = evaluators.judge(
    range(3),
    Trained({'validation_perplexity': perplexities}, np.zeros(3, np.int32)),
    rewards.make_perplexity_reward(),
  )
  assert evaluation.status.tolist() == [DIVERGED] * 3
  assert evaluation.rewards.tolist() == [0, 0, 0]
  assert not recwarn.list


def test_where_no_child_was_trained_no_measure_is_asked_for():
  evaluation = evaluators.judge(
    range(2),
    Trained({}, np.full(2, FULL, np.int32), ('too large', 'too large')),
    Reward(lambda architectures, metrics: metrics['value'], -1.0),
  )
  assert evaluation.rewards.tolist() == [-1, -1]
  assert evaluation.status.tolist() == [FULL] * 2
  assert evaluation.reasons == ('too large', 'too large')


def test_a_cost_that_fails_is_a_line():
  def add(cost):
    trained = Trained({}, np.zeros(1, np.int32))
    evaluators.add_costs(trained, ['b'], {'latency': cost})

  with pytest.raises(ValueError, match=r"^The cost 'latency' failed: KeyErr"):
    add(lambda each: {'a': 1}[each])
  with pytest.raises(ValueError, match=r"'latency' must be a number; got 'b'"):
    add(lambda each: each)


def test_a_reward_sees_architectures_and_costs():
  trained = evaluators.add_costs(
    Trained({'value': np.array([1.0, 1.0])}, np.zeros(2, np.int32)),
    ['small', 'very large'],
    {'size': len},
  )
  assert trained.metrics['size'].tolist() == [5, 10]
  evaluation = evaluators.judge(
    ['small', 'very large'],
    trained,
    Reward(
      lambda architectures, metrics: (
        metrics['value'] / metrics['size']
        + [each.startswith('very') for each in architectures]
      )
    ),
  )
  np.testing.assert_allclose(evaluation.rewards, [0.2, 1.1])
  with pytest.raises(ValueError, match="both called 'value'"):
    evaluators.add_costs(trained, ['a', 'b'], {'value': len})


def test_a_metric_of_a_trial_is_a_scalar():
  trained = Trained({'losses': np.ones((2, 3))}, np.zeros(2, np.int32))
  with pytest.raises(ValueError, match=r"'losses' of a child .* \(3,\)"):
    evaluators.judge(range(2), trained, rewards.make_accuracy_reward())


def test_a_reward_that_asks_for_another_metric_is_told_what_there_is():
  with pytest.raises(ValueError, match="no metric 'valeu'; there are value"):
    evaluators.judge(
      range(2),
      Trained({'value': np.zeros(2)}, np.zeros(2, np.int32)),
      Reward(lambda architectures, metrics: metrics['valeu']),
    )


def test_a_reward_of_another_shape_is_refused():
  with pytest.raises(ValueError, match='one number for each of 2 children'):
    evaluators.judge(
      range(2),
      Trained({}, np.zeros(2, np.int32)),
      Reward(lambda architectures, metrics: np.zeros((2, 3))),
    )


def test_a_reward_of_400_digits_is_a_failure():
  evaluation = evaluators.judge(
    'abc',
    Trained({}, np.zeros(3, np.int32)),
    Reward(lambda architectures, metrics: [1, 10**400, -(10**400)], -1.0),
  )
  assert evaluation.rewards.tolist() == [1, -1, -1]
  assert evaluation.status.tolist() == [OK, DIVERGED, DIVERGED]
