# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import functools

import chex
import jax
import numpy as np
import pytest

from jaxnas.children import conv_masked, conv_net
from jaxnas.spaces.conv_net import ConvLayer, ConvNet
from jaxnas.training import image_task
from jaxnas.types import Span

L, B, K = 3, 6, 3
IMAGE_SHAPE = (5, 6, 2)
SIZES, FILTERS = (1, 3, 5), (2, 3, 4)
MERGES = ('concat', 'add')


@pytest.fixture(autouse=True, scope='module')
def quick_compilation():
  # XLA's optimizations do not change what is tested here, and they are most of
  # the time that it takes.
  jax.config.update('jax_disable_most_optimizations', True)
  yield
  jax.config.update('jax_disable_most_optimizations', False)


def make_masked(merge, **settings):
  return conv_masked.ConvMasked(
    L, IMAGE_SHAPE, K, SIZES, SIZES, FILTERS, merge, **settings
  )


def make_architectures(merge):
  """Returns a random architecture of every depth."""
  rng = np.random.default_rng(1)
  return [
    ConvNet(
      tuple(
        ConvLayer(
          *rng.choice(SIZES, 2).tolist(),
          int(rng.choice(FILTERS)),
          inputs=tuple(np.flatnonzero(rng.random(number) < 0.6).tolist()),
        )
        for number in range(depth)
      ),
      merge,
    )
    for depth in range(1, L + 1)
  ]


def make_params(architecture):
  """Returns numbers in the form of a child, none of them 0."""
  shapes = jax.eval_shape(
    lambda key: conv_net.init(key, architecture, IMAGE_SHAPE, K),
    jax.random.key(0),
  )
  rng = np.random.default_rng(2)
  return jax.tree.map(
    lambda x: rng.uniform(1, 2, x.shape).astype(np.float32), shapes
  )


def row(tree, index):
  return jax.tree.map(lambda x: np.asarray(x[index]), tree)


def assert_close(first, second, atol):
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=atol),
    first,
    second,
  )


def make_batch(seed=0, size=B):
  """Returns images of which each class has another color."""
  rng = np.random.default_rng(seed)
  labels = rng.integers(0, K, size, dtype=np.int32)
  images = rng.normal(size=(size, *IMAGE_SHAPE))
  images += np.array([[1, 0], [0, 1], [-1, -1]])[labels][:, None, None]
  return images.astype(np.float32), labels


def observe(network, params, stats, images, labels):
  """Returns loss, gradients, running averages and, by these, logits."""
  loss, stats, grads = network.loss_and_grad(params, stats, images, labels)
  return loss, grads, stats, network.predict(params, stats, images)


def trajectory(run, child, num_steps=20):
  """Returns what is observed at each step of a training with momentum."""
  params, stats = child
  momentum = jax.tree.map(np.zeros_like, params)
  steps = []
  for index in range(num_steps):
    loss, grads, stats, logits = run(params, stats, *make_batch(index % 3))
    steps.append(jax.tree.map(np.asarray, (loss, grads, stats, logits)))
    momentum = jax.tree.map(lambda m, g: 0.9 * m + g, momentum, grads)
    params = jax.tree.map(lambda p, m: p - 0.02 * m, params, momentum)
  return steps, params


@pytest.mark.parametrize('merge', MERGES)
def test_children_are_those_of_the_compiled_route(merge):
  # Once whole rows, once blocks that do not fill them.
  masked = make_masked(merge, block=None if merge == 'concat' else 4)
  architectures = make_architectures(merge)
  num_traces = 0

  @jax.jit
  @functools.partial(
    jax.vmap, in_axes=(conv_masked.BATCH_AXES, 0, 0, None, None)
  )
  def run(program, params, stats, images, labels):
    nonlocal num_traces
    num_traces += 1
    network = masked.make_network(program)
    return observe(network, params, stats, images, labels)

  program = masked.assemble(architectures)
  keys = jax.random.split(jax.random.key(3), L)
  children = jax.jit(
    jax.vmap(lambda program, key: masked.make_network(program).init(key))
  )(program, keys)
  steps, trained = trajectory(functools.partial(run, program), children)
  assert num_traces == 1
  # At depth 1 there is nothing to add, and what is concatenated is the same.
  for index in range(1 if merge == 'add' else 0, L):
    architecture = architectures[index]
    network = conv_net.make_network(architecture, IMAGE_SHAPE, K)
    expected = jax.jit(network.init)(keys[index])
    child = row(children, index)
    assert_close(masked.unpack(architecture, *child), expected, 1e-7)
    expected_steps, expected_trained = trajectory(
      jax.jit(functools.partial(observe, network)), expected
    )
    # Rounding grows from step to step.
    for place, atol in ((0, 1e-6), (-1, 5e-4)):
      loss, grads, stats, logits = row(steps[place], index)
      expected_loss, *gradient, expected_logits = expected_steps[place]
      np.testing.assert_allclose(loss, expected_loss, rtol=1e-5, atol=atol)
      assert_close(
        masked.unpack(architecture, grads, stats), tuple(gradient), atol
      )
      assert_close(logits, expected_logits, 10 * atol)
      # Nothing is learned where the child has no weights.
      assert_close(masked.pack(architecture, *gradient)[0], grads, atol)
    packed, _ = masked.pack(architecture, expected_trained, gradient[1])
    assert_close(row(trained, index), packed, 5e-4)
    assert expected_steps[-1][0] < 0.8 * expected_steps[0][0]


