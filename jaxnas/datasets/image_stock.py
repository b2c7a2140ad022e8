# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Images from tensorflow-datasets' own builders, which need TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import contextlib
import importlib
import importlib.util
import os
from typing import Any

from jaxnas.datasets import image_sources, prepared
from jaxnas.datasets.image_sources import (
  BothSides,
  ImageSource,
  LabeledImages,
)


def read_stock(
  name: str,
  data_dir: str | os.PathLike[str] | None = None,
  known: str = '',
) -> ImageSource:
  """Returns the images of one of tensorflow-datasets' own datasets.

  Args:
    name: the name of the dataset in tensorflow-datasets. It must have images of
      one size as `image` and classes as `label`. A tenth is set aside as test
      if it has no test split.
    data_dir: the folder of tensorflow-datasets; `None` for its default.
    known: the other known names, for the error message of an unknown name.

  Returns:
    The images without the test split, which is only checked.

  Raises:
    ValueError: TensorFlow is not installed, the name is unknown, the dataset
      cannot be prepared, or it does not consist of labeled images of one size.
  """
  return _read_both(name, data_dir, known).source


def read_stock_test(
  name: str, data_dir: str | os.PathLike[str] | None = None
) -> LabeledImages:
  """Returns the test split of a dataset; see `read_stock`."""
  test = _read_both(name, data_dir, 'the known names').test
  assert test is not None
  return test


def _read_both(
  name: str, data_dir: str | os.PathLike[str] | None, known: str
) -> BothSides:
  if importlib.util.find_spec('tensorflow') is None:
    raise ValueError(
      f'Dataset {name!r} is none of {known}; any other name belongs to '
      'tensorflow-datasets and needs TensorFlow, which is not installed (pip '
      'install tensorflow).'
    )
  prepared.check_tfds(name)
  _hide_accelerators()
  with prepared.quiet_tfds() as tfds:
    # Builders raise all kinds of errors; each means an unavailable dataset.
    try:
      builder = tfds.builder(name, data_dir=data_dir)
      features = dict(builder.info.features)
    except Exception as error:
      raise ValueError(
        f'Dataset {name!r} is none of {known}, and tensorflow-datasets cannot '
        f'make it ({image_sources.first_line(error)}).'
      ) from error
    _check_features(name, features)
    try:
      with _few_retries():
        builder.download_and_prepare()
      parts = {
        part: tfds.as_numpy(builder.as_dataset(split=part, batch_size=-1))
        for part in ('train', 'test')
        if part in builder.info.splits
      }
    except Exception as error:
      raise ValueError(
        f'Dataset {name!r} cannot be prepared by tensorflow-datasets '
        f'({image_sources.first_line(error)}).'
      ) from error
  if 'train' not in parts:
    raise ValueError(f"Dataset {name!r} has no split 'train'.")
  is_divided = 'test' in parts
  # Without a test split, train takes its place in the checks.
  arrays = {}
  for part in ('train', 'test'):
    images = parts[part if is_divided else 'train']
    arrays[f'x_{part}'] = images['image']
    arrays[f'y_{part}'] = images['label']
  both = image_sources.check(f'Dataset {name!r}', arrays)
  return both if is_divided else image_sources.divide(both.source.train)


def _hide_accelerators() -> None:
  """Keeps TensorFlow, which only reads data, off the accelerators."""
  tf = importlib.import_module('tensorflow')
  for kind in ('GPU', 'TPU'):
    tf.config.set_visible_devices([], kind)


@contextlib.contextmanager
def _few_retries() -> Iterator[None]:
  """Makes a download fail within seconds if there is no network."""
  from tensorflow_datasets.core.download import downloader

  max_retries = downloader.MAX_RETRIES
  downloader.MAX_RETRIES = 2
  try:
    yield
  finally:
    downloader.MAX_RETRIES = max_retries


def _check_features(name: str, features: Mapping[str, Any]) -> None:
  shape = getattr(features.get('image'), 'shape', None)
  if shape is None or 'label' not in features:
    raise ValueError(
      f"Dataset {name!r} does not have labeled images: expected 'image' and "
      f"'label', got {', '.join(sorted(features))}."
    )
  if None in shape:
    raise ValueError(
      f'Dataset {name!r} has images of different sizes, {shape}; images must '
      "have one size: resize them and use dataset 'npz'."
    )
