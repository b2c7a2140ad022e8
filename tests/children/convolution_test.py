# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import re

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.children import convolution


def value_and_grads(is_canonical, strides, inputs, kernel):
  def loss(inputs, kernel):
    outputs = convolution.convolve(inputs, kernel, strides, is_canonical)
    return jnp.sin(outputs).sum(), outputs

  return jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)(inputs, kernel)


@pytest.mark.parametrize('strides', [(1, 1), (2, 3), (3, 2)])
@pytest.mark.parametrize('lengths', [(1, 1), (3, 5), (7, 1)])
def test_gradients_are_those_of_lax(lengths, strides):
  with jax.enable_x64(True):
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(*lengths, 2, 3))

    # Even and odd sizes, and sizes below that of the filter.
    def compare(inputs, kernel):
      return [
        value_and_grads(is_canonical, strides, inputs, kernel)
        for is_canonical in (True, False)
      ]

    for size in ((6, 8), (7, 5)):
      result, expected = jax.jit(compare)(
        rng.normal(size=(2, *size, 2)), kernel
      )
      jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-12),
        result,
        expected,
      )


@pytest.mark.parametrize(
  ('lengths', 'channels', 'filters', 'batch_size'),
  [
    ((1, 7), 9, 8, 12),
    ((5, 1), 8, 9, 12),
    ((5, 3), 9, 8, 12),
    ((3, 3), 8, 9, 7),
    ((1, 3), 1, 2, 200),
  ],
)
def test_gradients_by_rows_are_those_of_lax(
  lengths, channels, filters, batch_size
):
  # Sums of two terms of six rows for wide filters, and of 13 for tall ones; of
  # single rows in a large batch.
  inputs_shape = (batch_size, 12, 13, channels)
  kernel_shape = (*lengths, channels, filters)

  def compare(inputs, kernel):
    return [
      value_and_grads(is_canonical, (1, 1), inputs, kernel)
      for is_canonical in (True, False)
    ]

  with jax.enable_x64(True):
    rng = np.random.default_rng(0)
    arrays = rng.normal(size=inputs_shape), rng.normal(size=kernel_shape)
    lowered = jax.jit(compare).lower(*arrays)
    result, expected = lowered.compile()(*arrays)
    jax.tree.map(
      lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-12),
      result,
      expected,
    )
  assert 'stablehlo.while' in lowered.as_text()


def test_gradients_are_there_for_no_images_and_for_any_number():
  def grad(inputs):
    return jax.grad(
      lambda kernel: convolution.convolve(
        inputs, kernel, is_canonical=True
      ).sum()
    )(jnp.ones((3, 3, 2, 4)))

  np.testing.assert_array_equal(grad(jnp.ones((0, 12, 12, 2))), 0)
  (batch_size,) = jax.export.symbolic_shape('batch_size')
  shape = jax.ShapeDtypeStruct((batch_size, 12, 12, 2), jnp.float32)
  exported = jax.export.export(jax.jit(grad))(shape)
  inputs = jnp.arange(5.0 * 12 * 12 * 2).reshape(5, 12, 12, 2)
  np.testing.assert_allclose(exported.call(inputs), grad(inputs), rtol=1e-5)


def test_gradients_by_rows_are_mapped_over_devices():
  def grads(inputs, kernels):
    return jax.grad(
      lambda kernel: jnp.sum(
        convolution.convolve(inputs, kernel, is_canonical=True) ** 2
      )
    )(kernels[0])[None]

  inputs = jnp.arange(3.0 * 12 * 12 * 2).reshape(3, 12, 12, 2) / 1000
  kernels = jnp.ones((1, 3, 3, 2, 4))
  place = jax.sharding.PartitionSpec('children')
  mesh = jax.sharding.Mesh(jax.devices()[:1], ('children',))
  mapped = jax.shard_map(
    grads, mesh=mesh, in_specs=(place, place), out_specs=place
  )
  np.testing.assert_allclose(
    jax.jit(mapped)(inputs, kernels), grads(inputs, kernels), rtol=1e-5
  )


def test_sums_of_many_rows_keep_half_precision():
  rng = np.random.default_rng(0)
  inputs, grads = (
    jnp.asarray(rng.random((32, 32, 32, 8)), jnp.bfloat16) for _ in range(2)
  )
  kernel = jnp.zeros((3, 1, 8, 8), jnp.bfloat16)

  def grad(kernel):
    outputs = convolution.convolve(
      inputs.astype(kernel.dtype), kernel, is_canonical=True
    )
    return jnp.vdot(outputs, grads.astype(kernel.dtype))

  # Compiled, since gradients alone need no outputs.
  gradient = jax.jit(jax.grad(grad))
  found = gradient(kernel)
  expected = gradient(kernel.astype(jnp.float32))
  assert found.dtype == jnp.bfloat16
  np.testing.assert_allclose(found.astype(jnp.float32), expected, rtol=0.005)


def test_padding_is_symmetric():
  # `'SAME'` would pad by less before than after.
  inputs = jnp.arange(1.0, 5).reshape(1, 4, 1, 1)
  kernel = jnp.ones((3, 1, 1, 1))
  for is_canonical in (True, False):
    outputs = convolution.convolve(inputs, kernel, (2, 1), is_canonical)
    np.testing.assert_array_equal(outputs[0, :, 0, 0], [1 + 2, 2 + 3 + 4])


@pytest.mark.parametrize(
  ('strides', 'size'), [((1, 1), 8), ((2, 2), 8), ((1, 1), 12)]
)
def test_gradients_in_a_loop_have_the_fast_form(strides, size):
  def descend(inputs, kernel):
    def body(_, values):
      _, grads = value_and_grads(True, strides, *values)
      return jax.tree.map(jnp.subtract, values, grads)

    return lax.fori_loop(0, 3, body, (inputs, kernel))

  program = jax.jit(descend).lower(
    jnp.ones((2, size, size, 3)), jnp.ones((3, 3, 3, 4))
  )
  forms = re.findall(r'dim_labels=([\w>-]+)', program.compile().as_text())
  assert len(forms) == 3
  assert set(forms) == {'b01f_01io->b01f'}
