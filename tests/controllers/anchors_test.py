# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import itertools

import chex
from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.controllers import anchors, recurrent
from jaxnas.types import AnchorPoint, Choice

# Three layers, with tokens 0, 1-2 and 3-5: 64 sequences.
DECISIONS = (
  AnchorPoint(0, 'layer_0/inputs'),
  Choice((4, 8), 'layer_0/filters'),
  AnchorPoint(1, 'layer_1/inputs'),
  Choice((4, 8), 'layer_1/filters'),
  AnchorPoint(2, 'layer_2/inputs'),
  Choice((4, 8), 'layer_2/filters'),
)
STEPS = np.asarray([1, 2, 3, 4, 4, 5])
ALL_TOKENS = np.asarray(list(itertools.product((0, 1), repeat=6)), np.int32)
FEATURES = 5


# The other multinomial is this one without the kernel; it has its own test.
@pytest.fixture(
  scope='module',
  params=['attention', 'feed_forward', 'conditioned_multinomial'],
  name='name',
)
def fixture_name(request):
  return request.param


@pytest.fixture(scope='module', name='controller')
def fixture_controller(name):
  return recurrent.make_controller(
    DECISIONS,
    nn.SimpleCell,
    num_layers=1,
    features=FEATURES,
    anchors=anchors.MECHANISMS[name](),
  )


@pytest.fixture(scope='module', name='params')
def fixture_params(controller):
  # Large, so that the distribution is far from uniform.
  rng = np.random.default_rng(0)
  return jax.tree.map(
    lambda leaf: rng.uniform(-1.2, 1.2, leaf.shape),
    jax.eval_shape(controller.init, jax.random.key(0)),
  )


@pytest.fixture(scope='module', name='evaluate')
def fixture_evaluate(controller):
  """All that is asked of `log_prob`, in one program and in float64."""

  @jax.jit
  def run(params, tokens, num_active, weights):
    def objective(params):
      result = controller.log_prob(params, tokens, num_active)
      total = result[0] + 0.7 * jnp.square(result[1])
      return jnp.sum(total * weights[:, None]), result

    return jax.value_and_grad(objective, has_aux=True)(params)

  def evaluate(params, tokens, num_active=6, weights=None):
    weights = np.ones(len(tokens)) if weights is None else weights
    with jax.enable_x64(True):
      return jax.tree.map(
        np.asarray, run(params, tokens, np.int32(num_active), weights)
      )

  return evaluate


@pytest.fixture(scope='module', name='log_prob')
def fixture_log_prob(evaluate):
  return lambda *arguments: evaluate(*arguments)[0][1]


@pytest.fixture(scope='module', name='sample')
def fixture_sample(controller):
  run = jax.jit(jax.vmap(controller.sample_and_log_prob, (None, 0, None)))

  def sample(params, keys, num_active):
    params = jax.tree.map(np.float32, params)
    keys = jax.random.clone(keys)
    return jax.tree.map(np.asarray, run(params, keys, num_active))

  return sample


def prefixes(num_active):
  """All sequences of so many decisions, each once."""
  is_active = num_active > STEPS
  return np.unique(np.where(is_active, ALL_TOKENS, -1), axis=0)


def reference_logits(name, params, number, states):
  """Of every earlier layer at an anchor point, in NumPy, pair by pair."""
  params, state = params['anchors'], states[number]
  result = []
  for source in range(number):
    # Pairs (1, 0), (2, 0), (2, 1).
    pair = [(1, 0), (2, 0), (2, 1)].index((number, source))
    if name == 'attention':
      summed = states[source] @ params['previous'] + state @ params['current']
      logit = params['vector'] @ np.tanh(summed)
    elif name == 'feed_forward':
      kernel = params['hidden']['kernel'][number - 1]
      hidden = np.tanh(state @ kernel + params['hidden']['bias'][number - 1])
      logit = params['classes']['kernel'][pair] @ hidden
      logit += params['classes']['bias'][pair]
    else:
      logit = params['bias'][pair] + params['kernel'][pair] @ state
    result.append(logit)
  return np.asarray(result)


