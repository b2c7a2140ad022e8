# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import functools
import itertools

import chex
from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.children import recurrent_cell as cells
from jaxnas.children import recurrent_interpreter
from jaxnas.controllers import recurrent
from jaxnas.spaces import conv_net, recurrent_cell
from jaxnas.types import AnchorPoint, Choice, Range

# 2 * 4 * 2 * 4 * 3 sequences.
DECISIONS = (
  *recurrent_cell.make_space(base=2).decisions[:4],
  recurrent_cell.make_space(base=2).decisions[-1],
)
NUM_CHOICES = (2, 4, 2, 4, 3)
ALL_TOKENS = np.asarray(
  list(itertools.product(*map(range, NUM_CHOICES))), np.int32
)


@pytest.fixture(scope='module')
def controller():
  return recurrent.make_controller(DECISIONS, features=8)


@pytest.fixture(scope='module')
def params(controller):
  # Scaled up, so that the distribution is far from uniform.
  params = controller.init(jax.random.key(0))
  return jax.tree.map(lambda leaf: 12 * leaf, params)


@pytest.fixture(scope='module')
def log_prob(controller):
  return jax.jit(jax.vmap(controller.log_prob, in_axes=(None, 0, None)))


@pytest.fixture(scope='module')
def sample(controller):
  return jax.jit(jax.vmap(controller.sample, in_axes=(None, 0, None)))


def reference_log_probs(params, tokens, noise=None):
  """Every step's log-probabilities, in NumPy; draws tokens if given noise."""
  params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
  num_layers, features = len(params['cells']), params['kernel'].shape[1]
  state = np.zeros((num_layers, 2, features))
  step_input, first_row = params['embeddings'][0], 1
  result, drawn = [], []
  for t, num_choices in enumerate(NUM_CHOICES):
    for layer in range(num_layers):
      c, h = state[layer]
      cell = params['cells'][f'layer_{layer}']
      i, f, g, o = np.split(
        step_input @ cell['input_projection']['kernel']
        + h @ cell['recurrent_kernel']
        + cell['bias'],
        4,
      )
      c = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
      h = np.tanh(c) / (1 + np.exp(-o))
      state[layer], step_input = (c, h), h
    logits = step_input @ params['kernel'][t, :, :num_choices]
    logits = logits + params['bias'][t, :num_choices]
    result.append(logits - np.log(np.sum(np.exp(logits))))
    if noise is None:
      token = tokens[t]
    else:
      token = np.argmax(result[-1] + noise[t, :num_choices])
    drawn.append(token)
    if t + 1 < len(NUM_CHOICES):
      step_input = params['embeddings'][first_row + token]
      first_row += num_choices
  return result, drawn


