# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import functools
import itertools

import chex
from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnas.controllers import anchors, recurrent
from jaxnas.spaces import recurrent_cell
from jaxnas.strategies import policy, reinforce
from jaxnas.types import AnchorPoint, Choice, Proposals

_BASE_2 = recurrent_cell.make_space(base=2).decisions
# node_0/combiner, node_0/activation, read_index: 2 * 4 * 3 sequences.
DECISIONS = (*_BASE_2[:2], _BASE_2[-2])
ALL_TOKENS = np.asarray(
  list(itertools.product(range(2), range(4), range(3))), np.int32
)
REWARDS = np.sin(3.0 * np.arange(24)) + 1.5
# As many sequences: 2 * 2 * 2 of three layers' anchor points, and 3.
ANCHORS = (
  AnchorPoint(0, 'layer_0'),
  AnchorPoint(1, 'layer_1'),
  AnchorPoint(2, 'layer_2'),
  Choice((4, 6, 8), 'filters'),
)
ALL_ANCHOR_TOKENS = np.asarray(
  list(itertools.product(range(2), range(2), range(2), range(3))), np.int32
)


@pytest.fixture(scope='module')
def controller():
  return recurrent.make_controller(
    DECISIONS, nn.SimpleCell, num_layers=1, features=4
  )


def proposals_of(tokens, num_trials=None):
  tokens = jnp.asarray(tokens, jnp.int32)
  num_trials = len(tokens) if num_trials is None else num_trials
  return Proposals(tokens=tokens, log_prob=jnp.zeros(num_trials))


def exact_gradient(controller, params, tokens, rewards, entropy_weight):
  """The gradient of E[R] + w * (entropy of all sequences); probabilities."""

  @jax.jit
  @functools.partial(jax.grad, has_aux=True)
  def objective(params):
    log_prob, _ = jax.vmap(controller.log_prob, (None, 0))(params, tokens)
    log_prob = log_prob.sum(axis=1)
    probability = jnp.exp(log_prob)
    value = probability @ (rewards - entropy_weight * log_prob)
    return value, probability

  return objective(params)


@pytest.mark.parametrize(
  ('decisions', 'all_tokens', 'entropy_weight'),
  [
    (DECISIONS, ALL_TOKENS, 0.0),
    (DECISIONS, ALL_TOKENS, 0.7),
    (ANCHORS, ALL_ANCHOR_TOKENS, 0.7),
  ],
)
def test_mean_update_over_all_sequences_is_the_exact_gradient(
  decisions, all_tokens, entropy_weight
):
  controller = recurrent.make_controller(
    decisions, nn.SimpleCell, num_layers=1, features=4
  )
  with jax.enable_x64(True):
    # With plain gradient descent at rate 1 the update is the estimate.
    strategy = reinforce.make_reinforce(
      controller, entropy_weight=entropy_weight, optimizer=optax.sgd(1.0)
    )
    start = strategy.init(jax.random.key(0))
    # Scaled up, so that the distribution is far from uniform.
    params = jax.tree.map(
      lambda leaf: 12 * leaf.astype(jnp.float64), start.params
    )
    start = start._replace(params=params, num_updates=jnp.int32(1))

    def estimate(baseline, tokens, reward):
      """Returns what one sequence alone makes of the parameters."""
      state = start._replace(baseline=baseline)
      after, _ = strategy.tell(state, proposals_of(tokens[None]), reward[None])
      return jax.tree.map(jnp.subtract, after.params, params)

    estimates_of = jax.jit(jax.vmap(estimate, in_axes=(None, 0, 0)))
    exact, probability = exact_gradient(
      controller, params, all_tokens, REWARDS, entropy_weight
    )
    assert optax.tree.norm(exact) > 0.1
    for baseline in (0.0, 1.3):
      estimates = estimates_of(baseline, all_tokens, REWARDS)
      mean = jax.tree.map(
        lambda leaf: np.tensordot(probability, leaf, axes=1), estimates
      )
      chex.assert_trees_all_close(mean, exact, rtol=1e-9, atol=1e-10)