def reference_score(name, params, tokens):
  """Log-probability and entropy of each decision, in NumPy, step by step."""
  params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
  cell = params['cells']['layer_0']
  hidden, step_input = np.zeros(FEATURES), params['embeddings'][0]
  values, entropies = [], []
  states: list[np.ndarray] = []
  tokens, first_row, choice = list(tokens), 1, 0
  for decision in DECISIONS:
    hidden = np.tanh(
      step_input @ cell['i']['kernel']
      + cell['i']['bias']
      + hidden @ cell['h']['kernel']
    )
    if isinstance(decision, AnchorPoint):
      number = len(states)
      states.append(hidden)
      drawn = [tokens.pop(0) for _ in range(number)]
      on = 1 / (1 + np.exp(-reference_logits(name, params, number, states)))
      values.append(np.sum(np.log(np.where(drawn, on, 1 - on))))
      entropies.append(-np.sum(on * np.log(on) + (1 - on) * np.log(1 - on)))
      chosen = [states[j] for j in range(number) if drawn[j]]
      step_input = np.mean(chosen, axis=0) if chosen else np.zeros(FEATURES)
    else:
      logits = hidden @ params['kernel'][choice] + params['bias'][choice]
      log_probs = logits - np.log(np.sum(np.exp(logits)))
      token = tokens.pop(0)
      values.append(log_probs[token])
      entropies.append(-np.sum(np.exp(log_probs) * log_probs))
      if choice < 2:
        step_input = params['embeddings'][first_row + token]
      first_row, choice = first_row + 2, choice + 1
  return values, entropies


def test_log_prob_and_entropy_equal_a_slow_step_by_step_reference(
  name, params, log_prob
):
  values, entropies = log_prob(params, ALL_TOKENS, 6)
  chex.assert_shape([values, entropies], (64, 6))
  for row in range(0, 64, 5):
    expected = reference_score(name, params, ALL_TOKENS[row])
    np.testing.assert_allclose(values[row], expected[0], rtol=1e-9)
    np.testing.assert_allclose(entropies[row], expected[1], rtol=1e-9)
  # The first anchor point has nothing to choose.
  assert not np.any(values[:, 0])
  assert not np.any(entropies[:, 0])


def test_probabilities_sum_to_one_at_every_depth(params, log_prob):
  values, _ = log_prob(params, ALL_TOKENS, 6)
  for num_active in range(7):
    tokens = prefixes(num_active)
    # Each prefix stands in so many of the sequences.
    repeats = 64 // len(tokens)
    total = np.exp(values[:, :num_active].sum(axis=1)).sum() / repeats
    assert total == pytest.approx(1, abs=1e-9)


def test_depth_is_read_from_the_argument_or_from_the_tokens(params, log_prob):
  expected = log_prob(params, ALL_TOKENS, 6)
  for num_active in (0, 1, 3, 4, 5):
    is_active = np.arange(6) < num_active
    tokens = np.where(num_active > STEPS, ALL_TOKENS, -1)
    for result in (
      log_prob(params, tokens, 6),
      log_prob(params, ALL_TOKENS, num_active),
    ):
      for value, reference in zip(result, expected, strict=True):
        np.testing.assert_array_equal(value, np.where(is_active, reference, 0))


def test_entropy_is_that_of_the_enumerated_distribution(params, log_prob):
  values, entropies = log_prob(params, ALL_TOKENS, 6)
  # Of the later choices it depends on what came before.
  assert entropies.std(axis=0)[[3, 5]].min() > 1e-3
  for num_active in range(1, 7):
    is_prefix = values[:, :num_active].sum(axis=1)
    probability = np.exp(is_prefix) * len(prefixes(num_active)) / 64
    expected = -np.sum(probability * is_prefix)
    mean = np.sum(probability * entropies[:, :num_active].sum(axis=1))
    assert mean == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_samples_have_the_probabilities_that_the_sampler_says(
  params, sample, log_prob
):
  num_samples = 8192
  keys = jax.random.split(jax.random.key(1), num_samples)
  tokens, own = sample(params, keys, 6)
  chex.assert_type(tokens, jnp.int32)
  values, _ = log_prob(params, ALL_TOKENS, 6)
  indices = np.ravel_multi_index(tuple(tokens.T), (2,) * 6)
  np.testing.assert_allclose(own, values[indices], rtol=1e-4, atol=1e-6)
  probability = np.exp(values.sum(axis=1))
  # Far enough from uniform for a wrong distribution to be seen.
  assert probability.max() > 3 / 64
  frequency = np.bincount(indices, minlength=64) / num_samples
  deviation = np.sqrt(probability * (1 - probability) / num_samples)
  assert np.all(np.abs(frequency - probability) < 5 * deviation + 1e-12)


