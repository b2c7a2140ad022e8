# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Labeled images on the device, split by seed, without their test split.

Datasets by name:

- `'digits'`: scikit-learn's handwritten digits, 1,797 images of 8x8x1 that are
  installed with it. They have no test split, so a fixed tenth serves as one.
- `'cifar10'`, `'fashion_mnist'`, `'mnist'`: through tensorflow-datasets, but
  without TensorFlow. The archives are downloaded, or put into a folder by hand;
  if neither is possible, the error names both the files and the folder.
- `'npz'`: your own images, an `.npz` file with the arrays `x_train` and
  `y_train` and, if there is a test split, `x_test` and `y_test`.
- Any other name: the dataset of that name in tensorflow-datasets, if TensorFlow
  is installed.

A seed determines how the training images are split into train, validation and
report. The split is stratified: each class is represented in proportion, give
or take one image. By default validation and report have a tenth each: of the
training images, which gives the paper's 5,000 validation images for CIFAR-10,
or of all images if there is no test split, which divides the digits 70 : 10 :
10 : 10.

The test split is on the other side of a wall: no function here returns it, or
anything that contains it; see `held_out`.
"""

from __future__ import annotations

import dataclasses
import difflib
import os

from absl import logging
import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.datasets import (
  image_archives,
  image_builders,
  image_preprocessing,
  image_sources,
  image_stock,
)
from jaxnas.datasets.image_sources import ImageSource

NAMES = ('digits', *image_archives.ARCHIVED, 'npz')


@dataclasses.dataclass(frozen=True, eq=False)
class ImageDataset:
  """Labeled images without their test split, on the device.

  Images are preprocessed, `float32[n, H, W, C]`; labels are classes from 0,
  `int32[n]`. The images of each split are in random order.

  Attributes:
    name: the dataset's name.
    num_classes: the number of classes.
    train_images: the images to train on.
    train_labels: the classes of the training images.
    validation_images: the images that rewards are measured on.
    validation_labels: the classes of the validation images.
    report_images: the images for comparisons, which no reward is measured on;
      those of validation if `has_report` is false.
    report_labels: the classes of the report images.
    statistics: the statistics that the images were preprocessed with.
    content_hash: the SHA-256, in hexadecimal, of all images and labels before
      splitting and preprocessing; see `image_sources.content_hash`.
    has_report: whether report is a separate split.
    seen_hash: the `content_hash` without a test split that may come and go.
  """

  name: str
  num_classes: int
  train_images: jax.Array
  train_labels: jax.Array
  validation_images: jax.Array
  validation_labels: jax.Array
  report_images: jax.Array
  report_labels: jax.Array
  statistics: image_preprocessing.Statistics
  content_hash: str
  has_report: bool = True
  seen_hash: str = ''

  @property
  def image_shape(self) -> tuple[int, int, int]:
    """The shape of an image, `(H, W, C)`."""
    _, height, width, channels = self.train_images.shape
    return height, width, channels


def load(
  name: str,
  data_dir: str | os.PathLike[str] | None = None,
  *,
  seed: int = 0,
  num_validation: int | None = None,
  num_report: int | None = None,
  preprocessing: str = 'standardize',
) -> ImageDataset:
  """Returns the train, validation and report splits of labeled images.

  Args:
    name: the name of the dataset, one of `NAMES` or a name of
      tensorflow-datasets.
    data_dir: the file for `'npz'`; unused for `'digits'`; otherwise the folder
      of archives and prepared images. `None` is the folder in the environment
      variable `JAXNAS_DATA_DIR`, or else `~/.cache/jaxnas`, and for names that
      are not in `NAMES` the default of tensorflow-datasets.
    seed: the seed of the splits; the test split does not depend on it.
    num_validation: the number of validation images; `None` for a tenth.
    num_report: the number of report images; `None` for a tenth. With 0, all
      other images are trained on and comparisons use validation, with a
      warning.
    preprocessing: the preprocessing, by statistics of train only:
      `'standardize'`, per channel, or `'whiten'`; see
      `image_preprocessing.measure`.

  Returns:
    The dataset.

  Raises:
    ValueError: an argument is unknown or out of range, or the images are
      damaged or unsuitable.
    OSError: a file or archive is missing or cannot be read or written.
  """
  source = _read(name, data_dir, preprocessing)
  splits = _split_indices(source, seed, num_validation, num_report)
  images, labels = source.train
  train_images = images[splits['train']]
  statistics = image_preprocessing.measure(train_images, preprocessing)
  arrays = {
    'train_images': image_preprocessing.apply(statistics, train_images),
    'train_labels': jnp.asarray(labels[splits['train']]),
  }
  has_report = len(splits['report']) > 0
  if not has_report:
    logging.warning(
      'num_report is 0: comparisons are measured on the validation images, '
      'which rewards come from too.'
    )
    splits['report'] = splits['validation']
  for split in ('validation', 'report'):
    arrays[f'{split}_images'] = image_preprocessing.apply(
      statistics, images[splits[split]]
    )
    arrays[f'{split}_labels'] = jnp.asarray(labels[splits[split]])
  return ImageDataset(
    name=name,
    num_classes=int(labels.max()) + 1,
    statistics=statistics,
    content_hash=source.content_hash,
    has_report=has_report,
    seen_hash=source.seen_hash or source.content_hash,
    **arrays,
  )


def _read(
  name: str, data_dir: str | os.PathLike[str] | None, preprocessing: str
) -> ImageSource:
  """Returns the images of a dataset, after checking the preprocessing."""
  image_preprocessing.check(preprocessing, ())
  if name == 'digits':
    if data_dir:
      logging.warning(
        "Dataset 'digits' ships with scikit-learn; data_dir %r is ignored.",
        os.fspath(data_dir),
      )
    source = image_sources.read_digits()
  elif name == 'npz':
    source = image_sources.read_npz(data_dir)
  elif name in image_archives.ARCHIVED:
    source = image_builders.read_archived(name, data_dir)
  else:
    near = difflib.get_close_matches(str(name), NAMES)
    hint = f' (did you mean {" or ".join(map(repr, near))}?)' if near else ''
    source = image_stock.read_stock(
      name, data_dir, known=', '.join(NAMES) + hint
    )
  image_preprocessing.check(preprocessing, source.train.images.shape[1:])
  return source


def _split_indices(
  source: ImageSource,
  seed: int,
  num_validation: int | None,
  num_report: int | None,
) -> dict[str, np.ndarray]:
  """Returns the indices of the training images in each split."""
  if seed < 0:
    raise ValueError(f'seed must be at least 0, got {seed}.')
  sizes = {}
  for split, size, least in (
    ('validation', num_validation, 1),
    ('report', num_report, 0),
  ):
    if size is not None and size < least:
      raise ValueError(f'num_{split} must be at least {least}, got {size}.')
    sizes[split] = max(source.tenth, 1) if size is None else size
  num_images = len(source.train.labels)
  if sum(sizes.values()) >= num_images:
    raise ValueError(
      f'num_validation={sizes["validation"]} and num_report={sizes["report"]} '
      f'leave no image to train on: there are {num_images}.'
    )
  order = image_sources.spread_classes(source.train.labels, seed)
  validation, report, train = np.split(order, np.cumsum(list(sizes.values())))
  return {'train': train, 'validation': validation, 'report': report}
