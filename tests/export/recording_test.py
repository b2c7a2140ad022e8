# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.export import recording


def make(evaluate):
  return recording.Drawn(
    'Model()', (2, 3), {'b': (3,), 'a': (3, 5)}, slice(0, -1), evaluate
  )


def test_all_is_drawn_and_recorded_in_double_precision():
  seen = []

  def evaluate(variables, inputs):
    seen.append((variables, inputs))
    return inputs @ jnp.asarray(variables['a']), variables['b']

  seed, outputs = recording.record(make(evaluate))
  ((variables, inputs),) = seen
  assert seed == 0
  assert outputs.dtype == np.float64
  # 13 numbers are rows of one.
  assert outputs.shape == (13, 1)
  np.testing.assert_allclose(
    outputs[:10, 0], np.ravel(inputs @ variables['a']), rtol=1e-14
  )
  assert (variables['b'] >= 0.5).all()
  assert np.abs(variables['a']).max() <= 2 / 3**0.5
  # As a file draws them: the inputs, then the variables by name.
  random = np.random.RandomState(0)
  np.testing.assert_array_equal(
    inputs, (4 * random.random_sample((2, 3)) - 2) / 2**0.5
  )
  np.testing.assert_array_equal(
    variables['a'], (4 * random.random_sample((3, 5)) - 2) / 3**0.5
  )


def test_the_first_seed_with_outputs_of_some_size_is_taken():
  calls = []

  def evaluate(variables, inputs):
    del variables
    calls.append(inputs)
    return [np.array([np.inf, 0, 0, 1][len(calls) - 1 :][:1])]

  assert recording.record(make(evaluate))[0] == 3


def test_outputs_that_are_zero_are_taken_if_there_are_no_others():
  zeros = np.zeros(4)
  seed, outputs = recording.record(make(lambda *_: [zeros]))
  assert seed == 31
  assert outputs.shape == (1, 4)


def test_outputs_that_are_never_finite_are_told():
  with pytest.raises(ValueError, match='not finite for any drawn'):
    recording.record(make(lambda *_: [np.array([np.nan])]))


def test_parameters_beyond_the_memory_are_refused_before_they_are_drawn():
  check = make(None)._replace(shapes={'a': (2**20, 2**20), 'b': (3,)})
  with pytest.raises(ValueError, match=r'its 1,099,511,627,779 parameters ta'):
    recording.record(check)
