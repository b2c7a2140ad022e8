# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import data_settings, search_conv_net
from experiments.parts import conv_nets, shared_nets

ROWS = np.array([[0, 0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1, 1]], np.int32)


@pytest.fixture(autouse=True, scope='module')
def quick_compilation():
  jax.config.update('jax_disable_most_optimizations', True)
  yield
  jax.config.update('jax_disable_most_optimizations', False)


@pytest.fixture(scope='module')
def config(tmp_path_factory):
  path = tmp_path_factory.mktemp('images') / 'images.npz'
  rng = np.random.default_rng(0)
  labels = rng.integers(0, 3, 60)
  pixels = rng.integers(0, 120, (60, 4, 4))
  pixels[np.arange(60), :, labels] += 100
  np.savez(path, x_train=pixels.astype(np.uint8), y_train=labels)
  return search_conv_net.Config(
    dataset='npz',
    data_dir=str(path),
    num_validation=22,
    sharing=True,
    num_layers=2,
    heights=(1, 3),
    widths=(1, 3),
    filters=(2, 3),
    batch_size=4,
    shared_cells=2,
    ranked_minibatches=2,
    num_host_devices=2,
  )


@pytest.fixture(scope='module')
def supernet(config):
  return shared_nets.SharedNets(
    config, data_settings.load_images(config), conv_nets.make_recipe(config)
  )


def test_networks_are_judged_by_accuracy_on_spread_minibatches(
  config, supernet
):
  space = conv_nets.make_space(config)
  nets = [space.decode(row) for row in ROWS]
  state = supernet.init(jax.random.key(0), 9)
  assert state.opt_state.num_steps == 9
  for _ in range(3):
    state = supernet.train(state, nets)
  assert supernet.num_dropped(state) == 0
  # 22 images are 5 minibatches of 4, of which 2 are spread over them.
  assert supernet.num_minibatches == 5
  each = [supernet.judge(state, nets, number) for number in (0, 2)]
  found = supernet.measure(state, nets)
  assert sorted(found) == sorted(shared_nets.METRICS)
  for name in ('validation_accuracy', 'validation_loss', 'best_accuracy'):
    mean = np.mean([metrics[name] for metrics in each], axis=0)
    np.testing.assert_allclose(found[name], mean, rtol=1e-6)
  assert found['num_trained'].tolist() == [3, 3]
  assert found['validation_loss'][0] != found['validation_loss'][1]
  assert set(each[0]['best_accuracy'] * 4) <= {0, 1, 2, 3, 4}
  assert supernet.compile_seconds > 0
  assert supernet.run_seconds > 0


def test_weights_have_a_learning_rate_of_their_own(config):
  config = dataclasses.replace(config, shared_learning_rate=0.5)
  task = shared_nets.make_task(
    config, data_settings.load_images(config), conv_nets.make_recipe(config)
  )
  params, opt_state = task.init(jax.random.key(0))
  after, _ = task.update(jax.tree.map(jnp.ones_like, params), opt_state, params)
  # A bias of 0 does not decay; Nesterov's momentum adds 0.9 at once.
  np.testing.assert_allclose(after['head_bias'], -0.5 * 1.9, rtol=1e-6)


def test_there_are_no_mixtures(supernet):
  with pytest.raises(ValueError, match='no mixtures'):
    supernet.slopes(None, None, 0)
