# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Encoded text on disk, so that a text is tokenized only once.

If tensorflow-datasets and array_record are installed, a text is prepared by a
`GeneratorBasedBuilder` that needs no TensorFlow and is read back as a data
source; otherwise one `.npz` file holds the same arrays. Either is written to a
temporary folder and then moved as a whole: two processes may prepare at once,
and a killed one leaves an `.incomplete_*` folder that is never read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import functools
import json
import os
import pathlib
import shutil
from types import MappingProxyType
from typing import Any

from absl import logging
import numpy as np

from jaxnas import npz
from jaxnas.datasets import builders, prepared
from jaxnas.datasets.text_sources import EncodedText

VERSION = '1.0.2'
"""Part of every cache entry's name; increased when the encoding changes."""

_RECORD_TOKENS = 2**20


def load_encoded(
  name: str,
  key: str,
  splits: Sequence[str],
  build: Callable[[], EncodedText],
  cache_dir: str | os.PathLike[str] | None = None,
  file_format: str | None = None,
) -> EncodedText:
  """Returns splits of a text, preparing all splits if needed.

  A cache that cannot be read is prepared again, and one that cannot be written
  is skipped; both are logged as warnings.

  Args:
    name: the dataset's name, made of lower-case letters, digits and `_`.
    key: a string of everything the encoding depends on, including the content;
      part of a folder name.
    splits: the splits to return; no others are read from a prepared text.
    build: a function that makes the encoded text with all splits.
    cache_dir: the folder for prepared texts; `None` for the one in the
      environment variable `JAXNAS_DATA_DIR`, or else `~/.cache/jaxnas`.
    file_format: the format, `'array_record'` or `'npz'`; `None` for the first
      whose packages are installed.

  Returns:
    The text with the requested splits.

  Raises:
    ValueError: `file_format` is unknown.
  """
  file_format = file_format or default_file_format()
  if file_format not in _FORMATS:
    raise ValueError(
      f'Unknown file_format {file_format!r}; expected one of '
      f'{", ".join(_FORMATS)}.'
    )
  write, read = _FORMATS[file_format]
  folder = (
    prepared.data_root(cache_dir) / name / f'{key}_{file_format}_{VERSION}'
  )
  if folder.exists():
    try:
      return read(folder, splits)
    # The errors that damaged files cause in the libraries have no common type.
    except Exception as error:
      logging.warning(
        'The prepared text in %s cannot be read (%r); preparing it again.',
        folder,
        error,
      )
      shutil.rmtree(folder, ignore_errors=True)
  encoded = build()
  try:
    prepared.write_whole(folder, functools.partial(write, name, encoded))
  except (OSError, RuntimeError) as error:
    logging.warning(
      'Cannot keep the prepared text in %s (%r), so the next run prepares it '
      'again; name a writable folder with cache_dir or with the environment '
      'variable JAXNAS_DATA_DIR.',
      folder,
      error,
    )
  return encoded._replace(splits={s: encoded.splits[s] for s in splits})


def default_file_format() -> str:
  """Returns `'array_record'` if its packages can be imported, else `'npz'`."""
  return 'array_record' if prepared.has_array_record() else 'npz'


def _write_npz(
  name: str, encoded: EncodedText, folder: pathlib.Path
) -> pathlib.Path:
  written = folder / name
  written.mkdir()
  # A NumPy string array would drop trailing NUL characters of a token.
  vocabulary = np.frombuffer(json.dumps(encoded.vocabulary).encode(), np.uint8)
  arrays: dict[str, Any] = {'vocabulary': vocabulary}
  for split, tokens in encoded.splits.items():
    arrays[f'split_{split}'] = tokens
  npz.write(written / 'text.npz', arrays)
  return written


def _read_npz(folder: pathlib.Path, splits: Sequence[str]) -> EncodedText:
  arrays = npz.read(
    folder / 'text.npz',
    ['vocabulary', *(f'split_{split}' for split in splits)],
  )
  vocabulary = tuple(json.loads(arrays['vocabulary'].tobytes()))
  return EncodedText(vocabulary, {s: arrays[f'split_{s}'] for s in splits})


def _write_array_record(
  name: str, encoded: EncodedText, folder: pathlib.Path
) -> pathlib.Path:
  with prepared.quiet_tfds():
    builder = _builder_class(name)(
      encoded, data_dir=folder, file_format='array_record'
    )
    builder.download_and_prepare()
  return pathlib.Path(builder.data_dir)


def _read_array_record(
  folder: pathlib.Path, splits: Sequence[str]
) -> EncodedText:
  with prepared.quiet_tfds() as tfds:
    builder = tfds.builder_from_directory(folder)
    sources = builder.as_data_source(list(splits))
    metadata = builder.info.metadata
    tokens = {
      split: np.concatenate([record['tokens'] for record in source])
      for split, source in zip(splits, sources, strict=True)
    }
    vocabulary = metadata['vocabulary']
    prepared.check_checksums(metadata, vocabulary=vocabulary, **tokens)
    return EncodedText(tuple(vocabulary), tokens)


@functools.cache
def _builder_class(name: str) -> Any:
  """Returns the builder of dataset `name`."""
  import tensorflow_datasets as tfds

  base: Any = builders.base_class()

  class TextBuilder(base, skip_registration=True):  # type: ignore[call-arg]  # The base is untyped.
    """Writes an encoded text."""

    VERSION = tfds.core.Version(VERSION)
    FIELDS = MappingProxyType({'tokens': builders.Field((None,), np.int32)})

    def __init__(self, encoded: EncodedText, **kwargs):
      self._encoded = encoded
      super().__init__(**kwargs)

    def facts(self):
      vocabulary = self._encoded.vocabulary
      parts = {'vocabulary': vocabulary, **self._encoded.splits}
      return {
        'vocabulary': vocabulary,
        'checksums': {
          part: prepared.checksum(content) for part, content in parts.items()
        },
      }

    def _split_generators(self, dl_manager):
      del dl_manager
      return {
        split: self._generate_examples(tokens)
        for split, tokens in self._encoded.splits.items()
      }

    def _generate_examples(self, tokens):
      for start in range(0, len(tokens), _RECORD_TOKENS):
        yield start, {'tokens': tokens[start : start + _RECORD_TOKENS]}

  TextBuilder.name = name
  return TextBuilder


_FORMATS: dict[str, tuple[Callable[..., pathlib.Path], Callable]] = {
  'array_record': (_write_array_record, _read_array_record),
  'npz': (_write_npz, _read_npz),
}
