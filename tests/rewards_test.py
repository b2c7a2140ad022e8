# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest

from jaxnas import rewards


def test_the_reward_is_the_papers():
  reward = rewards.make_perplexity_reward()
  metrics = {'validation_perplexity': np.array([62.4, 80.0, 140.0])}
  np.testing.assert_allclose(
    reward.function((), metrics), [0.0205, 0.0125, 0.0041], atol=5e-5
  )
  assert reward.floor == 0


def test_scale_and_metric_can_be_chosen():
  reward = rewards.make_perplexity_reward(scale=2.0, metric='other')
  metrics = {
    'other': np.array([2.0], np.float32),
    'validation_perplexity': np.array([1.0], np.float32),
  }
  np.testing.assert_array_equal(reward.function((), metrics), [0.5])


def test_the_square_of_a_float32_does_not_overflow():
  reward = rewards.make_perplexity_reward()
  result = reward.function(
    (), {'validation_perplexity': np.array([1e25], np.float32)}
  )
  assert 0 < result[0] < 1e-40


@pytest.mark.parametrize('scale', [0.0, -1.0, float('nan')])
def test_the_scale_must_be_positive(scale):
  with pytest.raises(ValueError, match=f'must be positive, got {scale}'):
    rewards.make_perplexity_reward(scale)


def test_the_accuracy_reward_is_the_papers():
  reward = rewards.make_accuracy_reward()
  metrics = {'best_accuracy': np.array([0.5, 1.0, 0.0], np.float32)}
  np.testing.assert_allclose(reward.function((), metrics), [0.125, 1, 0])
  reward = rewards.make_accuracy_reward(1.0, 'validation_accuracy')
  metrics = {'validation_accuracy': np.array([0.5])}
  np.testing.assert_allclose(reward.function((), metrics), [0.5])


@pytest.mark.parametrize('power', [0.0, -1.0, float('nan')])
def test_the_power_must_be_positive(power):
  with pytest.raises(ValueError, match=f'must be positive, got {power}'):
    rewards.make_accuracy_reward(power)


@pytest.mark.parametrize(
  'make', [rewards.make_perplexity_reward, rewards.make_accuracy_reward]
)
def test_a_metric_that_children_do_not_have_is_told(make):
  reward = make(metric='validation_loss')
  with pytest.raises(
    ValueError, match=r"'validation_loss', .*; they have steps"
  ):
    reward.function((), {'steps': np.ones(3)})
