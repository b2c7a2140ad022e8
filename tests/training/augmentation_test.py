# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import functools

import jax
import numpy as np

from jaxnas.training import augmentation

B, H, W, C = 400, 4, 5, 2
MARGIN = 2
IMAGES = np.random.default_rng(0).normal(size=(B, H, W, C)).astype(np.float32)


@functools.partial(jax.jit, static_argnames=('kind', 'margin', 'flip'))
def augment(key, images, kind, margin, flip):
  return augmentation.augment(key, images, kind, margin, flip)


@functools.partial(jax.jit, static_argnames='margin')
def enlarge(images, margin):
  shape = (len(images), H + 2 * margin, W + 2 * margin, C)
  return jax.image.resize(images, shape, 'linear')


def all_crops(image, margin):
  """Returns every crop of a padded image, by first row and column."""
  padded = np.pad(image, ((margin, margin), (margin, margin), (0, 0)))
  return {
    (row, column): padded[row : row + H, column : column + W]
    for row in range(2 * margin + 1)
    for column in range(2 * margin + 1)
  }


def test_crops_of_padded_images_are_all_that_fit_and_equally_often():
  views = np.asarray(augment(jax.random.key(0), IMAGES, 'pad_crop', 2, False))
  counts = np.zeros((2 * MARGIN + 1, 2 * MARGIN + 1))
  for image, view in zip(IMAGES, views, strict=True):
    found = [
      place
      for place, crop in all_crops(image, MARGIN).items()
      if np.array_equal(crop, view)
    ]
    assert len(found) == 1
    counts[found[0]] += 1
  # 16 each, with a standard deviation of 3.9.
  assert counts.min() >= 3
  assert counts.max() <= 35


def test_half_of_the_images_are_mirrored():
  views = np.asarray(augment(jax.random.key(1), IMAGES, 'none', 2, True))
  is_same = (views == IMAGES).all((1, 2, 3))
  is_mirrored = (views == IMAGES[:, :, ::-1]).all((1, 2, 3))
  assert (is_same ^ is_mirrored).all()
  # 200, with a standard deviation of 10.
  assert 150 < is_mirrored.sum() < 250


def test_nothing_is_done_unless_asked_for():
  views = augment(jax.random.key(2), IMAGES, 'none', 2, False)
  np.testing.assert_array_equal(views, IMAGES)
  np.testing.assert_array_equal(
    augment(jax.random.key(2), IMAGES, 'pad_crop', 0, False), IMAGES
  )


def test_enlarged_images_are_cropped_within_themselves():
  margin = 3
  images = IMAGES[:7]
  rng = np.random.default_rng(margin)
  offsets = rng.integers(0, 2 * margin + 1, (7, 2), dtype=np.int32)
  offsets[:2] = [[0, 0], [2 * margin, 2 * margin]]
  views = jax.jit(functools.partial(augmentation.upsample_crop, margin=margin))(
    images, offsets
  )
  large = enlarge(images, margin)
  for view, image, (row, column) in zip(views, large, offsets, strict=True):
    crop = image[row : row + H, column : column + W]
    np.testing.assert_allclose(view, crop, atol=1e-5)


def test_a_trained_child_sees_the_center_as_large_as_in_training():
  for kind in ('none', 'pad_crop'):
    assert augmentation.center(IMAGES, kind, MARGIN) is IMAGES
  images = IMAGES[:7]
  views = augmentation.center(images, 'upsample_crop', 3)
  large = enlarge(images, 3)
  np.testing.assert_allclose(views, large[:, 3:-3, 3:-3], atol=1e-5)
