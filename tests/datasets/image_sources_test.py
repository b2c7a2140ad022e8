# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import hashlib
import sys

import numpy as np
import pytest

from jaxnas.datasets import image_sources
from jaxnas.datasets.image_sources import LabeledImages


def _arrays(num_train=20, num_test=6, shape=(4, 5, 2), dtype=np.uint8):
  rng = np.random.default_rng(0)
  arrays = {}
  for part, size in (('train', num_train), ('test', num_test)):
    arrays[f'x_{part}'] = rng.integers(0, 256, (size, *shape)).astype(dtype)
    arrays[f'y_{part}'] = np.arange(size) % 3
  return arrays


def _save(path, **changes):
  arrays = {**_arrays(), **changes}
  np.savez(path, **{k: v for k, v in arrays.items() if v is not None})
  return path


def test_npz_is_read(tmp_path):
  source = image_sources.read_npz(_save(tmp_path / 'a.npz'))
  test = image_sources.read_npz_test(tmp_path / 'a.npz')
  for part, (images, labels) in (('train', source.train), ('test', test)):
    np.testing.assert_array_equal(images, _arrays()[f'x_{part}'])
    np.testing.assert_array_equal(labels, _arrays()[f'y_{part}'])
    assert (images.dtype, labels.dtype) == (np.uint8, np.int32)
  assert source.tenth == 2


@pytest.mark.parametrize('dtype', [np.float16, np.float32, np.float64, '>f8'])
def test_floats_become_float32(dtype):
  source, _ = image_sources.check('Here', _arrays(dtype=dtype))
  assert source.train.images.dtype == np.float32
  np.testing.assert_array_equal(source.train.images, _arrays()['x_train'])


def test_gray_images_need_no_channels():
  arrays = _arrays(shape=(4, 5))
  source, test = image_sources.check('Here', arrays)
  assert source.train.images.shape == (20, 4, 5, 1)
  np.testing.assert_array_equal(test.images[..., 0], arrays['x_test'])


def test_labels_may_be_any_integers():
  arrays = _arrays()
  arrays['y_train'] = arrays['y_train'].astype(np.uint64)
  arrays['y_test'] = arrays['y_test'].astype(np.int8)
  source, test = image_sources.check('Here', arrays)
  for part in (source.train, test):
    assert part.labels.dtype == np.int32


def test_a_test_split_need_not_be_there(tmp_path):
  whole = _save(tmp_path / 'a.npz')
  half = _save(tmp_path / 'b.npz', x_test=None, y_test=None)
  one, two = image_sources.read_npz(whole), image_sources.read_npz(half)
  for first, second in zip(one.train, two.train, strict=True):
    np.testing.assert_array_equal(first, second)
  with pytest.raises(ValueError, match=r"b\.npz' has no x_test and y_test, so"):
    image_sources.read_npz_test(half)


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    (
      {'y_test': None},
      'has no y_test; it holds x_train, y_train, x_test, but a test split',
    ),
    (
      {'x_train': None, 'y_test': None},
      'it has no x_train; it holds y_train, x_test.*expected an .npz file with',
    ),
    (
      dict.fromkeys(_arrays()) | {'images': 1, 'labels': 1},
      'it has no x_train, y_train; it holds images, labels.*expected an',
    ),
    (
      {'x_train': np.zeros((20, 9), np.uint8)},
      r'x_train must have the shape \[n, height.* got \[20, 9\]',
    ),
    ({'x_test': np.uint8(1)}, r'x_test must have the shape .* got \[\]'),
    ({'x_train': np.zeros((20, 1, 4, 5, 2))}, r'got \[20, 1, 4, 5, 2\]'),
    (
      {'x_train': np.zeros((0, 4, 5, 2), np.uint8)},
      r'x_train is empty, its shape is \[0, 4, 5, 2\]',
    ),
    ({'x_test': np.zeros((6, 4, 0, 2))}, 'x_test is empty'),
    ({'x_train': np.zeros((20, 4, 5, 2), int)}, 'uint8 or floats, got int64'),
    ({'x_test': np.full((6, 4, 5, 2), 'a')}, 'x_test must be uint8 or floats'),
    ({'x_test': np.full((6, 4, 5, 2), np.nan)}, 'x_test has values that are'),
    ({'x_train': np.full((20, 4, 5, 2), 1e60)}, 'or beyond float32'),
    (
      {'x_test': np.zeros((6, 5, 4, 2), np.uint8)},
      r'shape \(4, 5, 2\) in x_train and \(5, 4, 2\) in x_test',
    ),
    ({'x_test': np.zeros((6, 4, 5, 2))}, 'uint8 in x_train and float32 in'),
    (
      {
        'x_train': np.full((20, 4, 5, 2), 200.0),
        'x_test': np.full((6, 4, 5, 2), 0.5),
      },
      'x_test: values go up to 0.5, but those of .* up to 200; bring',
    ),
    (
      {'y_train': np.zeros(19, int)},
      r'y_train must have the shape \[20\], .* got \[19\]',
    ),
    ({'y_test': np.zeros((6, 1), int)}, r'y_test must .* got \[6, 1\]'),
    ({'y_test': np.zeros(6)}, 'y_test must be integers, got float64'),
    ({'y_train': np.zeros(20, bool)}, 'y_train must be integers, got bool'),
    ({'y_train': np.arange(20) - 1}, 'y_train must count .* from 0, got -1'),
    ({'y_test': np.full(6, 2**40)}, 'y_test must count .* got 1099511627776'),
    (
      {'y_test': np.array([0, 1, 2, 3, 7, 3])},
      'y_test has the classes 3, 7, but y_train has no example',
    ),
    (
      {'y_train': np.ones(20, int), 'y_test': np.ones(6, int)},
      'y_train has only the class 1; it needs at least two',
    ),
    (
      {'y_train': np.arange(20) % 3 * 100},
      'y_train has the label 200 and only 20 images; count .* from 0',
    ),
    ({'x_train': np.array([{}] * 20)}, r'cannot be read \(.*need pickle'),
  ],
)
def test_wrong_array_is_named(tmp_path, changes, message):
  if 'y_train' in changes and 'y_test' not in changes:
    changes = {**changes, 'y_test': np.zeros(6, int)}
  path = _save(tmp_path / 'a.npz', **changes)
  with pytest.raises(ValueError, match=message) as error:
    image_sources.read_npz(path)
  assert str(error.value).startswith(f'File {str(path)!r}')
  assert '\n' not in str(error.value)


