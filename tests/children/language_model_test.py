# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.children import language_model
from jaxnas.children import recurrent_cell as cells

T, B, V, D = 4, 3, 17, 5


def lstm(features):
  return cells.LSTMCell(
    features=features, recurrent_kernel_init=nn.initializers.normal(0.5)
  )


def gru(features):
  return nn.GRUCell(features, recurrent_kernel_init=nn.initializers.normal(0.5))


def nascell(features):
  return cells.GrammarCell(features=features)


@pytest.fixture(autouse=True, scope='module')
def quick_compilation():
  # XLA's optimizations do not change what is tested here, and they are most of
  # the time that it takes.
  jax.config.update('jax_disable_most_optimizations', True)
  yield
  jax.config.update('jax_disable_most_optimizations', False)


class EchoCell(nn.RNNCellBase):
  """A cell without memory: its output is its input."""

  features: int

  def __call__(self, carry, inputs):
    return carry, inputs

  def unroll(self, carry, inputs, recurrent_mask=None):
    return carry, inputs

  @nn.nowrap
  def initialize_carry(self, rng, input_shape):
    return jnp.zeros((*input_shape[:-1], self.features))

  @property
  def num_feature_axes(self):
    return 1


class MaskCell(EchoCell):
  """A cell whose output is the recurrent mask."""

  def unroll(self, carry, inputs, recurrent_mask=None):
    return carry, jnp.broadcast_to(recurrent_mask[None], inputs.shape)


def make_model(make_cell=lstm, **settings):
  return language_model.LanguageModel(
    make_cell=make_cell, vocab_size=V, features=D, **settings
  )


def apply(model, *arguments, **settings):
  return model.apply(*arguments, **settings)


def make_text(seed=0, num_steps=T):
  rng = np.random.default_rng(seed)
  tokens = rng.integers(0, V, (num_steps + 1, B))
  inputs, targets = jnp.asarray(tokens[:-1]), jnp.asarray(tokens[1:])
  return inputs, targets, jnp.ones(inputs.shape)


def init(model):
  carry = model.initialize_carry(B)
  return jax.jit(model.init)(jax.random.key(0), carry, *make_text()), carry


@pytest.fixture(scope='module')
def two_layers():
  model = make_model(
    num_layers=2,
    embedding_init=nn.initializers.normal(1.0),
  )
  return model, *init(model)


@pytest.mark.parametrize(
  ('num_layers', 'tie_embeddings', 'expected'),
  [
    # Embedding and softmax kernel 17 * 5 each, cells 8 * 5 * (5 + 5), bias 17.
    (1, False, 85 + 400 + 85 + 17),
    (2, False, 85 + 800 + 85 + 17),
    (1, True, 85 + 400 + 17),
    (2, True, 85 + 800 + 17),
  ],
)
def test_golden_parameter_counts(num_layers, tie_embeddings, expected):
  model = make_model(
    nascell, num_layers=num_layers, tie_embeddings=tie_embeddings
  )
  assert count_params(model) == expected


def count_params(model):
  params = jax.eval_shape(
    lambda key: model.init(key, model.initialize_carry(B), *make_text()),
    jax.random.key(0),
  )
  return sum(leaf.size for leaf in jax.tree.leaves(params))


@pytest.mark.parametrize(
  ('features', 'tie_embeddings', 'millions'),
  [(735, False, 32), (741, True, 25), (1152, True, 54)],
)
def test_sizes_of_table_2_of_the_paper(features, tie_embeddings, millions):
  model = language_model.LanguageModel(
    make_cell=nascell,
    vocab_size=10_000,
    features=features,
    num_layers=2,
    tie_embeddings=tie_embeddings,
  )
  assert round(count_params(model) / 1e6) == millions


def test_a_model_of_zeros_knows_nothing(two_layers):
  model, params, carry = two_layers
  zeros = jax.tree.map(jnp.zeros_like, params)
  inputs, targets, weights = make_text()
  loss, _ = model.apply(zeros, carry, inputs, targets, weights.at[1:, 0].set(0))
  num_counted = T * B - (T - 1)
  np.testing.assert_allclose(jnp.exp(loss / num_counted), V, rtol=1e-5)


