# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest

from jaxnas.evaluators import rewards
from jaxnas.types import Status


def test_the_reward_is_the_papers():
  reward = rewards.make_perplexity_reward()
  metrics = {'validation_perplexity': np.array([62.4, 80.0, 140.0])}
  np.testing.assert_allclose(
    reward(metrics), [0.0205, 0.0125, 0.0041], atol=5e-5
  )


def test_scale_and_metric_can_be_chosen():
  reward = rewards.make_perplexity_reward(scale=2.0, metric='other')
  metrics = {
    'other': np.array([2.0], np.float32),
    'validation_perplexity': np.array([1.0], np.float32),
  }
  np.testing.assert_array_equal(reward(metrics), [0.5])


def test_the_square_of_a_float32_does_not_overflow():
  reward = rewards.make_perplexity_reward()
  result = reward({'validation_perplexity': np.array([1e25], np.float32)})
  assert 0 < result[0] < 1e-40


@pytest.mark.parametrize('scale', [0.0, -1.0, float('nan')])
def test_the_scale_must_be_positive(scale):
  with pytest.raises(ValueError, match=f'must be positive, got {scale}'):
    rewards.make_perplexity_reward(scale)


def value(metrics):
  return metrics['value']


def judge(values, is_alive=None, floor_reward=0.0):
  values = np.array(values, np.float32)
  if is_alive is None:
    is_alive = np.ones(len(values), bool)
  metrics = {'value': values, 'is_alive': np.array(is_alive)}
  return rewards.judge(metrics, rewards.Reward(value, floor_reward))


def test_a_reward_fails_where_it_is_not_finite_and_never_where_it_is_low():
  values = [0.5, np.nan, np.inf, -np.inf, 0.0, -1.0, -9.0]
  evaluation = judge(values, floor_reward=-9.0)
  ok, failed = Status.OK, Status.DIVERGED
  np.testing.assert_array_equal(
    evaluation.rewards, [0.5, -9, -9, -9, 0, -1, -9]
  )
  assert evaluation.status.tolist() == [
    ok, failed, failed, failed, ok, ok, ok
  ]  # fmt: skip
  assert evaluation.rewards.dtype == np.float32
  assert evaluation.status.dtype == np.int32
  # What was measured is kept as it is.
  np.testing.assert_array_equal(evaluation.metrics['value'], values)
  assert set(evaluation.metrics) == {'value'}


def test_a_child_that_died_gets_the_floor_whatever_it_measures():
  evaluation = judge([0.5, 0.25], is_alive=[0, 1], floor_reward=-2.0)
  assert evaluation.rewards.tolist() == [-2.0, 0.25]
  assert evaluation.status.tolist() == [Status.DIVERGED, Status.OK]


def test_no_failure_is_worth_more_than_a_child(caplog):
  with caplog.at_level('WARNING', logger='absl'):
    evaluation = judge([-1.0, -2.0, -3.0, np.nan], floor_reward=-2.0)
  assert evaluation.rewards.tolist() == [-1.0, -2.0, -2.0, -2.0]
  assert evaluation.status.tolist() == [
    Status.OK, Status.OK, Status.OK, Status.DIVERGED
  ]  # fmt: skip
  assert '1 of 4 rewards, the lowest -3, are below the floor' in caplog.text
  assert 'the reward, -2' in caplog.text


@pytest.mark.parametrize('floor', [np.nan, -np.inf, -1e300])
def test_a_floor_that_is_not_finite_is_refused(floor):
  with pytest.raises(ValueError, match='must be finite as a float32, got'):
    rewards.Reward(value, floor)


def test_perplexities_that_are_not_numbers_are_judged_in_silence(recwarn):
  metrics = {
    'validation_perplexity': np.array([0.0, np.inf, np.nan], np.float32),
    'is_alive': np.ones(3, bool),
  }
  evaluation = rewards.judge(metrics, rewards.make_perplexity_reward())
  assert evaluation.rewards.tolist() == [0, 0, 0]
  assert set(evaluation.status.tolist()) == {Status.DIVERGED}
  assert not recwarn.list
  assert 'is_alive' in metrics


def test_the_accuracy_reward_is_the_papers():
  reward = rewards.make_accuracy_reward()
  metrics = {'best_accuracy': np.array([0.5, 1.0, 0.0], np.float32)}
  np.testing.assert_allclose(reward(metrics), [0.125, 1, 0])
  reward = rewards.make_accuracy_reward(1.0, 'validation_accuracy')
  metrics = {'validation_accuracy': np.array([0.5])}
  np.testing.assert_allclose(reward(metrics), [0.5])


@pytest.mark.parametrize('power', [0.0, -1.0, float('nan')])
def test_the_power_must_be_positive(power):
  with pytest.raises(ValueError, match=f'must be positive, got {power}'):
    rewards.make_accuracy_reward(power)


def test_a_child_that_did_not_fit_is_told_from_one_that_diverged():
  metrics = {
    'value': np.array([1.0, np.nan, np.nan]),
    'is_alive': np.array([True, False, False]),
    'is_out_of_memory': np.array([False, True, False]),
  }
  evaluation = rewards.judge(metrics, rewards.Reward(value, 0.0))
  assert evaluation.status.tolist() == [
    Status.OK,
    Status.OUT_OF_MEMORY,
    Status.DIVERGED,
  ]
  assert evaluation.rewards.tolist() == [1, 0, 0]
  assert set(evaluation.metrics) == {'value'}


def test_where_no_child_fits_no_measure_is_asked_for():
  metrics = {
    'is_alive': np.zeros(2, bool),
    'is_out_of_memory': np.ones(2, bool),
  }
  evaluation = rewards.judge(metrics, rewards.Reward(value, -1.0))
  assert evaluation.rewards.tolist() == [-1, -1]
  assert evaluation.status.tolist() == [Status.OUT_OF_MEMORY] * 2
