# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest

from jaxnas import rewards
from jaxnas.types import Reward


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


QUALITY = Reward(lambda _, metrics: metrics['quality'])
METRICS = {
  'quality': np.array([0.5, 0.5, 0.5, 0.5]),
  'cost': np.array([100.0, 50.0, 200.0, np.nan]),
}


@pytest.mark.parametrize(
  ('kind', 'expected'),
  [
    # By hand: 2^0.07 = 1.04971 and 2^-0.07 = 0.95264.
    ('absolute', [0.5, 0.45, 0.4, 0.5]),
    ('power', [0.5, 0.524858, 0.476320, 0.5]),
    ('hard', [0.5, 0.5, 0.476320, 0.5]),
  ],
)
def test_a_cost_is_weighed_as_in_the_papers(kind, expected):
  reward = rewards.make_cost_reward(QUALITY, 'cost', 100, kind)
  np.testing.assert_allclose(reward.function((), METRICS), expected, rtol=1e-5)
  strong = rewards.make_cost_reward(QUALITY, 'cost', 100, kind, -1.0)
  if kind == 'absolute':
    np.testing.assert_allclose(strong.function((), METRICS)[1:3], [0, -0.5])
  else:
    assert strong.function((), METRICS)[2] == pytest.approx(0.25)


def test_failing_pays_less_than_any_cost():
  made = rewards.make_cost_reward(QUALITY, 'cost', 10, max_deviation=19.0)
  assert made.floor == pytest.approx(-1.9)
  assert made.function((), METRICS)[2] > made.floor
  assert rewards.make_cost_reward(QUALITY, 'cost', 10, 'hard').floor == 0


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ((QUALITY, 'cost', 0), 'target of a cost must be positive, got 0'),
    ((QUALITY, 'cost', 1, 'soft'), "Unknown cost reward 'soft'; .* absolute"),
    ((QUALITY, 'cost', 1, 'hard', 0.1), 'must be negative, got 0.1'),
    (
      (Reward(QUALITY.function, -1.0), 'cost', 1, 'power'),
      'must not be negative; the floor is -1.0. Take absolute',
    ),
  ],
)
def test_bad_cost_rewards_are_refused(arguments, message):
  with pytest.raises(ValueError, match=message):
    rewards.make_cost_reward(*arguments)


def test_a_cost_that_nobody_counts_is_named():
  reward = rewards.make_cost_reward(QUALITY, 'size', 1)
  with pytest.raises(ValueError, match="needs the metric 'size'"):
    reward.function((), METRICS)
