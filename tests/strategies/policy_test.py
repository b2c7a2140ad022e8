# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnas.strategies import policy
from jaxnas.types import Controller

# One decision of two values, whose logit is the only parameter.
LEARNING_RATE = 0.5


def log_probs(logit):
  return jnp.stack([jax.nn.log_sigmoid(-logit), jax.nn.log_sigmoid(logit)])


def sample_and_log_prob(params, key, num_active=None):
  del num_active
  token = jax.random.bernoulli(key, jax.nn.sigmoid(params)).astype(jnp.int32)
  return token[None], log_probs(params)[token][None]


def log_prob(params, tokens, num_active=None):
  del num_active
  values = log_probs(params)
  entropy = -jnp.sum(jnp.exp(values) * values)
  return values[tokens], jnp.broadcast_to(entropy, tokens.shape)


COIN = Controller(lambda key: jnp.zeros(()), sample_and_log_prob, log_prob)


def loss_of_probability(log_prob, proposed_log_prob, advantage, entropy):
  del proposed_log_prob, entropy
  return -jnp.mean(jax.lax.stop_gradient(advantage) * log_prob)


def make(controller=COIN, **changes):
  return policy.make_policy_gradient(
    controller,
    loss_of_probability,
    **{
      'learning_rate': LEARNING_RATE,
      'baseline_decay': 0.75,
      'entropy_weight': 0.0,
      'max_grad_norm': None,
      'optimizer': optax.sgd(LEARNING_RATE),
      **changes,
    },
  )


def play(strategy, *batches):
  """Tells batches of rewards, as `(tokens, rewards)`; returns the states."""
  state = strategy.init(jax.random.key(0))
  told = []
  for index, (tokens, rewards) in enumerate(batches):
    proposals = strategy.ask(state, jax.random.key(index), len(tokens))
    proposals = proposals._replace(tokens=jnp.array(tokens)[:, None])
    state, metrics = strategy.tell(
      state, proposals, np.array(rewards, np.float32)
    )
    told.append((state, metrics))
  return told


def test_the_first_batch_sets_the_baseline_and_nothing_else():
  ((state, metrics),) = play(make(), ([0, 1], [1.0, 3.0]))
  assert state.params == 0
  assert state.baseline == metrics['baseline'] == metrics['mean_reward'] == 2
  assert state.num_updates == 1


def test_a_batch_is_compared_with_the_baseline_before_it_enters_it():
  batch = ([0, 1], [1.0, 3.0])
  _, (state, metrics) = play(make(), batch, ([1, 1], [4.0, 4.0]))
  assert metrics['baseline'] == 2
  assert state.baseline == pytest.approx(0.75 * 2 + 0.25 * 4)
  # The advantage is 2, and the slope of log(sigmoid) at 0 is one half.
  assert metrics['grad_norm'] == pytest.approx(1.0)
  assert state.params == pytest.approx(LEARNING_RATE)


def test_the_baseline_averages_reward_and_rewarded_entropy():
  ((state, metrics),) = play(make(entropy_weight=0.5), ([0, 1], [1.0, 3.0]))
  assert metrics['entropy'] == pytest.approx(np.log(2))
  assert state.baseline == pytest.approx(2 + 0.5 * np.log(2))


def test_epochs_are_steps_on_the_whole_batch():
  batches = ([0, 1], [0.0, 0.0]), ([1, 1], [1.0, 1.0])
  *_, (state, metrics) = play(make(num_epochs=2), *batches)
  first = LEARNING_RATE * 0.5
  second = first + LEARNING_RATE / (1 + np.exp(first))
  assert state.params == pytest.approx(second, rel=1e-6)
  # What is told of the gradient is of the policy that proposed.
  assert metrics['grad_norm'] == pytest.approx(0.5)


def test_a_gradient_is_clipped_and_told_unclipped():
  batches = ([0, 1], [0.0, 0.0]), ([1, 1], [8.0, 8.0])
  *_, (state, metrics) = play(make(max_grad_norm=0.25), *batches)
  assert metrics['grad_norm'] == pytest.approx(4.0)
  assert state.params == pytest.approx(LEARNING_RATE * 0.25)


def test_a_condition_is_violated_only_if_its_value_is_known():
  assert policy.is_violated(False)
  assert not policy.is_violated(True)

  @jax.jit
  def violated(value):
    assert not policy.is_violated(value > 0)
    return value

  violated(-1.0)


def test_probabilities_are_the_mean_over_samples():
  def sample_probabilities(params, key, num_active):
    del num_active
    first = jax.nn.sigmoid(params)
    return jnp.stack([1 - first, first, jax.random.uniform(key)])

  coin = COIN._replace(sample_probabilities=sample_probabilities)
  strategy = make(controller=coin)
  state = strategy.init(jax.random.key(0))._replace(params=jnp.log(3.0))
  found = strategy.probabilities(state, jax.random.key(1))
  np.testing.assert_allclose(found[:2], [0.25, 0.75], rtol=1e-6)
  # Five standard errors of the mean of 128 uniform numbers.
  assert abs(found[2] - 0.5) < 5 * (12 * 128) ** -0.5
  assert found[2] != strategy.probabilities(state, jax.random.key(2))[2]


def test_a_controller_without_distributions_gives_no_probabilities():
  assert make().probabilities is None
