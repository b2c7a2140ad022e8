# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of loading what a training has written.

That the loaded models measure what was measured is tested beside the trainings:
`train_conv_net_test` and `train_recurrent_cell_test`.
"""

import dataclasses

import jax
import numpy as np
import pytest

from jaxnas.export import weights
from jaxnas.runs import trained_models
from jaxnas.spaces import recurrent_cell
from jaxnas.training import long_text


def test_a_language_model_is_made_of_its_file(tmp_path):
  recipe = long_text.Recipe(features=4, num_layers=1)
  cell = recurrent_cell.KNOWN_CELLS['gru']
  vocabulary = ('a', 'b', 'c')
  model = long_text.make_model(recipe, len(vocabulary), cell)
  inputs = np.zeros((3, 1), np.int32)
  carry = model.initialize_carry(batch_size=1)
  ones = np.ones(inputs.shape)
  params = model.init(jax.random.key(0), carry, inputs, inputs, ones)
  path = tmp_path / 'weights.npz'
  weights.write_weights(
    path, params, vocabulary, cell, recipe=dataclasses.asdict(recipe)
  )
  trained = trained_models.load_language_model(path)
  assert (trained.vocabulary, trained.architecture) == (vocabulary, cell)
  for one, other in zip(
    jax.tree.leaves(model.apply(params, carry, inputs, method='encode')),
    jax.tree.leaves(
      trained.model.apply(trained.params, carry, inputs, method='encode')
    ),
    strict=True,
  ):
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
  'load', [trained_models.load_language_model, trained_models.load_classifier]
)
def test_a_file_that_is_missing_is_named(load, tmp_path):
  with pytest.raises(FileNotFoundError, match=r'weights\.npz'):
    load(tmp_path / 'weights.npz')
