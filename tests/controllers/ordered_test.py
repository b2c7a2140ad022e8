# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import functools
import itertools
from typing import NamedTuple

import chex
from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas import search
from jaxnas.controllers import ordered, recurrent
from jaxnas.strategies import random_search, reinforce
from jaxnas.types import AnchorPoint, Choice, Range

# 3 * 5 * 1 * 2 * 7 * 2 sequences.
MIXED = (
  Choice(('relu', 'tanh', 'sin'), 'activation'),
  Range(1e-3, 1.0, log=True, num_levels=5, name='rate'),
  AnchorPoint(0, 'layer_0'),
  AnchorPoint(1, 'layer_1'),
  Range(0.0, 1.0, num_levels=7, name='decay'),
  Choice((True, False), 'norm'),
)
MIXED_TOKENS = np.asarray(
  list(itertools.product(*map(range, (3, 5, 2, 7, 2)))), np.int32
)


@pytest.fixture(scope='module')
def mixed():
  return make_controller(MIXED, ordered.make_cosine(num_waves=4))


@pytest.fixture(scope='module')
def mixed_params(mixed):
  # Far from uniform, with waves of the ranges as well.
  leaves, treedef = jax.tree.flatten(mixed.init(jax.random.key(0)))
  keys = jax.random.split(jax.random.key(1), len(leaves))
  leaves = [
    jax.random.uniform(key, leaf.shape, leaf.dtype, -0.5, 0.5)
    for key, leaf in zip(keys, leaves, strict=True)
  ]
  return jax.tree.unflatten(treedef, leaves)


def make_controller(decisions, head):
  return recurrent.make_controller(
    decisions, nn.SimpleCell, num_layers=1, features=6, ordered=head
  )


def ranges(num_decisions, num_levels=256):
  return tuple(
    Range(0.0, 1.0, num_levels=num_levels, name=f'x{i}')
    for i in range(num_decisions)
  )


def test_waves_by_hand():
  head = ordered.make_cosine(num_waves=3, scale=4.0, decay=1.5)
  # The middles of quarters: pi/8, 3 pi/8, 5 pi/8 and 7 pi/8, times 1 to 3.
  angles = (
    np.pi / 8 * np.asarray([[1, 3, 5, 7], [2, 6, 10, 14], [3, 9, 15, 21]])
  )
  loudness = np.asarray([4, 4 / 2**1.5, 4 / 3**1.5])
  expected = loudness[:, None] * np.sqrt(2) * np.cos(angles)
  np.testing.assert_allclose(head.logits(4), expected, atol=1e-5)
  expected = np.sqrt(2) * np.cos(angles) / np.asarray([[1], [2], [3]])
  np.testing.assert_allclose(head.embeddings(4), expected, atol=1e-6)


def test_waves_are_independent_of_each_other_and_of_the_normalization():
  for num_levels in (2, 5, 17, 256):
    basis = ordered.make_cosine(num_waves=16, scale=1.0, decay=0.0).logits(
      num_levels
    )
    assert basis.shape == (min(16, num_levels - 1), num_levels)
    np.testing.assert_allclose(basis.mean(axis=1), 0, atol=1e-6)
    products = basis @ basis.T / num_levels
    np.testing.assert_allclose(products, np.eye(len(basis)), atol=1e-5)


def test_all_levels_are_equally_likely_at_first():
  controller = make_controller(ranges(2, 40), ordered.make_cosine())
  params = jax.jit(controller.init)(jax.random.key(2))
  tokens = np.stack([np.arange(40), np.arange(40)[::-1]], axis=1)
  values, entropies = controller.log_prob(params, tokens.astype(np.int32))
  np.testing.assert_allclose(values, -np.log(40), rtol=1e-6)
  np.testing.assert_allclose(entropies, np.log(40), rtol=1e-6)


