# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnas.controllers import factorized
from jaxnas.strategies import estimators, relaxations
from jaxnas.types import AnchorPoint, Choice

DECISIONS = (
  Choice((4, 6, 8), 'filters'),
  AnchorPoint(1, 'layer_1'),
  AnchorPoint(2, 'layer_2'),
  Choice((1, 2), 'stride'),
)
# One sequence of 48 is best, and each step towards it pays.
BEST = np.array([2, 1, 0, 1, 0], np.int32)


@pytest.fixture(autouse=True)
def quick_compilation():
  jax.config.update('jax_disable_most_optimizations', True)
  yield
  jax.config.update('jax_disable_most_optimizations', False)


@pytest.fixture(scope='module')
def rewards():
  tokens = np.stack(np.unravel_index(np.arange(48), (3, 2, 2, 2, 2)), -1)
  return jnp.asarray((tokens == BEST).mean(1) ** 2, jnp.float32)


def make(estimator, **settings):
  return relaxations.make_relaxed_policy(DECISIONS, estimator, **settings)


def make_judge(rewards):
  """Returns `probabilities [N, V] -> (rewards [N], slopes [N, V])`."""
  policy = factorized.FactorizedPolicy(DECISIONS)
  return jax.jit(
    jax.vmap(
      jax.value_and_grad(
        lambda each: estimators.expected_reward(policy, each, rewards)
      )
    )
  )


@pytest.mark.parametrize(
  ('estimator', 'num_draws'),
  [('darts', 1), ('gumbel', 4), ('straight_through', 4)],
)
def test_each_learns_the_best_of_a_table(estimator, num_draws, rewards):
  relaxed = make(
    estimator,
    num_draws=num_draws,
    temperature=relaxations.anneal(200, first=3.0, last=0.3),
    optimizer=relaxations.make_optimizer(0.1),
  )
  judge = make_judge(rewards)

  @jax.jit
  def learn(state, key):
    probabilities = relaxed.ask(state, key)
    chex.assert_shape(probabilities, (num_draws, 8))
    return relaxed.tell(state, jax.random.clone(key), *judge(probabilities))

  state = relaxed.init(jax.random.key(0))
  state, metrics = jax.lax.scan(
    learn, state, jax.random.split(jax.random.key(1), 200)
  )
  proposals = relaxed.sample(state, jax.random.key(2), 50)
  assert proposals.tokens.shape == (50, 5)
  assert (np.asarray(proposals.tokens) == BEST).mean() > 0.9
  log_prob = make(estimator).sample(
    relaxed.init(jax.random.key(0)), jax.random.key(2), 3
  )
  np.testing.assert_allclose(log_prob.log_prob, -np.log(48), rtol=1e-6)
  assert metrics['mean_reward'][-20:].mean() > 0.8
  assert metrics['entropy'][0] == pytest.approx(np.log(48), rel=1e-5)
  assert metrics['entropy'][-1] < 1
  np.testing.assert_allclose(
    metrics['temperature'][jnp.array([0, 100])], [3, 3 * 0.1**0.5], rtol=1e-5
  )
  likely = relaxed.probabilities(state, jax.random.key(0))
  best = factorized.FactorizedPolicy(DECISIONS).outcomes(jnp.asarray(BEST))
  assert np.abs(likely - best).max() < 0.35


@pytest.mark.parametrize('estimator', estimators.RELAXATIONS)
def test_an_update_climbs_the_pathwise_gradient(estimator, rewards):
  num_draws = 1 if estimator == 'darts' else 3
  relaxed = make(
    estimator,
    num_draws=num_draws,
    temperature=0.7,
    optimizer=optax.sgd(1.0),
    is_clipped=False,
  )
  state = relaxed.init(jax.random.key(0))
  state = state._replace(logits=jnp.linspace(-1, 1, 8))
  key = jax.random.key(5)
  policy = factorized.FactorizedPolicy(DECISIONS)
  expected = jax.jit(
    lambda logits: estimators.pathwise(
      estimators.RELAXATIONS[estimator],
      policy,
      logits,
      jax.random.clone(key),
      jax.vmap(lambda each: estimators.expected_reward(policy, each, rewards)),
      num_draws,
      0.7,
    )
  )(state.logits)
  judged = make_judge(rewards)(relaxed.ask(state, key))
  after, metrics = relaxed.tell(state, jax.random.clone(key), *judged)
  np.testing.assert_allclose(
    after.logits - state.logits, expected.gradient, rtol=1e-4, atol=1e-6
  )
  assert float(metrics['mean_reward']) == pytest.approx(
    float(expected.rewards.mean()), rel=1e-5
  )
  assert float(metrics['grad_norm']) == pytest.approx(
    float(jnp.linalg.norm(expected.gradient)), rel=1e-4
  )
  assert int(after.num_updates) == 1


