# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""How images are made fit for a network, whatever the framework."""

import numpy as np


def preprocess(images, statistics):
  """Makes images what the network was trained on.

  Args:
    images: `[batch, height, width, channels]`, as they come.
    statistics: arrays by name: `mean` and `deviation` of the pixels; where
      images are whitened, `center` and `whitening`; where they are enlarged and
      cropped, the weights of `rows` and `columns`.
  """
  images = (images - statistics['mean']) / statistics['deviation']
  if 'whitening' in statistics:
    values = images.reshape(len(images), -1) - statistics['center']
    images = (values @ statistics['whitening']).reshape(images.shape)
  if 'rows' in statistics:
    images = np.einsum('ih,bhwc->biwc', statistics['rows'], images)
    images = np.einsum('jw,biwc->bijc', statistics['columns'], images)
  return images
