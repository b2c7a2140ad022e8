# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import jax
import numpy as np
import pytest

from experiments.benchmarks import conv_jax as worker
from experiments.benchmarks import conv_shapes as shapes_lib
from jaxnas.spaces.conv_net import ConvLayer, ConvNet

SHAPE = shapes_lib.Shape((4, 5, 2), 3, (2, 3), heights=(1, 3), widths=(1, 3))
NET = ConvNet((ConvLayer(3, 1, 2), ConvLayer(1, 3, 3, inputs=(0,))))


@pytest.fixture(autouse=True, scope='module')
def quick_compilation():
  jax.config.update('jax_disable_most_optimizations', True)
  yield
  jax.config.update('jax_disable_most_optimizations', False)


def test_the_plain_convolutions_are_the_masked_ones():
  masked = worker.make_masked(**SHAPE.settings(2))
  program = jax.tree.map(lambda x: x[0], masked.assemble([NET]))
  rng = np.random.default_rng(0)
  # None is 0, so that what a mask forgets shows.
  params, stats = jax.tree.map(
    lambda leaf: rng.uniform(0.1, 1, leaf.shape).astype(np.float32),
    jax.eval_shape(masked.make_network(program).init, jax.random.key(0)),
  )
  images = rng.normal(size=(3, 4, 5, 2)).astype(np.float32)
  labels = np.array([1, 0, 2])
  plain, expected = (
    jax.jit(network.loss_and_grad)(params, stats, images, labels)
    for network in (
      worker.grouped_network(masked, program),
      masked.make_network(program),
    )
  )
  assert float(plain[0]) == pytest.approx(float(expected[0]), rel=1e-5)
  for ours, other in zip(
    jax.tree.leaves(plain[1:]), jax.tree.leaves(expected[1:]), strict=True
  ):
    np.testing.assert_allclose(ours, other, rtol=1e-4, atol=1e-5)
  _, _, grads = expected
  assert all(np.abs(grads['kernels'][n]).max() > 1e-3 for n in (0, 1))