@pytest.mark.parametrize('head', [ordered.make_cosine(), None])
def test_neighbors_learn_from_each_other_unless_levels_are_choices(head):
  controller = make_controller(ranges(1), head)
  params = jax.jit(controller.init)(jax.random.key(3))
  tokens = np.arange(256, dtype=np.int32)[:, None]

  @jax.jit
  def changes(levels):
    """Returns what a step towards each level does to all log-probabilities."""

    def log_probs(params):
      return controller.log_prob(params, tokens)[0][:, 0]

    def change(level):
      grads = jax.grad(lambda params: log_probs(params)[level])(params)
      return jax.jvp(log_probs, (params,), (grads,))[1]

    return jax.vmap(change)(levels)

  levels = np.asarray([0, 60, 255])
  for level, change in zip(levels, changes(levels), strict=True):
    assert change[level] > 0
    near = change[np.clip([level - 4, level + 4], 0, 255)]
    if head is None:
      assert np.all(np.abs(np.delete(change, level)) < change[level] / 20)
    else:
      np.testing.assert_allclose(near, change[level], rtol=0.2)
      far = np.abs(np.arange(256) - level) > 128
      assert np.all(change[far] < change[level] / 2)


def test_parameters_are_as_many_as_waves_and_not_as_levels():
  decisions = (*ranges(2), Choice((1, 2, 3), 'size'))
  controller = make_controller(decisions, ordered.make_cosine())
  params = jax.jit(controller.init)(jax.random.key(4))
  chex.assert_shape(params['kernel'], (3, 6, 16))
  chex.assert_shape(params['bias'], (3, 16))
  chex.assert_shape(params['embeddings'], (1 + 2 * 16, 6))
  for leaf in (params['kernel'], params['bias'][:, None]):
    assert not np.any(leaf[:2])
    assert np.all(leaf[2, :, :3])
    assert not np.any(leaf[2, :, 3:])


def test_logits_and_embeddings_are_sums_of_waves(mixed, mixed_params):
  """A controller of softmaxes with the summed tables is the same one."""
  head = ordered.make_cosine(num_waves=4)
  plain = make_controller(MIXED, None)
  shapes = jax.eval_shape(plain.init, jax.random.key(0))
  kernel, bias = np.zeros((4, 6, 7)), np.zeros((4, 7))
  first_row, rows = 1 + 3, [np.asarray(mixed_params['embeddings'][:4])]
  sizes = (3, 5, 7, 2)
  for i, size in enumerate(sizes):
    own_kernel, own_bias = mixed_params['kernel'][i], mixed_params['bias'][i]
    if i in (1, 2):
      basis = head.logits(size)
      kernel[i, :, :size], bias[i, :size] = own_kernel @ basis, own_bias @ basis
      own_rows = mixed_params['embeddings'][first_row : first_row + 4]
      rows.append(head.embeddings(size).T @ own_rows)
      first_row += 4
    else:
      kernel[i, :, :size] = own_kernel[:, :size]
      bias[i, :size] = own_bias[:size]
  tables = mixed_params | {
    'embeddings': np.concatenate(rows).astype(np.float32),
    'kernel': kernel.astype(np.float32),
    'bias': bias.astype(np.float32),
  }
  chex.assert_trees_all_equal_shapes(tables, shapes)
  expected = jax.jit(plain.log_prob)(tables, MIXED_TOKENS)
  result = jax.jit(mixed.log_prob)(mixed_params, MIXED_TOKENS)
  chex.assert_trees_all_close(result, expected, rtol=1e-4, atol=1e-5)


def test_probabilities_of_a_mixed_space_sum_to_one(mixed, mixed_params):
  values, entropies = jax.jit(mixed.log_prob)(mixed_params, MIXED_TOKENS)
  values, entropies = values.sum(axis=1), entropies.sum(axis=1)
  probability = np.exp(values)
  assert probability.sum() == pytest.approx(1, abs=1e-5)
  assert probability.max() > 10 / len(MIXED_TOKENS)
  entropy = -np.sum(probability * values)
  expected = float(np.sum(probability * entropies))
  assert expected == pytest.approx(float(entropy), rel=1e-4)