@pytest.mark.slow
# Random search has half of the connections right. Attention has to tell the
# layers apart by their states alone, and often stays with all but one right.
@pytest.mark.parametrize(
  ('mechanism', 'learning_rate', 'share'),
  [
    ('attention', 0.03, 0.7),
    ('feed_forward', 0.03, 0.95),
    ('multinomial', 0.1, 0.85),
  ],
)
def test_every_anchor_mechanism_learns_to_wire_a_chain(
  mechanism, learning_rate, share
):
  controller = recurrent.make_controller(
    tuple(AnchorPoint(i, f'layer_{i}') for i in range(4)),
    nn.SimpleCell,
    num_layers=1,
    features=8,
    anchors=anchors.MECHANISMS[mechanism](),
  )
  strategy = reinforce.make_reinforce(controller, learning_rate)
  chain = np.asarray([1, 0, 1, 0, 0, 1])

  @jax.jit
  @jax.vmap
  def run(key):
    def step(state, key):
      proposals = strategy.ask(state, key, 8)
      rewards = jnp.mean(proposals.tokens == chain[None], axis=1)
      state, metrics = strategy.tell(state, proposals, rewards)
      return state, metrics['mean_reward']

    init_key, run_key = jax.random.split(key)
    state = strategy.init(init_key)
    return jax.lax.scan(step, state, jax.random.split(run_key, 50))[1]

  # 400 trials each.
  means = run(jax.random.split(jax.random.key(0), 6))
  assert np.mean(means[:, :2]) == pytest.approx(0.5, abs=0.12)
  assert np.mean(means[:, -10:]) > share


def scaled_start(strategy, seed, factor=12):
  """A state whose distribution is far from uniform, with a baseline."""
  start = strategy.init(jax.random.key(seed))
  params = jax.tree.map(lambda leaf: factor * leaf, start.params)
  return start._replace(
    params=params, baseline=jnp.float32(1.3), num_updates=jnp.int32(5)
  )


def change_of(after, before):
  return jax.tree.map(jnp.subtract, after.params, before.params)


def joined(*groups):
  """The proposals of several groups, as a search tells them."""
  return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *groups)


@pytest.mark.parametrize('entropy_weight', [0.0, 0.7])
def test_mean_stale_update_is_the_exact_gradient_where_it_was_proposed(
  controller, entropy_weight
):
  with jax.enable_x64(True):
    strategy = reinforce.make_reinforce(
      controller,
      entropy_weight=entropy_weight,
      optimizer=optax.sgd(1.0),
      correction='stale',
    )
    old, now = (
      jax.tree.map(
        lambda leaf: (
          leaf.astype(jnp.float64) if leaf.dtype == jnp.float32 else leaf
        ),
        scaled_start(strategy, seed),
      )
      for seed in (0, 1)
    )
    exact, probability = exact_gradient(
      controller, old.params, ALL_TOKENS, REWARDS, entropy_weight
    )
    note = jax.tree.map(lambda leaf: leaf[None], old.params)

    def estimate(tokens, reward):
      proposals = proposals_of(tokens[None])._replace(policy=note)
      return change_of(strategy.tell(now, proposals, reward[None])[0], now)

    estimates = jax.jit(jax.vmap(estimate))(ALL_TOKENS, REWARDS)
    mean = jax.tree.map(
      lambda leaf: np.tensordot(probability, leaf, axes=1), estimates
    )
    chex.assert_trees_all_close(mean, exact, rtol=1e-9, atol=1e-10)
    elsewhere, _ = exact_gradient(
      controller, now.params, ALL_TOKENS, REWARDS, entropy_weight
    )
    difference = jax.tree.map(jnp.subtract, exact, elsewhere)
    assert optax.tree.norm(difference) > 0.1


