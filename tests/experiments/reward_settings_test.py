# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of a reward of the user's own on a command line."""

import pytest

from experiments import reward_settings
from jaxnas import rewards
from tests.experiments import own_rewards

HERE = own_rewards.__name__
USUAL = rewards.make_accuracy_reward()


def choose(spelled):
  return reward_settings.choose(reward_settings.OwnReward(spelled), USUAL)


def test_a_function_or_a_reward_may_be_named():
  assert choose('') is USUAL
  made = choose(f'{HERE}:by_size')
  assert (made.function, made.floor) == (own_rewards.by_size, 0.0)
  assert choose(f'{HERE}:NEGATIVE') is own_rewards.NEGATIVE


@pytest.mark.parametrize(
  ('spelled', 'message'),
  [
    ('by_size', "must be module:name, such as .* got 'by_size'"),
    (f'{HERE}:', 'must be module:name'),
    ('not_there:by_size', "Importing 'not_there', .* failed: ModuleNotFound"),
    (f'{HERE}:by_sise', 'does not have .*; did you mean by_size'),
    (f'{HERE}:NUMBER', "names 'NUMBER', which .* as a function or a jaxnas"),
  ],
)
def test_what_is_no_reward_is_named(spelled, message):
  with pytest.raises(ValueError, match=message):
    choose(spelled)


def check(name, architectures, names, **costs):
  config = reward_settings.OwnReward(f'{HERE}:{name}')
  reward = reward_settings.choose(config, USUAL)
  reward_settings.check(config, reward, architectures, names, costs)


def test_a_reward_is_tried_on_everything_that_it_will_see():
  check('by_size', ['abc'], ['best_accuracy'], num_params=len)
  check('by_loss', ['abc', None], ['validation_perplexity'])
  with pytest.raises(ValueError, match="no metric 'validation_error'; there"):
    check('of_another_metric', ['abc'], ['validation_perplexity'])
