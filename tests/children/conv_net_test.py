# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import math

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnas.children import conv_net
from jaxnas.spaces import conv_net as spaces
from jaxnas.spaces import known_conv_nets

IMAGE, CLASSES, B = (9, 8, 3), 4, 3


def layer(height, width, filters, *inputs, strides=(1, 1)):
  return spaces.ConvLayer(height, width, filters, *strides, inputs)


def strided_net(merge):
  """Returns a network with joins of unequal sizes, strides and a pooling."""
  return spaces.ConvNet(
    (
      layer(3, 1, 4),
      layer(1, 3, 2, 0, strides=(2, 3)),
      layer(3, 5, 3, 0, 1, strides=(3, 1)),
      layer(1, 1, 2, strides=(1, 2)),
    ),
    merge,
    pool_after=(1,),
  )


class Plain(nn.Module):
  """The same written with the layers of flax."""

  net: spaces.ConvNet

  @nn.compact
  def __call__(self, images, is_training):
    outputs = []
    for number, one in enumerate(self.net.layers):
      x = self.join([outputs[i] for i in one.inputs] or [images])
      x = nn.Conv(
        one.filters,
        (one.height, one.width),
        (one.stride_height, one.stride_width),
        [(one.height // 2,) * 2, (one.width // 2,) * 2],
        use_bias=False,
        name=f'conv_{number}',
      )(x)
      x = nn.BatchNorm(
        not is_training, momentum=0.9, epsilon=1e-5, name=f'norm_{number}'
      )(x)
      outputs.append(nn.relu(x))
      if number in self.net.pool_after:
        images, *outputs = [
          nn.max_pool(x, (2, 2), (2, 2)) for x in (images, *outputs)
        ]
    x = self.join([outputs[i] for i in self.net.outputs]).mean((1, 2))
    return nn.Dense(CLASSES, name='head')(x)

  def join(self, outputs):
    shape = np.max([x.shape for x in outputs], 0)
    total = []
    for x in outputs:
      canvas = jnp.zeros(
        (*shape[:3], shape[3] if self.net.merge == 'add' else x.shape[3])
      )
      top, left = (shape[1] - x.shape[1]) // 2, (shape[2] - x.shape[2]) // 2
      total.append(
        canvas.at[
          :, top : top + x.shape[1], left : left + x.shape[2], : x.shape[3]
        ].set(x)
      )
    return (
      jnp.concatenate(total, -1) if self.net.merge == 'concat' else sum(total)
    )


def to_plain(params):
  """Returns parameters, or running averages, under the names of `Plain`."""
  plain = {}
  for name, values in params.items():
    number = name.removeprefix('layer_')
    values = dict(values)
    if name == 'head':
      plain[name] = values
      continue
    if 'kernel' in values:
      plain[f'conv_{number}'] = {'kernel': values.pop('kernel')}
    plain[f'norm_{number}'] = values
  return plain


def random_batch(seed):
  rng = np.random.default_rng(seed)
  images = rng.normal(size=(B, *IMAGE)).astype(np.float32)
  return images, rng.integers(CLASSES, size=B).astype(np.int32)


@pytest.mark.parametrize('merge', spaces.MERGES)
def test_it_computes_what_the_layers_of_flax_do(merge):
  net = strided_net(merge)
  network = conv_net.make_network(net, IMAGE, CLASSES)
  params, batch_stats = jax.jit(network.init)(jax.random.key(0))
  # Not all ones and zeros.
  rng = np.random.default_rng(0)
  params = jax.tree.map(
    lambda x: x + 0.1 * rng.normal(size=x.shape).astype(np.float32), params
  )
  images, labels = random_batch(0)

  @jax.jit
  def run(params, batch_stats):
    loss, batch_stats, grads = network.loss_and_grad(
      params, batch_stats, images, labels
    )
    logits = network.predict(params, batch_stats, images)
    return loss, to_plain(batch_stats), to_plain(grads), logits

  @jax.jit
  def run_plain(params, batch_stats):
    plain = Plain(net)

    def loss(params):
      logits, new = plain.apply(
        {'params': params, 'batch_stats': batch_stats},
        images,
        True,
        mutable='batch_stats',
      )
      losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
      return losses.mean(), new['batch_stats']

    (value, new), grads = jax.value_and_grad(loss, has_aux=True)(params)
    logits = plain.apply({'params': params, 'batch_stats': new}, images, False)
    return value, new, grads, logits

  result = run(params, batch_stats)
  expected = run_plain(to_plain(params), to_plain(batch_stats))
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5),
    result,
    expected,
  )