def test_a_stale_update_is_the_mean_of_the_gradients_of_its_groups(controller):
  strategy = reinforce.make_reinforce(
    controller, optimizer=optax.sgd(1.0), correction='stale'
  )
  states = [scaled_start(strategy, seed) for seed in range(3)]
  groups = [
    strategy.ask(state, key, 4)
    for state, key in zip(
      states, jax.random.split(jax.random.key(9), 3), strict=True
    )
  ]
  rewards = jnp.asarray(np.sin(np.arange(12)) + 1.5, jnp.float32)
  now = states[0]
  after, metrics = strategy.tell(now, joined(*groups), rewards)
  # A group of the current parameters is an update of one's own.
  parts = [
    change_of(strategy.tell(state, group, mine)[0], state)
    for state, group, mine in zip(
      states, groups, rewards.reshape(3, 4), strict=True
    )
  ]
  mean = jax.tree.map(lambda *leaves: sum(leaves) / 3, *parts)
  chex.assert_trees_all_close(change_of(after, now), mean, atol=1e-5)
  assert float(metrics['grad_norm']) == pytest.approx(
    float(optax.tree.norm(mean)), rel=1e-4
  )
  assert optax.tree.norm(mean) > 0.1


@pytest.mark.parametrize('entropy_weight', [0.0, 0.7])
def test_a_truncated_update_is_weighted_by_the_ratio_of_probabilities(
  controller, entropy_weight
):
  strategy = reinforce.make_reinforce(
    controller,
    entropy_weight=entropy_weight,
    optimizer=optax.sgd(1.0),
    correction='truncated',
  )
  now = scaled_start(strategy, 0)
  groups = [strategy.ask(now, jax.random.key(seed), 6) for seed in range(2)]
  # The first is of an earlier version. What was recorded is taken, as it is,
  # unless the current parameters proposed.
  first = groups[0]._replace(
    log_prob=groups[0].log_prob + np.linspace(-1, 1, 6, dtype=np.float32),
    policy=groups[0].policy - 2,
  )
  second = groups[1]._replace(log_prob=groups[1].log_prob + 7)
  proposals = joined(first, second)
  rewards = jnp.asarray(np.sin(np.arange(12)) + 1.5, jnp.float32)
  after, _ = strategy.tell(now, proposals, rewards)

  @jax.grad
  def objective(params):
    log_prob, entropy = (
      each.sum(axis=1) for each in controller.log_prob(params, proposals.tokens)
    )
    ratio = jnp.exp(log_prob - proposals.log_prob)
    weight = jnp.where(np.arange(12) < 6, jnp.minimum(1, ratio), 1.0)
    bonus = entropy_weight * entropy
    gain = jax.lax.stop_gradient(rewards - 1.3 + bonus) * log_prob + bonus
    return jnp.mean(jax.lax.stop_gradient(weight) * gain)

  chex.assert_trees_all_close(
    change_of(after, now), objective(now.params), rtol=1e-4, atol=1e-5
  )


@pytest.mark.parametrize('entropy_weight', [0.0, 0.3])
def test_corrections_are_one_to_the_bit_where_nothing_is_old(
  controller, entropy_weight
):
  states = {}
  for correction in policy.CORRECTIONS:
    strategy = reinforce.make_reinforce(
      controller,
      learning_rate=0.05,
      entropy_weight=entropy_weight,
      correction=correction,
    )
    state = strategy.init(jax.random.key(0))
    for key in jax.random.split(jax.random.key(1), 12):
      proposals = strategy.ask(state, key, 5)
      assert (proposals.policy is None) == (correction == 'none')
      # As a search without replicas does.
      proposals = proposals._replace(policy=None)
      rewards = jnp.sin(proposals.tokens.sum(axis=1).astype(jnp.float32))
      state, metrics = strategy.tell(state, proposals, rewards)
    states[correction] = state, metrics
  for correction in ('stale', 'truncated'):
    chex.assert_trees_all_equal(states[correction], states['none'])


