# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Three image datasets through tensorflow-datasets, without TensorFlow.

The builders here get their archives from tensorflow-datasets' download manager,
with its cache, checksums and manual folder: an archive put into
`<data_dir>/manual/<dataset>` by hand is not downloaded. If an archive is
missing and its server does not answer within seconds, an error is raised at
once. Prepared images are kept in and read from `<data_dir>/jaxnas_<dataset>`.
"""

from __future__ import annotations

from collections.abc import Callable
import functools
import os
import pathlib
import shutil
from types import MappingProxyType
from typing import Any, TypeVar

from absl import logging
import numpy as np

from jaxnas.datasets import (
  builders,
  image_archives,
  image_sources,
  prepared,
)
from jaxnas.datasets.image_archives import ARCHIVED
from jaxnas.datasets.image_sources import ImageSource, LabeledImages

VERSION = '1.0.0'
"""Part of a prepared folder's name; increased when the storage changes."""

_RECORD_IMAGES = 4096

Part = TypeVar('Part')


def read_archived(
  name: str, data_dir: str | os.PathLike[str] | None = None
) -> ImageSource:
  """Returns the images of a dataset in `ARCHIVED`, preparing it if needed.

  Args:
    name: the name of the dataset, one of `ARCHIVED`.
    data_dir: the folder for archives and prepared images; `None` for the one in
      the environment variable `JAXNAS_DATA_DIR`, or else `~/.cache/jaxnas`.

  Returns:
    The images. Those of the test split are in separate files, which are not
    opened.

  Raises:
    ValueError: an archive differs from the published one.
    FileNotFoundError: an archive is missing and cannot be downloaded.
    NotADirectoryError: `data_dir` is a file.
  """
  return _read_prepared(name, data_dir, _read_source)


def read_archived_test(
  name: str, data_dir: str | os.PathLike[str] | None = None
) -> LabeledImages:
  """Returns the test split of a dataset in `ARCHIVED`; see `read_archived`."""
  return _read_prepared(name, data_dir, _read_test)


def _read_prepared(
  name: str,
  data_dir: str | os.PathLike[str] | None,
  read: Callable[[pathlib.Path], Part],
) -> Part:
  """Reads from the folder of a dataset, preparing it if needed."""
  root = prepared.data_root(data_dir)
  if root.is_file():
    raise NotADirectoryError(
      f'data_dir {str(root)!r} is a file; dataset {name!r} needs a folder '
      "(dataset 'npz' takes a file)."
    )
  prepared.check_tfds(name)
  file_format = 'array_record' if prepared.has_array_record() else 'parquet'
  folder = root / _builder_name(name) / f'{file_format}_{VERSION}'
  is_damaged = folder.exists()
  if is_damaged:
    try:
      return read(folder)
    # The errors that damaged files cause in the libraries have no common type.
    except Exception as error:
      logging.warning(
        'The prepared images in %s cannot be read (%r); preparing them again.',
        folder,
        error,
      )
  _check_archives(name, root)
  # Only now: without the archives, the damaged folder may be all there is.
  if is_damaged:
    shutil.rmtree(folder, ignore_errors=True)
  prepared.write_whole(
    folder, functools.partial(_prepare, name, root, file_format)
  )
  return read(folder)


def _builder_name(name: str) -> str:
  # The plain name belongs to tensorflow-datasets' own builder.
  return f'jaxnas_{name}'


def _prepare(
  name: str, root: pathlib.Path, file_format: str, temporary: pathlib.Path
) -> pathlib.Path:
  """Prepares a dataset in a temporary folder; returns the dataset's folder."""
  dataset = ARCHIVED[name]
  manual = _manual_folder(name, root)
  with prepared.quiet_tfds() as tfds:
    from tensorflow_datasets.core.download import download_manager

    builder = _builder_class(name)(data_dir=temporary, file_format=file_format)
    config = tfds.download.DownloadConfig(
      manual_dir=manual,
      try_download_gcs=False,
      force_checksums_validation=True,
    )
    try:
      builder.download_and_prepare(
        download_dir=root / 'downloads', download_config=config
      )
    except download_manager.NonMatchingChecksumError as error:
      reason = image_sources.first_line(error)
      raise ValueError(
        f'Dataset {name!r}: {reason}; put the published file from '
        f'{dataset.address} into the folder {str(manual)!r}.'
      ) from error
    except _download_errors() as error:
      raise image_archives.missing_error(
        name, dataset.archives, manual, image_sources.first_line(error)
      ) from error
  return pathlib.Path(builder.data_dir)


