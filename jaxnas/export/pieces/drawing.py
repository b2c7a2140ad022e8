# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Draws parameters and inputs for a check."""

import numpy as np

FAN_IN = slice(0, -1)


def draw(random, shape, fan_in=FAN_IN):
  """Draws an array: a vector around 1, any other array around 0.

  A `np.random.RandomState` draws the same numbers on every machine.
  """
  values = random.random_sample(shape)
  if len(shape) == 1:
    return values + 0.5
  return (4 * values - 2) / np.prod(shape[fan_in]) ** 0.5