def test_what_is_not_finite_is_left_out(rewards):
  relaxed = make(
    'gumbel', num_draws=3, optimizer=optax.adam(0.1), is_clipped=False
  )
  state = relaxed.init(jax.random.key(0))
  key = jax.random.key(1)
  values, slopes = make_judge(rewards)(relaxed.ask(state, key))

  def tell(values, slopes):
    return relaxed.tell(state, jax.random.clone(key), values, slopes)

  def without(row):
    # A gradient of zero and a smaller mean are another way to leave it out.
    kept = slopes.at[row].set(0) * 1.5
    return tell(values, kept)[0].logits

  bad_slope, metrics = tell(values, slopes.at[1, 2].set(jnp.inf))
  np.testing.assert_allclose(bad_slope.logits, without(1), rtol=1e-5)
  assert int(metrics['num_dropped']) == 1
  assert float(metrics['mean_reward']) == pytest.approx(
    float(values[0] + values[2]) / 2, rel=1e-5
  )
  bad_reward, _ = tell(values.at[0].set(jnp.nan), slopes)
  np.testing.assert_allclose(bad_reward.logits, without(0), rtol=1e-5)
  nothing, metrics = tell(jnp.full(3, jnp.nan), slopes)
  chex.assert_trees_all_equal(
    (nothing.logits, nothing.opt_state), (state.logits, state.opt_state)
  )
  chex.assert_tree_all_finite(metrics)
  assert int(metrics['num_dropped']) == 3


def test_no_draw_outweighs_the_others():
  """One of five is a million times as large, and one is not finite."""
  updates = []
  for factor, is_clipped in ((1e6, True), (1e6, False), (1.0, False)):
    relaxed = make(
      'gumbel', num_draws=5, optimizer=optax.sgd(1.0), is_clipped=is_clipped
    )
    state = relaxed.init(jax.random.key(0))
    slopes = np.random.default_rng(0).standard_normal((5, 8))
    slopes[1] *= factor
    slopes[4, 2] = np.inf
    after, metrics = relaxed.tell(
      state, jax.random.key(1), jnp.ones(5), jnp.asarray(slopes, jnp.float32)
    )
    assert int(metrics['num_dropped']) == 1
    updates.append(float(metrics['grad_norm']))
    assert np.isfinite(after.logits).all()
  clipped, free, usual = updates
  assert clipped < 2 * usual
  assert free > 1e4 * usual


def test_the_temperature_falls_by_one_factor_and_stays():
  schedule = relaxations.anneal(4)
  temperatures = [float(schedule(step)) for step in range(7)]
  expected = [10, 10**0.5, 1, 10**-0.5, 0.1, 0.1, 0.1]
  np.testing.assert_allclose(temperatures, expected, rtol=1e-5)
  assert float(relaxations.anneal(3, 2.0, 2.0)(2)) == 2


def test_the_optimizer_is_adam_with_decay_in_the_gradient():
  optimizer = relaxations.make_optimizer()
  params = jnp.asarray([2.0, -5.0, 0.0])
  updates, _ = optimizer.update(jnp.zeros(3), optimizer.init(params), params)
  # The first step of Adam is the learning rate, whatever the gradient's size.
  np.testing.assert_allclose(updates, [-3e-3, 3e-3, 0], rtol=1e-3)


@pytest.mark.parametrize(
  ('settings', 'message'),
  [
    (
      {'estimator': 'luck'},
      "one of darts, gumbel, straight_through, got 'luck'",
    ),
    ({'num_draws': 0}, 'num_draws must be at least 1, got 0'),
    (
      {'estimator': 'darts', 'num_draws': 2},
      'num_draws must be 1, without noise, got 2',
    ),
    ({'temperature': 0.0}, r'temperature must be greater than 0, got 0\.0'),
    ({'decisions': (1,)}, 'Decisions must be'),
  ],
)
def test_bad_settings_are_refused(settings, message):
  with pytest.raises(ValueError, match=message):
    relaxations.make_relaxed_policy(
      **{'decisions': DECISIONS, 'estimator': 'gumbel'} | settings
    )


def test_bad_temperatures_are_refused():
  with pytest.raises(ValueError, match='num_updates must be at least 1'):
    relaxations.anneal(0)
  for first, last in ((1.0, 2.0), (1.0, 0.0)):
    with pytest.raises(ValueError, match='falls from first to last'):
      relaxations.anneal(3, first, last)
