# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The images and networks of the benchmark of convolutional networks."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from jaxnas.spaces import conv_net as spaces

_NUM_CLASSES = 10


@dataclasses.dataclass(frozen=True)
class Shape:
  """Images, and the search space of networks for them.

  Attributes:
    image_shape: the shape of an image, `(H, W, C)`.
    batch_size: the number of images per step.
    filters: the possible numbers of filters of a layer.
    heights: the possible heights of filters.
    widths: the possible widths of filters.
    num_sampled: the number of networks to measure.
    num_burst_steps: the number of training steps in a burst.
    is_small: whether a CPU can handle masked networks and whole trainings.
  """

  image_shape: tuple[int, int, int]
  batch_size: int
  filters: tuple[int, ...]
  heights: tuple[int, ...] = spaces.SIZES
  widths: tuple[int, ...] = spaces.SIZES
  num_sampled: int = 4
  num_burst_steps: int = 3
  is_small: bool = False

  def settings(self, num_layers: int) -> dict[str, Any]:
    """Returns the settings for a worker."""
    names = ('image_shape', 'batch_size', 'filters', 'heights', 'widths')
    return {'num_layers': num_layers} | {
      name: getattr(self, name) for name in names
    }


SHAPES = {
  'digits': Shape(
    (8, 8, 1),
    64,
    (8, 12, 16, 24),
    num_sampled=8,
    num_burst_steps=10,
    is_small=True,
  ),
  '28x28': Shape((28, 28, 1), 32, spaces.FILTERS),
  '32x32': Shape((32, 32, 3), 32, spaces.FILTERS),
}


def random_nets(
  shape: Shape, num_layers: int, count: int
) -> list[spaces.ConvNet]:
  """Returns networks drawn from the search space, with a fixed seed."""
  space = spaces.make_space(
    num_layers, shape.heights, shape.widths, shape.filters
  )
  generator = np.random.default_rng(0)
  num_choices = [
    decision.num_choices
    for decision in space.decisions
    for _ in range(decision.num_tokens)
  ]
  nets: list[Any] = [
    space.decode(generator.integers(num_choices).astype(np.int32))
    for _ in range(count)
  ]
  return nets


def multiply_adds(shape: Shape, net: spaces.ConvNet) -> int:
  """Returns the number of multiply-adds of a forward pass on one image."""
  return net.num_multiply_adds(*shape.image_shape, _NUM_CLASSES)