def test_a_carried_state_makes_two_segments_one(two_layers):
  model, params, start = two_layers
  text = make_text(1, 2 * T)
  run = jax.jit(model.apply)
  whole, last = run(params, start, *text)
  first, carry = run(params, start, *(x[:T] for x in text))
  second, end = run(params, carry, *(x[T:] for x in text))
  np.testing.assert_allclose(first + second, whole, rtol=1e-6)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), end, last
  )
  forgotten, _ = run(params, start, *(x[T:] for x in text))
  assert abs(forgotten - second) > 1e-3


def test_a_tied_embedding_gets_both_gradients(two_layers):
  untied, params, carry = two_layers
  tied = untied.clone(tie_embeddings=True)
  shared = {**params['params']}
  del shared['output_kernel']
  split = {**shared, 'output_kernel': shared['embedding'].T}

  def gradient(model, params):
    def loss(params):
      return model.apply({'params': params}, carry, *make_text())[0]

    return jax.jit(jax.grad(loss))(params)

  both = gradient(untied, split)
  expected = both['embedding'] + both['output_kernel'].T
  result = gradient(tied, shared)['embedding']
  np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)
  assert np.abs(both['output_kernel']).max() > 1e-2
  assert np.abs(both['embedding']).max() > 1e-2


def encode(model, params, inputs, deterministic=False, seed=0):
  with jax.disable_jit():
    return model.apply(
      params,
      model.initialize_carry(B),
      inputs,
      deterministic,
      rngs={'dropout': jax.random.key(seed)},
      method='encode',
    )[1]


@pytest.mark.parametrize(
  'rate', ['dropout_rate', 'recurrent_dropout_rate', 'embedding_dropout_rate']
)
def test_dropout_is_off_unless_asked_for(two_layers, rate):
  plain, params, _ = two_layers
  model = plain.clone(**{rate: 0.5})
  inputs, *_ = make_text()
  expected = encode(plain, params, inputs)
  off = encode(model, params, inputs, deterministic=True)
  np.testing.assert_array_equal(off, expected)
  first, second = (encode(model, params, inputs, seed=seed) for seed in (0, 1))
  assert not np.allclose(first, expected)
  assert not np.allclose(first, second)


@pytest.mark.parametrize('num_layers', [1, 2])
@pytest.mark.parametrize('variational', [False, True])
def test_variational_masks_stay_the_same_over_time(variational, num_layers):
  model = make_model(
    EchoCell,
    num_layers=num_layers,
    dropout_rate=0.5,
    variational=variational,
  )
  params = jax.tree.map(jnp.ones_like, init(model)[0])
  hidden = encode(model, params, jnp.zeros((T, B), int))
  # Dropped, or doubled wherever kept: on the way in, between two layers, on the
  # way out.
  assert {*np.unique(hidden)} == {0, 2 ** (num_layers + 1)}
  assert (hidden == hidden[:1]).all() == variational
  assert not (hidden == hidden[:, :1]).all()


def test_embedding_dropout_takes_whole_rows():
  model = make_model(EchoCell, embedding_dropout_rate=0.5)
  params = jax.tree.map(jnp.ones_like, init(model)[0])
  hidden = encode(model, params, jnp.arange(T * B).reshape(T, B))
  assert {*np.unique(hidden)} == {0, 2}
  assert (hidden == hidden[..., :1]).all()
  same = encode(model, params, jnp.full((T, B), 3))
  assert len(np.unique(same)) == 1


def test_recurrent_dropout_spares_the_inputs(two_layers):
  plain, params, _ = two_layers
  model = plain.clone(num_layers=1, recurrent_dropout_rate=0.5)
  inputs, *_ = make_text()
  hidden = encode(model, params, inputs)
  expected = encode(plain.clone(num_layers=1), params, inputs)
  # The hidden state before the first step is zero, dropped or not.
  np.testing.assert_array_equal(hidden[0], expected[0])
  assert not np.allclose(hidden[1], expected[1])


