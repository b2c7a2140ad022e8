# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import functools

from flax import traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.spaces import recurrent_cell as space
from jaxnas.training import long_text, text_task

V, T, B, S = 5, 4, 3, 6
CELL = space.KNOWN_CELLS['paper_example']
KEY = jax.random.key(1)
PLAIN = long_text.Recipe(
  features=6,
  num_layers=1,
  init_scale=0.3,
  dropout_rate=0.0,
  learning_rate=0.5,
  max_grad_norm=0.2,
)
ADAM = dataclasses.replace(
  PLAIN,
  optimizer='adam',
  learning_rate=0.03,
  max_grad_norm=5.0,
  constant_epochs=1000,
)
DROPPED = dataclasses.replace(
  PLAIN,
  dropout_rate=0.5,
  variational=True,
  recurrent_dropout_rate=0.25,
)


@pytest.fixture(scope='module', autouse=True)
def quick_compilation():
  """Programs so small are compiled for longer than they run."""
  before = jax.config.values['jax_disable_most_optimizations']
  jax.config.update('jax_disable_most_optimizations', True)
  yield
  jax.config.update('jax_disable_most_optimizations', before)


@pytest.fixture(scope='module')
def segments():
  """Columns that count up in steps of 1 or 2 modulo `V`."""
  steps = 1 + np.arange(B) % 2
  tokens = jnp.asarray(
    (np.arange(S * T + 1)[:, None] * steps % V).astype(np.int32)
  )
  return text_task.Segments(
    tokens[:-1].reshape(S, T, B),
    tokens[1:].reshape(S, T, B),
    jnp.ones((S, T, B)),
  )


@functools.cache
def build(recipe, architecture=CELL):
  """Returns a model, an untrained state and the jitted training."""
  model = long_text.make_model(recipe, V, architecture)
  optimizer = long_text.make_optimizer(recipe, S)
  init = functools.partial(long_text.init, model, optimizer, batch_size=B)
  state = jax.jit(init)(jax.random.key(0))
  return (
    model,
    state,
    jax.jit(functools.partial(long_text.train, model, optimizer)),
  )


def assert_same_bits(first, second):
  jax.tree.map(np.testing.assert_array_equal, first, second)


def rates(steps, num_segments=10, **changes):
  recipe = long_text.Recipe(**changes)
  schedule = long_text.make_schedule(recipe, num_segments)
  return [float(schedule(jnp.int32(step))) for step in steps]


def test_the_rate_falls_at_the_start_of_each_epoch():
  steps = [0, 59, 60, 69, 70, 389]
  expected = [1, 1, 0.8, 0.8, 0.64, 0.8**33]
  np.testing.assert_allclose(rates(steps), expected, rtol=1e-5)
  for constant_epochs in (0, 1):
    falling = rates([0, 9, 10], constant_epochs=constant_epochs, decay=0.5)
    np.testing.assert_allclose(falling, [1, 1, 0.5], rtol=1e-6)
  assert rates([0, 389], decay=1.0) == [1, 1]


def test_the_rate_falls_at_the_right_step_where_an_epoch_has_odd_length():
  for num_segments in (7, 1327, 3001):
    first = 20 * num_segments
    falling = rates([first - 1, first], num_segments, constant_epochs=1)
    np.testing.assert_allclose(falling, [0.8**19, 0.8**20], rtol=1e-5)


def test_the_rate_falls_with_every_step():
  falling = rates([0, 20, 25, 30], schedule='step', constant_epochs=2)
  np.testing.assert_allclose(falling, [1, 1, 0.8**0.5, 0.8], rtol=1e-6)


def test_the_rate_falls_along_a_cosine():
  falling = rates(
    [0, 19, 20, 30, 40], schedule='cosine', constant_epochs=2, num_epochs=4
  )
  np.testing.assert_allclose(falling, [1, 1, 1, 0.5, 0], atol=1e-6)


