# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Labeled images as arrays: reading, checking and stratified splitting."""

from __future__ import annotations

from collections.abc import Mapping
import hashlib
import importlib
import os
from typing import NamedTuple

from absl import logging
import numpy as np

from jaxnas import npz
from jaxnas.datasets import image_preprocessing, prepared

ARRAYS = ('x_train', 'y_train', 'x_test', 'y_test')

_REQUIRED, _OPTIONAL = ARRAYS[:2], ARRAYS[2:]
_TEST_SEED = 0
_TENTH = 10


class LabeledImages(NamedTuple):
  """Images and the class of each.

  Attributes:
    images: the images, `uint8` or `float32[n, H, W, C]`.
    labels: the classes, `int32[n]`, from 0.
  """

  images: np.ndarray
  labels: np.ndarray


class ImageSource(NamedTuple):
  """An image dataset as read, without its test split.

  Attributes:
    train: the images to split into train, validation and report.
    content_hash: the `content_hash` of `train` and the test split.
    seen_hash: the hash without the test split, if that may come and go;
      otherwise empty, for the same hash.
    tenth: the default number of images in validation and in report: a tenth of
      `train`, or of all images if the source has no test split.
  """

  train: LabeledImages
  content_hash: str
  tenth: int
  seen_hash: str = ''


class BothSides(NamedTuple):
  """A dataset on both sides of the wall, which searches never get to see.

  Attributes:
    source: everything except the test split.
    test: the test split; `None` if there is none.
  """

  source: ImageSource
  test: LabeledImages | None


def read_digits() -> ImageSource:
  """Returns scikit-learn's handwritten digits, 1,797 images of 8x8x1.

  They have no test split, so a tenth is set aside as one; see `divide`.

  Raises:
    FileNotFoundError: scikit-learn is not installed.
  """
  return _divide_digits().source


def read_digits_test() -> LabeledImages:
  """Returns the test split of scikit-learn's digits; see `read_digits`."""
  return _require(_divide_digits().test)


def _divide_digits() -> BothSides:
  try:
    digits = importlib.import_module('sklearn.datasets').load_digits()
  except ImportError as error:
    raise FileNotFoundError(
      "Dataset 'digits' ships with scikit-learn, which is not installed; run "
      "pip install scikit-learn, or use dataset 'npz' with a file of your own."
    ) from error
  return divide(
    LabeledImages(
      digits.images.astype(np.uint8)[..., None], digits.target.astype(np.int32)
    )
  )


def read_npz(path: str | os.PathLike[str] | None) -> ImageSource:
  """Reads the user's own images from an `.npz` file with named arrays.

  Args:
    path: the file. Its arrays `x_train` and `x_test` are `uint8` or floats,
      `[n, H, W, C]` or, for `C = 1`, `[n, H, W]`; `y_train` and `y_test` are
      integers, `[n]`, from 0. `x_test` and `y_test` may be missing. Python
      objects are not read.

  Returns:
    The images without the test split, which is only checked.

  Raises:
    ValueError: no path is given, the file is not an `.npz` file or is damaged,
      or an array is missing or wrong.
    FileNotFoundError: there is no such file.
  """
  return _read_npz(path).source


def read_npz_test(path: str | os.PathLike[str] | None) -> LabeledImages:
  """Returns the test split in a file that `read_npz` reads.

  Args:
    path: the file.

  Raises:
    ValueError: as in `read_npz`, or the file has no test split.
    FileNotFoundError: as in `read_npz`.
  """
  test = _read_npz(path).test
  if test is None:
    raise ValueError(
      f'File {os.fspath(path or "")!r} has no x_test and y_test, so there is '
      'no test split to measure on; add them, or skip that measurement.'
    )
  return test


def _read_npz(path: str | os.PathLike[str] | None) -> BothSides:
  wanted = (
    f'an .npz file with the arrays {", ".join(_REQUIRED)} and, if there is a '
    f'test split, {", ".join(_OPTIONAL)}'
  )
  if not path:
    raise ValueError(f"Dataset 'npz' needs data_dir, {wanted}.")
  file = prepared.expand(path)
  if not file.is_file():
    raise FileNotFoundError(
      f"data_dir {str(file)!r} is not a file; dataset 'npz' needs {wanted}."
    )
  where = f'File {str(file)!r}'
  try:
    arrays = npz.read(file, _REQUIRED, optional=_OPTIONAL)
  except npz.NpzError as error:
    raise ValueError(
      f'{where} cannot be read ({error.reason}); expected {wanted}, '
      'saved by numpy.savez without Python objects.'
    ) from error
  if len(arrays) == len(ARRAYS) - 1:
    (missing,) = set(ARRAYS) - arrays.keys()
    raise ValueError(
      f'{where} has no {missing}; it holds {", ".join(arrays)}, but a test '
      'split needs images and labels.'
    )
  both = check(where, arrays)
  seen_hash = content_hash(both.source.train, None)
  return both._replace(source=both.source._replace(seen_hash=seen_hash))


