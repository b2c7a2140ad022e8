# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import dataclasses

import jax
import numpy as np
import pytest

from jaxnas.datasets import (
  held_out,
  image_archives,
  image_builders,
  image_sources,
  images,
)

SPLITS = ('train', 'validation', 'report')


def _save(path, num_train=40, num_test=8):
  """Writes images whose pixels are their number, in train and then test."""
  numbers = np.arange(num_train + num_test, dtype=np.float32)
  pixels = np.tile(numbers[:, None, None, None], (1, 2, 3, 1))
  labels = np.arange(len(numbers)) % 4
  np.savez(
    path,
    x_train=pixels[:num_train],
    y_train=labels[:num_train],
    x_test=pixels[num_train:],
    y_test=labels[num_train:],
  )
  return path


def _numbers(preprocessed, statistics):
  """Returns the numbers of standardized images."""
  mean, deviation = statistics
  pixels = np.asarray(preprocessed)[:, 0, 0, 0]
  return np.rint(pixels * deviation + mean).astype(int)


def _statistics(path, **arguments):
  """Returns mean and deviation of train, from which images stand apart."""
  dataset = images.load('npz', path, **arguments)
  labels = np.asarray(dataset.train_labels)
  pixels = np.asarray(dataset.train_images)[:, 0, 0, 0]
  # Two neighboring numbers are apart by one deviation of train.
  step = np.diff(np.sort(pixels)).min()
  lowest = int(labels[pixels.argmin()])
  return -pixels.min() / step + lowest, 1 / step


@pytest.fixture(scope='module')
def digits():
  return images.load('digits')


def test_digits_are_divided_70_10_10_10(digits):
  sizes = [len(getattr(digits, f'{split}_labels')) for split in SPLITS]
  assert sizes == [1260, 179, 179]
  test_images, test_labels = held_out.load_images(digits)
  assert (len(test_images), len(test_labels)) == (179, 179)
  assert digits.num_classes == 10
  assert digits.image_shape == (8, 8, 1)
  assert len(digits.content_hash) == 64


def test_digits_are_on_the_device(digits):
  for split in SPLITS:
    split_images = getattr(digits, f'{split}_images')
    labels = getattr(digits, f'{split}_labels')
    assert isinstance(split_images, jax.Array)
    assert isinstance(labels, jax.Array)
    assert (split_images.dtype, labels.dtype) == (np.float32, np.int32)
    assert split_images.shape == (len(labels), 8, 8, 1)
    assert set(np.unique(labels)) == set(range(10))


def test_statistics_are_those_of_train(digits):
  train = np.asarray(digits.train_images, np.float64)
  np.testing.assert_allclose(train.mean(), 0, atol=1e-6)
  np.testing.assert_allclose(train.std(), 1, atol=1e-6)
  for split in ('validation', 'report'):
    other = np.asarray(getattr(digits, f'{split}_images'))
    assert abs(other.mean()) > 1e-6
    np.testing.assert_allclose(other.std(), 1, atol=0.05)


def test_pixels_and_labels_stay_together(digits):
  source = image_sources.read_digits()
  labels_of = {
    image.tobytes(): label for image, label in zip(*source.train, strict=True)
  }
  for split in SPLITS:
    pixels = np.asarray(getattr(digits, f'{split}_images'))
    # Every split has pixels of 0 and of 16.
    scale = 16 / (pixels.max() - pixels.min())
    raw = np.rint((pixels - pixels.min()) * scale).astype(np.uint8)
    found = [labels_of[image.tobytes()] for image in raw]
    np.testing.assert_array_equal(found, getattr(digits, f'{split}_labels'))


def test_whitening_is_another_preprocessing(digits):
  whitened = images.load('digits', preprocessing='whiten')
  np.testing.assert_array_equal(whitened.train_labels, digits.train_labels)
  assert whitened.content_hash == digits.content_hash
  rows = np.asarray(whitened.train_images).reshape(-1, 64)
  correlated = np.asarray(digits.train_images).reshape(-1, 64)
  assert np.linalg.eigvalsh(np.cov(rows.T)).max() < 1.01
  assert np.linalg.eigvalsh(np.cov(correlated.T)).max() > 2
  test_images, _ = held_out.load_images(whitened)
  assert abs(test_images - held_out.load_images(digits)[0]).max() > 0.1


def test_no_image_is_in_two_splits_or_lost(tmp_path):
  path = _save(tmp_path / 'a.npz')
  for seed in (0, 1):
    statistics = _statistics(path, seed=seed)
    dataset = images.load('npz', path, seed=seed)
    seen = [
      _numbers(getattr(dataset, f'{split}_images'), statistics)
      for split in SPLITS
    ]
    assert [len(numbers) for numbers in seen] == [32, 4, 4]
    for split, numbers in zip(SPLITS, seen, strict=True):
      np.testing.assert_array_equal(
        numbers % 4, getattr(dataset, f'{split}_labels')
      )
    np.testing.assert_array_equal(np.sort(np.concatenate(seen)), np.arange(40))