def test_sampled_distributions_average_to_the_marginal_ones(
  controller, params, log_prob
):
  num_samples = 1024
  keys = jax.random.split(jax.random.key(6), num_samples)
  sampled = jax.jit(jax.vmap(controller.sample_probabilities, (None, 0, None)))
  single = jax.tree.map(np.float32, params)
  result = np.asarray(sampled(single, keys, 6), np.float64)
  values, _ = log_prob(params, ALL_TOKENS, 6)
  probability = np.exp(values.sum(axis=1))
  expected = []
  for token, step in enumerate(STEPS):
    chosen = probability @ (ALL_TOKENS[:, token] == 1)
    is_anchor = isinstance(DECISIONS[step], AnchorPoint)
    expected.extend([chosen] if is_anchor else [1 - chosen, chosen])
  chex.assert_shape(result, (num_samples, len(expected)))
  deviation = result.std(axis=0) / num_samples**0.5
  error = np.abs(result.mean(axis=0) - expected)
  assert np.all(error < 5 * deviation + 1e-5)
  shallow = sampled(single, jax.random.clone(keys), 0)
  np.testing.assert_array_equal(shallow, -1)


def test_same_key_same_tokens_and_a_depth_is_a_prefix(params, sample):
  keys = jax.random.split(jax.random.key(2), 8192)
  tokens, values = sample(params, keys, 6)
  np.testing.assert_array_equal(sample(params, keys, 6)[0], tokens)
  assert len(np.unique(tokens, axis=0)) > 32
  for num_active in (0, 1, 3, 5):
    shorter, own = sample(params, keys, num_active)
    is_active = num_active > STEPS
    np.testing.assert_array_equal(shorter, np.where(is_active, tokens, -1))
    is_active = np.arange(6) < num_active
    np.testing.assert_array_equal(own, np.where(is_active, values, 0))


def test_gradient_is_that_of_finite_differences(params, evaluate):
  rng = np.random.default_rng(1)
  tokens = ALL_TOKENS.copy()
  tokens[7, 3:], tokens[40, 1:], tokens[9] = -1, -1, -1
  _, grads = evaluate(params, tokens)
  leaves, treedef = jax.tree.flatten(params)
  for number, grad in enumerate(jax.tree.leaves(grads)):
    # Along a direction of each leaf, so that none is forgotten.
    direction = 1e-5 * rng.normal(size=grad.shape)
    after, before = (
      evaluate(
        jax.tree.unflatten(
          treedef,
          [
            leaf + sign * direction if i == number else leaf
            for i, leaf in enumerate(leaves)
          ],
        ),
        tokens,
      )[0][0]
      for sign in (1, -1)
    )
    assert abs(after - before) > 1e-8
    assert np.sum(grad * direction) == pytest.approx(
      (after - before) / 2, rel=1e-5, abs=1e-11
    )


def test_certain_probabilities_give_finite_gradients(params, evaluate):
  # So large that some probabilities are zero.
  params = jax.tree.map(lambda leaf: 1e5 * leaf, params)
  for num_active in (6, 3, 0):
    (value, _), grads = evaluate(params, ALL_TOKENS, num_active)
    assert (value < -1000) == (num_active > 0)
    chex.assert_tree_all_finite(grads)
    is_zero = not any(np.any(leaf) for leaf in jax.tree.leaves(grads))
    assert is_zero == (num_active == 0)


