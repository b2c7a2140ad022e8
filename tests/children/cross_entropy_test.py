# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnas.children import cross_entropy as module

D, V = 3, 7
ONE_CHUNK = 5
# Three chunks that the rows do not fill.
MANY_CHUNKS = 2 * module._MAX_CHUNK_ROWS + 1


@pytest.fixture
def float64():
  # Optimizations do not change what is tested in float64, and take most of the
  # time.
  jax.config.update('jax_disable_most_optimizations', True)
  with jax.enable_x64(True):
    yield
  jax.config.update('jax_disable_most_optimizations', False)


def make_arguments(seed, num_rows):
  rng = np.random.default_rng(seed)
  hidden, kernel, bias = (
    jnp.asarray(rng.normal(size=shape)) for shape in ((num_rows, D), (D, V), V)
  )
  targets = jnp.asarray(rng.integers(0, V, num_rows), jnp.int32)
  weights = jnp.asarray(rng.integers(0, 3, num_rows) / 2)
  return hidden, kernel, bias, targets, weights


def definition(hidden, kernel, bias, targets, weights):
  logits = hidden @ kernel + bias[None]
  nats = optax.softmax_cross_entropy_with_integer_labels(logits, targets)
  return jnp.sum(weights * nats)


def value_and_gradients(function):
  # The factor shows whether the cotangent reaches the gradients.
  return jax.value_and_grad(
    lambda *arguments: 3 * function(*arguments), argnums=(0, 1, 2)
  )


def assert_close(result, expected):
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12),
    result,
    expected,
  )


@pytest.mark.usefixtures('float64')
@pytest.mark.parametrize('num_rows', [ONE_CHUNK, MANY_CHUNKS])
def test_values_and_gradients_are_those_of_optax(num_rows):
  arguments = make_arguments(0, num_rows)
  run = jax.jit(value_and_gradients(module.cross_entropy))
  assert_close(
    run(*arguments), jax.jit(value_and_gradients(definition))(*arguments)
  )
  # The loss alone is other code than the loss with its gradients.
  loss = jax.jit(module.cross_entropy)(*arguments)
  assert_close(loss, definition(*arguments))


@pytest.mark.usefixtures('float64')
def test_vmap_gives_what_each_gives_alone():
  children = [make_arguments(seed, MANY_CHUNKS) for seed in range(3)]
  batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), *children)
  result = jax.jit(jax.vmap(value_and_gradients(module.cross_entropy)))(*batch)
  expected = jax.jit(jax.vmap(value_and_gradients(definition)))(*batch)
  assert_close(result, expected)
  assert_close(jax.jit(jax.vmap(module.cross_entropy))(*batch), expected[0] / 3)


@pytest.mark.usefixtures('float64')
def test_no_gradient_flows_to_the_weights():
  grad = jax.grad(module.cross_entropy, argnums=4)
  gradient = grad(*make_arguments(1, ONE_CHUNK))
  np.testing.assert_array_equal(gradient, np.zeros(ONE_CHUNK))


def test_large_logits_do_not_overflow():
  hidden = jnp.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
  kernel = 1e4 * jnp.eye(D, V)
  targets = jnp.array([0, 2])
  loss, gradients = value_and_gradients(module.cross_entropy)(
    hidden, kernel, jnp.zeros(V), targets, jnp.ones(2)
  )
  assert loss == 3e4
  assert all(np.isfinite(leaf).all() for leaf in gradients)


IN_GROUPS = functools.partial(module.cross_entropy, is_sequential=False)


@pytest.mark.usefixtures('float64')
@pytest.mark.parametrize(
  # All children at once, two groups of which one is smaller, and children one
  # after another in chunks that their rows do not fill.
  'bytes_of',
  [lambda row: 100 * row, lambda row: 2 * 9 * row, lambda row: 4 * row],
)
def test_groups_give_what_each_child_gives_alone(bytes_of, monkeypatch):
  monkeypatch.setattr(module, '_MAX_GROUP_BYTES', bytes_of(V * 8))
  children = [make_arguments(seed, 9) for seed in range(3)]
  batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), *children)
  expected = jax.jit(jax.vmap(value_and_gradients(definition)))(*batch)
  run = value_and_gradients(IN_GROUPS)
  assert_close(jax.jit(jax.vmap(run))(*batch), expected)
  assert_close(jax.jit(jax.vmap(IN_GROUPS))(*batch), expected[0] / 3)
  # One child alone, and two maps in one another.
  first = jax.tree.map(lambda leaf: leaf[0], expected)
  assert_close(jax.jit(run)(*children[0]), first)
  twice = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), batch)
  assert_close(
    jax.jit(jax.vmap(jax.vmap(run)))(*twice),
    jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), expected),
  )


@pytest.mark.usefixtures('float64')
def test_groups_share_what_is_not_mapped():
  hidden, kernel, bias, targets, weights = make_arguments(4, ONE_CHUNK)
  several = jnp.stack([hidden, 2 * hidden])
  mapped = jax.vmap(value_and_gradients(IN_GROUPS), (0, *[None] * 4))
  expected = jax.vmap(value_and_gradients(definition), (0, *[None] * 4))
  arguments = several, kernel, bias, targets, weights
  assert_close(jax.jit(mapped)(*arguments), jax.jit(expected)(*arguments))