@pytest.mark.parametrize('merge', MERGES)
def test_an_image_may_have_more_channels_than_layers_have_filters(merge):
  masked = conv_masked.ConvMasked(2, (3, 2, 3), K, (1,), (1,), (2,), merge)
  # With its second layer on the image too.
  net = ConvNet((ConvLayer(1, 1, 2), ConvLayer(1, 1, 2)), merge)
  own = masked.make_network(row(masked.assemble([net]), 0))
  compiled = conv_net.make_network(net, (3, 2, 3), K)
  images = np.random.default_rng(3).normal(size=(B, 3, 2, 3))
  labels = np.arange(B, dtype=np.int32) % K

  @jax.jit
  def run(key):
    results = []
    for network in (own, compiled):
      child = network.init(key)
      _, stats, grads = network.loss_and_grad(
        *child, images.astype(np.float32), labels
      )
      results.append((grads, stats))
    return results

  result, expected = run(jax.random.key(0))
  assert_close(masked.unpack(net, *result), expected, 1e-6)


def test_children_learn():
  masked = conv_masked.ConvMasked(1, IMAGE_SHAPE, K, (1, 3), (1,), (3, 4))
  recipe = image_task.Recipe(batch_size=B, schedule='cosine')
  examples = image_task.Examples(*make_batch(2, 20))
  task = image_task.make_task(
    recipe,
    masked.make_network,
    image_task.TrainData(*make_batch(1, 8 * B), *examples),
    {'validation': examples},
    masked.assemble,
    conv_masked.BATCH_AXES,
  )
  program = masked.assemble(
    [ConvNet((ConvLayer(height, 1, 4),)) for height in (1, 3)]
  )
  axes = task.program_axes

  @jax.jit
  @functools.partial(jax.vmap, in_axes=(axes, 0))
  def train(program, key):
    state = task.init(program, key, 0.2)
    span = Span(0, 40, 40)
    return task.train(task.train_data, program, state, key, 0.2, span)

  children = train(program, jax.random.split(jax.random.key(4)))
  metrics = jax.vmap(task.train_metrics)(children)
  assert metrics['is_alive'].all()
  assert metrics['best_accuracy'].min() > 0.8
  measured = jax.jit(jax.vmap(task.measure, (None, axes, 0)))(
    task.splits['validation'], program, children
  )
  assert measured['accuracy'].min() > 0.8


@pytest.mark.parametrize('merge', MERGES)
def test_unpack_inverts_pack(merge):
  masked = make_masked(merge)
  for architecture in make_architectures(merge):
    child = make_params(architecture)
    packed = masked.pack(architecture, *child)
    assert_close(masked.unpack(architecture, *packed), child, 0)
    num_weights = sum(np.count_nonzero(x) for x in packed[0]['kernels'])
    sizes = {name: params['kernel'].size for name, params in child[0].items()}
    assert num_weights == sum(sizes.values()) - sizes['head']


@pytest.mark.parametrize(
  ('merge', 'channels'), [('concat', (4, 64)), ('add', (64, 64))]
)
def test_shared_weights_have_the_variances_of_the_largest_filters(
  merge, channels
):
  masked = conv_masked.ConvMasked(2, (5, 6, 4), 8, SIZES, SIZES, (64,), merge)
  params, stats = masked.init_shared(jax.random.key(0))
  other, _ = masked.init_shared(jax.random.key(1))
  net = ConvNet((ConvLayer(1, 3, 64),), merge)
  program = jax.tree.map(lambda leaf: leaf[0], masked.assemble([net]))
  child = jax.eval_shape(masked.make_network(program).init, jax.random.key(0))
  chex.assert_trees_all_equal_shapes_and_dtypes((params, stats), child)
  for kernel, count in zip(params['kernels'], channels, strict=True):
    assert np.var(kernel) == pytest.approx(2 / (25 * count), rel=0.1)
    assert abs(np.mean(kernel)) < 0.1 * np.std(kernel)
  assert np.var(params['head_kernel']) == pytest.approx(1 / 64, rel=0.2)
  assert np.all(params['scale'] == 1)
  assert not np.any(params['bias'])
  assert not np.any(params['head_bias'])
  for first, second in zip(params['kernels'], other['kernels'], strict=True):
    assert np.all(first != second)


def make_net(layer=None, merge='concat', num_layers=2, **settings):
  layers = [ConvLayer(3, 3, 2)] * num_layers
  if layer:
    layers[1] = dataclasses.replace(layers[1], **layer)
  return ConvNet(tuple(layers), merge, **settings)


@pytest.mark.parametrize(
  ('net', 'message'),
  [
    (
      make_net({'stride_height': 2}),
      r'layer 1 are \(2, 1\); use the compiled',
    ),
    (make_net(pool_after=(1,)), 'no pooling, got one after layer 1; use'),
    (make_net(merge='add'), "is for merge 'concat', got a network with 'add'"),
    (make_net(num_layers=4), 'has 3 layers, got a network of 4'),
    (make_net({'height': 7}), 'height of layer 1 is 7; .* knows 1, 3, 5'),
    (make_net({'width': 7}), 'width of layer 1 is 7; .* knows 1, 3, 5'),
    (make_net({'filters': 9}), 'filters of layer 1 is 9; .* knows 2, 3, 4'),
  ],
)
def test_other_networks_are_refused(net, message):
  masked = make_masked('concat')
  with pytest.raises(ValueError, match=message):
    masked.assemble([make_net(), net])
  with pytest.raises(ValueError, match=message):
    masked.pack(net, {}, {})
  with pytest.raises(ValueError, match=message):
    masked.unpack(net, {}, {})


def test_bad_settings_are_refused():
  with pytest.raises(ValueError, match='needs at least one architecture'):
    make_masked('concat').assemble([])
  with pytest.raises(ValueError, match='block must be at least 1, got 0'):
    make_masked('concat', block=0)
