# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Preprocessing of images, by statistics of the training images only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

KINDS = ('standardize', 'whiten')
WHITENING_EPSILON = 0.1
"""The constant added to variances before division, which keeps noise small.

Variances are those of standardized images, where each value has variance 1. The
constant is that of pylearn2 for CIFAR-10, "Maxout Networks", Goodfellow et al.,
2013.
"""
MAX_WHITENED_VALUES = 4096

_CHUNK = 4096
# The maximum ratio of the largest pixel to that of the training images. Images
# 255 times as bright have another scale, and so do those up to 255 beside those
# up to 16, as scikit-learn's digits.
_MAX_RATIO = 15
# The maximum depth below zero, as a share of the largest pixel, where training
# images have no negative values; resampling may overshoot a little.
_MAX_OVERSHOOT = 0.1
# The largest values of pixels that files have.
_FULL_SCALES = (1, 255, 65_535)


class Statistics(NamedTuple):
  """Statistics of training images with `C` channels and `D` values.

  Attributes:
    mean: the mean of each channel, `float32[C]`.
    deviation: the standard deviation of each channel, `float32[C]`; 1 where it
      would be 0.
    center: the mean standardized image, `float32[D]`; `None` without whitening.
    whitening: the symmetric matrix that a standardized and centered image is
      multiplied by, `float32[D, D]`; `None` without whitening.
    low: the smallest value of a pixel, `float32[]`; `None` if not recorded.
    high: the largest value of a pixel, `float32[]`; `None` if not recorded.
  """

  mean: np.ndarray
  deviation: np.ndarray
  center: np.ndarray | None = None
  whitening: np.ndarray | None = None
  low: np.ndarray | None = None
  high: np.ndarray | None = None


def check(kind: str, image_shape: tuple[int, ...]) -> None:
  """Raises `ValueError` if images of a shape cannot be preprocessed this way.

  Args:
    kind: the kind of preprocessing, one of `KINDS`.
    image_shape: the shape of an image, `(H, W, C)`.
  """
  if kind not in KINDS:
    raise ValueError(
      f'Unknown preprocessing {kind!r}; expected one of {", ".join(KINDS)}.'
    )
  num_values = int(np.prod(image_shape))
  if kind == 'whiten' and num_values > MAX_WHITENED_VALUES:
    raise ValueError(
      f"preprocessing 'whiten' takes images of at most {MAX_WHITENED_VALUES} "
      f'values, got {num_values} ({"x".join(map(str, image_shape))}); use '
      "'standardize'."
    )


def measure(images: np.ndarray, kind: str) -> Statistics:
  """Returns the statistics that `apply` needs.

  `'standardize'` subtracts each channel's mean over images and pixels and
  divides by its standard deviation. `'whiten'` then decorrelates all values of
  an image while staying as close to the image as possible (ZCA): given the
  covariance `U diag(v) U'`, it multiplies by `U diag(1 / sqrt(v + epsilon))
  U'`. CIFAR-10 takes about a minute on 2 cores.

  Args:
    images: the training images, `uint8` or `float32[n, H, W, C]`.
    kind: the kind of preprocessing, one of `KINDS`.

  Returns:
    The statistics.

  Raises:
    ValueError: as in `check`.
  """
  chex.assert_rank(images, 4)
  check(kind, images.shape[1:])
  num_channels = images.shape[3]
  mean = images.mean((0, 1, 2), np.float64)
  squares = np.zeros(num_channels)
  for chunk in _chunks(images):
    squares += ((chunk - mean) ** 2).sum((0, 1, 2))
  deviation = np.sqrt(squares * num_channels / images.size)
  # A constant channel stays at 0.
  deviation[deviation == 0] = 1
  statistics = Statistics(
    mean.astype(np.float32),
    deviation.astype(np.float32),
    low=np.array(images.min(), np.float32),
    high=np.array(images.max(), np.float32),
  )
  if kind == 'whiten':
    return _add_whitening(images, statistics)
  return statistics