def test_sampled_distributions_of_a_mixed_space(mixed, mixed_params):
  keys = jax.random.split(jax.random.key(6), 512)
  sample = jax.jit(jax.vmap(mixed.sample_probabilities, (None, 0)))
  result = np.asarray(sample(mixed_params, keys))
  values, _ = jax.jit(mixed.log_prob)(mixed_params, MIXED_TOKENS)
  probability = np.exp(values.sum(axis=1))
  expected = [
    probability[MIXED_TOKENS[:, place] == level].sum()
    for place, size in enumerate((3, 5, 2, 7, 2))
    for level in ((1,) if size == 2 and place == 2 else range(size))
  ]
  assert result.shape[1] == sum(each.num_outcomes for each in MIXED)
  deviation = np.std(result, axis=0) / 512**0.5
  error = np.abs(np.mean(result, axis=0) - expected)
  assert np.all(error < 5 * deviation + 1e-5)


def test_samples_of_a_mixed_space_are_as_frequent_as_log_prob_says(
  mixed, mixed_params
):
  num_samples = 20_000
  keys = jax.random.split(jax.random.key(5), num_samples)
  tokens, own = jax.jit(jax.vmap(mixed.sample_and_log_prob, (None, 0)))(
    mixed_params, keys
  )
  values, _ = jax.jit(mixed.log_prob)(mixed_params, MIXED_TOKENS)
  probability = np.exp(values.sum(axis=1))
  indices = np.ravel_multi_index(tuple(np.asarray(tokens).T), (3, 5, 2, 7, 2))
  frequency = np.bincount(indices, minlength=len(MIXED_TOKENS)) / num_samples
  deviation = np.sqrt(probability * (1 - probability) / num_samples)
  assert np.all(np.abs(frequency - probability) < 5 * deviation + 1e-3)
  np.testing.assert_allclose(
    own.sum(axis=1), values.sum(axis=1)[indices], rtol=1e-4, atol=1e-4
  )


def test_gradients_are_finite_where_the_policy_is_certain(mixed, mixed_params):
  params = jax.tree.map(lambda leaf: 200 * leaf, mixed_params)

  def objective(params):
    log_prob, entropy = mixed.log_prob(params, MIXED_TOKENS)
    return jnp.sum(log_prob) + jnp.sum(entropy)

  value, grads = jax.jit(jax.value_and_grad(objective))(params)
  chex.assert_tree_all_finite((value, grads))


def test_without_a_range_the_head_changes_no_bit():
  decisions = (*MIXED[:1], *MIXED[2:4], *MIXED[5:])
  key = jax.random.key(6)
  plain, waves = [
    make_controller(decisions, head) for head in (None, ordered.make_cosine())
  ]
  params = plain.init(key)
  chex.assert_trees_all_equal(waves.init(key), params)
  results = [
    jax.make_jaxpr(controller.sample_and_log_prob)(params, key)
    for controller in (plain, waves)
  ]
  assert str(results[0]) == str(results[1])


# By how many decisions there are; each of 40 batches of 8 trials.
NUM_SEARCHES = {1: 40, 3: 30}
NUM_ROUNDS = 40


class Trials(NamedTuple):
  """What many searches did, each for an optimum of its own.

  Attributes:
    distance: how many levels each trial was from the optimum, in the decision
      where it was furthest, `[S, trials]`.
    regret: how much less than the optimum's its reward was, `[S, trials]`.
  """

  distance: jax.Array
  regret: jax.Array

  def first_within(self, levels):
    """Returns the first trial so close, or else how many there were; `[S]`."""
    is_close = np.asarray(self.distance) <= levels
    num_trials = is_close.shape[1]
    return np.where(is_close.any(1), is_close.argmax(1) + 1, num_trials)

  def late_regret(self):
    """Returns the mean regret of the last 32 trials; `[S]`."""
    return np.asarray(self.regret)[:, -32:].mean(axis=1)


