# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A multilayer perceptron whose hyperparameters are data.

Momentum, weight decay and the activation are arrays, so perceptrons that differ
in these and in their learning rates train in one call of one program. Widths
and batch size determine shapes.

Letters: `B` images in a batch, `K` classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import itertools
import math
from typing import Any, NamedTuple

import chex
import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnas.children import network as network_lib

ACTIVATIONS: Mapping[str, Any] = {
  'relu': jax.nn.relu,
  'tanh': jnp.tanh,
  'gelu': jax.nn.gelu,
}
"""The activation functions between layers, by name."""


class Program(NamedTuple):
  """The hyperparameters of a perceptron that are data.

  Attributes:
    momentum: the momentum of the gradient, a scalar.
    weight_decay: the weight decay, a scalar.
    activation: the index of the activation in `ACTIVATIONS`, `int32[]`.
  """

  momentum: jax.typing.ArrayLike
  weight_decay: jax.typing.ArrayLike
  activation: jax.typing.ArrayLike


BATCH_AXES = Program(momentum=0, weight_decay=0, activation=0)
"""The batch axes of programs, for `jax.vmap`."""


def assemble(architectures: Sequence[Mapping[str, Any]]) -> Program:
  """Makes a batch of programs.

  Args:
    architectures: the architectures, each with a `momentum`, a `weight_decay`
      and an `activation`, one of `ACTIVATIONS`; other entries are ignored.
  """
  names = list(ACTIVATIONS)
  return Program(
    momentum=np.array([each['momentum'] for each in architectures], np.float32),
    weight_decay=np.array(
      [each['weight_decay'] for each in architectures], np.float32
    ),
    activation=np.array(
      [names.index(each['activation']) for each in architectures], np.int32
    ),
  )


def make_network(
  program: Program,
  widths: Sequence[int],
  image_shape: tuple[int, int, int],
  num_classes: int,
) -> network_lib.Network:
  """Makes a perceptron.

  The weights are normal with variance `2 / fan_in` ("Delving Deep into
  Rectifiers", He et al., 2015), those of the last layer with variance `1 /
  fan_in`; biases are 0.

  Args:
    program: the hyperparameters that are data; may be traced.
    widths: the number of units of each hidden layer.
    image_shape: the shape of an image, `(H, W, C)`.
    num_classes: the number of classes `K`.
  """
  shapes = _shapes(widths, image_shape, num_classes)

  def init(key):
    gains = [2.0] * (len(shapes) - 1) + [1.0]
    params = [
      {
        'kernel': jax.random.normal(layer_key, shape)
        * math.sqrt(gain / shape[0]),
        'bias': jnp.zeros(shape[1]),
      }
      for layer_key, shape, gain in zip(
        jax.random.split(key, len(shapes)), shapes, gains, strict=True
      )
    ]
    return params, ()

  def predict(params, batch_stats, images):
    chex.assert_shape(images, (None, *image_shape))
    outputs = images.reshape(len(images), -1)
    for number, layer in enumerate(params):
      outputs = outputs @ layer['kernel'] + layer['bias'][None]
      if number < len(params) - 1:
        outputs = lax.switch(
          program.activation, list(ACTIVATIONS.values()), outputs
        )
    return outputs

  def loss_and_grad(params, batch_stats, images, labels):
    def loss(params):
      logits = predict(params, batch_stats, images)
      return optax.softmax_cross_entropy_with_integer_labels(
        logits, labels
      ).mean()

    value, grads = jax.value_and_grad(loss)(params)
    return value, batch_stats, grads

  return network_lib.Network(
    init,
    loss_and_grad,
    predict,
    optimizer=network_lib.make_optimizer(
      program.momentum, program.weight_decay
    ),
  )


def num_params(
  widths: Sequence[int], image_shape: tuple[int, int, int], num_classes: int
) -> int:
  """Returns the number of parameters, biases included; see `make_network`."""
  return sum(
    (inputs + 1) * outputs
    for inputs, outputs in _shapes(widths, image_shape, num_classes)
  )


def _shapes(widths, image_shape, num_classes) -> list[tuple[int, int]]:
  return list(
    itertools.pairwise((math.prod(image_shape), *widths, num_classes))
  )
