# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import chex
from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnas.controllers import recurrent
from jaxnas.strategies import ppo, reinforce
from jaxnas.types import Choice

DECISIONS = (
  Choice(('add', 'mul'), 'combiner'),
  Choice(('identity', 'tanh', 'relu'), 'activation'),
  Choice((4, 6, 8), 'filters'),
)


@pytest.fixture(scope='module')
def controller():
  return recurrent.make_controller(
    DECISIONS, nn.SimpleCell, num_layers=1, features=4
  )


def second_batch(strategy, num_trials=6):
  """Returns a state that has a baseline, and what it is told next."""
  state = strategy.init(jax.random.key(0))
  state = state._replace(
    num_updates=jnp.int32(1),
    baseline=jnp.float32(0.4),
    # Scaled up, so that the distribution is far from uniform.
    params=jax.tree.map(lambda leaf: 12 * leaf, state.params),
  )
  proposals = strategy.ask(state, jax.random.key(1), num_trials)
  rewards = jnp.asarray(np.sin(np.arange(num_trials)), jnp.float32)
  return state, proposals, rewards


@pytest.mark.parametrize('entropy_weight', [0.0, 0.7])
def test_the_first_step_is_that_of_reinforce(controller, entropy_weight):
  settings = {'entropy_weight': entropy_weight, 'optimizer': optax.sgd(1.0)}
  strategies = (
    reinforce.make_reinforce(controller, **settings),
    ppo.make_ppo(controller, num_epochs=1, **settings),
  )
  batch = second_batch(strategies[0])
  (expected, told), (after, told_too) = (
    strategy.tell(*batch) for strategy in strategies
  )
  change = jax.tree.map(jnp.subtract, after.params, batch[0].params)
  assert float(optax.tree.norm(change)) > 0.1
  # Ratios are 1 but for the rounding of two ways to a log-probability.
  chex.assert_trees_all_close(after, expected, rtol=1e-4, atol=1e-6)
  chex.assert_trees_all_close(told, told_too, rtol=1e-4)


def test_loss_is_clipped_on_the_side_of_the_advantage():
  # Ratios below, within and above 1 +- 0.2, each with either sign.
  ratio = np.repeat([0.5, 1.1, 2.0], 2).astype(np.float32)
  advantage = np.tile([3.0, -1.0], 3).astype(np.float32)
  proposed = np.linspace(-4, -1, 6).astype(np.float32)
  arguments = (
    proposed + np.log(ratio),
    proposed,
    advantage,
    np.zeros(6, np.float32),
    0.2,
  )
  # min(r A, clip(r) A): a good one counts no more than 1.2, a bad one no less
  # than 0.8.
  gain = np.array([1.5, -0.8, 3.3, -1.1, 3.6, -2.0])
  loss, grads = jax.value_and_grad(ppo.ppo_loss, (0, 1, 2, 3))(*arguments)
  assert float(loss) == pytest.approx(-gain.mean(), rel=1e-6)
  # The derivative of a ratio by its logarithm is the ratio.
  is_followed = np.array([1, 0, 1, 1, 0, 1])
  expected = -is_followed * ratio * advantage / 6
  np.testing.assert_allclose(grads[0], expected, rtol=1e-5)
  for grad in grads[1:]:
    np.testing.assert_array_equal(grad, 0)


def test_loss_climbs_entropy_with_the_return():
  log_prob, proposed = np.float32([[-1.0, -2.0], [-1.1, -1.0]])
  advantage, entropy = np.float32([[0.5, 0.25], [3.0, 1.0]])
  arguments = log_prob, proposed, advantage, entropy, 0.2, 0.5
  # Ratios exp(0.1) and exp(-1), returns 0.5 + 1.5 and 0.25 + 0.5; both within
  # what is followed, as the second one's advantage would have it grow.
  ratio, gain = np.exp([0.1, -1.0]), np.array([2.0, 0.75])
  loss, grads = jax.value_and_grad(ppo.ppo_loss, (0, 3))(*arguments)
  assert float(loss) == pytest.approx(-np.mean(ratio * gain), rel=1e-6)
  np.testing.assert_allclose(grads[0], -ratio * gain / 2, rtol=1e-5)
  np.testing.assert_allclose(grads[1], -ratio * 0.5 / 2, rtol=1e-5)


