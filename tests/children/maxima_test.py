# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import os
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.children import conv_net, maxima
from jaxnas.spaces import conv_net as spaces

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHAPE, CLASSES = (7, 7, 1), 10


def values_and_grads(function, *operands):
  value, vjp = jax.vjp(function, *operands)
  return value, vjp(jnp.arange(1.0, 1 + value.size).reshape(value.shape))


def test_a_windows_gradient_goes_to_the_first_maximum():
  image = np.float32(
    [
      [1, 2, 5, 5, 9],
      [4, 3, 5, 5, 9],
      [0, 0, -1, -2, 9],
      [7, 7, -3, -1, 9],
      [9, 9, 9, 9, 9],
    ]
  )[None, :, :, None]
  pooled, (grad,) = values_and_grads(jax.jit(maxima.max_pool), image)
  np.testing.assert_array_equal(pooled[0, ..., 0], [[4, 5], [7, -1]])
  np.testing.assert_array_equal(
    grad[0, ..., 0],
    [
      [0, 0, 2, 0, 0],
      [1, 0, 0, 0, 0],
      [0, 0, 4, 0, 0],
      [3, 0, 0, 0, 0],
      [0, 0, 0, 0, 0],
    ],
  )
  # The same maxima where no gradient is asked for.
  np.testing.assert_array_equal(jax.jit(maxima.max_pool)(image), pooled)


@pytest.mark.parametrize('place', range(4))
def test_no_pixel_that_is_not_a_number_is_hidden(place):
  image = np.zeros((1, 2, 2, 1), np.float32)
  image.reshape(-1)[place] = np.nan
  pooled, (grad,) = values_and_grads(jax.jit(maxima.max_pool), image)
  assert np.isnan(pooled).all()
  assert np.isnan(maxima.max_pool(image)).all()
  assert grad.reshape(-1)[place] == 1
  assert grad.sum() == 1


def test_pooling_maps_over_children():
  images = np.random.default_rng(0).normal(size=(3, 2, 4, 6, 2))
  images = images.astype(np.float32)
  _, (together,) = values_and_grads(jax.vmap(maxima.max_pool), images)
  assert ((together != 0).reshape(3, 2, 2, 2, 3, 2, 2).sum((3, 5)) == 1).all()


def test_the_larger_operand_has_the_gradient_and_equal_ones_half():
  first = np.float32([1, 3, 2, -np.inf])
  second = np.float32([2, 1, 2, 5])
  value, (left, right) = values_and_grads(
    jax.jit(maxima.maximum), first, second
  )
  np.testing.assert_array_equal(value, [2, 3, 2, 5])
  np.testing.assert_array_equal(left, [0, 2, 1.5, 0])
  np.testing.assert_array_equal(right, [1, 0, 1.5, 4])


def pooled_network():
  """Returns a network, and a batch, that a compiler once got wrong."""
  layer = spaces.ConvLayer
  net = spaces.ConvNet(
    (
      layer(7, 5, 2, 1, 1, ()),
      layer(1, 5, 6, 1, 1, (0,)),
      layer(1, 1, 6, 1, 1, (0,)),
      layer(3, 1, 24, 1, 1, (1,)),
      layer(7, 3, 36, 1, 1, (1,)),
    ),
    'add',
    pool_after=(0,),
  )
  params, batch_stats = conv_net.init(jax.random.key(3), net, SHAPE, CLASSES)
  rng = np.random.default_rng(3)
  params = jax.tree.map(
    lambda x: x + 0.1 * rng.normal(size=x.shape).astype(np.float32), params
  )
  images = rng.normal(size=(3, *SHAPE)).astype(np.float32)
  labels = rng.integers(CLASSES, size=3)
  return net, params, batch_stats, images, labels


def check_finite_differences():
  """Compares gradients with differences of losses of twice the precision."""
  net, params, batch_stats, images, labels = pooled_network()

  def run(params):
    network = conv_net.make_network(net, SHAPE, CLASSES)
    return network.loss_and_grad(
      params, batch_stats, images.astype(params['head']['bias'].dtype), labels
    )

  grads = jax.jit(lambda params: run(params)[2])(params)
  rng = np.random.default_rng(0)
  with jax.enable_x64(True):
    loss = jax.jit(lambda params: run(params)[0])
    exact = jax.tree.map(lambda x: np.asarray(x, np.float64), params)
    # A whole leaf at a time; where all of them err, their errors differ.
    for name in exact:
      for leaf in exact[name]:
        direction = jax.tree.map(np.zeros_like, exact)
        direction[name][leaf] = rng.normal(size=exact[name][leaf].shape)
        losses = [
          loss(jax.tree.map(lambda x, d, s=s: x + s * d, exact, direction))
          for s in (-1e-6, 1e-6)
        ]
        expected = float(losses[1] - losses[0]) / 2e-6
        found = float(np.sum(direction[name][leaf] * grads[name][leaf]))
        scale = np.linalg.norm(direction[name][leaf]) * np.linalg.norm(
          grads[name][leaf]
        )
        np.testing.assert_allclose(
          found, expected, atol=1e-4 * scale + 1e-6, err_msg=f'{name}/{leaf}'
        )


@pytest.mark.slow
@pytest.mark.parametrize('level', ['0', '2'])
def test_gradients_are_finite_differences_whatever_the_compiler(level):
  flags = os.environ.get('XLA_FLAGS', '').replace(
    '--xla_backend_optimization_level=0', ''
  )
  program = (
    'import sys\n'
    f'sys.path.insert(0, {str(pathlib.Path(__file__).parent)!r})\n'
    'import maxima_test\n'
    'maxima_test.check_finite_differences()\n'
  )
  result = subprocess.run(
    [sys.executable, '-c', program],
    cwd=ROOT,
    env=os.environ
    | {
      'XLA_FLAGS': f'{flags} --xla_backend_optimization_level={level}',
      'PYTHONPATH': str(ROOT),
    },
    capture_output=True,
    text=True,
    timeout=300,
  )
  assert result.returncode == 0, result.stderr