def _read_source(folder: pathlib.Path) -> ImageSource:
  images, metadata = _read_split(folder, 'train')
  prepared.check_checksums(
    metadata, about=(metadata['content_hash'], metadata['tenth'])
  )
  return ImageSource(images, metadata['content_hash'], metadata['tenth'])


def _read_test(folder: pathlib.Path) -> LabeledImages:
  return _read_split(folder, 'test')[0]


def _read_split(folder: pathlib.Path, split: str) -> tuple[LabeledImages, Any]:
  """Returns the images of a split, and the dataset's metadata."""
  with prepared.quiet_tfds() as tfds:
    builder = tfds.builder_from_directory(folder)
    (source,) = builder.as_data_source([split])
    records = list(source)
    images, labels = (
      np.concatenate([record[field] for record in records])
      for field in ('images', 'labels')
    )
    metadata = builder.info.metadata
    prepared.check_checksums(metadata, **{split: (images, labels)})
    return LabeledImages(images, labels), metadata


@functools.cache
def _builder_class(name: str) -> Any:
  """Returns the builder of dataset `name`."""
  import tensorflow_datasets as tfds
  from tensorflow_datasets.core.download import checksums

  base: Any = builders.base_class()

  class ImageBuilder(base, skip_registration=True):  # type: ignore[call-arg]  # The base is untyped.
    """Writes labeled images."""

    VERSION = tfds.core.Version(VERSION)
    FIELDS = MappingProxyType(
      {
        'images': builders.Field((None, None, None, None), np.uint8),
        'labels': builders.Field((None,), np.int32),
      }
    )

    @property
    def url_infos(self):
      dataset = ARCHIVED[name]
      return {
        dataset.address + archive.filename: checksums.UrlInfo(
          size=tfds.core.utils.Size(archive.size),
          checksum=archive.sha256,
          filename=archive.filename,
        )
        for archive in dataset.archives
      }

    def _split_generators(self, dl_manager):
      paths = dl_manager.download(list(self.url_infos))
      arrays = ARCHIVED[name].parse([pathlib.Path(path) for path in paths])
      source, test = image_sources.check(f'Dataset {name!r}', arrays)
      assert test is not None  # Every archived dataset has one.
      self.info.metadata['content_hash'] = source.content_hash
      self.info.metadata['tenth'] = source.tenth
      self.info.metadata['checksums'] = {
        'about': prepared.checksum(source.content_hash, source.tenth),
        'train': prepared.checksum(*source.train),
        'test': prepared.checksum(*test),
      }
      return {
        'train': self._generate_examples(source.train),
        'test': self._generate_examples(test),
      }

    def _generate_examples(self, part):
      for start in range(0, len(part.labels), _RECORD_IMAGES):
        stretch = slice(start, start + _RECORD_IMAGES)
        yield (
          start,
          {'images': part.images[stretch], 'labels': part.labels[stretch]},
        )

  ImageBuilder.name = _builder_name(name)
  return ImageBuilder


def _manual_folder(name: str, root: pathlib.Path) -> pathlib.Path:
  # One per dataset, since two datasets have archives of the same names.
  return root / 'manual' / name


def _check_archives(name: str, root: pathlib.Path) -> None:
  """Raises an error quickly if an archive is missing and unavailable."""
  from tensorflow_datasets.core.download import resource

  dataset = ARCHIVED[name]
  manual = _manual_folder(name, root)
  downloads = root / 'downloads'
  missing = []
  for archive in dataset.archives:
    cached = resource.get_dl_fname(
      dataset.address + archive.filename, archive.sha256
    )
    if not (manual / archive.filename).exists() and not any(
      resource.is_locally_cached(folder / cached)
      for folder in (downloads / _builder_name(name), downloads)
    ):
      missing.append(archive)
  if not missing:
    return
  reason = image_archives.why_unreachable(dataset.address + missing[0].filename)
  if reason:
    raise image_archives.missing_error(name, missing, manual, reason)
  logging.info('Downloading %s from %s.', name, dataset.address)


def _download_errors() -> tuple[type[Exception], ...]:
  import requests
  from tensorflow_datasets.core.download import util

  return (requests.exceptions.RequestException, util.DownloadError)