def test_an_architecture_that_became_impossible_does_no_harm(controller):
  strategy = reinforce.make_reinforce(controller, correction='truncated')
  state = scaled_start(strategy, 0)
  proposals = strategy.ask(
    state._replace(num_updates=jnp.int32(2)), jax.random.key(1), 4
  )
  for log_prob in (-1e30, 0.0):
    told, metrics = strategy.tell(
      state, proposals._replace(log_prob=jnp.full(4, log_prob)), jnp.ones(4)
    )
    chex.assert_tree_all_finite((told, metrics))


def test_loss_is_the_equation_by_hand():
  log_prob = jnp.asarray([-1.0, -2.0])
  advantage = jnp.asarray([0.5, -0.25])
  entropy = jnp.asarray([3.0, 1.0])
  loss = reinforce.reinforce_loss
  # -(-1 * 0.5 + -2 * -0.25) / 2, and with 0.5 nats of weight
  # -(-1 * (0.5 + 1.5) + 1.5 + -2 * (-0.25 + 0.5) + 0.5) / 2.
  assert float(loss(log_prob, advantage, entropy)) == 0.0
  assert float(loss(log_prob, advantage, entropy, 0.5)) == 0.25
  grads = jax.grad(loss, argnums=(0, 1, 2))(log_prob, advantage, entropy, 0.5)
  np.testing.assert_allclose(grads[0], [-1.0, -0.125])
  np.testing.assert_allclose(grads[1], [0.0, 0.0])
  np.testing.assert_allclose(grads[2], [-0.25, -0.25])
  # Only half of the second: -(-1 * 2 + 1.5 + 0.5 * (-2 * 0.25 + 0.5)) / 2.
  importance = jnp.asarray([1.0, 0.5])
  assert float(loss(log_prob, advantage, entropy, 0.5, importance)) == 0.25
  grads = jax.grad(loss, argnums=(0, 4))(
    log_prob, advantage, entropy, 0.5, importance
  )
  np.testing.assert_allclose(grads[0], [-1.0, -0.0625])
  np.testing.assert_allclose(grads[1], [0.0, 0.0])


def test_baseline_is_used_on_a_batch_and_updated_once_after_it(controller):
  strategy = reinforce.make_reinforce(controller, baseline_decay=0.8)
  start = strategy.init(jax.random.key(0))
  first, metrics = strategy.tell(
    start, proposals_of(ALL_TOKENS[:2]), jnp.asarray([1.0, 3.0])
  )
  assert float(first.baseline) == 2.0
  assert float(metrics['baseline']) == 2.0
  # There was nothing to compare the first batch with.
  chex.assert_trees_all_equal(
    (first.params, first.opt_state), (start.params, start.opt_state)
  )
  second, metrics = strategy.tell(
    first, proposals_of(ALL_TOKENS[2:4]), jnp.asarray([4.0, 8.0])
  )
  assert float(metrics['baseline']) == 2.0
  assert float(metrics['mean_reward']) == 6.0
  assert float(second.baseline) == pytest.approx(0.8 * 2 + 0.2 * 6)
  assert not np.array_equal(second.params['kernel'], first.params['kernel'])
  # A batch that is as good as the baseline moves nothing.
  third, metrics = strategy.tell(
    second._replace(baseline=jnp.asarray(5.0)),
    proposals_of(ALL_TOKENS[:2]),
    jnp.asarray([5.0, 5.0]),
  )
  assert float(metrics['grad_norm']) == 0.0
  assert int(third.num_updates) == 3


def test_baseline_averages_the_return_with_its_entropy(controller):
  strategy = reinforce.make_reinforce(controller, entropy_weight=0.5)
  state = strategy.init(jax.random.key(0))
  state, metrics = strategy.tell(
    state, proposals_of(ALL_TOKENS[:2]), jnp.asarray([1.0, 3.0])
  )
  # Near the start the distribution is uniform.
  assert float(metrics['entropy']) == pytest.approx(np.log(24), abs=0.01)
  assert float(state.baseline) == pytest.approx(
    2 + 0.5 * float(metrics['entropy'])
  )


