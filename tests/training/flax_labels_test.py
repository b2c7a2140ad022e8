# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests that labels out of range are found."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnas.training import flax_labels

OUTPUTS = jax.ShapeDtypeStruct((4, 3), jnp.float32)
CROSS_ENTROPY = optax.softmax_cross_entropy_with_integer_labels


def by_index(outputs, labels):
  chosen = outputs[jnp.arange(len(labels)), labels]
  return -jnp.log(chosen)


def ignoring(outputs, labels):
  losses = CROSS_ENTROPY(outputs, jnp.where(labels < 0, 0, labels))
  return jnp.where(labels < 0, 0.0, losses)


def check(labels, loss=CROSS_ENTROPY, outputs=OUTPUTS):
  data = {
    'train': (None, np.array([0, 1, 2])),
    'validation': (None, np.asarray(labels)),
  }
  flax_labels.check('Net', outputs, data, loss)


@pytest.mark.parametrize('loss', [CROSS_ENTROPY, by_index])
@pytest.mark.parametrize('label', [3, 70, -1])
def test_a_label_out_of_range_is_found(loss, label):
  message = (
    rf"data\['validation'\] has the label {label}, but Net returns 3 numbers "
    'for each example, so that labels go from 0 to 2'
  )
  with pytest.raises(ValueError, match=message):
    check([1, label], loss)
  check([0, 2], loss)


def test_labels_of_every_step_of_a_sequence_are_checked():
  outputs = jax.ShapeDtypeStruct((4, 5, 3), jnp.float32)
  check(np.full((2, 5), 2), outputs=outputs)
  with pytest.raises(ValueError, match='has the label 3'):
    check(np.full((2, 5), 3), outputs=outputs)


@pytest.mark.parametrize(
  ('labels', 'loss', 'outputs'),
  [
    # A label that the loss leaves out on purpose.
    ([0, -1], ignoring, OUTPUTS),
    # Counts, floats, and one output for each example.
    ([9, 7], lambda outputs, y: (outputs.sum(1) - y) ** 2, OUTPUTS),
    ([0.5, 9.0], optax.squared_error, OUTPUTS),
    ([0, 9], optax.squared_error, jax.ShapeDtypeStruct((4,), jnp.float32)),
    # A loss that fails is told of where it is traced.
    ([9, 0], lambda outputs, y: 1 / 0, OUTPUTS),
  ],
)
def test_other_targets_pass(labels, loss, outputs):
  check(labels, loss, outputs)