def test_log_prob_and_entropy_equal_a_slow_step_by_step_reference(
  params, log_prob
):
  values, entropies = log_prob(params, ALL_TOKENS, 5)
  for n in range(0, len(ALL_TOKENS), 17):
    row = ALL_TOKENS[n]
    expected, _ = reference_log_probs(params, row)
    chosen = [step[token] for step, token in zip(expected, row, strict=True)]
    entropy = [-np.sum(np.exp(step) * step) for step in expected]
    np.testing.assert_allclose(values[n], chosen, rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(entropies[n], entropy, rtol=2e-5, atol=1e-6)


def test_sampler_draws_from_the_reference_distribution_token_by_token(
  params, sample
):
  keys = jax.random.split(jax.random.key(1), 32)
  for key, tokens in zip(keys, sample(params, keys, 5), strict=True):
    noise = np.asarray(jax.random.gumbel(key, (5, 4)))
    _, drawn = reference_log_probs(params, None, noise)
    assert tokens.tolist() == drawn


def test_frequencies_of_samples_match_log_prob(params, sample, log_prob):
  num_samples = 20_000
  keys = jax.random.split(jax.random.key(2), num_samples)
  tokens = np.asarray(sample(params, keys, 5))
  chex.assert_type(tokens, jnp.int32)
  indices = np.ravel_multi_index(tuple(tokens.T), NUM_CHOICES)
  frequency = np.bincount(indices, minlength=len(ALL_TOKENS)) / num_samples
  values, _ = log_prob(params, ALL_TOKENS, 5)
  probability = np.exp(values.sum(axis=1))
  # Far enough from uniform for a wrong distribution to be seen.
  assert probability.max() > 4 / len(ALL_TOKENS)
  deviation = np.sqrt(probability * (1 - probability) / num_samples)
  assert np.all(np.abs(frequency - probability) < 5 * deviation + 1e-12)


def test_sampled_distributions_average_to_the_marginal_ones(
  controller, params, log_prob
):
  num_samples = 1024
  keys = jax.random.split(jax.random.key(4), num_samples)
  sampled = jax.jit(
    jax.vmap(controller.sample_probabilities, in_axes=(None, 0, None))
  )
  values, _ = log_prob(params, ALL_TOKENS, 5)
  probability = np.exp(values.sum(axis=1))
  expected = [
    probability[ALL_TOKENS[:, place] == choice].sum()
    for place, num_choices in enumerate(NUM_CHOICES)
    for choice in range(num_choices)
  ]
  result = np.asarray(sampled(params, keys, 5), np.float64)
  chex.assert_shape(result, (num_samples, sum(NUM_CHOICES)))
  # The first decision depends on no other, so that no sample differs.
  first = np.broadcast_to(expected[:2], (num_samples, 2))
  np.testing.assert_allclose(result[:, :2], first, rtol=1e-5)
  deviation = result.std(axis=0) / num_samples**0.5
  assert deviation.max() > 5e-4
  error = np.abs(result.mean(axis=0) - expected)
  assert np.all(error < 5 * deviation + 1e-5)
  # Counting what is drawn would be less exact.
  counted = np.sqrt(np.multiply(expected, np.subtract(1, expected)))
  assert np.all(result.std(axis=0) < counted)
  # A shallower network has the same distributions, as far as it goes.
  shallow = sampled(params, jax.random.clone(keys), 2)
  np.testing.assert_array_equal(shallow[:, :6], result[:, :6].astype('f'))
  np.testing.assert_array_equal(shallow[:, 6:], -1)


def test_probabilities_sum_to_one_over_the_space(params, log_prob):
  values, _ = log_prob(params, ALL_TOKENS, 5)
  assert np.exp(values.sum(axis=1)).sum() == pytest.approx(1, abs=1e-5)


def test_expected_entropies_add_up_to_the_entropy_of_the_sequence(
  params, log_prob
):
  values, entropies = log_prob(params, ALL_TOKENS, 5)
  values, entropies = values.sum(axis=1), entropies.sum(axis=1)
  expected = float(-np.sum(np.exp(values) * values))
  assert np.sum(np.exp(values) * entropies) == pytest.approx(expected, rel=1e-5)


def test_entropy_is_the_distributions_and_not_the_drawn_tokens(
  params, log_prob
):
  values, entropies = log_prob(params, ALL_TOKENS, 5)
  # The first decision has one distribution, whatever is drawn.
  np.testing.assert_allclose(entropies[:, 0], entropies[0, 0], rtol=1e-6)
  assert np.unique(values[:, 0]).size == 2


def test_same_key_same_tokens_and_other_keys_other_tokens(params, sample):
  keys = jax.random.split(jax.random.key(3), 32)
  tokens = np.asarray(sample(params, keys, 5))
  again = sample(params, jax.random.clone(keys), 5)
  np.testing.assert_array_equal(tokens, again)
  assert len(np.unique(tokens, axis=0)) > 4


@pytest.mark.parametrize('num_active', [0, 1, 3, 5])
def test_a_prefix_is_unchanged_and_the_rest_is_inactive(
  params, sample, log_prob, num_active
):
  keys = jax.random.split(jax.random.key(4), 32)
  full = sample(params, keys, 5)
  tokens = sample(params, jax.random.clone(keys), num_active)
  np.testing.assert_array_equal(tokens[:, :num_active], full[:, :num_active])
  assert np.all(np.asarray(tokens)[:, num_active:] == -1)
  expected = log_prob(params, full, 5)
  # Either the argument or the tokens say which decisions were made.
  for result in (
    log_prob(params, tokens, num_active),
    log_prob(params, tokens, 5),
    log_prob(params, full, num_active),
  ):
    for value, reference in zip(result, expected, strict=True):
      np.testing.assert_array_equal(
        value[:, :num_active], reference[:, :num_active]
      )
      assert not np.any(np.asarray(value)[:, num_active:])


@pytest.mark.parametrize('num_active', [None, 3])
def test_a_draw_has_the_gradients_of_its_log_probability(
  controller, params, sample, num_active
):
  keys = jax.random.split(jax.random.key(6), 7)
  shape = len(keys), len(DECISIONS)
  weights = np.random.default_rng(0).normal(size=(2, *shape)).astype('f')

  @jax.jit
  def draw(params, keys):
    tokens, values, vjp = controller.sample_and_vjp(params, keys, num_active)
    return tokens, values, vjp(tuple(weights))

  @jax.jit
  def evaluate(params, tokens):
    values, vjp = jax.vjp(
      lambda params: controller.log_prob(params, tokens, num_active), params
    )
    return values, vjp(tuple(weights))[0]

  tokens, values, grads = draw(params, keys)
  depth = len(DECISIONS) if num_active is None else num_active
  np.testing.assert_array_equal(tokens, sample(params, keys, depth))
  expected_values, expected_grads = evaluate(params, tokens)
  chex.assert_trees_all_close(values, expected_values, rtol=1e-5, atol=1e-6)
  chex.assert_trees_all_close(grads, expected_grads, rtol=1e-4, atol=1e-5)


def test_gradients_flow_through_the_sampler_too(controller, params):
  keys = jax.random.split(jax.random.key(6), 3)

  def draw(params):
    tokens, log_prob = jax.vmap(
      controller.sample_and_log_prob, in_axes=(None, 0)
    )(params, keys)
    return jnp.sum(log_prob), tokens

  grads, tokens = jax.jit(jax.grad(draw, has_aux=True))(params)
  expected = jax.grad(
    lambda params: jnp.sum(controller.log_prob(params, tokens)[0])
  )(params)
  chex.assert_trees_all_close(grads, expected, rtol=1e-4, atol=1e-5)


def test_masked_choices_and_inactive_tokens_give_finite_gradients(
  controller, params
):
  @jax.jit
  @jax.grad
  def gradient(params, tokens):
    values, entropies = controller.log_prob(params, tokens)
    return values.sum() + entropies.sum()

  # Parameters so large that some probabilities are zero in float32.
  large = jax.tree.map(lambda leaf: 1000 * leaf, params)
  for scaled, tokens in itertools.product(
    (params, large), ([1, 3, 0, 2, 2], [1, 3, -1, -1, -1], [-1] * 5)
  ):
    grads = gradient(scaled, np.asarray(tokens, np.int32))
    chex.assert_tree_all_finite(grads)
    is_padding = np.arange(4)[None] >= np.asarray(NUM_CHOICES)[:, None]
    assert not np.any(np.asarray(grads['bias'])[is_padding])
    is_zero = not any(np.any(leaf) for leaf in jax.tree.leaves(grads))
    if scaled is params or tokens[0] == -1:
      assert is_zero == (tokens[0] == -1)


def test_samples_are_choices_however_low_their_logits(params, sample):
  low = {**params, 'bias': jnp.full_like(params['bias'], -1e12)}
  tokens = np.asarray(sample(low, jax.random.split(jax.random.key(11), 32), 5))
  assert tokens.min() >= 0
  assert (tokens < NUM_CHOICES).all()


@pytest.mark.slow
def test_cells_as_data_serve_as_their_compiled_ones_in_one_program():
  architectures = [
    recurrent_cell.KNOWN_CELLS['paper_example'],
    recurrent_cell.parse(
      'elem_mult,tanh,add,relu,add,sigmoid,elem_mult,tanh,0,2'
    ),
    recurrent_cell.make_space(base=2).decode(np.zeros(10, np.int32)),
  ]
  traces: list[None] = []

  def run(make_cell, key, tokens):
    controller = recurrent.make_controller(DECISIONS, make_cell, features=4)
    init_key, draw_key = jax.random.split(key)
    params = jax.tree.map(lambda x: 9 * x, controller.init(init_key))
    keys = jax.random.split(draw_key, 8)
    drawn = jax.vmap(controller.sample, (None, 0))(params, keys)
    value, grads = jax.value_and_grad(
      lambda params: controller.log_prob(params, tokens)[0].sum()
    )(params)
    return drawn, value, grads

  @jax.jit
  @functools.partial(jax.vmap, in_axes=(recurrent_interpreter.BATCH_AXES, 0))
  def interpreted(program, key):
    traces.append(None)
    return run(
      lambda features: recurrent_interpreter.InterpretedCell(
        program=program, use_bias=True, features=features
      ),
      key,
      ALL_TOKENS[::7],
    )

  keys = jax.random.split(jax.random.key(12), len(architectures))
  together = interpreted(recurrent_interpreter.assemble(architectures), keys)
  interpreted(recurrent_interpreter.assemble(architectures[::-1]), keys)
  assert len(traces) == 1
  for lane, architecture in enumerate(architectures):
    expected = jax.jit(run, static_argnums=0)(
      lambda features, architecture=architecture: cells.GrammarCell(
        architecture=architecture, use_bias=True, features=features
      ),
      keys[lane],
      ALL_TOKENS[::7],
    )
    own = jax.tree.map(lambda leaf, lane=lane: leaf[lane], together)
    np.testing.assert_array_equal(own[0], expected[0])
    chex.assert_trees_all_close(own[1:], expected[1:], rtol=1e-4, atol=1e-4)
    kernel = own[2]['cells']['layer_0']['recurrent_kernel']
    assert np.abs(kernel).max() > 1e-3


def test_every_parameter_is_uniform_within_init_scale(controller):
  params = controller.init(jax.random.key(5))
  for leaf in jax.tree.leaves(params):
    assert np.abs(leaf).max() <= 0.08
  # Biases too, and to the ends of the interval.
  assert np.abs(params['cells']['layer_1']['bias']).max() > 0.03
  kernel = params['cells']['layer_0']['recurrent_kernel']
  assert kernel.min() < -0.07
  assert kernel.max() > 0.07
  other = params['cells']['layer_1']['recurrent_kernel']
  assert not np.array_equal(kernel, other)


def test_anchor_points_serve_with_the_default_cells():
  space = conv_net.make_space(3, heights=(1, 3), widths=(3,), filters=(4, 6, 8))
  controller = recurrent.make_controller(space.decisions, features=4)

  @jax.jit
  def run(key, num_active):
    init_key, draw_key = jax.random.split(key)
    params = controller.init(init_key)
    large = jax.tree.map(lambda leaf: 20 * leaf, params)
    draw = jax.vmap(controller.sample_and_log_prob, (None, 0, None))
    tokens, own = draw(large, jax.random.split(draw_key, 64), num_active)
    return params, tokens, own, controller.log_prob(large, tokens)

  # Two layers of four decisions each.
  params, tokens, own, (values, entropies) = run(jax.random.key(10), 8)
  np.testing.assert_allclose(own, values, rtol=1e-5, atol=1e-6)
  # Of the anchor points with a pair, only the first is made.
  assert np.all(np.asarray(entropies)[:, 4] > 0.1)
  assert not np.any(np.asarray(entropies)[:, 8:])
  for row in np.asarray(tokens):
    assert len(space.decode(row).to_json()['layers']) == 2
  for leaf in jax.tree.leaves(params):
    assert 0 < np.abs(leaf).max() <= 0.08
  # Softmaxes of the 9 choices: heights, widths and filters of a layer.
  num_choices = np.tile([2, 1, 3], 3)
  chex.assert_shape(params['kernel'], (9, 4, 3))
  is_padding = np.arange(3)[None] >= num_choices[:, None]
  assert not np.any(np.asarray(params['bias'])[is_padding])
  assert np.all(np.asarray(params['bias'])[~is_padding])
  chex.assert_shape(params['embeddings'], (1 + 6 * 3 - 3, 4))
  chex.assert_shape(params['anchors']['vector'], (4,))


def test_only_what_stacks_of_the_default_cell_draw_keeps_its_gradients():
  anchors = (Choice(range(2), 'a'), AnchorPoint(0), AnchorPoint(1))
  assert recurrent.make_controller(anchors).sample_and_vjp is None
  other = recurrent.make_controller(DECISIONS, nn.GRUCell)
  assert other.sample_and_vjp is None


def test_default_size_is_the_papers():
  space = recurrent_cell.make_space(base=8)
  controller = recurrent.make_controller(space.decisions)
  shapes = jax.eval_shape(controller.init, jax.random.key(0))
  sizes = jax.tree.map(lambda leaf: leaf.size, shapes)
  # 4 gates of 2 kernels and a bias; softmaxes padded to 15 choices.
  lstm = 4 * (35 * 35 * 2 + 35)
  assert sum(jax.tree.leaves(sizes['cells'])) == 2 * lstm
  assert sizes['embeddings'] == 35 * (1 + 16 * 2 + 16 * 4 + 15)
  assert sizes['kernel'] + sizes['bias'] == 34 * 15 * (35 + 1)


def test_every_earlier_token_is_remembered_and_no_later_one(params, log_prob):
  _, entropies = log_prob(params, ALL_TOKENS, 5)
  entropies = np.asarray(entropies).reshape(*NUM_CHOICES, 5)
  for changed in range(4):
    other = tuple(int(t == changed) for t in range(5))
    is_equal = entropies[0, 0, 0, 0, 0] == entropies[other]
    assert is_equal[: changed + 1].all()
    assert not is_equal[changed + 1 :].any()


class WideCarryCell(nn.RNNCellBase):
  """A cell whose carry is a dict with integers, wider than its output."""

  features: int

  @nn.compact
  def __call__(self, carry, inputs):
    joined = jnp.concatenate([carry['memory'], inputs], axis=-1)
    memory = nn.tanh(nn.Dense(2 * self.features)(joined))
    carry = {'memory': memory, 'step': carry['step'] + 1}
    return carry, memory[..., : self.features] / carry['step'][..., None]

  @nn.nowrap
  def initialize_carry(self, rng, input_shape):
    batch = input_shape[:-1]
    return {
      'memory': jnp.zeros((*batch, 2 * self.features)),
      'step': jnp.zeros(batch, jnp.int32),
    }

  @property
  def num_feature_axes(self):
    return 1


@pytest.mark.parametrize(
  'make_cell', [nn.GRUCell, nn.SimpleCell, WideCarryCell]
)
def test_any_linen_cell_serves(make_cell):
  controller = recurrent.make_controller(
    DECISIONS, lambda features: make_cell(features), num_layers=1, features=4
  )
  params = jax.tree.map(lambda x: 9 * x, controller.init(jax.random.key(6)))
  keys = jax.random.split(jax.random.key(7), 4000)
  tokens = jax.jit(jax.vmap(controller.sample, (None, 0)))(params, keys)
  values, entropies = jax.jit(jax.vmap(controller.log_prob, (None, 0)))(
    params, np.concatenate([ALL_TOKENS, tokens])
  )
  enumerated, drawn = np.split(values.sum(axis=1), [len(ALL_TOKENS)])
  assert np.exp(enumerated).sum() == pytest.approx(1, abs=1e-5)
  # The sampler's sequences are as surprising as the distribution says.
  entropy = -np.sum(np.exp(enumerated) * enumerated)
  error = drawn.std() / np.sqrt(len(drawn))
  assert abs(-drawn.mean() - entropy) < 5 * error
  assert np.all(entropies > 0)


def test_ranges_and_single_decisions_serve():
  decisions = (Range(1e-4, 1.0, log=True, num_levels=20, name='learning_rate'),)
  controller = recurrent.make_controller(decisions, num_layers=1, features=3)
  params = controller.init(jax.random.key(8))
  sample = jax.jit(jax.vmap(controller.sample, (None, 0)))
  tokens = sample(params, jax.random.split(jax.random.key(9), 200))
  chex.assert_shape(tokens, (200, 1))
  assert set(np.unique(tokens)) == set(range(20))
  all_tokens = np.arange(20, dtype=np.int32)[:, None]
  values, _ = jax.jit(jax.vmap(controller.log_prob, (None, 0)))(
    params, all_tokens
  )
  assert float(np.exp(values).sum()) == pytest.approx(1, abs=1e-6)


def test_one_trace_serves_every_depth(controller, params):
  traces: list[None] = []

  @jax.jit
  def run(params, key, num_active):
    traces.append(None)
    tokens = controller.sample(params, key, num_active)
    return controller.log_prob(params, tokens, num_active)

  for num_active in range(6):
    run(params, jax.random.key(num_active), num_active)
  assert len(traces) == 1


def test_log_prob_refuses_tokens_of_another_length(controller, params):
  with pytest.raises(AssertionError, match='dimension'):
    controller.log_prob(params, jnp.zeros(4, jnp.int32))


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ({'decisions': ()}, 'at least one decision'),
    (
      {'decisions': recurrent_cell.make_space(base=2)},
      r"SearchSpace 'recurrent_cell_base2'.* space\.decisions",
    ),
    (
      {'decisions': 'combiner'},
      "Decisions must be a sequence .* got 'combiner'",
    ),
    ({'decisions': (AnchorPoint(0, 'layer_1'),)}, 'decision with a token'),
    (
      {'decisions': (Choice((1, 2), 'size'), AnchorPoint(1, 'layer_2'))},
      "'layer_2' must choose among the 0 anchor points before it, got .*=1",
    ),
    ({'num_layers': 0}, 'num_layers must be greater than 0, got 0'),
    ({'features': -1}, 'features must be greater than 0, got -1'),
    ({'init_scale': 0.0}, 'init_scale must be greater than 0, got 0.0'),
    (
      {'make_cell': lambda features: nn.GRUCell(features + 1)},
      'outputs of 8 features, got a GRUCell with outputs of shape',
    ),
  ],
)
def test_bad_arguments_are_refused(arguments, message):
  make = functools.partial(
    recurrent.make_controller, decisions=DECISIONS, features=8
  )
  with pytest.raises(ValueError, match=message):
    make(**arguments)
