# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import contextlib
import importlib.util
import types

import numpy as np
import pytest

from jaxnas.datasets import image_sources, image_stock, prepared


def _part(size):
  rng = np.random.default_rng(size)
  return {
    'image': rng.integers(0, 256, (size, 4, 4, 3)).astype(np.uint8),
    'label': np.arange(size) % 3,
  }


@pytest.fixture
def use_tfds(monkeypatch):
  """Returns what puts a dataset into a tensorflow-datasets of its own."""

  def use(parts, image_shape=(4, 4, 3), features=('image', 'label'), **builder):
    info = types.SimpleNamespace(
      features={
        name: types.SimpleNamespace(shape=image_shape) for name in features
      },
      splits=parts,
    )
    builder = {
      'info': info,
      'download_and_prepare': lambda: None,
      'as_dataset': lambda split, batch_size: parts[split],
      **builder,
    }
    tfds = types.SimpleNamespace(
      builder=lambda name, data_dir: types.SimpleNamespace(**builder),
      as_numpy=lambda dataset: dataset,
    )
    monkeypatch.setattr(
      prepared, 'quiet_tfds', lambda: contextlib.nullcontext(tfds)
    )
    monkeypatch.setattr(importlib.util, 'find_spec', lambda _: True)
    monkeypatch.setattr(image_stock, '_hide_accelerators', lambda: None)
    return tfds

  return use


def _fail(*_, **__):
  raise RuntimeError('No way.\nNone at all.')


def test_splits_are_read(use_tfds):
  use_tfds({'train': _part(30), 'test': _part(9)})
  source = image_stock.read_stock('shapes')
  test = image_stock.read_stock_test('shapes')
  for (images, labels), size in ((source.train, 30), (test, 9)):
    np.testing.assert_array_equal(images, _part(size)['image'])
    np.testing.assert_array_equal(labels, _part(size)['label'])
  assert source.tenth == 3


def test_dataset_without_a_test_split_is_divided(use_tfds):
  use_tfds({'train': _part(30), 'validation': _part(6)})
  source = image_stock.read_stock('shapes')
  test = image_stock.read_stock_test('shapes')
  assert (len(source.train.labels), len(test.labels)) == (27, 3)
  assert source.tenth == 3
  expected = image_sources.divide(
    image_sources.LabeledImages(
      _part(30)['image'], _part(30)['label'].astype(np.int32)
    )
  )
  assert source.content_hash == expected.source.content_hash


def test_without_tensorflow_the_name_is_refused(monkeypatch):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda _: None)
  with pytest.raises(
    ValueError,
    match=r"'shapes' is none of a, b; any .* needs TensorFlow, which",
  ) as error:
    image_stock.read_stock('shapes', known='a, b')
  assert '\n' not in str(error.value)


def test_unknown_name_is_refused(use_tfds):
  use_tfds({}).builder = _fail
  with pytest.raises(
    ValueError, match=r"'shapes' is none of a, and .* make it \(No way\)\.$"
  ):
    image_stock.read_stock('shapes', known='a')


def test_dataset_that_cannot_be_prepared_is_named(use_tfds):
  use_tfds({'train': _part(30)}, download_and_prepare=_fail)
  with pytest.raises(
    ValueError, match=r"'shapes' cannot be prepared .* \(No way\)\.$"
  ):
    image_stock.read_stock('shapes')


def test_downloads_are_tried_a_few_times_only_here(use_tfds):
  from tensorflow_datasets.core.download import downloader

  before = downloader.MAX_RETRIES
  seen = []

  def prepare():
    seen.append(downloader.MAX_RETRIES)

  use_tfds({'train': _part(30)}, download_and_prepare=prepare)
  image_stock.read_stock('shapes')
  assert seen[0] < before == downloader.MAX_RETRIES


@pytest.mark.parametrize(
  ('parts', 'settings', 'message'),
  [
    ({'test': _part(9)}, {}, "'shapes' has no split 'train'"),
    (
      {'train': _part(9)},
      {'features': ('text', 'label')},
      "expected 'image' and 'label', got label, text",
    ),
    ({'train': _part(9)}, {'features': ('image',)}, 'got image'),
    (
      {'train': _part(9)},
      {'image_shape': (None, None, 3)},
      r'different sizes, \(None, None, 3\)',
    ),
    (
      {'train': {'image': _part(9)['image'], 'label': np.full(9, -1)}},
      {},
      "Dataset 'shapes': y_train must count classes from 0, got -1",
    ),
  ],
)
def test_dataset_of_another_kind_is_refused(use_tfds, parts, settings, message):
  use_tfds(parts, **settings)
  with pytest.raises(ValueError, match=message):
    image_stock.read_stock('shapes')
