# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnas.controllers import recurrent
from jaxnas.spaces import recurrent_cell
from jaxnas.strategies import policy, ppo, reinforce
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


MAKERS = {
  'reinforce': functools.partial(reinforce.make_reinforce, correction='stale'),
  'ppo': functools.partial(ppo.make_ppo, num_epochs=3),
}


@pytest.mark.parametrize(
  ('name', 'entropy_weight'), [('reinforce', 0.1), ('ppo', 0.0)]
)
def test_a_batch_told_with_what_ask_computed_teaches_the_same(
  name, entropy_weight
):
  decisions = recurrent_cell.make_space(base=2).decisions[:4]
  strategy = MAKERS[name](
    recurrent.make_controller(decisions, features=4),
    learning_rate=0.05,
    entropy_weight=entropy_weight,
    max_grad_norm=0.5,
  )

  @jax.jit
  def at_once(state, key):
    proposals, tell = strategy.ask_and_teller(state, key, 6, 3)
    return proposals, tell(reward_of(proposals))

  @jax.jit
  def one_by_one(state, key):
    proposals = strategy.ask(state, key, 6, 3)
    return proposals, strategy.tell(state, proposals, reward_of(proposals))

  def reward_of(proposals):
    return jnp.mean(proposals.tokens, axis=-1)

  state = other = first = strategy.init(jax.random.key(0))
  for key in jax.random.split(jax.random.key(1), 4):
    proposals, (state, metrics) = at_once(state, key)
    expected, (other, expected_metrics) = one_by_one(other, key)
    np.testing.assert_array_equal(proposals.tokens, expected.tokens)
    np.testing.assert_allclose(proposals.log_prob, expected.log_prob, rtol=1e-5)
    # What the first layers learn is small, so that Adam enlarges its rounding.
    chex.assert_trees_all_close(state, other, rtol=1e-3, atol=1e-5)
    chex.assert_trees_all_close(metrics, expected_metrics, rtol=1e-4, atol=1e-6)
  moved = jax.tree.map(lambda a, b: jnp.abs(a - b).max(), state, first)
  assert all(leaf > 0 for leaf in jax.tree.leaves(moved.params))


def test_a_batch_told_with_what_ask_computed_is_checked():
  decisions = recurrent_cell.make_space(base=2).decisions[:2]
  strategy = reinforce.make_reinforce(
    recurrent.make_controller(decisions, features=2)
  )
  state = strategy.init(jax.random.key(0))
  _, tell = strategy.ask_and_teller(state, jax.random.key(1), 2)
  with pytest.raises(ValueError, match='finite as a float32, got nan'):
    tell(np.array([0.0, np.nan]))


def test_a_controller_without_a_kept_draw_asks_and_tells():
  assert make().ask_and_teller is None


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
