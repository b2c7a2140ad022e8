# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import functools

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.children import language_model, recurrent_cell, sampling

V, D = 7, 4
EVERYTHING = np.ones(V, bool)


@pytest.fixture(scope='module')
def trained():
  """A model whose parameters are large enough to have an opinion."""
  model = language_model.LanguageModel(
    make_cell=functools.partial(
      recurrent_cell.LSTMCell,
      kernel_init=nn.initializers.normal(1.0),
      recurrent_kernel_init=nn.initializers.normal(1.0),
    ),
    vocab_size=V,
    features=D,
    num_layers=1,
    embedding_init=nn.initializers.normal(9.0),
  )
  tokens = jnp.zeros((1, 1), jnp.int32)
  carry = model.initialize_carry(1)
  return model, model.init(jax.random.key(0), carry, tokens, method='logits')


def sample(
  trained, prompt, num_tokens, temperature=1.0, allowed=EVERYTHING, seeds=(0,)
):
  keys = jax.vmap(jax.random.key)(jnp.array(seeds))
  tokens, is_finite = sampling.sample(
    *trained, keys, jnp.array(prompt), num_tokens, temperature, allowed
  )
  return np.asarray(tokens), np.asarray(is_finite)


def logits(trained, tokens):
  """Returns the logits of the token after some, all read from the start."""
  model, params = trained
  inputs = jnp.array(tokens)[:, None]
  carry = model.initialize_carry(1)
  return model.apply(params, carry, inputs, method='logits')[0][-1, 0]


@pytest.mark.parametrize('prompt', [[3], [3, 1, 4, 1, 5]])
def test_the_greedy_text_is_that_of_the_whole_network(trained, prompt):
  expected = list(prompt)
  for _ in range(6):
    expected.append(int(logits(trained, expected).argmax()))
  for temperature in (0.0, 1e-30):
    (tokens,), is_finite = sample(trained, prompt, 6, temperature)
    assert [*prompt, *tokens] == expected
    assert is_finite.all()


@pytest.mark.parametrize('temperature', [1.0, 2.5])
def test_tokens_are_as_frequent_as_the_model_says(trained, temperature):
  num = 4000
  tokens, _ = sample(trained, [2, 5], 1, temperature, seeds=range(num))
  expected = jax.nn.softmax(logits(trained, [2, 5]) / temperature)
  frequencies = np.bincount(tokens[:, 0], minlength=V) / num
  np.testing.assert_allclose(frequencies, expected, atol=4 * 0.5 / num**0.5)
  assert np.abs(frequencies - 1 / V).max() > 0.08


def test_a_great_temperature_knows_nothing(trained):
  tokens, _ = sample(trained, [2], 2, 1e30, seeds=range(2000))
  frequencies = np.bincount(tokens[:, 0], minlength=V) / 2000
  np.testing.assert_allclose(frequencies, 1 / V, atol=0.04)
  # Nor does a draw know of the one before.
  is_same = tokens[:, 0] == tokens[:, 1]
  np.testing.assert_allclose(is_same.mean(), 1 / V, atol=0.04)


def test_a_forbidden_token_is_never_drawn(trained):
  for temperature in (0.0, 1.0, 1e30):
    free, _ = sample(trained, [0], 40, temperature)
    allowed = EVERYTHING.copy()
    allowed[free[0, 0]] = False
    tokens, is_finite = sample(trained, [0], 40, temperature, allowed)
    assert free[0, 0] not in tokens
    assert is_finite.all()


def test_a_sample_depends_on_its_own_key_and_begins_as_a_shorter_one(trained):
  several, _ = sample(trained, [1, 2], 30, seeds=(5, 6, 7))
  assert len({tuple(each) for each in several.tolist()}) == 3
  alone, _ = sample(trained, [1, 2], 12, seeds=(6,))
  np.testing.assert_array_equal(alone[0], several[1, :12])


def test_logits_that_are_not_finite_are_told(trained):
  model, params = trained
  bad = jax.tree.map(lambda leaf: leaf, params)
  bad['params']['embedding'] = bad['params']['embedding'].at[3, 0].set(np.nan)
  # Only a text that comes by the token finds it.
  allowed = np.arange(V) < 2
  assert sample((model, bad), [0], 5, 0.0, allowed)[1].all()
  assert not sample((model, bad), [3], 5, 0.0, allowed)[1].any()


def test_another_temperature_is_no_other_program(trained):
  sample(trained, [0, 1], 3, 0.5)
  before = sampling.sample._cache_size()
  for temperature in (0.0, 1.0, 7.0):
    sample(trained, [0, 1], 3, temperature)
  assert sampling.sample._cache_size() == before