def test_ratios_are_to_the_probability_that_was_recorded(controller):
  strategy = ppo.make_ppo(
    controller, clip=0.5, num_epochs=1, optimizer=optax.sgd(1.0)
  )
  state, proposals, rewards = second_batch(strategy)
  # As if earlier parameters had proposed each row with 0.8 of its probability.
  old = proposals._replace(log_prob=proposals.log_prob + np.log(0.8))
  changes = [
    jax.tree.map(
      lambda after, before: after - before,
      strategy.tell(state, each, rewards)[0].params,
      state.params,
    )
    for each in (proposals, old)
  ]
  assert float(optax.tree.norm(changes[0])) > 0.1
  chex.assert_trees_all_close(
    jax.tree.map(lambda leaf: leaf / 0.8, changes[0]),
    changes[1],
    rtol=1e-4,
    atol=1e-6,
  )


def test_far_ratios_give_finite_gradients():
  log_prob = jnp.asarray([0.0, -200.0])
  loss, grads = jax.value_and_grad(ppo.ppo_loss)(
    log_prob, log_prob[::-1], jnp.asarray([-1.0, 0.0]), jnp.zeros(2)
  )
  assert np.isfinite(loss)
  assert np.all(np.isfinite(grads))


def test_many_epochs_stop_at_the_clip(controller):
  strategy = ppo.make_ppo(
    controller, clip=0.2, num_epochs=300, optimizer=optax.sgd(0.002)
  )
  state, proposals, _ = second_batch(strategy, 1)
  # What goes over an edge is one step.
  for advantage, low, high in ((1.0, 1.2, 1.22), (-1.0, 0.78, 0.8)):
    after, _ = strategy.tell(state, proposals, state.baseline[None] + advantage)
    log_prob, _ = controller.log_prob(after.params, proposals.tokens)
    assert low < np.exp(log_prob.sum() - proposals.log_prob[0]) < high


def test_first_batch_sets_the_baseline_and_no_parameter(controller):
  strategy = ppo.make_ppo(controller, baseline_decay=0.8, num_epochs=3)
  state, proposals, rewards = second_batch(strategy)
  start = state._replace(num_updates=jnp.int32(0))
  first, metrics = strategy.tell(start, proposals, rewards)
  assert float(first.baseline) == pytest.approx(float(rewards.mean()))
  assert float(metrics['baseline']) == float(first.baseline)
  chex.assert_trees_all_equal(
    (first.params, first.opt_state), (start.params, start.opt_state)
  )
  second, metrics = strategy.tell(state, proposals, rewards)
  assert float(metrics['baseline']) == pytest.approx(0.4)
  assert float(second.baseline) == pytest.approx(
    0.8 * 0.4 + 0.2 * float(rewards.mean())
  )
  assert not np.array_equal(second.params['kernel'], state.params['kernel'])
  # A batch as good as the baseline moves nothing, in no epoch.
  still, metrics = strategy.tell(state, proposals, jnp.full(6, state.baseline))
  chex.assert_trees_all_equal(still.params, state.params)
  assert float(metrics['grad_norm']) == 0.0


def test_all_numbers_but_the_epochs_may_be_traced(controller):
  def make(rate, decay, clip, weight, norm):
    return ppo.make_ppo(
      controller,
      rate,
      decay,
      clip,
      2,
      entropy_weight=weight,
      max_grad_norm=norm,
    )

  settings = 0.1, 0.5, 0.05, 0.3, 0.01
  batch = second_batch(make(*settings))
  expected = make(*settings).tell(*batch)
  traced = jax.jit(lambda *numbers: make(*numbers).tell(*batch))(*settings)
  chex.assert_trees_all_close(traced, expected, rtol=1e-5, atol=1e-6)
  assert not np.allclose(
    expected[0].params['kernel'], batch[0].params['kernel'], atol=0.01
  )


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ({'clip': 0.0}, 'clip must be greater than 0 and below 1, got 0.0'),
    ({'clip': 1.0}, 'clip must be .* got 1.0'),
    ({'num_epochs': 0}, 'num_epochs must be at least 1, got 0'),
    ({'learning_rate': 0.0}, 'learning_rate must be greater than 0, got 0.0'),
    ({'baseline_decay': 1.0}, r'baseline_decay must be in \[0, 1\), got 1.0'),
  ],
)
def test_bad_arguments_are_refused(controller, arguments, message):
  with pytest.raises(ValueError, match=message):
    ppo.make_ppo(controller, **arguments)
