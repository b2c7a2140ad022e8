# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Nothing that a search gets holds test data, however deep one looks."""

import gc
import types

import jax
import numpy as np
import pytest

from jaxnas.datasets import (
  held_out,
  image_sources,
  images,
  text,
  text_sources,
)

MARK = 201


@pytest.fixture
def npz(tmp_path):
  """Images of which only those of test have the value `MARK`."""
  path = tmp_path / 'images.npz'
  pixels = np.random.default_rng(0).integers(0, 200, (48, 3, 3, 1), np.uint8)
  labels = np.arange(48) % 4
  pixels[40:] = MARK
  np.savez(
    path,
    x_train=pixels[:40], y_train=labels[:40],
    x_test=pixels[40:], y_test=labels[40:],
  )  # fmt: skip
  return path


@pytest.fixture
def folder(tmp_path):
  """A text of which only test has the word `marked` more than twice on end."""
  path = tmp_path / 'text'
  path.mkdir()
  (path / 'train.txt').write_text('marked a b\n' * 20)
  (path / 'valid.txt').write_text('a marked b\n' * 9)
  (path / 'test.txt').write_text('marked marked marked marked\n' * 5)
  return path


@pytest.fixture
def file(tmp_path):
  """As `folder`, in one file."""
  path = tmp_path / 'all.txt'
  path.write_text('marked a b\n' * 90 + 'marked marked marked\n' * 10)
  return path


def reachable(value):
  """Yields everything that can be reached from a value, code but excepted."""
  code = type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType
  seen, left = set(), [value]
  while left:
    each = left.pop()
    if id(each) in seen or isinstance(each, code):
      continue
    seen.add(id(each))
    yield each
    if isinstance(each, np.ndarray):
      left.append(each.base)
    elif not isinstance(each, jax.Array):
      left.extend(gc.get_referents(each))


def holds_marked_images(value, mark):
  """Whether an image of one color, `mark`, can be reached."""
  for each in reachable(value):
    if isinstance(each, (np.ndarray, jax.Array)) and each.ndim == 4:
      pixels = np.asarray(each)
      if np.isclose(pixels, mark).all((1, 2, 3)).any():
        return True
  return False


def holds_marked_text(value, token):
  """Whether `marked` thrice on end can be reached, spelled or as a token."""
  for each in reachable(value):
    if isinstance(each, (np.ndarray, jax.Array)) and each.ndim == 1:
      is_marked = np.asarray(each) == token
      runs = is_marked[:-2] & is_marked[1:-1] & is_marked[2:]
      if runs.any():
        return True
    if isinstance(each, str) and 'marked marked marked' in each:
      return True
    if isinstance(each, bytes) and b'marked marked marked' in each:
      return True
  return False


def test_no_dataset_of_images_holds_its_test_split(npz):
  dataset = images.load('npz', npz)
  statistics = dataset.statistics
  mark = float((MARK - statistics.mean[0]) / statistics.deviation[0])
  behind = held_out.load_images(dataset, npz)
  # The check can fail.
  assert holds_marked_images([behind], mark)
  assert holds_marked_images([{1: image_sources.read_npz_test(npz)}], MARK)
  assert not holds_marked_images(dataset, mark)
  assert not holds_marked_images(dataset, MARK)
  assert not holds_marked_images(image_sources.read_npz(npz), MARK)


def test_no_reader_of_digits_holds_their_test_split():
  test = image_sources.read_digits_test()
  seen = {
    image.tobytes()
    for each in reachable(image_sources.read_digits())
    if isinstance(each, np.ndarray) and each.ndim >= 3
    for image in each.astype(np.uint8)
  }
  assert len(seen) > 1600
  assert not seen & {image.tobytes() for image in test.images}


@pytest.mark.parametrize('place', ['folder', 'file'])
def test_no_text_holds_its_test_split(tmp_path, request, place):
  path = request.getfixturevalue(place)
  dataset = text.load('text', path, cache_dir=tmp_path / 'cache')
  token = dataset.vocabulary.index('marked')
  assert holds_marked_text([held_out.load_text(dataset, path)], token)
  assert not holds_marked_text(dataset, token)
  # What was prepared is what the next search reads.
  again = text.load('text', path, cache_dir=tmp_path / 'cache')
  assert not holds_marked_text(again, token)
  if place == 'folder':
    assert not holds_marked_text(text_sources.read_files('text', path), token)


def test_prepared_texts_have_no_test_split(tmp_path, folder):
  text.load('text', folder, cache_dir=tmp_path / 'cache')
  names = [path.name for path in (tmp_path / 'cache').rglob('*')]
  assert names
  assert not [name for name in names if 'test' in name]


def test_what_is_missing_is_told_before_a_training(tmp_path, npz, folder):
  arrays = dict(np.load(npz))
  half = tmp_path / 'half.npz'
  np.savez(half, x_train=arrays['x_train'], y_train=arrays['y_train'])
  with pytest.raises(ValueError, match='has no x_test and y_test, so there is'):
    held_out.check_images(images.load('npz', half), half)
  held_out.check_images(images.load('npz', npz), npz)
  held_out.check_images(images.load('digits'))
  (folder / 'test.txt').unlink()
  dataset = text.load('text', folder, cache_dir=tmp_path)
  with pytest.raises(FileNotFoundError, match=r'has no file test\.txt'):
    held_out.check_text(dataset, folder)
