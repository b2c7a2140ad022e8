# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.controllers import layout as layouts
from jaxnas.controllers import softmaxes
from jaxnas.types import Choice

N, D, K = 5, 3, 4
LAYOUT = layouts.Layout(
  (
    Choice(tuple('xy'), name='a'),
    Choice(tuple('wxyz'), name='b'),
    Choice(('x',), name='c'),
  )
)


@pytest.fixture(scope='module')
def params():
  rng = np.random.default_rng(0)
  return {
    'kernel': jnp.asarray(rng.normal(size=(3, D, K)), jnp.float32),
    'bias': jnp.asarray(rng.normal(size=(3, K)), jnp.float32),
  }


@pytest.fixture(scope='module')
def hidden():
  return jnp.asarray(np.random.default_rng(1).normal(size=(N, 3, D)), 'f')


TOKENS = np.asarray([[0, 3, 0], [1, 0, 0], [0, 1, 0], [1, 2, 0], [1, 3, 0]])


def test_probabilities_are_softmaxes_of_the_own_choices(params, hidden):
  result = np.exp(softmaxes.log_probs(LAYOUT, params, hidden))
  for step, num_choices in enumerate((2, 4, 1)):
    products = np.asarray(hidden[:, step] @ params['kernel'][step])
    logits = products + np.asarray(params['bias'][step])
    expected = jax.nn.softmax(logits[:, :num_choices])
    np.testing.assert_allclose(
      result[:, step, :num_choices], expected, rtol=1e-5
    )
    assert not result[:, step, num_choices:].any()
  tokens = jnp.asarray(TOKENS, jnp.int32)
  log_prob, entropy = softmaxes.score(LAYOUT, params, hidden, tokens)
  chosen = np.take_along_axis(result, TOKENS[..., None], axis=-1)[..., 0]
  np.testing.assert_allclose(np.exp(log_prob), chosen, rtol=1e-5)
  logs = np.log(np.where(result > 0, result, 1))
  np.testing.assert_allclose(entropy, -(result * logs).sum(-1), atol=1e-6)


def test_known_products_give_the_same_gradients(params, hidden):
  tokens = jnp.asarray(TOKENS, jnp.int32)

  def weigh(params, hidden, products=None):
    log_prob, entropy = softmaxes.score(
      LAYOUT, params, hidden, tokens, products
    )
    return jnp.sum(log_prob - 2 * entropy)

  expected = jax.grad(weigh, argnums=(0, 1))(params, hidden)
  products = jnp.einsum('ntd,tdk->ntk', hidden, params['kernel'])
  grads = jax.grad(weigh, argnums=(0, 1))(params, hidden, products)
  chex.assert_trees_all_close(grads, expected, rtol=1e-5, atol=1e-6)
  # Nothing is multiplied again: all choices are equal where all products are.
  params = {**params, 'bias': jnp.zeros_like(params['bias'])}
  result = softmaxes.log_probs(LAYOUT, params, hidden, jnp.zeros_like(products))
  np.testing.assert_allclose(result[:, 1], -np.log(4), rtol=1e-6)


def test_noise_has_the_biases_and_no_choice_that_is_not_there(params):
  noise = jnp.arange(3.0 * K)
  result = softmaxes.make_noise(LAYOUT, params, noise).reshape(3, K)
  expected = params['bias'] + noise.reshape(3, K)
  for step, num_choices in enumerate((2, 4, 1)):
    np.testing.assert_array_equal(
      result[step, :num_choices], expected[step, :num_choices]
    )
    assert np.all(result[step, num_choices:] == -np.inf)
