# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Preprocesses images for a network, whatever its framework."""

import numpy as np


def preprocess(images, statistics):
  """Preprocesses images as those that the network was trained on.

  Args:
    images: the unprocessed images, `[batch, height, width, channels]`.
    statistics: arrays by name: `mean` and `deviation` of the pixels; for
      whitening, also `center` and `whitening`; for enlarging and cropping, also
      the matrices `rows` and `columns`.

  Returns:
    The preprocessed images, of the same shape.
  """
  images = (images - statistics['mean']) / statistics['deviation']
  if 'whitening' in statistics:
    values = images.reshape(len(images), -1) - statistics['center']
    images = (values @ statistics['whitening']).reshape(images.shape)
  if 'rows' in statistics:
    images = np.einsum('ih,bhwc->biwc', statistics['rows'], images)
    images = np.einsum('jw,biwc->bijc', statistics['columns'], images)
  return images
