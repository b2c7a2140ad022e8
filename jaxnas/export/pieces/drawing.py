# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""How parameters are drawn for a check."""

import numpy as np

FAN_IN = slice(0, -1)


def draw(random, shape, fan_in=FAN_IN):
  """Draws a vector around 1, or another array around 0.

  A `np.random.RandomState` draws the same on every machine.
  """
  values = random.random_sample(shape)
  if len(shape) == 1:
    return values + 0.5
  return (4 * values - 2) / np.prod(shape[fan_in]) ** 0.5
