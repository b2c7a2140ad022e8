# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import jax
import numpy as np
import pytest

from jaxnas.costs import perceptron

IMAGES = perceptron.Images((4, 3, 2), 5, 2)


@pytest.mark.parametrize('width', [7, 16])
def test_counts_are_those_of_the_network(width):
  value = {'width': width, 'activation': 'gelu', 'momentum': 0.5}
  _, (params, *_) = IMAGES.program(value, 1)
  assert IMAGES.num_params(value) == sum(
    leaf.size for leaf in jax.tree.leaves(params)
  )
  # Those of XLA: two operations for each product and sum, and biases.
  plain = {**value, 'activation': 'relu'}
  function, arguments = IMAGES.program(plain, 1)
  cost = jax.jit(function).lower(*arguments).compile().cost_analysis()
  biases = 2 * width + 5
  products = 2 * IMAGES.num_multiply_adds(plain)
  # A ReLU is one comparison for each unit.
  assert cost['flops'] == pytest.approx(products + biases + 2 * width, abs=1)


def test_the_narrowest_costs_the_least():
  fewest = IMAGES.fewest((8, 4, 16))
  for name, cost in IMAGES.costs().items():
    assert fewest[name]() == cost({'width': 4}) < cost({'width': 8})


def test_the_program_is_that_of_its_activation():
  outputs = []
  for name in ('tanh', 'relu'):
    value = {'width': 6, 'activation': name}
    function, (params, state, images) = IMAGES.program(value, 2)
    outputs.append(function(params, state, images + 1))
  assert not np.allclose(*outputs)


def test_what_latency_depends_on_is_width_and_activation():
  value = {'width': 6, 'activation': 'tanh', 'momentum': 0.3}
  part = perceptron.in_use(value)
  assert part == {'width': 6, 'activation': 'tanh'}
  assert part.to_json() == dict(part)