@pytest.mark.parametrize('merge', spaces.MERGES)
def test_init_has_the_form_of_the_module(merge):
  net = strided_net(merge)
  module = conv_net.ConvNetwork(net, CLASSES)
  variables = jax.eval_shape(
    module.init, jax.random.key(0), jnp.zeros((1, *IMAGE))
  )
  params, batch_stats = jax.eval_shape(
    lambda key: conv_net.init(key, net, IMAGE, CLASSES), jax.random.key(0)
  )
  assert variables == {'params': params, 'batch_stats': batch_stats}


def test_the_papers_network_has_the_papers_size():
  params, _ = jax.eval_shape(
    lambda key: conv_net.init(key, known_conv_nets.FIGURE_7, (32, 32, 3), 10),
    jax.random.key(0),
  )
  total = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
  assert round(total / 1e6, 3) == 4.202
  assert total == known_conv_nets.FIGURE_7.num_params(3, 10)


def test_weights_are_drawn_source_by_source():
  net = spaces.ConvNet((layer(1, 3, 2), layer(3, 1, 2), layer(1, 1, 3, 0, 1)))
  key = jax.random.key(5)
  key_kernels, key_head = jax.random.split(key)
  params, _ = conv_net.init(key, net, IMAGE, CLASSES)
  drawn = jax.random.normal(key_kernels, (2 * 18 + 12,))
  first, second, third, fourth = np.split(drawn, [18, 36, 42])
  np.testing.assert_allclose(
    params['layer_0']['kernel'], first.reshape(1, 3, 3, 2) * math.sqrt(2 / 9)
  )
  np.testing.assert_allclose(
    params['layer_1']['kernel'], second.reshape(3, 1, 3, 2) * math.sqrt(2 / 9)
  )
  np.testing.assert_allclose(
    params['layer_2']['kernel'],
    np.concatenate([third, fourth]).reshape(1, 1, 4, 3) * math.sqrt(2 / 4),
  )
  np.testing.assert_allclose(
    params['head']['kernel'],
    jax.random.normal(key_head, (12,)).reshape(3, 4) * math.sqrt(1 / 3),
    rtol=1e-6,
  )


def test_a_longer_draw_starts_with_the_shorter():
  # What other layouts of the same weights rest on.
  key = jax.random.key(0)
  longer = jax.random.normal(key, (1000,))
  for length in (1, 37, 999):
    np.testing.assert_array_equal(
      jax.random.normal(key, (length,)), longer[:length]
    )


def test_outputs_are_joined_about_their_centers():
  small, large = jnp.ones((1, 1, 2, 2)), jnp.full((1, 4, 2, 1), 2.0)
  concat = conv_net.join([small, large], 'concat')
  assert concat.shape == (1, 4, 2, 3)
  np.testing.assert_array_equal(concat[0, :, 0, 0], [0, 1, 0, 0])
  np.testing.assert_array_equal(concat[0, :, 1, 2], [2, 2, 2, 2])
  added = conv_net.join([small, large], 'add')
  assert added.shape == (1, 4, 2, 2)
  np.testing.assert_array_equal(added[0, :, 0, 0], [2, 3, 2, 2])
  np.testing.assert_array_equal(added[0, :, 0, 1], [0, 1, 0, 0])


def test_pooling_that_leaves_no_pixel_is_refused():
  net = spaces.ConvNet((layer(1, 1, 2), layer(1, 1, 2, 0)), pool_after=(0, 1))
  with pytest.raises(ValueError, match='after layer 1 leaves no pixel'):
    conv_net.make_network(net, (3, 3, 1), CLASSES)
