# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.children import conv_net
from jaxnas.spaces.conv_net import ConvLayer, ConvNet
from jaxnas.training import image_task

HAS_TORCH = importlib.util.find_spec('torch') is not None
NET = ConvNet(
  (
    ConvLayer(3, 5, 3),
    ConvLayer(1, 3, 2),
    ConvLayer(3, 1, 2, inputs=(0, 1)),
    ConvLayer(1, 1, 4, inputs=(0,)),
  )
)


@pytest.fixture(autouse=True, scope='module')
def quick_compilation():
  jax.config.update('jax_disable_most_optimizations', True)
  yield
  jax.config.update('jax_disable_most_optimizations', False)


@pytest.mark.slow
@pytest.mark.skipif(not HAS_TORCH, reason='PyTorch is not installed')
def test_the_child_of_pytorch_is_that_of_jaxnas():
  import torch

  from experiments.benchmarks import conv_torch as worker

  image_shape, num_classes, batch_size = (5, 6, 2), 3, 4
  network = conv_net.make_network(NET, image_shape, num_classes)
  # With the learning rate of the benchmark, and all of its recipe.
  recipe = image_task.Recipe(batch_size=batch_size)
  state = image_task.init(network, recipe, jax.random.key(0))
  model = worker.ConvNetwork(NET, image_shape[2], num_classes)
  model = model.to(memory_format=torch.channels_last)

  def from_jax(params):
    """Returns jaxnas's parameters in PyTorch's names and orders."""
    params = jax.tree.map(np.asarray, params)
    found = {
      'head.weight': params['head']['kernel'].T,
      'head.bias': params['head']['bias'],
    }
    for number in range(len(NET.layers)):
      layer = params[f'layer_{number}']
      found |= {
        f'convolutions.{number}.weight': layer['kernel'].transpose(3, 2, 0, 1),
        f'norms.{number}.weight': layer['scale'],
        f'norms.{number}.bias': layer['bias'],
      }
    return found

  initial = from_jax(state.child.params)
  missing, unexpected = model.load_state_dict(
    {name: torch.tensor(x) for name, x in initial.items()}, strict=False
  )
  assert not unexpected
  assert all('running_' in name or 'num_batches' in name for name in missing)
  step = worker.make_step(model)
  jax_step = jax.jit(
    lambda state, images, labels: image_task.step(
      network, recipe, state, images, labels, worker._LEARNING_RATE
    )
  )
  rng = np.random.default_rng(0)
  for _ in range(3):
    images = rng.normal(size=(batch_size, *image_shape)).astype(np.float32)
    labels = rng.integers(num_classes, size=batch_size)
    state = jax_step(state, jnp.asarray(images), jnp.asarray(labels, jnp.int32))
    loss = step(torch.tensor(images).permute(0, 3, 1, 2), torch.tensor(labels))
    np.testing.assert_allclose(loss.item(), state.loss, rtol=1e-4)
  trained = model.state_dict()
  for name, expected in from_jax(state.child.params).items():
    assert np.abs(expected - initial[name]).max() > 1e-3
    np.testing.assert_allclose(
      trained[name].detach().numpy(),
      expected,
      rtol=1e-3,
      atol=1e-4,
      err_msg=name,
    )