@pytest.mark.parametrize(
  'architecture', [CELL, 'lstm', 'gru'], ids=['cell', 'lstm', 'gru']
)
@pytest.mark.parametrize('is_tied', [False, True])
@pytest.mark.parametrize('use_bias', [False, True])
def test_parameters_are_counted_by_hand(architecture, is_tied, use_bias):
  recipe = dataclasses.replace(
    PLAIN, num_layers=2, tie_embeddings=is_tied, use_bias=use_bias
  )
  model = long_text.make_model(recipe, V, architecture)
  tokens = jnp.zeros((1, B), jnp.int32)
  params = jax.eval_shape(
    lambda: model.init(
      KEY, model.initialize_carry(B), tokens, tokens, jnp.zeros((1, B))
    )
  )
  blocks = {'lstm': 4, 'gru': 3}.get(architecture, CELL.base)
  # A usual cell has biases whatever the recipe says.
  num_biases = 6 * (use_bias or architecture != CELL)
  expected = (2 - is_tied) * V * 6 + V + 2 * blocks * (2 * 6 * 6 + num_biases)
  assert sum(leaf.size for leaf in jax.tree.leaves(params)) == expected


@pytest.mark.parametrize('architecture', [CELL, 'lstm'], ids=['cell', 'lstm'])
def test_a_recipe_reaches_the_model(architecture):
  names = (
    'features',
    'num_layers',
    'tie_embeddings',
    'dropout_rate',
    'variational',
    'recurrent_dropout_rate',
    'embedding_dropout_rate',
  )
  for recipe in (
    long_text.Recipe(
      features=7,
      num_layers=3,
      dropout_rate=0.1,
      recurrent_dropout_rate=0.2,
      embedding_dropout_rate=0.3,
    ),
    long_text.Recipe(
      tie_embeddings=True, variational=True, dropout_rate=0.4, use_bias=True
    ),
  ):
    model = long_text.make_model(recipe, V, architecture)
    assert model.vocab_size == V
    assert {name: getattr(model, name) for name in names} == {
      name: getattr(recipe, name) for name in names
    }
    cell = model.make_cell(model.features)
    assert cell.features == recipe.features
    assert cell.use_bias == (recipe.use_bias or architecture == 'lstm')


def test_weights_start_in_the_scale_and_a_forget_gate_open():
  _, state, _ = build(ADAM, 'lstm')
  params = traverse_util.flatten_dict(state.params['params'], sep='/')
  bias = params.pop('layers_0/bias').reshape(4, 6)
  np.testing.assert_array_equal(bias[1], 1)
  np.testing.assert_array_equal(bias[jnp.array([0, 2, 3])], 0)
  np.testing.assert_array_equal(params.pop('output_bias'), 0)
  assert len(params) == 4
  for leaf in params.values():
    assert 0.2 < np.abs(leaf).max() <= 0.3


def test_an_unknown_architecture_is_refused():
  with pytest.raises(ValueError, match="or one of lstm, gru, got 'rnn'"):
    long_text.make_model(PLAIN, V, 'rnn')


def test_a_step_of_sgd_follows_the_clipped_sum_over_time(segments):
  model, state, train = build(PLAIN)
  trained = train(state, segments, KEY, 1)

  @jax.jit
  @jax.value_and_grad
  def loss(params):
    first = (segment[0] for segment in segments)
    return model.apply(params, state.carry, *first)[0] / B

  total, grads = loss(state.params)
  squares = [jnp.sum(leaf**2) for leaf in jax.tree.leaves(grads)]
  norm = np.sqrt(sum(squares))
  assert norm > 0.2
  expected = jax.tree.map(
    lambda p, g: p - 0.5 * 0.2 / norm * g, state.params, grads
  )
  jax.tree.map(
    functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6),
    trained.params,
    expected,
  )
  moved = jax.tree.map(jnp.subtract, trained.params, state.params)
  assert all(jnp.abs(leaf).max() > 1e-5 for leaf in jax.tree.leaves(moved))
  np.testing.assert_allclose(trained.nats, total / T, rtol=1e-5)