def test_channels_that_stand_first_are_doubted(caplog):
  image_sources.check('Here', _arrays(shape=(3, 32, 32)))
  assert 'x_train has the shape [20, 3, 32, 32]' in caplog.text


def test_classes_without_an_example_are_doubted(caplog):
  arrays = _arrays()
  for name in ('y_train', 'y_test'):
    arrays[name] = arrays[name] + 7
  image_sources.check('Here', arrays)
  assert 'the classes 0, 1, 2, 3, 4 and 2 more' in caplog.text
  for name in ('y_train', 'y_test'):
    arrays[name] = arrays[name] - 6
  image_sources.check('Here', arrays)
  assert 'no example of the class 0; classes' in caplog.text


def test_missing_path_is_named(tmp_path):
  with pytest.raises(ValueError, match=r"'npz' needs data_dir, an \.npz file"):
    image_sources.read_npz(None)
  for path in (tmp_path / 'nowhere.npz', tmp_path):
    with pytest.raises(FileNotFoundError, match='is not a file') as error:
      image_sources.read_npz(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize('content', [b'', b'text', b'PK\x03\x04 broken'])
def test_file_that_is_no_npz_is_named(tmp_path, content):
  (tmp_path / 'a.npz').write_bytes(content)
  with pytest.raises(ValueError, match=r"a\.npz' cannot be read \(.+\)"):
    image_sources.read_npz(tmp_path / 'a.npz')


def test_single_array_is_no_npz(tmp_path):
  np.save(tmp_path / 'a.npy', np.zeros(3))
  with pytest.raises(ValueError, match=r'\(it holds a single array\)'):
    image_sources.read_npz(tmp_path / 'a.npy')


@pytest.mark.parametrize('save', [np.savez, np.savez_compressed])
def test_damaged_npz_is_named(tmp_path, save):
  save(tmp_path / 'a.npz', **_arrays())
  content = bytearray((tmp_path / 'a.npz').read_bytes())
  content[300:340] = bytes(40)
  (tmp_path / 'a.npz').write_bytes(content)
  with pytest.raises(ValueError, match=r"a\.npz' cannot be read \(.+\)"):
    image_sources.read_npz(tmp_path / 'a.npz')


@pytest.mark.parametrize(
  ('place', 'reason'), [(8, 'encrypted'), (10, 'compression method')]
)
def test_file_that_zipfile_does_not_unpack_is_named(tmp_path, place, reason):
  path = _save(tmp_path / 'a.npz')
  content = bytearray(path.read_bytes())
  # A bit of what the archive says of its first file.
  content[content.index(b'PK\1\2') + place] |= 1
  path.write_bytes(content)
  with pytest.raises(ValueError, match=rf"a\.npz' cannot be read \(.*{reason}"):
    image_sources.read_npz(path)


def test_digits_are_divided_once_for_all():
  source = image_sources.read_digits()
  test = image_sources.read_digits_test()
  assert source.train.images.shape == (1618, 8, 8, 1)
  assert test.images.shape == (179, 8, 8, 1)
  assert source.tenth == 179
  for images, labels in (source.train, test):
    assert images.dtype == np.uint8
    assert (images.min(), images.max()) == (0, 16)
    shares = np.bincount(labels, minlength=10) / len(labels)
    np.testing.assert_allclose(shares, 0.1, atol=0.012)
  assert image_sources.read_digits().content_hash == source.content_hash


def test_digits_without_scikit_learn_are_refused(monkeypatch):
  monkeypatch.setitem(sys.modules, 'sklearn.datasets', None)
  with pytest.raises(FileNotFoundError, match='pip install scikit-learn'):
    image_sources.read_digits()


def test_division_loses_no_image():
  labels = (np.arange(57) % 4).astype(np.int32)
  images = np.arange(57, dtype=np.uint8).reshape(57, 1, 1, 1)
  source, test = image_sources.divide(LabeledImages(images, labels))
  assert (len(test.labels), source.tenth) == (5, 5)
  seen = np.concatenate([part.images.ravel() for part in (source.train, test)])
  np.testing.assert_array_equal(np.sort(seen), np.arange(57))
  for part in (source.train, test):
    np.testing.assert_array_equal(part.labels, labels[part.images.ravel()])


@pytest.mark.parametrize('counts', [(50, 50), (90, 9, 1), (7, 30, 63), (100,)])
def test_every_stretch_has_the_shares_of_the_classes(counts):
  labels = np.random.default_rng(1).permutation(
    np.repeat(range(len(counts)), counts)
  )
  order = image_sources.spread_classes(labels, 3)
  np.testing.assert_array_equal(np.sort(order), np.arange(100))
  shares = np.array(counts) / 100
  for start, stop in ((0, 10), (10, 20), (20, 100), (37, 73)):
    found = np.bincount(labels[order[start:stop]], minlength=len(counts))
    assert (abs(found - shares * (stop - start)) < 2).all()


def test_order_is_drawn_by_the_seed():
  labels = np.arange(200) % 5
  one, two, other = (
    image_sources.spread_classes(labels, seed) for seed in (0, 0, 1)
  )
  np.testing.assert_array_equal(one, two)
  assert set(one[:20]) != set(other[:20])
  # The classes of neighbors are no fixed sequence.
  assert len({tuple(labels[one[i : i + 5]]) for i in range(0, 200, 5)}) > 10


def test_content_hash_is_what_the_docstring_says():
  train = LabeledImages(
    np.array([[[[1]]], [[[2]]]], np.uint8), np.array([0, 1], np.int32)
  )
  test = LabeledImages(
    np.array([[[[0.5]]]], np.float32), np.array([1], np.int32)
  )
  content = (
    b'uint8 (2, 1, 1, 1)\n\1\2int32 (2,)\n\0\0\0\0\1\0\0\0'
    b'float32 (1, 1, 1, 1)\n\0\0\0?int32 (1,)\n\1\0\0\0'
  )
  expected = hashlib.sha256(content).hexdigest()
  assert image_sources.content_hash(train, test) == expected


def test_content_hash_sees_values_types_and_borders_but_not_layout():
  arrays = _arrays()

  def hash_of(arrays):
    return image_sources.check('Here', arrays).source.content_hash

  hashes = {hash_of(arrays)}
  fortran = {name: np.asfortranarray(array) for name, array in arrays.items()}
  assert hash_of(fortran) in hashes
  changed = {name: array.copy() for name, array in arrays.items()}
  changed['x_test'][-1, -1, -1, -1] ^= 1
  relabeled = {name: array.copy() for name, array in arrays.items()}
  relabeled['y_train'][:2] = [1, 0]
  for other in (
    changed,
    relabeled,
    _arrays(dtype=np.float32),
    {
      k: v.reshape(-1, 5, 4, 2) if k[0] == 'x' else v for k, v in arrays.items()
    },
  ):
    hashes.add(hash_of(other))
  hashes.add(hash_of({name: arrays[name] for name in ('x_train', 'y_train')}))
  assert len(hashes) == 6


def test_first_line_of_an_error_is_never_empty():
  assert image_sources.first_line(ValueError('One:\n* two')) == 'One'
  assert image_sources.first_line(EOFError()) == 'EOFError'
