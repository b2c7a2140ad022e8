# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import dataclasses

import jax
import numpy as np
import pytest

from jaxnas.children import conv_net
from jaxnas.datasets import image_preprocessing
from jaxnas.export import image_weights, weights
from jaxnas.spaces import known_conv_nets, recurrent_cell
from jaxnas.training import augmentation, long_images

NET = known_conv_nets.make_dense(2, 2, merge='add')
SHAPE = (4, 5, 2)


def make(preprocessing):
  generator = np.random.default_rng(0)
  pixels = generator.integers(0, 256, (9, *SHAPE)).astype(np.uint8)
  network = conv_net.make_network(NET, SHAPE, 3)
  params, batch_stats = jax.jit(network.init)(jax.random.key(0))
  batch_stats['layer_0']['mean'] += 0.25
  made = image_weights.ImageWeights(
    params=params,
    batch_stats=batch_stats,
    architecture=NET,
    image_shape=SHAPE,
    num_classes=3,
    statistics=image_preprocessing.measure(pixels, preprocessing),
    recipe=long_images.Recipe(
      augmentation='upsample_crop', margin=1, evaluation_batch_size=4
    ),
    facts={'epoch': 3, 'accuracy': 0.5},
  )
  return made, pixels


@pytest.mark.parametrize('preprocessing', image_preprocessing.KINDS)
def test_what_is_written_is_loaded(preprocessing, tmp_path):
  made, _ = make(preprocessing)
  path = tmp_path / 'weights.npz'
  image_weights.write_weights(path, made)
  loaded = image_weights.load_weights(str(path))
  arrays = ('params', 'batch_stats', 'statistics')
  for name in arrays:
    jax.tree.map(
      np.testing.assert_array_equal, getattr(loaded, name), getattr(made, name)
    )
  for name in set(made._fields) - set(arrays):
    assert getattr(loaded, name) == getattr(made, name), name
  image_weights.write_weights(tmp_path / 'other.npz', loaded)
  assert (tmp_path / 'other.npz').read_bytes() == path.read_bytes()
  with np.load(path, allow_pickle=False) as archive:
    np.testing.assert_array_equal(
      archive['batch_stats/layer_0/mean'], [0.25, 0.25]
    )


def test_a_classifier_preprocesses_and_sees_the_view_it_was_trained_for():
  made, pixels = make('whiten')
  classify = image_weights.make_classifier(made)
  logits = classify(pixels)
  network = conv_net.make_network(NET, SHAPE, 3)

  @jax.jit
  def predict(images):
    views = augmentation.center(images, 'upsample_crop', 1)
    return network.predict(made.params, made.batch_stats, views)

  expected = predict(image_preprocessing.apply(made.statistics, pixels))
  np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)
  assert np.abs(np.diff(logits, axis=0)).max() > 0.01
  assert classify(pixels[:0]).shape == (0, 3)
  with pytest.raises(ValueError, match=r'\[n, 4, 5, 2\], got \[9, 4, 5\]'):
    classify(pixels[..., 0])


def test_a_classifier_has_the_epsilon_it_was_trained_with(tmp_path):
  made, pixels = make('standardize')
  recipe = dataclasses.replace(made.recipe, batch_norm_epsilon=0.5)
  path = tmp_path / 'weights.npz'
  image_weights.write_weights(path, made._replace(recipe=recipe))
  logits = image_weights.make_classifier(image_weights.load_weights(path))(
    pixels
  )
  # By hand, an epsilon is a larger variance.
  larger = jax.tree.map_with_path(
    lambda at, leaf: leaf + 0.5 - 1e-5 if at[-1].key == 'var' else leaf,
    made.batch_stats,
  )
  by_hand = image_weights.make_classifier(made._replace(batch_stats=larger))
  np.testing.assert_allclose(logits, by_hand(pixels), rtol=1e-4, atol=1e-5)
  usual = image_weights.make_classifier(made)(pixels)
  assert np.abs(logits - usual).max() > 0.01


def test_gray_images_need_no_channels():
  made, pixels = make('standardize')
  net = known_conv_nets.make_chain(1, 2)
  network = conv_net.make_network(net, (4, 5, 1), 3)
  params, batch_stats = network.init(jax.random.key(0))
  gray = made._replace(
    params=params,
    batch_stats=batch_stats,
    architecture=net,
    image_shape=(4, 5, 1),
    statistics=image_preprocessing.measure(pixels[..., :1], 'standardize'),
  )
  classify = image_weights.make_classifier(gray)
  np.testing.assert_array_equal(
    classify(pixels[..., 0]), classify(pixels[..., :1])
  )


@pytest.mark.parametrize('is_recorded', [True, False])
def test_images_of_another_scale_are_refused(tmp_path, is_recorded):
  made, pixels = make('standardize')
  if not is_recorded:  # As in a file of before.
    made = made._replace(
      statistics=made.statistics._replace(low=None, high=None)
    )
  path = tmp_path / 'weights.npz'
  image_weights.write_weights(path, made)
  loaded = image_weights.load_weights(path)
  if is_recorded:
    assert (loaded.statistics.low, loaded.statistics.high) == (0, 255)
  classify = image_weights.make_classifier(loaded)
  with pytest.raises(ValueError, match=r'up to 1, but those of .* up to .*2'):
    classify(np.float32(pixels / pixels.max()))
  # What is right, black or dark is no scale of its own.
  for right in (pixels, np.float32(pixels), 0 * pixels, pixels // 100):
    assert classify(right).shape == (9, 3)
  assert classify(np.zeros((2, *SHAPE), np.float32)).shape == (2, 3)
  unit = image_preprocessing.measure(np.float32(pixels / 255), 'standardize')
  classify = image_weights.make_classifier(made._replace(statistics=unit))
  with pytest.raises(ValueError, match=r'up to 255, but those of .* up to 1'):
    classify(pixels)
  assert classify(np.float32(pixels / 255)).shape == (9, 3)


def test_another_kind_of_weights_is_told(tmp_path):
  made, _ = make('standardize')
  path, other = tmp_path / 'images.npz', tmp_path / 'text.npz'
  image_weights.write_weights(path, made)
  cell = recurrent_cell.KNOWN_CELLS['gru']
  weights.write_weights(other, {'params': {'w': np.zeros(2)}}, ('a',), cell)
  with pytest.raises(ValueError, match='an image classifier, not a langu'):
    weights.load_weights(path)
  with pytest.raises(ValueError, match='a language model, not an imag'):
    image_weights.load_weights(other)
  with pytest.raises(FileNotFoundError, match='no weights file'):
    image_weights.load_weights(tmp_path / 'none.npz')


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'num_classes': 4}, 'but the file has'),
    ({'image_shape': (4, 5, 1)}, r'statistics/mean must be \[1\]'),
    ({'architecture': known_conv_nets.make_chain(2, 3)}, 'but the file has'),
  ],
)
def test_weights_of_another_network_are_refused(change, message, tmp_path):
  made, _ = make('standardize')
  path = tmp_path / 'weights.npz'
  image_weights.write_weights(path, made._replace(**change))
  with pytest.raises(ValueError, match=f'damaged .*{message}'):
    image_weights.load_weights(path)