def test_the_state_is_carried_within_an_epoch_alone(segments):
  _, state, train = build(PLAIN)
  first = train(state, segments, KEY, 1)
  carry = jax.tree.leaves(first.carry)
  assert all(np.abs(leaf).max() > 0 for leaf in carry)
  forgetful = first._replace(carry=jax.tree.map(jnp.zeros_like, first.carry))
  assert (
    train(first, segments, KEY, 1).nats
    != train(forgetful, segments, KEY, 1).nats
  )
  # Step S is the first of the second epoch, whatever the first one left.
  last = train(state, segments, KEY, S)
  changed = last._replace(
    carry=jax.tree.map(jnp.ones_like, last.carry), nats=last.nats + 7
  )
  assert_same_bits(
    train(last, segments, KEY, 1), train(changed, segments, KEY, 1)
  )


def test_a_training_may_be_cut_anywhere(segments):
  _, state, train = build(DROPPED)
  whole = train(state, segments, KEY, 2 * S + 1)
  cut = state
  for num_steps in (0, 1, S, 2, S - 2):
    cut = train(cut, segments, KEY, num_steps)
  assert int(whole.num_trained) == 2 * S + 1
  assert_same_bits(whole, cut)


def test_dropout_changes_with_the_step_and_the_key(segments):
  _, state, train = build(DROPPED)
  once = train(state, segments, KEY, 1)
  assert train(state, segments, jax.random.key(2), 1).nats != once.nats
  # Step S reads the same segment from the same start.
  later = state._replace(num_trained=jnp.int32(S))
  assert train(later, segments, KEY, 1).nats != once.nats
  _, state, train = build(PLAIN)
  later = state._replace(num_trained=jnp.int32(S))
  assert (
    train(later, segments, jax.random.key(2), 1).nats
    == train(state, segments, KEY, 1).nats
  )


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_a_training_that_diverges_stays_where_it_was(segments, value):
  _, state, train = build(PLAIN)
  good = train(state, segments, KEY, 2)
  assert good.is_alive
  # The cell's rectifier turns a NaN or an infinity into one in the loss.
  bad = good._replace(
    carry=jax.tree.map(lambda leaf: jnp.full_like(leaf, value), good.carry)
  )
  for num_steps in (1, 2 * S):
    dead = train(bad, segments, KEY, num_steps)
    assert not dead.is_alive
    assert int(dead.num_trained) == 2
    assert_same_bits(
      (dead.params, dead.opt_state, dead.nats),
      (good.params, good.opt_state, good.nats),
    )


def test_a_text_is_learned(segments):
  model, state, train = build(ADAM, 'lstm')
  perplexity = jax.jit(functools.partial(text_task.perplexity, model))
  before = perplexity(state.params, segments)
  after = perplexity(train(state, segments, KEY, 60 * S).params, segments)
  assert before > 4.5
  # Only the first token of a column, which hides its step, is a guess.
  assert after < 1.3


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'features': 0}, 'features must be at least 1, got 0'),
    ({'num_layers': 0}, 'num_layers must be at least 1, got 0'),
    ({'num_epochs': 0}, 'num_epochs must be at least 1, got 0'),
    ({'init_scale': 0.0}, 'init_scale must be positive and finite, got 0.0'),
    ({'learning_rate': -1.0}, 'learning_rate must be positive'),
    ({'learning_rate': float('inf')}, 'learning_rate must be positive'),
    ({'max_grad_norm': 0.0}, 'max_grad_norm must be positive'),
    ({'dropout_rate': 1.0}, r'dropout_rate must be in \[0, 1\), got 1.0'),
    ({'recurrent_dropout_rate': -0.1}, 'recurrent_dropout_rate must be in'),
    ({'embedding_dropout_rate': 2.0}, 'embedding_dropout_rate must be in'),
    ({'decay': 0.0}, r'decay must be in \(0, 1\], got 0.0'),
    ({'decay': 1.5}, r'decay must be in \(0, 1\], got 1.5'),
    ({'constant_epochs': -1}, 'constant_epochs must be at least 0'),
    ({'optimizer': 'lion'}, "optimizer must be one of sgd, adam, got 'lion'"),
    ({'schedule': 'linear'}, 'schedule must be one of epoch, step, cosine'),
    (
      {'schedule': 'cosine', 'num_epochs': 6},
      r'constant_epochs must be below num_epochs \(6\)',
    ),
  ],
)
def test_a_bad_recipe_is_refused(changes, message):
  with pytest.raises(ValueError, match=message):
    long_text.Recipe(**changes)
