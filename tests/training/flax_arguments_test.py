# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnas.training import flax_arguments

X, Y = np.zeros((40, 3), np.float32), np.zeros(40, np.int32)
DATA = {'train': (X, Y), 'validation': (X[:9], Y[:9])}


def check(
  data=DATA,
  loss=optax.squared_error,
  metrics=None,
  optimizer=optax.adam,
  batch_size=4,
):
  return flax_arguments.check(data, loss, metrics or {}, optimizer, batch_size)


def test_examples_of_each_split_are_counted():
  assert check() == {'train': 40, 'validation': 9}
  # Jax has one float, and takes arrays of either kind.
  wide = {'train': (X.astype(float), Y), 'validation': (jnp.array(X), Y)}
  assert check(wide) == {'train': 40, 'validation': 40}
  # A list of arrays is a tree of inputs.
  two = {name: ([x, x], y) for name, (x, y) in DATA.items()}
  assert check(two) == {'train': 40, 'validation': 9}


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'data': [(X, Y), (X, Y)]}, 'data must be a mapping .* got a list'),
    ({'data': {'train': (X, Y)}}, "as 'validation'; got train"),
    ({'data': DATA | {'test': X}}, r"data\['test'\] must be \(inputs, targets"),
    ({'data': DATA | {'test': (X, Y, Y)}}, 'got a tuple of 3'),
    (
      {'data': DATA | {'test': (X, Y[:9])}},
      'equally many ex.* got 9, 40',
    ),
    ({'data': DATA | {'test': (X[:0], Y[:0])}}, "no examples in 'test'"),
    ({'data': DATA | {'test': ([1.0, 2.0], Y)}}, r"test'\] has a list of num"),
    ({'data': DATA | {'test': (X, [[1], [2]])}}, r'with np.asarray\(list\)'),
    (
      {'data': DATA | {'test': (np.where(np.arange(3), X, np.nan), Y)}},
      "The inputs of 'test' have 40 values that are NaN",
    ),
    (
      {'data': DATA | {'test': (X, np.full(40, np.nan))}},
      "The targets of 'test' have 40 values that are NaN",
    ),
    (
      {'data': DATA | {'test': (X.astype(str), Y)}},
      'must be arrays of numbers',
    ),
    (
      {'data': DATA | {'test': (X[:, :2], Y)}},
      r"inputs of 'test' is float32\[2\], but one of 'train' is float32\[3\]",
    ),
    (
      {'data': DATA | {'test': (X, Y.astype(np.float32))}},
      r"targets of 'test' is float32\[\], but one of 'train' is int32\[\]",
    ),
    ({'loss': 'cross_entropy'}, "loss must be a function, got 'cross_entropy'"),
    ({'optimizer': optax.adam(1)}, 'optimizer must be .* such as optax.adam,'),
    ({'batch_size': '4'}, "batch_size must be a whole number, got '4'"),
    ({'metrics': optax.squared_error}, 'metrics must be a mapping from names'),
    ({'metrics': {'error': 3}}, "metric 'error' must be a function, got 3"),
    ({'metrics': {'loss': print}}, "'loss' is the mean of the loss"),
    ({'batch_size': 41}, 'batch_size must be from 1 to 40'),
  ],
)
def test_bad_arguments_are_named(changes, message):
  with pytest.raises(ValueError, match=message):
    check(**changes)