def test_groups_do_not_copy_a_kernel_that_children_share():
  num_children = 11
  shapes = ((ONE_CHUNK, D), (D, V), (V,), (ONE_CHUNK,), (ONE_CHUNK,))
  dtypes = (np.float32, np.float32, np.float32, np.int32, np.float32)
  shared = [
    jax.ShapeDtypeStruct(shape, dtype)
    for shape, dtype in zip(shapes, dtypes, strict=True)
  ]
  mapped = jax.ShapeDtypeStruct((num_children, *shapes[0]), np.float32)
  copy = f'tensor<{num_children}x{D}x{V}xf32>'
  for hidden, axes, is_copied in (
    (mapped, (0, None, None, None, None), False),
    (mapped, (0, 0, None, None, None), True),
  ):
    kernel = shared[1]
    if is_copied:
      kernel = jax.ShapeDtypeStruct((num_children, D, V), np.float32)
    text = jax.jit(jax.vmap(IN_GROUPS, axes)).lower(hidden, kernel, *shared[2:])
    assert (copy in text.as_text()) == is_copied


@pytest.mark.usefixtures('float64')
@pytest.mark.parametrize('num_groups', [1, 2])
def test_maps_in_one_another_may_share_different_arrays(
  num_groups, monkeypatch
):
  rows = 2 * 2 * ONE_CHUNK // num_groups
  monkeypatch.setattr(module, '_MAX_GROUP_BYTES', rows * V * 8)
  hidden, kernel, bias, targets, weights = make_arguments(5, ONE_CHUNK)
  arguments = (
    jnp.stack([hidden, 2 * hidden]),
    jnp.stack([kernel, -kernel]),
    bias, targets, weights,
  )  # fmt: skip

  def twice(function):
    # The inner map is over kernels, and the outer one over hidden inputs.
    inner = jax.vmap(value_and_gradients(function), (None, 0, *[None] * 3))
    return jax.jit(jax.vmap(inner, (0, *[None] * 4)))

  assert_close(twice(IN_GROUPS)(*arguments), twice(definition)(*arguments))


def test_groups_need_few_operations():
  shapes = ((ONE_CHUNK, D), (D, V), (V,), (ONE_CHUNK,), (ONE_CHUNK,))
  dtypes = (np.float32, np.float32, np.float32, np.int32, np.float32)
  arguments = [
    jax.ShapeDtypeStruct((16, *shape), dtype)
    for shape, dtype in zip(shapes, dtypes, strict=True)
  ]
  texts = {
    is_sequential: jax.jit(
      jax.vmap(
        value_and_gradients(
          functools.partial(module.cross_entropy, is_sequential=is_sequential)
        )
      )
    ).lower(*arguments).as_text()
    for is_sequential in (True, False)
  }  # fmt: skip
  assert 'stablehlo.while' in texts[True]
  assert 'stablehlo.while' not in texts[False]


def test_the_logits_of_all_children_never_exist():
  num_children, rows, classes = 16, 700, 10_000
  shapes = ((rows, D), (D, classes), (classes,), (rows,), (rows,))
  dtypes = (np.float32, np.float32, np.float32, np.int32, np.float32)
  arguments = [
    jax.ShapeDtypeStruct((num_children, *shape), dtype)
    for shape, dtype in zip(shapes, dtypes, strict=True)
  ]
  run = jax.jit(jax.vmap(value_and_gradients(module.cross_entropy)))
  memory = run.lower(*arguments).compile().memory_analysis()
  assert memory is not None
  all_logits = num_children * rows * classes * 4
  assert memory.temp_size_in_bytes < all_logits / 8


@pytest.mark.parametrize(
  ('position', 'shape'),
  [(0, (ONE_CHUNK, D + 1)), (1, (D, V + 1)), (3, (ONE_CHUNK + 1,)), (4, ())],
)
def test_wrong_shapes_are_refused(position, shape):
  arguments = list(make_arguments(0, ONE_CHUNK))
  arguments[position] = jnp.zeros(shape, arguments[position].dtype)
  with pytest.raises(AssertionError):
    module.cross_entropy(*arguments)


@pytest.mark.parametrize('value', [np.nan, np.inf, 3e38])
def test_a_row_of_weight_0_counts_nothing(value):
  hidden, kernel, bias, targets, weights = make_arguments(2, ONE_CHUNK)
  weights = weights.at[1].set(0)
  run = value_and_gradients(module.cross_entropy)
  expected = run(hidden, kernel, bias, targets, weights)
  damaged = hidden.at[1].set(value)
  jax.tree.map(
    np.testing.assert_array_equal,
    run(damaged, kernel, bias, targets, weights),
    expected,
  )
  assert not expected[1][0][1].any()
  loss = 3 * module.cross_entropy(damaged, kernel, bias, targets, weights)
  np.testing.assert_array_equal(loss, expected[0])
  counted = weights.at[1].set(1)
  assert not np.isfinite(run(damaged, kernel, bias, targets, counted)[0])


def test_types_may_be_mixed():
  hidden, kernel, bias, targets, weights = make_arguments(3, ONE_CHUNK)
  run = value_and_gradients(module.cross_entropy)
  expected = run(hidden, kernel, bias, targets, weights)
  with jax.enable_x64(True):
    precise = jnp.asarray(np.asarray(weights, np.float64))
    assert precise.dtype == np.float64
    result = run(hidden, kernel, bias, targets, precise)
  jax.tree.map(np.testing.assert_array_equal, result, expected)
  assert {leaf.dtype.name for leaf in jax.tree.leaves(result)} == {'float32'}
  rough = hidden.astype(jnp.bfloat16)
  loss, gradients = run(rough, kernel, bias, targets, weights)
  np.testing.assert_allclose(loss, expected[0], rtol=0.02)
  assert loss.dtype == np.float32
  assert [leaf.dtype for leaf in gradients] == [rough.dtype, *['float32'] * 2]
