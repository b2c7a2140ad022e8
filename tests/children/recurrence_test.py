# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.children import recurrence

T, B, D, N = 4, 3, 5, 2


@pytest.fixture(autouse=True, scope='module')
def quick_compilation():
  # XLA's optimizations do not change what is tested here, and they are most of
  # the time that it takes.
  jax.config.update('jax_disable_most_optimizations', True)
  yield
  jax.config.update('jax_disable_most_optimizations', False)


@pytest.fixture(autouse=True)
def float64():
  with jax.enable_x64(True):
    yield


def combine(program, zx, zh, memory):
  """A smooth cell of which every output depends on every input."""
  first, second = jnp.split(jnp.tanh(program * zx * zh + zx - zh), 2, -1)
  memory = jnp.tanh(memory * first + second)
  return jnp.sin(memory) * first - memory, memory


def scanned(program, carry, projected, kernel, bias, mask):
  """The definition: a plain scan, which autodiff reverses."""

  def step(carry, zx):
    memory, hidden = carry
    zh = (hidden if mask is None else hidden * mask) @ kernel
    if bias is not None:
      zh = zh + bias[None]
    hidden, memory = combine(program, zx, zh, memory)
    return (memory, hidden), hidden

  return lax.scan(step, carry, projected)


def unrolled(program, carry, projected, kernel, bias, mask):
  return recurrence.unroll(
    combine, program, carry, projected, kernel, bias, mask
  )


def make_arguments(seed, use_bias, use_mask, num_steps=T):
  rng = np.random.default_rng(seed)
  mask = rng.integers(0, 2, (B, D)) * 2.0
  return (
    jnp.asarray(rng.normal()),
    (
      jnp.asarray(rng.normal(size=(B, D))),
      jnp.asarray(rng.normal(size=(B, D))),
    ),
    jnp.asarray(rng.normal(size=(num_steps, B, 2 * D))),
    jnp.asarray(rng.normal(size=(D, 2 * D))),
    jnp.asarray(rng.normal(size=2 * D)) if use_bias else None,
    jnp.asarray(mask) if use_mask else None,
  )


def value_and_gradients(function):
  """Differentiates a weighted sum of all outputs by all arguments but two."""

  def loss(program, mask, *arguments):
    outputs = function(program, *arguments, mask)
    total = sum(
      jnp.sum(output * jnp.cos(jnp.arange(output.size)).reshape(output.shape))
      for output in jax.tree.leaves(outputs)
    )
    return total, outputs

  def run(program, carry, projected, kernel, bias, mask):
    return jax.value_and_grad(loss, argnums=(2, 3, 4, 5), has_aux=True)(
      program, mask, carry, projected, kernel, bias
    )

  return run


def assert_close(result, expected):
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12),
    result,
    expected,
  )


@pytest.mark.parametrize(
  ('use_bias', 'use_mask'), [(False, False), (True, False), (False, True)]
)
def test_values_and_gradients_are_those_of_a_scan(use_bias, use_mask):
  arguments = make_arguments(0, use_bias, use_mask)
  result = jax.jit(value_and_gradients(unrolled))(*arguments)
  assert_close(result, jax.jit(value_and_gradients(scanned))(*arguments))


def test_vmap_gives_what_a_scan_gives():
  children = [make_arguments(seed, True, True) for seed in range(N)]
  batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), *children)
  result = jax.jit(jax.vmap(value_and_gradients(unrolled)))(*batch)
  expected = jax.jit(jax.vmap(value_and_gradients(scanned)))(*batch)
  assert_close(result, expected)


def test_a_sequence_may_be_cut():
  program, carry, projected, kernel, bias, mask = make_arguments(1, True, True)
  run = jax.jit(unrolled)
  last, whole = run(program, carry, projected, kernel, bias, mask)
  carry, first = run(program, carry, projected[:2], kernel, bias, mask)
  carry, second = run(program, carry, projected[2:], kernel, bias, mask)
  assert_close((carry, jnp.concatenate([first, second])), (last, whole))
  np.testing.assert_array_equal(carry[1], second[-1])


@pytest.mark.parametrize(
  ('position', 'shape'),
  [
    (2, (T, B, 2 * D + 1)),
    (2, (T, B + 1, 2 * D)),
    (2, (B, 2 * D)),
    (3, (D + 1, 2 * D)),
    (1, ((B, D), (B, D + 1))),
  ],
)
def test_wrong_shapes_are_refused(position, shape):
  arguments = list(make_arguments(0, True, True))
  arguments[position] = jax.tree.map(
    jnp.zeros, shape, is_leaf=lambda leaf: isinstance(leaf[0], int)
  )
  with pytest.raises(AssertionError):
    unrolled(*arguments)
