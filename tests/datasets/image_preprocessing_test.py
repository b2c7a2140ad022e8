# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import jax
import numpy as np
import pytest

from jaxnas.datasets import image_preprocessing


def _images(num_images=300, shape=(3, 4, 2), seed=0):
  """Returns correlated images whose channels differ in mean and spread."""
  rng = np.random.default_rng(seed)
  common = rng.normal(0, 30, (num_images, 1, 1, shape[-1]))
  own = rng.normal(0, [10, 25], (num_images, *shape))
  return np.clip(common + own + [90, 150], 0, 255).astype(np.uint8)


def test_channels_are_standardized_by_hand_worked_numbers():
  images = np.array([[[[0, 5]], [[4, 5]]]], np.uint8)
  statistics = image_preprocessing.measure(images, 'standardize')
  np.testing.assert_array_equal(statistics.mean, [2, 5])
  # A channel of one value is left at 0.
  np.testing.assert_array_equal(statistics.deviation, [2, 1])
  preprocessed = image_preprocessing.apply(statistics, images)
  assert isinstance(preprocessed, jax.Array)
  assert preprocessed.dtype == np.float32
  np.testing.assert_array_equal(preprocessed, [[[[-1, 0]], [[1, 0]]]])


def test_other_images_are_standardized_by_the_statistics_given():
  train, other = _images(), _images(20, seed=1)
  statistics = image_preprocessing.measure(train, 'standardize')
  expected = (other - train.mean((0, 1, 2))) / train.std((0, 1, 2))
  np.testing.assert_allclose(
    image_preprocessing.apply(statistics, other), expected, atol=1e-5
  )


def test_statistics_do_not_depend_on_the_size_of_chunks(monkeypatch):
  whole = image_preprocessing.measure(_images(), 'whiten')
  monkeypatch.setattr(image_preprocessing, '_CHUNK', 7)
  for one, two in zip(
    whole, image_preprocessing.measure(_images(), 'whiten'), strict=True
  ):
    np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)


def test_whitened_values_are_uncorrelated(monkeypatch):
  monkeypatch.setattr(image_preprocessing, 'WHITENING_EPSILON', 1e-6)
  images = _images()
  statistics = image_preprocessing.measure(images, 'whiten')
  whitened = np.asarray(image_preprocessing.apply(statistics, images))
  assert whitened.shape == images.shape
  rows = whitened.reshape(len(images), -1)
  np.testing.assert_allclose(rows.mean(0), 0, atol=1e-4)
  np.testing.assert_allclose(rows.T @ rows / len(rows), np.eye(24), atol=1e-3)
  # ZCA is the symmetric one of all that whiten.
  np.testing.assert_array_equal(statistics.whitening, statistics.whitening.T)


def test_whitening_keeps_directions_and_shrinks_them_as_stated():
  images = _images()
  statistics = image_preprocessing.measure(images, 'whiten')
  standard = image_preprocessing.apply(
    image_preprocessing.measure(images, 'standardize'), images
  )
  rows = np.asarray(standard, np.float64).reshape(len(images), -1)
  covariance = np.cov(rows.T, bias=True)
  variances, directions = np.linalg.eigh(covariance)
  scales = (variances + image_preprocessing.WHITENING_EPSILON) ** -0.5
  np.testing.assert_allclose(
    statistics.whitening, directions * scales @ directions.T, atol=1e-4
  )
  np.testing.assert_allclose(statistics.center, rows.mean(0), atol=1e-5)


def test_pixels_that_never_change_are_whitened_to_finite_values():
  images = _images()
  images[:, 0] = 0
  statistics = image_preprocessing.measure(images, 'whiten')
  whitened = image_preprocessing.apply(statistics, images)
  assert np.isfinite(whitened).all()
  np.testing.assert_allclose(whitened[:, 0], 0, atol=1e-4)


def test_kinds_differ():
  images = _images()
  one, two = (
    image_preprocessing.apply(image_preprocessing.measure(images, kind), images)
    for kind in image_preprocessing.KINDS
  )
  assert abs(one - two).max() > 0.1


def test_unknown_kind_is_refused():
  with pytest.raises(
    ValueError, match="preprocessing 'pca'; expected one of standardize, whiten"
  ):
    image_preprocessing.measure(_images(), 'pca')


def test_large_images_are_not_whitened():
  images = np.zeros((2, 64, 65, 1), np.uint8)
  with pytest.raises(
    ValueError, match=r"at most 4096 values, got 4160 \(64x65x1\); use 'standa"
  ):
    image_preprocessing.measure(images, 'whiten')
  image_preprocessing.check('whiten', (64, 64, 1))
  image_preprocessing.check('standardize', (64, 65, 1))


def _unit_digits(high):
  """Returns images whose values go from 0 to a number."""
  images = np.zeros((4, 2, 2, 1), np.float32)
  images[1:, 0, 1, 0] = high * np.array([0.5, 0.75, 1])
  return images


@pytest.mark.parametrize(
  ('trained', 'given', 'factor'),
  [
    (255, 1, 255),
    (250, 0.9, 255),
    (1, 255, 1 / 255),
    (0.98, 240, 1 / 255),
    (16, 1, 16),
    (16, 255, 16 / 255),
    (1, 16, 1 / 16),
    (255, 65_535, 1 / 257),
    (255, 255, 1),
    (255, 30, 1),
    (1, 0.1, 1),
  ],
)
def test_another_scale_is_refused_or_brought_to_that_of_training(
  trained, given, factor
):
  statistics = image_preprocessing.measure(_unit_digits(trained), 'standardize')
  images = _unit_digits(given)
  rescaled, by = image_preprocessing.rescale(images, statistics)
  np.testing.assert_allclose(by, factor)
  np.testing.assert_allclose(rescaled, images * factor, rtol=1e-6)
  assert rescaled.dtype == np.float32
  image_preprocessing.check_scale('x', rescaled, statistics)
  if factor != 1:
    with pytest.raises(ValueError, match=f'^x: values go up to {given},'):
      image_preprocessing.check_scale('x', images, statistics)


def test_values_around_zero_are_not_those_from_zero():
  statistics = image_preprocessing.measure(_unit_digits(1), 'standardize')
  images = 2 * _unit_digits(1) - 1
  with pytest.raises(
    ValueError, match=r'start at -1, but those .* start at 0;'
  ):
    image_preprocessing.check_scale('x', images, statistics)
  # A little is what resampling does.
  image_preprocessing.check_scale('x', _unit_digits(1) - 0.05, statistics)
  statistics = image_preprocessing.measure(images, 'standardize')
  image_preprocessing.check_scale('x', images, statistics)