def test_inactive_tokens_change_nothing_of_their_decisions(controller):
  strategy = reinforce.make_reinforce(controller, optimizer=optax.sgd(1.0))
  state = strategy.init(jax.random.key(0))
  tokens = ALL_TOKENS[[0, 13]].copy()
  # Each architecture has a depth of its own.
  tokens[0, 1:], tokens[1, 2:] = -1, -1
  for rewards in ([0.0, 0.0], [1.0, 2.0]):
    before = state.params
    state, metrics = strategy.tell(
      state, proposals_of(tokens), jnp.asarray(rewards)
    )
  bias_update = np.asarray(state.params['bias'] - before['bias'])
  assert np.all(np.any(bias_update != 0, axis=1) == [True, True, False])
  mean_entropy = (np.log(2) + np.log(2 * 4)) / 2
  assert float(metrics['entropy']) == pytest.approx(mean_entropy, abs=0.01)


def test_ask_proposes_what_the_controller_draws_at_its_log_prob(controller):
  strategy = reinforce.make_reinforce(controller)
  state = strategy.init(jax.random.key(0))
  key = jax.random.key(1)
  proposals = strategy.ask(state, key, 6)
  tokens = jax.jit(jax.vmap(controller.sample, (None, 0)))(
    state.params, jax.random.split(jax.random.clone(key), 6)
  )
  np.testing.assert_array_equal(proposals.tokens, tokens)
  log_prob, _ = jax.jit(jax.vmap(controller.log_prob, (None, 0)))(
    state.params, tokens
  )
  np.testing.assert_allclose(proposals.log_prob, log_prob.sum(1), rtol=1e-5)


def test_gradient_is_clipped_before_the_optimizer(controller):
  strategy = reinforce.make_reinforce(
    controller, max_grad_norm=0.01, optimizer=optax.sgd(1.0)
  )
  state = strategy.init(jax.random.key(0))._replace(num_updates=jnp.int32(1))
  after, metrics = strategy.tell(
    state, proposals_of(ALL_TOKENS[:2]), jnp.asarray([1.0, 3.0])
  )
  change = jax.tree.map(jnp.subtract, after.params, state.params)
  assert float(metrics['grad_norm']) > 0.1
  assert float(optax.tree.norm(change)) == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ({'learning_rate': 0.0}, 'learning_rate must be greater than 0, got 0.0'),
    ({'learning_rate': float('nan')}, 'learning_rate .* got nan'),
    ({'baseline_decay': 1.0}, r'baseline_decay must be in \[0, 1\), got 1.0'),
    ({'baseline_decay': -0.1}, r'baseline_decay must be in \[0, 1\), got -0.1'),
    (
      {'entropy_weight': -1e-3},
      'entropy_weight must be at least 0, got -0.001',
    ),
    ({'max_grad_norm': 0.0}, 'max_grad_norm must be greater than 0 or None'),
    (
      {'correction': 'fresh'},
      "correction must be one of none, stale, truncated, got 'fresh'",
    ),
  ],
)
def test_bad_arguments_are_refused(controller, arguments, message):
  with pytest.raises(ValueError, match=message):
    reinforce.make_reinforce(controller, **arguments)


def test_decisions_in_place_of_a_controller_are_told():
  decisions = (Choice((1, 2), 'x'),)
  with pytest.raises(ValueError, match=r'as make_controller\(space.decisions'):
    reinforce.make_reinforce(decisions)


def test_rewards_of_another_length_are_refused(controller):
  strategy = reinforce.make_reinforce(controller)
  state = strategy.init(jax.random.key(0))
  with pytest.raises(AssertionError, match='shape'):
    strategy.tell(state, proposals_of(ALL_TOKENS[:2]), jnp.zeros(3))