def test_recurrent_dropout_masks_each_column_alike_at_every_step(two_layers):
  plain, params, _ = two_layers
  rate = 0.75
  model = plain.clone(num_layers=1, recurrent_dropout_rate=rate)
  inputs, *_ = make_text()
  # The mask is of the key and the model's fields, whatever the cell is.
  spy = model.clone(make_cell=MaskCell)
  mask = encode(spy, params, inputs)[0]
  assert {*np.unique(mask)} == {0, 1 / (1 - rate)}
  assert not (mask == mask[:1]).all()
  hidden = encode(model, params, inputs)
  cell, cell_params = lstm(D), {'params': params['params']['layers_0']}
  memory = last = jnp.zeros((B, D))
  for time in range(T):
    embedded = params['params']['embedding'][inputs[time]]
    (memory, last), _ = apply(
      cell, cell_params, (memory, last * mask), embedded
    )
    np.testing.assert_allclose(hidden[time], last, atol=1e-6)


def test_any_flax_cell_works():
  model = make_model(gru, embedding_init=nn.initializers.normal(1.0))
  inputs, *_ = make_text()
  with jax.numpy_rank_promotion('allow'):  # Flax adds vectors to matrices.
    params, (carry,) = init(model)
    hidden = encode(model, params, inputs)
    cell, cell_params = nn.GRUCell(D), {'params': params['params']['layers_0']}
    for time in range(T):
      embedded = params['params']['embedding'][inputs[time]]
      carry, output = apply(cell, cell_params, carry, embedded)
      np.testing.assert_allclose(hidden[time], output, atol=1e-6)


def test_recurrent_dropout_needs_a_cell_that_unrolls():
  model = make_model(gru, recurrent_dropout_rate=0.5)

  def init(key, deterministic):
    keys = {'params': key, 'dropout': key}
    carry = model.initialize_carry(B)
    return model.init(keys, carry, *make_text(), deterministic)

  with jax.numpy_rank_promotion('allow'):
    jax.eval_shape(lambda key: init(key, True), jax.random.key(0))
    with pytest.raises(ValueError, match='`unroll`, got GRUCell'):
      jax.eval_shape(lambda key: init(key, False), jax.random.key(0))


@pytest.mark.parametrize('tie_embeddings', [False, True])
def test_logits_are_those_of_the_loss(tie_embeddings):
  model = language_model.LanguageModel(
    lstm, V, D, num_layers=2, tie_embeddings=tie_embeddings
  )
  carry = model.initialize_carry(B)
  key = jax.random.key(0)
  inputs, targets = jax.random.randint(key, (2, T, B), 0, V)
  weights = jnp.ones((T, B))
  params = model.init(key, carry, inputs, targets, weights)
  params = jax.tree.map(lambda param: param + 0.1, params)
  loss, new_carry = model.apply(params, carry, inputs, targets, weights)
  logits, same_carry = model.apply(params, carry, inputs, method='logits')
  assert logits.shape == (T, B, V)
  log_probs = jax.nn.log_softmax(logits)
  chosen = jnp.take_along_axis(log_probs, targets[..., None], -1)
  np.testing.assert_allclose(loss, -chosen.sum(), rtol=1e-5)
  for one, two in zip(
    jax.tree.leaves(new_carry), jax.tree.leaves(same_carry), strict=True
  ):
    np.testing.assert_array_equal(one, two)


def test_a_model_can_be_read_from_embedded_tokens():
  model = language_model.LanguageModel(nascell, V, D)
  tokens = jnp.arange(T * B).reshape(T, B)
  carry = model.initialize_carry(B)
  variables = model.init(jax.random.key(0), carry, tokens, method='logits')

  @jax.jit
  def both_ways():
    embedded = variables['params']['embedding'][tokens]
    after, hidden = model.apply(variables, carry, embedded, method='read')
    logits = model.apply(variables, hidden, method='predict')
    return (logits, after), model.apply(
      variables, carry, tokens, method='logits'
    )

  jax.tree.map(np.testing.assert_array_equal, *both_ways())