def check(where: str, arrays: Mapping[str, np.ndarray]) -> BothSides:
  """Returns arrays as a dataset, after checking that they are labeled images.

  Args:
    where: the source of the arrays in messages, such as `"File 'a.npz'"`.
    arrays: the arrays by name, all of `ARRAYS` or the first two, as in
      `read_npz`.

  Raises:
    ValueError: an array has the wrong rank, type, length or values, train and
      test differ in type, scale or image shape, or test has a class that train
      lacks. The message names the array.
  """
  train = _check_part(where, arrays, 'train')
  _check_classes(where, train.labels)
  test = None
  if 'x_test' in arrays:
    test = _check_part(where, arrays, 'test')
    _check_alike(where, train, test)
  return BothSides(
    ImageSource(train, content_hash(train, test), len(train.labels) // _TENTH),
    test,
  )


def divide(everything: LabeledImages) -> BothSides:
  """Sets aside a tenth of a dataset without a test split as one.

  The tenth is always the same, whatever the seed of the other splits, so that
  no search can have seen the images that a later training is tested on. Classes
  keep their proportions.

  Args:
    everything: all images of the dataset.

  Returns:
    The images on both sides of the wall.
  """
  tenth = len(everything.labels) // _TENTH
  order = spread_classes(everything.labels, _TEST_SEED)
  test, train = (
    LabeledImages(everything.images[part], everything.labels[part])
    for part in (order[:tenth], order[tenth:])
  )
  return BothSides(ImageSource(train, content_hash(train, test), tenth), test)


def spread_classes(labels: np.ndarray, seed: int) -> np.ndarray:
  """Returns a random order in which every segment is stratified by class.

  Each class is spread evenly over the order, so any contiguous part has each
  class in proportion, give or take one image.

  Args:
    labels: the class of each image, `int[n]`.
    seed: the seed of the random order.

  Returns:
    A permutation of the images' indices, `int[n]`.
  """
  order = np.random.default_rng(seed).permutation(len(labels))
  shuffled = labels[order]
  by_class = np.argsort(shuffled, kind='stable')
  _, starts, counts = np.unique(
    shuffled[by_class], return_index=True, return_counts=True
  )
  rank = np.arange(len(labels)) - np.repeat(starts, counts)
  place = np.empty(len(labels))
  place[by_class] = (rank + 0.5) / np.repeat(counts, counts)
  return order[np.argsort(place, kind='stable')]


def content_hash(train: LabeledImages, test: LabeledImages | None) -> str:
  """Returns the SHA-256 of train images, train labels, test images and labels.

  Args:
    train: the training images, before any split.
    test: the test images, if there are any.

  Returns:
    64 hexadecimal digits. Each array's values, in C order and little-endian,
    are preceded by a line with its type and shape, such as
    `uint8 (60000, 28, 28, 1)`.
  """
  digest = hashlib.sha256()
  for array in (*train, *(test or ())):
    digest.update(f'{array.dtype.name} {array.shape}\n'.encode())
    little = array.astype(array.dtype.newbyteorder('<'), copy=False)
    digest.update(np.ascontiguousarray(little).data)
  return digest.hexdigest()


def first_line(error: Exception) -> str:
  """Returns the first line of an error's message, or else its type."""
  text = str(error).strip() or type(error).__name__
  return text.splitlines()[0].rstrip(':.')


def _require(test: LabeledImages | None) -> LabeledImages:
  assert test is not None
  return test


def _check_part(
  where: str, arrays: Mapping[str, np.ndarray], part: str
) -> LabeledImages:
  images = check_images(where, f'x_{part}', np.asarray(arrays[f'x_{part}']))
  labels = np.asarray(arrays[f'y_{part}'])
  return LabeledImages(
    images, check_labels(where, f'y_{part}', labels, len(images))
  )


def _check_alike(where: str, train: LabeledImages, test: LabeledImages) -> None:
  """Checks that a classifier trained on one can be measured on the other."""
  for what, one, two in (
    ('images of shape', train.images.shape[1:], test.images.shape[1:]),
    ('values of type', train.images.dtype, test.images.dtype),
  ):
    if one != two:
      raise ValueError(
        f'{where} has {what} {one} in x_train and {two} in x_test; they must '
        'be the same.'
      )
  statistics = image_preprocessing.Statistics(
    np.zeros(1), np.ones(1), high=train.images.max()
  )
  image_preprocessing.check_scale(f'{where}: x_test', test.images, statistics)
  known = np.unique(train.labels)
  if unknown := np.setdiff1d(test.labels, known).tolist():
    raise ValueError(
      f'{where}: y_test has the classes {_few(unknown)}, but y_train has no '
      'example of them.'
    )


def check_images(where: str, name: str, images: np.ndarray) -> np.ndarray:
  """Returns images as `uint8` or `float32[n, H, W, C]`.

  Args:
    where: the source of the images in messages.
    name: the name of the images in messages.
    images: `uint8` or floats, `[n, H, W, C]` or, for `C = 1`, `[n, H, W]`.

  Raises:
    ValueError: the images have another type or rank, there are none, or a value
      is not finite.
  """
  if images.dtype != np.uint8 and images.dtype.kind != 'f':
    raise ValueError(
      f'{where}: {name} must be uint8 or floats, got {images.dtype}.'
    )
  if images.ndim not in (3, 4):
    raise ValueError(
      f'{where}: {name} must have the shape [n, height, width, channels], or '
      f'[n, height, width] for gray images; got {list(images.shape)}.'
    )
  if not images.size:
    raise ValueError(
      f'{where}: {name} is empty, its shape is {list(images.shape)}.'
    )
  if images.ndim == 3:
    images = images[..., None]
  if images.shape[3] > 4 >= images.shape[1]:
    logging.warning(
      '%s: %s has the shape %s; channels must come last, not first.',
      where,
      name,
      list(images.shape),
    )
  if images.dtype == np.uint8:
    return np.ascontiguousarray(images)
  with np.errstate(over='ignore'):
    images = np.ascontiguousarray(images, np.float32)
  # A sum is finite only if all values are, and it needs no copy.
  if not np.isfinite(images.sum(dtype=np.float64)):
    raise ValueError(
      f'{where}: {name} has values that are NaN, infinite or beyond float32.'
    )
  return images


def check_labels(
  where: str, name: str, labels: np.ndarray, num_images: int
) -> np.ndarray:
  """Returns labels as `int32[n]`.

  Args:
    where: the source of the labels in messages.
    name: the name of the labels in messages.
    labels: the class of each image, integers from 0, `[n]`.
    num_images: the number of images, `n`.

  Raises:
    ValueError: the labels are no integers from 0, one for each image.
  """
  if labels.dtype.kind not in 'iu':
    raise ValueError(f'{where}: {name} must be integers, got {labels.dtype}.')
  if labels.shape != (num_images,):
    raise ValueError(
      f'{where}: {name} must have the shape {[num_images]}, one label per '
      f'image; got {list(labels.shape)}.'
    )
  low, high = int(labels.min()), int(labels.max())
  if low < 0 or high > np.iinfo(np.int32).max:
    raise ValueError(
      f'{where}: {name} must count classes from 0, got '
      f'{low if low < 0 else high}.'
    )
  return np.ascontiguousarray(labels, np.int32)


def _check_classes(where: str, train: np.ndarray) -> None:
  known = np.unique(train)
  if len(known) < 2:
    raise ValueError(
      f'{where}: y_train has only the class {known[0]}; it needs at least two.'
    )
  # A label that is a code, such as 1000000, would need a classifier that size.
  if known[-1] >= len(train):
    raise ValueError(
      f'{where}: y_train has the label {known[-1]} and only {len(train)} '
      'images; count the classes from 0.'
    )
  if absent := sorted(set(range(known[-1])) - set(known.tolist())):
    logging.warning(
      '%s: y_train has no example of %s %s; classes count from 0.',
      where,
      'the class' if len(absent) == 1 else 'the classes',
      _few(absent),
    )


def _few(values: list[int]) -> str:
  """Returns the first few values of a list as text."""
  more = f' and {len(values) - 5} more' if len(values) > 5 else ''
  return ', '.join(map(str, values[:5])) + more
