# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest

from jaxnas.datasets import image_files

PIXELS = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)
LABELS = np.array([2, 0, 1])


@pytest.fixture
def save(tmp_path):
  def save(**arrays):
    np.savez(tmp_path / 'images.npz', **arrays)
    return tmp_path / 'images.npz'

  return save


@pytest.mark.parametrize('pair', image_files.PAIRS)
def test_usual_names_are_found(save, pair):
  images, labels = pair
  file = image_files.read(save(**{labels: LABELS, images: PIXELS}))
  np.testing.assert_array_equal(file.images, PIXELS[..., None])
  np.testing.assert_array_equal(file.labels, LABELS)
  assert file.labels.dtype == np.int32
  assert (file.images_name, file.labels_name) == pair


def test_labels_may_be_missing(save):
  file = image_files.read(save(x=PIXELS, labels=LABELS))
  assert file.labels is None
  assert file.labels_name == ''


def test_other_names_are_asked_for(save):
  path = save(x=PIXELS, pictures=PIXELS / 2, truth=LABELS, y=LABELS[::-1])
  file = image_files.read(path, 'pictures', 'truth')
  assert file.images.dtype == np.float32
  np.testing.assert_array_equal(file.images[..., 0], PIXELS / 2)
  np.testing.assert_array_equal(file.labels, LABELS)
  assert image_files.read(path, 'pictures').labels is None


@pytest.mark.parametrize(
  ('arrays', 'names', 'message'),
  [
    (
      {'x_train': PIXELS, 'y_train': LABELS},
      {},
      'has no x or images or x_test; it holds x_train, y_train; name ',
    ),
    ({'x': PIXELS}, {'images': 'z'}, 'has no z; it holds x'),
    ({'x': PIXELS}, {'labels': 'y'}, 'has no y; it holds x'),
    ({'x': PIXELS[0]}, {}, 'x must have the shape'),
    ({'x': PIXELS / np.nan}, {}, 'x has values that are NaN'),
    ({'x': PIXELS.astype(str)}, {}, 'x must be uint8 or floats'),
    ({'x': PIXELS[:0]}, {}, 'x is empty'),
    ({'x': PIXELS, 'y': LABELS[:2]}, {}, 'y must have the shape'),
    ({'x': PIXELS, 'y': LABELS / 2}, {}, 'y must be integers'),
    ({'x': PIXELS, 'y': LABELS - 1}, {}, 'y must count classes from 0'),
    ({'x': np.array([{}, {}])}, {}, 'x holds Python objects'),
  ],
)
def test_what_is_wrong_is_said_in_a_line(save, arrays, names, message):
  with pytest.raises(ValueError, match=message) as error:
    image_files.read(save(**arrays), **names)
  assert '\n' not in str(error.value)
  assert 'images.npz' in str(error.value)


def test_a_file_that_is_none_is_named(tmp_path):
  with pytest.raises(FileNotFoundError, match='missing or not a file'):
    image_files.read(tmp_path / 'images.npz')
  with pytest.raises(FileNotFoundError, match='missing or not a file'):
    image_files.read(tmp_path)
  (tmp_path / 'images.npz').write_text('no archive')
  with pytest.raises(ValueError, match=r'expected an .npz file with images'):
    image_files.read(tmp_path / 'images.npz')
