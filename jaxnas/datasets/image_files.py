# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Reads images to classify from an `.npz` file, and their labels if any."""

from __future__ import annotations

from collections.abc import Sequence
import os
from typing import NamedTuple

import numpy as np

from jaxnas import npz
from jaxnas.datasets import image_sources, prepared

PAIRS = (('x', 'y'), ('images', 'labels'), ('x_test', 'y_test'))
"""The usual names of arrays of images and of their labels."""


class ImageFile(NamedTuple):
  """The images of a file.

  Attributes:
    images: the images, `uint8` or `float32[n, H, W, C]`.
    labels: the class of each image, `int32[n]`; `None` if the file has none.
    images_name: the name of the array of images.
    labels_name: the name of the array of labels; empty if there is none.
  """

  images: np.ndarray
  labels: np.ndarray | None
  images_name: str
  labels_name: str


def read(
  path: str | os.PathLike[str],
  images: str | None = None,
  labels: str | None = None,
) -> ImageFile:
  """Reads images, and labels if there are any.

  Args:
    path: the file. Its images are `uint8` or floats, `[n, H, W, C]` or, for one
      channel, `[n, H, W]`; its labels are integers from 0, `[n]`. Python
      objects are not read.
    images: the name of the array of images; by default the first name in
      `PAIRS` that the file has.
    labels: the name of the array of labels; by default the one beside the
      images in `PAIRS`, if the file has it.

  Raises:
    ValueError: the file is not an `.npz` file or is damaged, or an array is
      missing or wrong. The message says what the file holds.
    FileNotFoundError: there is no such file.
  """
  file = prepared.expand(path)
  where = f'File {str(file)!r}'
  if not file.is_file():
    raise FileNotFoundError(
      f'{where} is missing or not a file; give an .npz file with images.'
    )
  try:
    names = npz.read_names(file)
    images, labels = _choose(where, names, images, labels)
    arrays = npz.read(file, [name for name in (images, labels) if name])
  except npz.NpzError as error:
    raise ValueError(
      f'{where} cannot be read ({error.reason}); expected an .npz file with '
      'images, saved by numpy.savez without Python objects.'
    ) from error
  pixels = image_sources.check_images(where, images, arrays[images])
  return ImageFile(
    pixels,
    image_sources.check_labels(where, labels, arrays[labels], len(pixels))
    if labels
    else None,
    images,
    labels,
  )


def _choose(
  where: str, names: Sequence[str], images: str | None, labels: str | None
) -> tuple[str, str]:
  """Returns the names of the arrays to read; that of labels may be empty."""
  usual = dict(PAIRS)
  if images is None:
    images = next((name for name in usual if name in names), None)
    if images is None:
      raise ValueError(
        f'{where} has no {" or ".join(usual)}; it holds {npz.listing(names)}; '
        'name the array to read with images.'
      )
  beside = usual.get(images, '')
  if labels is None:
    labels = beside if beside in names else ''
  for name in filter(None, (images, labels)):
    if name not in names:
      raise ValueError(f'{where} has no {name}; it holds {npz.listing(names)}.')
  return images, labels
