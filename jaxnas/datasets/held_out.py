# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The other side of the wall: test splits.

Only an experiment that fully trains a final architecture may import this
module. It loads a test split once, at the end, and the access is logged. The
results of `images.load` and `text.load` do not contain the test split. The
functions that only check may be called before training: they read the same
files, so that a missing file is noticed early, but return nothing.
"""

from __future__ import annotations

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
  images,
  text,
  text_sources,
)


def load_images(
  dataset: images.ImageDataset, data_dir: str | os.PathLike[str] | None = None
) -> tuple[jax.Array, jax.Array]:
  """Returns the test split of labeled images, and logs the access.

  The images are the same for all seeds and sizes of the other splits; they are
  preprocessed like those of the dataset.

  Args:
    dataset: the dataset, from `images.load`.
    data_dir: the folder or file, as in `images.load`.

  Returns:
    The images, `float32[n, H, W, C]`, and their labels, `int32[n]`.

  Raises:
    ValueError: as in `images.load`, or there is no test split.
    OSError: as in `images.load`.
  """
  test = _read_images(dataset.name, data_dir)
  _log(f'{len(test.labels)} images', dataset.name, dataset.content_hash)
  return (
    image_preprocessing.apply(dataset.statistics, test.images),
    jnp.asarray(test.labels),
  )


def check_images(
  dataset: images.ImageDataset, data_dir: str | os.PathLike[str] | None = None
) -> None:
  """Raises the errors of `load_images`, if checking needs no preparation.

  Args:
    dataset: the dataset, from `images.load`.
    data_dir: the folder or file, as in `images.load`.
  """
  if dataset.name == 'npz':
    _read_images(dataset.name, data_dir)


def load_text(
  dataset: text.TextDataset, data_dir: str | os.PathLike[str] | None = None
) -> jax.Array:
  """Returns the test split of a text, and logs the access.

  Args:
    dataset: the dataset, from `text.load`.
    data_dir: the folder or file, as in `text.load`.

  Returns:
    The tokens of the test split, `int32[num_tokens]`.

  Raises:
    ValueError: as in `text.load`, or the text has tokens that are not in the
      vocabulary, which has no `<unk>`.
    OSError: there is no test split.
  """
  tokens = jnp.asarray(_encode_text(dataset, data_dir))
  if text_sources.UNKNOWN in dataset.vocabulary:
    unknown = dataset.vocabulary.index(text_sources.UNKNOWN)
    share = float((tokens == unknown).mean())
    if share and not (dataset.train == unknown).any():
      logging.warning(
        '%.2g %% of the test split of %r are tokens that train lacks, and the '
        '<unk> that stands for them never occurs in training.',
        100 * share,
        dataset.name,
      )
  _log(f'{len(tokens)} tokens', dataset.name, dataset.content_hash)
  return tokens


def check_text(
  dataset: text.TextDataset, data_dir: str | os.PathLike[str] | None = None
) -> None:
  """Raises the errors of `load_text`, and returns nothing.

  Args:
    dataset: the dataset, from `text.load`.
    data_dir: the folder or file, as in `text.load`.
  """
  _encode_text(dataset, data_dir)


def _read_images(
  name: str, data_dir: str | os.PathLike[str] | None
) -> image_sources.LabeledImages:
  if name == 'digits':
    return image_sources.read_digits_test()
  if name == 'npz':
    return image_sources.read_npz_test(data_dir)
  if name in image_archives.ARCHIVED:
    return image_builders.read_archived_test(name, data_dir)
  return image_stock.read_stock_test(name, data_dir)


def _encode_text(
  dataset: text.TextDataset, data_dir: str | os.PathLike[str] | None
) -> np.ndarray:
  return text_sources.encode_test(
    dataset.name,
    text_sources.read_test_file(dataset.name, data_dir),
    dataset.level,
    dataset.vocabulary,
    dataset.shares,
  )


def _log(what: str, name: str, content_hash: str) -> None:
  logging.info(
    'Test data was loaded: %s of %r (content %s).', what, name, content_hash
  )
