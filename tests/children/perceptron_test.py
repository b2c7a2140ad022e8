# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.children import perceptron
from jaxnas.training import image_task

SHAPE, WIDTHS, K = (2, 3, 1), (5, 4), 3
NAMES = list(perceptron.ACTIVATIONS)


def architecture(momentum=0.5, weight_decay=0.1, activation='relu'):
  return {
    'momentum': momentum,
    'weight_decay': weight_decay,
    'activation': activation,
    'width': 5,
  }


def program(**changes):
  batch = perceptron.assemble([architecture(**changes)])
  return jax.tree.map(lambda leaf: leaf[0], batch)


def make_network(program):
  return perceptron.make_network(program, WIDTHS, SHAPE, K)


@pytest.fixture(scope='module')
def batch():
  rng = np.random.default_rng(0)
  images = rng.normal(size=(6, *SHAPE)).astype(np.float32)
  return jnp.asarray(images), jnp.asarray(rng.integers(0, K, 6, np.int32))


def test_outputs_are_those_written_out(batch):
  functions = {
    'relu': lambda x: np.maximum(x, 0),
    'tanh': np.tanh,
    # "Gaussian Error Linear Units", Hendrycks and Gimpel, 2016, section 2.
    'gelu': lambda x: (
      x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    ),
  }
  assert set(functions) == set(NAMES)
  outputs = {}
  for name, function in functions.items():
    network = make_network(program(activation=name))
    params, batch_stats = network.init(jax.random.key(1))
    outputs[name] = network.predict(params, batch_stats, batch[0])
    params = jax.tree.map(np.asarray, params)
    expected = np.asarray(batch[0]).reshape(6, -1)
    for layer in params[:-1]:
      expected = function(expected @ layer['kernel'] + layer['bias'])
    expected = expected @ params[-1]['kernel'] + params[-1]['bias']
    np.testing.assert_allclose(outputs[name], expected, atol=1e-5)
  for one, other in itertools.combinations(NAMES, 2):
    assert np.abs(outputs[one] - outputs[other]).max() > 0.01


def test_parameters_are_counted():
  params, _ = make_network(program()).init(jax.random.key(0))
  sizes = sum(leaf.size for leaf in jax.tree.leaves(params))
  assert perceptron.num_params(WIDTHS, SHAPE, K) == sizes
  assert sizes == 7 * 5 + 6 * 4 + 5 * 3


def train(network, recipe, batch, rate):
  state = image_task.init(network, recipe, jax.random.key(1))
  for _ in range(2):
    state = image_task.step(network, recipe, state, *batch, rate)
  return state.child.params[0]['kernel'], state.is_alive


@pytest.fixture(scope='module')
def train_all(batch):
  """Trains four at a time, by a recipe whose own settings must not matter."""
  recipe = image_task.Recipe(momentum=0.3, weight_decay=0.2)
  return jax.jit(
    jax.vmap(
      lambda program, rate: train(make_network(program), recipe, batch, rate)
    )
  )


ARCHITECTURES = [
  architecture(),
  architecture(momentum=0.9),
  architecture(weight_decay=0.3),
  architecture(activation='tanh'),
]
RATES = jnp.full(4, 0.1)


def test_momentum_and_decay_as_data_are_the_recipes(batch, train_all):
  programs = perceptron.assemble(ARCHITECTURES)
  assert all(leaf.shape == (4,) for leaf in programs)
  recipe = image_task.Recipe(momentum=0.9, weight_decay=0.1)
  network = make_network(program())._replace(optimizer=None)
  kernel, _ = jax.jit(lambda rate: train(network, recipe, batch, rate))(0.1)
  np.testing.assert_allclose(
    train_all(programs, RATES)[0][1], kernel, atol=1e-6
  )


def test_children_of_one_call_are_their_own(train_all):
  programs = perceptron.assemble(ARCHITECTURES)
  kernels, is_alive = train_all(programs, RATES)
  assert is_alive.all()
  for row, each in enumerate(ARCHITECTURES):
    alike, _ = train_all(perceptron.assemble([each] * 4), RATES)
    np.testing.assert_array_equal(alike[row], kernels[row])
  for one, other in itertools.combinations(range(4), 2):
    assert np.abs(kernels[one] - kernels[other]).max() > 1e-4
  broken, is_alive = train_all(programs, RATES.at[1].set(jnp.inf))
  assert is_alive.tolist() == [True, False, True, True]
  for row in (0, 2, 3):
    np.testing.assert_array_equal(broken[row], kernels[row])