def check_scale(what: str, images: np.ndarray, statistics: Statistics) -> None:
  """Raises `ValueError` if images differ in scale from the training images.

  Pixels from 0 to 1 are distinguished from pixels from 0 to 255, and those from
  -1 to 1 from both; images that are merely dark or bright pass.

  Args:
    what: the name of the images in the message.
    images: the images to check, `uint8` or floats.
    statistics: the statistics of the training images, from `measure`.
  """
  if not images.size:
    return
  trained = _trained_high(statistics)
  high = float(images.max())
  is_too_small = images.dtype.kind == 'f' and 0 < high <= 1 < trained / 2
  if is_too_small or high > _MAX_RATIO * max(trained, 1):
    known = 'about ' if statistics.high is None else ''
    raise ValueError(
      f'{what}: values go up to {high:g}, but those of the training images '
      f'go up to {known}{trained:g}; bring them to the same scale.'
    )
  if statistics.low is not None and statistics.low >= 0:
    low = float(images.min())
    if -low > _MAX_OVERSHOOT * trained:
      raise ValueError(
        f'{what}: values start at {low:g}, but those of the training images '
        f'start at {float(statistics.low):g}; bring them to the same '
        'scale.'
      )


def rescale(
  images: np.ndarray, statistics: Statistics
) -> tuple[np.ndarray, float]:
  """Brings images to the scale of the training images, if theirs is another.

  Args:
    images: the images, `uint8` or floats, whose values start at 0.
    statistics: the statistics of the training images, from `measure`.

  Returns:
    The images, and the factor that they were multiplied by: 1 for those that
    `check_scale` accepts, which stay as they are. Otherwise it leads from one
    full scale to the other, as 255 from the values 0 to 1 to those of bytes.
  """
  try:
    check_scale('Images', images, statistics)
  except ValueError:
    factor = _full_scale(_trained_high(statistics)) / _full_scale(
      float(images.max())
    )
    return images.astype(np.float32) * np.float32(factor), factor
  return images, 1.0


def _full_scale(high: float) -> float:
  """Returns the largest value that pixels could have, given the largest."""
  if 0 < high <= 1:
    return 1.0
  near = [scale for scale in _FULL_SCALES if scale / 4 < high <= scale]
  return float(near[0]) if near else high


def _trained_high(statistics: Statistics) -> float:
  # If the range was not recorded, assume one standard deviation above the mean.
  return float(
    np.max(statistics.mean + statistics.deviation)
    if statistics.high is None
    else statistics.high
  )


def apply(statistics: Statistics, images: np.ndarray) -> jax.Array:
  """Returns preprocessed images, on the device.

  Args:
    statistics: the statistics of the training images, from `measure`.
    images: images of the same shape, `uint8` or `float32[n, H, W, C]`.

  Returns:
    The preprocessed images, `float32[n, H, W, C]`.
  """
  chex.assert_rank(images, 4)
  return _apply(statistics, jax.device_put(images))


@jax.jit
def _apply(statistics: Statistics, images: jax.Array) -> jax.Array:
  mean, deviation = (
    jnp.broadcast_to(value, images.shape)
    for value in (statistics.mean, statistics.deviation)
  )
  standardized = (images.astype(jnp.float32) - mean) / deviation
  if statistics.whitening is None:
    return standardized
  assert statistics.center is not None
  centered = standardized.reshape(len(images), -1) - statistics.center[None]
  return jnp.matmul(
    centered, statistics.whitening, precision='highest'
  ).reshape(images.shape)


def _chunks(images: np.ndarray) -> Iterator[np.ndarray]:
  """Yields the images in chunks, to limit the memory of intermediates."""
  for start in range(0, len(images), _CHUNK):
    yield images[start : start + _CHUNK]


def _add_whitening(images: np.ndarray, statistics: Statistics) -> Statistics:
  num_values = int(np.prod(images.shape[1:]))
  total = np.zeros(num_values)
  products = np.zeros((num_values, num_values))
  for chunk in _chunks(images):
    rows = ((chunk - statistics.mean) / statistics.deviation).reshape(
      len(chunk), num_values
    )
    total += rows.sum(0, np.float64)
    products += rows.T @ rows
  center = total / len(images)
  covariance = products / len(images) - np.outer(center, center)
  variances, directions = np.linalg.eigh(covariance)
  scales = 1 / np.sqrt(np.maximum(variances, 0) + WHITENING_EPSILON)
  whitening = (directions * scales) @ directions.T
  return statistics._replace(
    center=center.astype(np.float32), whitening=whitening.astype(np.float32)
  )