def test_a_batch_of_samples_keeps_the_branch(controller, params):
  keys = jax.random.split(jax.random.key(3), 4)
  jaxpr = jax.make_jaxpr(jax.vmap(controller.sample_and_log_prob, (None, 0)))
  # A batched condition would compute both sides of every step.
  assert ' cond[' in str(jaxpr(params, keys))


@pytest.mark.parametrize(
  ('name', 'num_params'),
  [
    ('attention', lambda num_layers: 2 * 7 * 7 + 7),
    (
      'feed_forward',
      lambda num_layers: (
        (num_layers - 1) * (7 * 7 + 7) + num_layers * (num_layers - 1) // 2 * 8
      ),
    ),
    ('multinomial', lambda num_layers: num_layers * (num_layers - 1) // 2),
    (
      'conditioned_multinomial',
      lambda num_layers: num_layers * (num_layers - 1) // 2 * 8,
    ),
  ],
)
def test_attention_is_shared_and_the_others_grow_with_depth(name, num_params):
  for num_layers in (2, 3, 15):
    controller = recurrent.make_controller(
      tuple(AnchorPoint(i, f'layer_{i}') for i in range(num_layers)),
      nn.SimpleCell,
      features=7,
      anchors=anchors.MECHANISMS[name](),
    )
    shapes = jax.eval_shape(controller.init, jax.random.key(0))['anchors']
    sizes = [leaf.size for leaf in jax.tree.leaves(shapes)]
    assert sum(sizes) == num_params(num_layers)


def test_attention_is_the_default():
  make = recurrent.make_controller
  shapes = [
    jax.eval_shape(controller.init, jax.random.key(0))
    for controller in (
      make(DECISIONS),
      make(DECISIONS, anchors=anchors.make_attention()),
    )
  ]
  chex.assert_trees_all_equal(*shapes)
  assert set(shapes[0]['anchors']) == {'previous', 'current', 'vector'}


def test_free_probabilities_see_no_state():
  mechanism = anchors.make_multinomial()
  params = {'bias': jnp.arange(6.0)}
  shapes = mechanism.param_shapes(4, FEATURES)
  assert shapes['bias'].shape == (6,)
  rng = np.random.default_rng(0)
  logits = jax.jit(mechanism.logits)
  for index, expected in ((1, [0]), (2, [1, 2]), (3, [3, 4, 5])):
    values = logits(
      params, index, rng.normal(size=(2, 5)), rng.normal(size=(2, 3, 5))
    )
    chex.assert_shape(values, (2, 3))
    np.testing.assert_array_equal(
      values[:, :index], np.asarray([expected, expected])
    )


def test_coins_by_hand():
  is_pair = np.asarray([[False, False], [True, False], [True, True]])
  tokens = jnp.asarray([[1, 1], [1, 0], [0, 1]])

  @jax.jit
  def score(logits):
    return anchors.log_prob_and_entropy(logits, tokens, is_pair)

  @jax.jit
  @jax.grad
  def gradient(logits):
    return jnp.sum(score(logits)[0])

  three = np.log(3)
  logits = np.asarray([[np.nan, 1], [three, np.inf], [-three, 0]], np.float32)
  log_prob, entropy = score(logits)
  likely, unlikely, half = np.log([0.75, 0.25, 0.5])
  np.testing.assert_allclose(
    log_prob, np.asarray([0, likely, likely + half]), rtol=1e-6
  )
  one = -(0.75 * likely + 0.25 * unlikely)
  np.testing.assert_allclose(
    entropy, np.asarray([0, one, one - half]), rtol=1e-6
  )
  # Token less probability; what is no pair has no part.
  expected = np.asarray([[0, 0], [0.25, 0], [-0.25, 0.5]])
  np.testing.assert_allclose(gradient(logits), expected, rtol=1e-6)


def test_divergence_from_a_prior_by_hand():
  is_pair = np.asarray([[False, False], [True, False], [True, True]])
  nan, prior = np.nan, 0.25

  @jax.jit
  @jax.grad
  def gradient(logits):
    return jnp.sum(anchors.divergence(logits, prior, is_pair))

  # Coins of 1/4, which is the prior, of 1/2 and of 0.
  logits = np.asarray([[nan, 1], [-np.log(3), nan], [0, -1e4]], np.float32)
  half = 0.5 * np.log(0.5 / 0.25) + 0.5 * np.log(0.5 / 0.75)
  np.testing.assert_allclose(
    anchors.divergence(logits, prior, is_pair),
    [0, 0, half - np.log(0.75)],
    rtol=1e-6,
    atol=1e-7,
  )
  # By the logit: p (1 - p) (logit less the prior's).
  np.testing.assert_allclose(
    gradient(logits), [[0, 0], [0, 0], [np.log(3) / 4, 0]], atol=1e-6
  )


def test_divergence_is_of_the_coins_that_are_tossed(
  controller, params, log_prob
):
  evaluate = jax.jit(controller.log_prob_and_divergence)
  tokens = ALL_TOKENS.copy()
  tokens[7, 3:] = -1
  *values, found = evaluate(params, tokens, 0.4)
  chex.assert_shape(found, (64, 3))
  expected_values = log_prob(params, tokens, 6)
  chex.assert_trees_all_close(tuple(values), expected_values, rtol=1e-5)
  log_probs, _ = expected_values
  # The only coin of the second layer, whose tokens are 1 and 2.
  drawn = tokens[:, 1]
  p = np.exp(log_probs[:, 2])
  on = np.where(drawn == 1, p, 1 - p)
  expected = on * np.log(on / 0.4) + (1 - on) * np.log((1 - on) / 0.6)
  np.testing.assert_allclose(found[:, 1], expected, rtol=1e-5, atol=1e-7)
  assert not np.any(found[:, 0])
  assert found[7, 2] == 0
  assert np.all(np.delete(found[:, 2], 7) > 0)


def test_a_mean_over_none_is_zero():
  is_chosen = jnp.asarray([[True, False, True, True], [False] * 4])
  weights = anchors.mean_weights(is_chosen, jnp.float32)
  np.testing.assert_allclose(
    weights, np.asarray([[1 / 3, 0, 1 / 3, 1 / 3], [0, 0, 0, 0]])
  )
  chex.assert_type(weights, jnp.float32)


def test_spaces_of_anchor_points_alone_and_of_one_alone_serve():
  graph = tuple(AnchorPoint(i, f'layer_{i}') for i in range(3))
  single = (Choice(('concat', 'add'), 'merge'), *DECISIONS[:2])
  for decisions, num_tokens in ((graph, 3), (single, 2)):
    controller = recurrent.make_controller(
      decisions, nn.SimpleCell, num_layers=1, features=FEATURES
    )
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(controller.init, jax.random.key(0))
    # Two anchor points at least have a pair, and so parameters.
    assert ('anchors' in shapes) == (decisions is graph)
    params = jax.tree.map(
      lambda leaf, rng=rng: rng.normal(size=leaf.shape).astype(np.float32),
      shapes,
    )
    tokens = np.asarray(list(itertools.product((0, 1), repeat=num_tokens)))
    values, _ = jax.jit(controller.log_prob)(params, tokens)
    total = np.exp(values.sum(axis=1)).sum()
    assert total == pytest.approx(1, abs=1e-5)
    drawn = jax.eval_shape(controller.sample, params, jax.random.key(1))
    assert drawn.shape == (num_tokens,)


@pytest.mark.parametrize(
  'decisions',
  [
    (AnchorPoint(1, 'layer_2'), DECISIONS[1]),
    (*DECISIONS[:3], AnchorPoint(3, 'layer_2')),
    (*DECISIONS[:3], AnchorPoint(1, 'layer_2')),
  ],
)
def test_an_anchor_point_chooses_among_all_before_it(decisions):
  message = "AnchorPoint 'layer_2' must choose among the . anchor points before"
  with pytest.raises(ValueError, match=message):
    recurrent.make_controller(decisions)
