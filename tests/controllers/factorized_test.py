# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.controllers import factorized
from jaxnas.types import AnchorPoint, Choice, Range

# 3 * 1 * 2 * 2^2 * 2 * 5 sequences of all kinds of decisions, out of order.
DECISIONS = (
  Choice((4, 6, 8), 'filters'),
  AnchorPoint(0, 'layer_0'),
  Range(1, 2, integer=True, name='stride'),
  AnchorPoint(2, 'layer_2'),
  AnchorPoint(1, 'layer_1'),
  Range(0.1, 10.0, log=True, num_levels=5, name='rate'),
)
NUM_CHOICES = (3, 2, 2, 2, 2, 5)
NUM_OUTCOMES = 3 + 0 + 2 + 2 + 1 + 5
DECISION_OF_TOKEN = [0, 2, 3, 3, 4, 5]
ALL_TOKENS = np.asarray(
  list(itertools.product(*map(range, NUM_CHOICES))), np.int32
)


@pytest.fixture(autouse=True)
def quick_compilation():
  jax.config.update('jax_disable_most_optimizations', True)
  yield
  jax.config.update('jax_disable_most_optimizations', False)


@pytest.fixture(scope='module')
def policy():
  return factorized.FactorizedPolicy(DECISIONS)


@pytest.fixture(scope='module')
def logits():
  rng = np.random.default_rng(0)
  return jnp.asarray(1.5 * rng.standard_normal(NUM_OUTCOMES), jnp.float32)


def reference_probabilities(logits):
  """The probability of each value of each token, in NumPy."""
  first, stride, coins, rate = np.split(
    np.asarray(logits, np.float64), [3, 5, 8]
  )
  on = 1 / (1 + np.exp(-coins))
  softmax = [np.exp(x) / np.exp(x).sum() for x in (first, stride, rate)]
  coins = [np.array([1 - p, p]) for p in on]
  return [softmax[0], softmax[1], *coins, softmax[2]]


def test_sizes(policy):
  assert policy.num_tokens == 6
  assert policy.num_outcomes == NUM_OUTCOMES
  assert policy.num_decisions == 6


def test_probabilities_are_softmaxes_and_sigmoids_in_order(policy, logits):
  found = policy.probabilities(logits)
  tokens = reference_probabilities(logits)
  expected = np.concatenate(
    [tokens[0], tokens[1], *[tokens[i][1:] for i in (2, 3, 4)], tokens[5]]
  )
  np.testing.assert_allclose(found, expected, rtol=2e-6)
  cold = policy.probabilities(jnp.stack([logits, -logits]), 0.5)
  np.testing.assert_allclose(
    cold[1], policy.probabilities(-2 * logits), rtol=2e-6
  )
  for each, reference in zip(policy.distributions(found), tokens, strict=True):
    np.testing.assert_allclose(each, reference, rtol=2e-6)


def test_log_prob_and_entropy_are_those_of_the_distribution(policy, logits):
  log_prob, entropy = jax.jit(policy.log_prob)(logits, ALL_TOKENS)
  reference = reference_probabilities(logits)
  by_token = np.stack(
    [np.log(p)[ALL_TOKENS[:, i]] for i, p in enumerate(reference)], axis=1
  )
  expected = np.zeros((len(ALL_TOKENS), 6))
  np.add.at(expected, (slice(None), DECISION_OF_TOKEN), by_token)
  np.testing.assert_allclose(log_prob, expected, rtol=1e-5, atol=1e-6)
  assert float(np.exp(log_prob.sum(1)).sum()) == pytest.approx(1, abs=1e-5)
  # Each decision's own, whatever was chosen.
  np.testing.assert_allclose(entropy, np.tile(entropy[:1], (240, 1)))
  coins = [-(p * np.log(p)).sum() for p in reference]
  expected = np.zeros(6)
  np.add.at(expected, DECISION_OF_TOKEN, coins)
  np.testing.assert_allclose(entropy[0], expected, rtol=1e-5)
  whole = log_prob.sum(1)
  assert float(entropy[0].sum()) == pytest.approx(
    -float((np.exp(whole) * whole).sum()), rel=1e-5
  )