def test_splits_are_drawn_by_the_seed_and_test_is_not(tmp_path):
  path = _save(tmp_path / 'a.npz')
  drawn, tests = [], []
  for seed in (0, 0, 1):
    statistics = _statistics(path, seed=seed)
    dataset = images.load('npz', path, seed=seed)
    drawn.append(_numbers(dataset.validation_images, statistics).tolist())
    test_images, labels = held_out.load_images(dataset, path)
    tests.append(_numbers(test_images, statistics).tolist())
    np.testing.assert_array_equal(labels, np.arange(40, 48) % 4)
  assert drawn[0] == drawn[1]
  assert set(drawn[0]) != set(drawn[2])
  assert tests == [list(range(40, 48))] * 3


def test_splits_are_stratified(tmp_path):
  path = _save(tmp_path / 'a.npz', num_train=200)
  dataset = images.load('npz', path, num_validation=41, num_report=10)
  for split, size in (('train', 149), ('validation', 41), ('report', 10)):
    counts = np.bincount(getattr(dataset, f'{split}_labels'))
    assert counts.sum() == size
    assert np.ptp(counts) <= 2


def test_small_datasets_have_one_image_a_split(tmp_path):
  dataset = images.load('npz', _save(tmp_path / 'a.npz', num_train=6))
  sizes = [len(getattr(dataset, f'{split}_labels')) for split in SPLITS]
  assert sizes == [4, 1, 1]


def test_without_a_report_split_validation_stands_in_and_that_is_said(
  tmp_path, caplog
):
  path = _save(tmp_path / 'a.npz')
  dataset = images.load(
    'npz', path, num_validation=4, num_report=0, preprocessing='whiten'
  )
  assert not dataset.has_report
  assert 'num_report is 0: comparisons are measured on' in caplog.text
  assert len(dataset.train_labels) == 36
  np.testing.assert_array_equal(
    dataset.report_images, dataset.validation_images
  )
  caplog.clear()
  assert images.load('npz', path, num_report=1).has_report
  assert not caplog.records


def test_dataset_holds_no_test_data(tmp_path, digits):
  names = {field.name for field in dataclasses.fields(digits)}
  assert names == {
    'name',
    'num_classes',
    'statistics',
    'content_hash',
    'has_report',
    'seen_hash',
    *(f'{split}_{what}' for split in SPLITS for what in ('images', 'labels')),
  }


def test_test_split_is_logged(tmp_path, caplog):
  path = _save(tmp_path / 'a.npz')
  with caplog.at_level('INFO', logger='absl'):
    dataset = images.load('npz', path)
    assert 'Test data' not in caplog.text
    held_out.load_images(dataset, path)
  assert (
    f"Test data was loaded: 8 images of 'npz' (content {dataset.content_hash})"
    in caplog.text
  )


@pytest.mark.parametrize('name', list(image_archives.ARCHIVED))
def test_archived_datasets_are_asked_for_what_is_needed(monkeypatch, name):
  asked = []
  source = image_sources.read_digits()

  def read(name, data_dir):
    asked.append((name, data_dir))
    return source

  def read_test(name, data_dir):
    asked.append((name, data_dir, 'test'))
    return source.train

  monkeypatch.setattr(image_builders, 'read_archived', read)
  monkeypatch.setattr(image_builders, 'read_archived_test', read_test)
  dataset = images.load(name, 'folder')
  assert dataset.name == name
  held_out.check_images(dataset, 'folder')
  held_out.load_images(dataset, 'folder')
  assert asked == [(name, 'folder'), (name, 'folder', 'test')]


def test_folder_given_for_digits_is_said_to_be_unread(caplog):
  images.load('digits', '/some/folder')
  assert "'/some/folder' is ignored" in caplog.text


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ({'preprocessing': 'zca'}, "preprocessing 'zca'; expected one of stand"),
    ({'seed': -1}, 'seed must be at least 0, got -1'),
    ({'num_validation': 0}, 'num_validation must be at least 1, got 0'),
    ({'num_report': -3}, 'num_report must be at least 0, got -3'),
    (
      {'num_validation': 30, 'num_report': 10},
      'num_validation=30 and num_report=10 leave no image .* there are 40',
    ),
    ({'num_validation': 50}, 'num_validation=50 and num_report=4 leave no'),
    ({'name': 'npz', 'data_dir': None}, "Dataset 'npz' needs data_dir"),
  ],
)
def test_bad_arguments_are_refused(tmp_path, arguments, message):
  path = _save(tmp_path / 'a.npz')
  with pytest.raises(ValueError, match=message) as error:
    images.load(**{'name': 'npz', 'data_dir': path, **arguments})
  assert '\n' not in str(error.value)


def test_unknown_name_is_refused_with_near_ones(monkeypatch):
  monkeypatch.setattr(
    images.image_stock.importlib.util, 'find_spec', lambda _: None
  )
  with pytest.raises(
    ValueError,
    match=r'fashion_mnist, mnist, npz \(did you mean .digits.\?\); any other',
  ):
    images.load('digts')


def test_large_images_are_not_whitened(tmp_path):
  arrays = {
    'x_train': np.zeros((9, 40, 40, 3), np.uint8),
    'y_train': np.arange(9) % 2,
  }
  arrays.update(x_test=arrays['x_train'], y_test=arrays['y_train'])
  np.savez(tmp_path / 'a.npz', **arrays)
  with pytest.raises(ValueError, match=r'got 4800 \(40x40x3\)'):
    images.load('npz', tmp_path / 'a.npz', preprocessing='whiten')
