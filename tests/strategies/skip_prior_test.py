# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import functools
import itertools

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnas.controllers import recurrent
from jaxnas.strategies import policy, reinforce
from jaxnas.types import AnchorPoint, Choice, Proposals

# 2 * 4 * 3 sequences: one coin, two coins, and a choice of three.
DECISIONS = (
  AnchorPoint(0, 'layer_0'),
  AnchorPoint(1, 'layer_1'),
  AnchorPoint(2, 'layer_2'),
  Choice((4, 6, 8), 'filters'),
)
ALL_TOKENS = np.asarray(
  list(itertools.product(range(2), range(2), range(2), range(3))), np.int32
)
REWARDS = np.sin(3.0 * np.arange(24)) + 1.5
PRIOR = policy.SkipPrior(0.3, 2.0)


@pytest.fixture(autouse=True, scope='module')
def quick_compilation():
  # XLA's optimizations do not change what is tested here, and they are most of
  # the time that it takes.
  jax.config.update('jax_disable_most_optimizations', True)
  yield
  jax.config.update('jax_disable_most_optimizations', False)


def make_controller(num_anchors=3):
  decisions = (*DECISIONS[:num_anchors], DECISIONS[-1])
  return recurrent.make_controller(
    decisions, nn.SimpleCell, num_layers=1, features=4
  )


def expected_return(controller, params):
  """The return of all sequences, of the probabilities that they have."""
  values = controller.log_prob(params, ALL_TOKENS)[0]
  by_coins = values.reshape(2, 4, 3, 4)
  tokens = ALL_TOKENS.reshape(2, 4, 3, 4)
  penalty = 0.0
  for number, axis in ((1, 0), (2, 1)):
    # Of the outcomes of an anchor point, given those before it.
    log_prob = by_coins[..., number]
    own = tokens[..., :1] if number == 1 else tokens[..., 1:3]
    prior = np.log(np.where(own == 1, 0.3, 0.7)).sum(-1)
    each = jnp.exp(log_prob) * (log_prob - prior)
    penalty += jnp.broadcast_to(
      each.sum(axis, keepdims=True), tokens.shape[:-1]
    )
  # The mean over the two anchor points that have something to choose.
  returns = REWARDS - 2.0 * penalty.reshape(-1) / 2
  return jnp.exp(values.sum(-1)) @ returns, returns


@pytest.mark.slow
def test_mean_update_with_a_skip_prior_is_the_exact_gradient():
  controller = make_controller()
  with jax.enable_x64(True):
    # With plain gradient descent at rate 1 the update is the estimate.
    strategy = reinforce.make_reinforce(
      controller, optimizer=optax.sgd(1.0), skip_prior=PRIOR
    )
    start = strategy.init(jax.random.key(0))
    # Scaled up, so that the distribution is far from uniform.
    params = jax.tree.map(
      lambda leaf: 12 * leaf.astype(jnp.float64), start.params
    )
    start = start._replace(params=params, num_updates=jnp.int32(1))
    objective = jax.jit(functools.partial(expected_return, controller))

    def estimate(tokens, reward):
      """Returns what one sequence alone makes of the parameters."""
      proposals = Proposals(tokens[None], jnp.zeros(1))
      after, metrics = strategy.tell(start, proposals, reward[None])
      change = jax.tree.map(jnp.subtract, after.params, params)
      return change, metrics['skip_penalty']

    estimates, penalties = jax.jit(jax.vmap(estimate))(ALL_TOKENS, REWARDS)
    _, returns = objective(params)
    np.testing.assert_allclose(REWARDS - penalties, returns, rtol=1e-9)
    log_prob = controller.log_prob(params, ALL_TOKENS)[0].sum(-1)
    mean = jax.tree.map(
      lambda leaf: np.tensordot(np.exp(log_prob), leaf, axes=1), estimates
    )
    # Against finite differences, whose error is of the step's square.
    rng = np.random.default_rng(0)
    for _ in range(3):
      direction = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), params)
      above, below = (
        objective(
          jax.tree.map(lambda leaf, d: leaf + step * d, params, direction)  # noqa: B023  # Called immediately.
        )[0]
        for step in (1e-5, -1e-5)
      )
      slope = float(above - below) / 2e-5
      assert abs(slope) > 1e-2
      products = jax.tree.map(lambda x, y: np.sum(x * y), mean, direction)
      assert sum(jax.tree.leaves(products)) == pytest.approx(slope, rel=1e-6)


def test_a_baseline_averages_the_return_with_its_penalty():
  strategy = reinforce.make_reinforce(make_controller(), skip_prior=PRIOR)
  state = strategy.init(jax.random.key(0))
  proposals = strategy.ask(state, jax.random.key(1), 4)
  state, metrics = strategy.tell(state, proposals, jnp.arange(4.0))
  assert metrics['skip_penalty'] > 0
  assert state.baseline == pytest.approx(1.5 - metrics['skip_penalty'])


def test_layers_are_chosen_as_often_as_the_prior_says():
  controller = recurrent.make_controller(
    tuple(AnchorPoint(i, f'layer_{i}') for i in range(4)),
    nn.SimpleCell,
    num_layers=1,
    features=8,
  )
  strategy = reinforce.make_reinforce(
    controller, 0.03, skip_prior=policy.SkipPrior(0.2, 1.0)
  )

  @jax.jit
  def run(key):
    def step(state, key):
      proposals = strategy.ask(state, key, 8)
      return strategy.tell(state, proposals, jnp.zeros(8))[0], None

    init_key, run_key, last_key = jax.random.split(key, 3)
    state = strategy.init(init_key)
    state, _ = jax.lax.scan(step, state, jax.random.split(run_key, 100))
    return strategy.ask(state, last_key, 1000).tokens

  # 6,000 coins, with a standard error of 0.005. Coins whose logit were twice
  # that of the prior would have 0.06.
  assert np.mean(run(jax.random.key(0))) == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ({'skip_prior': policy.SkipPrior(0.0)}, r'be in \(0, 1\), .* got 0.0'),
    ({'skip_prior': policy.SkipPrior(1.0)}, r'be in \(0, 1\), .* got 1.0'),
    ({'skip_prior': policy.SkipPrior(1 - 1e-9)}, 'also as a float32, got 0.99'),
    ({'skip_prior': policy.SkipPrior(1e-50)}, 'also as a float32, got 1e-50'),
    ({'skip_prior': policy.SkipPrior(weight=-1.0)}, 'at least 0, got -1.0'),
    (
      {'skip_prior': PRIOR, 'correction': 'stale'},
      "needs the correction 'none', got 'stale'",
    ),
  ],
)
def test_bad_priors_are_refused(arguments, message):
  with pytest.raises(ValueError, match=message):
    reinforce.make_reinforce(make_controller(), **arguments)


def test_a_prior_of_what_is_never_chosen_is_refused():
  with pytest.raises(ValueError, match='for two anchor points or more'):
    reinforce.make_reinforce(make_controller(1), skip_prior=PRIOR)
