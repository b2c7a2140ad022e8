# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.datasets import image_preprocessing, images
from jaxnas.spaces import known_conv_nets
from jaxnas.trainers import conv_routes
from jaxnas.training import image_task

# Of a shape that no other test has.
SHAPE = (23, 2, 3, 1)


def make_routes(num_devices=2, **recipe):
  arrays = {}
  for split in ('train', 'validation', 'report'):
    arrays[f'{split}_images'] = jnp.ones(SHAPE)
    arrays[f'{split}_labels'] = jnp.zeros(SHAPE[0], jnp.int32)
  dataset = images.ImageDataset(
    name='ones',
    num_classes=2,
    statistics=image_preprocessing.Statistics(np.zeros(1), np.ones(1)),
    content_hash='',
    **arrays,
  )
  layout = {
    'num_layers': 2,
    'heights': (1,),
    'widths': (1,),
    'filters': (2,),
    'merge': 'concat',
  }
  return conv_routes.ConvRoutes(
    dataset,
    image_task.Recipe(**{'batch_size': 4} | recipe),
    layout,
    num_devices,
    block_size=0,
  )


def places():
  """Returns where in memory images of this module are."""
  return {
    shard.data.unsafe_buffer_pointer()
    for array in jax.live_arrays()
    if array.shape == SHAPE
    for shard in array.addressable_shards
  }


def test_trainers_share_the_data_on_each_device():
  makers = make_routes()
  before = places()
  kept = [makers.make(name) for name in ('interpreted', 'vmapped')]
  kept += [
    makers.make_baseline(known_conv_nets.make_chain(2, filters))
    for filters in (1, 2, 3)
  ]
  assert len(makers.trainers) == len(kept)
  assert places() == before


def test_unknown_route_is_refused():
  with pytest.raises(ValueError, match=r"'fast'; expected one of auto, compil"):
    make_routes().make('fast')


def test_what_no_trainer_could_be_made_of_is_refused_at_once():
  with pytest.raises(
    ValueError, match='from 1 to 2, the number of local devices'
  ):
    make_routes(num_devices=3)
  with pytest.raises(ValueError, match='only 23 images to train on'):
    make_routes(batch_size=24)


@pytest.mark.parametrize('backend', ['cpu', 'gpu'])
def test_auto_measures_what_can_be_the_fastest(monkeypatch, backend):
  monkeypatch.setattr(jax, 'default_backend', lambda: backend)
  assert conv_routes.candidates(space_is_plain=False) == ('compiled',)
  assert ('vmapped' in conv_routes.candidates(True)) == (backend == 'gpu')
  sizes = [conv_routes.default_block_size(n, 2) for n in conv_routes.ROUTES]
  assert sizes == [8, 8, 64 if backend == 'gpu' else 8]