def test_frequencies_of_samples_match_log_prob(policy, logits):
  count = 40_000
  rows = jnp.broadcast_to(logits, (count, NUM_OUTCOMES))
  tokens = np.asarray(jax.jit(policy.sample)(rows, jax.random.key(1)))
  assert tokens.dtype == np.int32
  places = np.ravel_multi_index(tuple(tokens.T), NUM_CHOICES)
  observed = np.bincount(places, minlength=len(ALL_TOKENS))
  expected = count * np.exp(policy.log_prob(logits, ALL_TOKENS)[0].sum(1))
  assert expected.max() > 4 * count / len(ALL_TOKENS)
  # Pearson's statistic has a mean of 239 and a deviation of 22.
  assert ((observed - expected) ** 2 / expected).sum() < 239 + 4 * 22


def test_outcomes_and_tokens_are_inverse(policy):
  outcomes = policy.outcomes(jnp.asarray(ALL_TOKENS))
  assert set(np.unique(outcomes)) == {0, 1}
  np.testing.assert_array_equal(policy.tokens(outcomes), ALL_TOKENS)
  # 1 of each choice, and no more than the coins that show heads.
  heads = ALL_TOKENS[:, 2:5].sum(1)
  np.testing.assert_array_equal(outcomes.sum(1), 3 + heads)
  assert not policy.outcomes(jnp.full(6, -1)).any()


def test_hardened_is_the_greatest(policy, logits):
  hard = np.asarray(policy.harden(logits))
  tokens = [int(p.argmax()) for p in reference_probabilities(logits)]
  assert policy.tokens(hard).tolist() == tokens
  np.testing.assert_array_equal(policy.outcomes(jnp.asarray(tokens)), hard)


def test_gradients_are_finite_where_choices_differ_in_number(policy):
  # So far from uniform that most probabilities are 0.
  logits = jnp.linspace(-300, 300, NUM_OUTCOMES)

  @jax.jit
  @jax.grad
  def gradient(logits):
    log_prob, entropy = policy.log_prob(logits, ALL_TOKENS[7])
    return (
      log_prob.sum() + entropy.sum() + policy.probabilities(logits) @ logits
    )

  assert np.isfinite(gradient(logits)).all()


@pytest.mark.parametrize('num_active', [None, 0, 1, 4, 6])
def test_controller_makes_so_many_decisions(policy, logits, num_active):
  controller = policy.make_controller()
  assert not controller.init(jax.random.key(0))['logits'].any()
  params = {'logits': logits}
  count = 6 if num_active is None else num_active
  is_active = np.arange(6) < count
  is_token = is_active[DECISION_OF_TOKEN]
  tokens, log_prob = jax.jit(controller.sample_and_log_prob)(
    params, jax.random.key(0), num_active
  )
  np.testing.assert_array_equal(tokens >= 0, is_token)
  again, entropy = jax.jit(controller.log_prob)(params, tokens, num_active)
  np.testing.assert_allclose(again, log_prob, rtol=1e-6)
  # Of whole sequences, only the decisions that are made count.
  whole = jnp.where(tokens < 0, 1, tokens)
  cut, _ = controller.log_prob(params, whole, num_active)
  np.testing.assert_allclose(cut, log_prob, rtol=1e-6)
  for values in (log_prob, entropy):
    # The first anchor point chooses among nothing.
    has_value = is_active & (np.arange(6) != 1)
    np.testing.assert_array_equal(np.asarray(values) != 0, has_value)
  probabilities = controller.sample_probabilities(
    params, jax.random.key(0), num_active
  )
  step_of_outcome = np.repeat(np.arange(6), [3, 0, 2, 2, 1, 5])
  np.testing.assert_allclose(
    probabilities,
    np.where(
      is_active[step_of_outcome], np.asarray(policy.probabilities(logits)), -1
    ),
    rtol=1e-6,
  )


@pytest.mark.parametrize(
  ('decisions', 'message'),
  [
    ((1, 2), 'Decisions must be a sequence of Choice'),
    ((AnchorPoint(0, 'layer_0'),), 'at least one decision with a token'),
    ((), 'at least one decision with a token'),
  ],
)
def test_bad_decisions_are_refused(decisions, message):
  with pytest.raises(ValueError, match=message):
    factorized.FactorizedPolicy(decisions)