@functools.partial(jax.jit, static_argnames=('strategy', 'num_rounds'))
def run_searches(strategy, optima, num_rounds):
  """Searches for the top of a paraboloid, `int32[S, C] -> Trials`."""

  def run(key, optimum):
    def reward(tokens):
      return 1 - 4 * jnp.mean(((tokens - optimum[None]) / 256) ** 2, axis=-1)

    result = search.scan(strategy, reward, key, num_rounds, batch_size=8)
    distance = jnp.max(jnp.abs(result.tokens - optimum[None, None]), axis=-1)
    return Trials(distance.reshape(-1), 1 - result.rewards.reshape(-1))

  keys = jax.random.split(jax.random.key(8), len(optima))
  return jax.vmap(run)(keys, optima)


@functools.cache
def make_strategy(kind, num_decisions):
  decisions = ranges(num_decisions)
  if kind == 'random':
    return random_search.make_random_search(decisions)
  is_softmax = kind == 'softmax'
  controller = recurrent.make_controller(
    decisions,
    nn.SimpleCell,
    num_layers=1,
    features=16,
    ordered=None if is_softmax else ordered.make_cosine(),
  )
  # With the default of 0.01 the softmax learns less in these few trials.
  return reinforce.make_reinforce(controller, 0.03 if is_softmax else 0.01)


@functools.cache
def random_trials(kind, num_decisions):
  """Returns the searches for optima anywhere, the same for each kind."""
  num_searches, num_rounds = NUM_SEARCHES[num_decisions], NUM_ROUNDS
  optima = np.random.default_rng(9).integers(
    0, 256, (num_searches, num_decisions), np.int32
  )
  strategy = make_strategy(kind, num_decisions)
  return run_searches(strategy, optima, num_rounds)


def assert_positive(values):
  """Asserts that the mean's interval of 95 % lies above zero."""
  assert values.mean() > 1.96 * values.std() / np.sqrt(len(values))


@pytest.mark.slow
@pytest.mark.parametrize('rival', ['softmax', 'random'])
# The optimum itself, or in three dimensions a place that is near it in each.
@pytest.mark.parametrize(('num_decisions', 'levels'), [(1, 0), (3, 10)])
def test_waves_find_the_optimum_in_fewer_trials(num_decisions, levels, rival):
  waves = random_trials('waves', num_decisions)
  other = random_trials(rival, num_decisions)
  assert_positive(other.first_within(levels) - waves.first_within(levels))
  assert_positive(other.late_regret() - waves.late_regret())
  # What an eighth of the range away from the optimum costs; the uniform
  # distribution loses 2 / 3.
  assert waves.late_regret().mean() < 1 / 16


def test_an_optimum_at_an_end_is_found_as_well_as_any():
  anywhere = random_trials('waves', 1)
  optima = np.repeat(np.asarray([0, 255], np.int32), NUM_SEARCHES[1] // 2)
  ends = run_searches(make_strategy('waves', 1), optima[:, None], NUM_ROUNDS)
  for name in ('trials', 'late regret'):
    end, usual = (
      trials.first_within(0) if name == 'trials' else trials.late_regret()
      for trials in (ends, anywhere)
    )
    error = np.hypot(end.std(), usual.std()) / np.sqrt(len(end))
    assert end.mean() < usual.mean() + 1.96 * error, name


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ({'num_waves': 0}, 'num_waves must be at least 1, got 0'),
    ({'scale': 0.0}, 'scale must be greater than 0, got 0.0'),
    ({'decay': -1.0}, 'decay must be at least 0, got -1.0'),
  ],
)
def test_bad_arguments_are_refused(arguments, message):
  with pytest.raises(ValueError, match=message):
    ordered.make_cosine(**arguments)
