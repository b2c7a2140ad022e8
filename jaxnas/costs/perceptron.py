# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The costs of a perceptron, counted exactly.

The counts depend on the width alone, and the latency also on the activation;
the hyperparameters of training cost nothing afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from jaxnas.children import perceptron
from jaxnas.costs import latency
from jaxnas.spaces import hyperparameters
from jaxnas.types import Cost


@dataclasses.dataclass(frozen=True)
class Images:
  """The images that a perceptron classifies.

  Architectures are mappings with the entries `width` and `activation`.

  Attributes:
    shape: the shape of an image, `(H, W, C)`.
    num_classes: the number of classes.
    num_layers: the number of hidden layers, all of the same width.
  """

  shape: tuple[int, int, int]
  num_classes: int
  num_layers: int

  def num_params(self, architecture: Mapping[str, Any]) -> int:
    """Returns the number of parameters, biases included.

    Args:
      architecture: the architecture.
    """
    return perceptron.num_params(*self._sizes(architecture['width']))

  def num_multiply_adds(self, architecture: Mapping[str, Any]) -> int:
    """Returns the multiply-adds of the forward pass of one image.

    The products with the weights count; biases and activations do not.

    Args:
      architecture: the architecture.
    """
    num_biases = self.num_layers * architecture['width'] + self.num_classes
    return self.num_params(architecture) - num_biases

  def costs(self) -> dict[str, Cost]:
    """Returns functions that count a perceptron's costs, by metric name."""
    return {
      'num_params': self.num_params,
      'num_multiply_adds': self.num_multiply_adds,
    }

  def fewest(self, widths: Sequence[int]) -> dict[str, Callable[[], float]]:
    """Returns functions that count the least costs of a space.

    Args:
      widths: the widths of the space.
    """
    least = {'width': min(widths)}
    return {
      'num_params': lambda: self.num_params(least),
      'num_multiply_adds': lambda: self.num_multiply_adds(least),
    }

  def program(
    self, architecture: Mapping[str, Any], batch_size: int
  ) -> latency.Program:
    """Returns the forward pass whose latency is that of a perceptron.

    Args:
      architecture: the architecture.
      batch_size: the number of images that the perceptron classifies at a time.
    """
    # The activation is known at compile time, as it is in use.
    index = list(perceptron.ACTIVATIONS).index(architecture['activation'])
    network = perceptron.make_network(
      perceptron.Program(0.0, 0.0, index), *self._sizes(architecture['width'])
    )
    images = jnp.zeros((batch_size, *self.shape), jnp.float32)
    variables = network.init(jax.random.key(0))
    return latency.Program(network.predict, (*variables, images))

  def _sizes(self, width: int) -> tuple[list[int], tuple[int, int, int], int]:
    return [width] * self.num_layers, self.shape, self.num_classes


def in_use(architecture: Mapping[str, Any]) -> hyperparameters.Hyperparameters:
  """Returns the part of an architecture that its latency depends on.

  Args:
    architecture: the architecture.
  """
  return hyperparameters.Hyperparameters.from_json(
    {name: architecture[name] for name in ('width', 'activation')}
  )
