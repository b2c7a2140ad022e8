# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The interface of an image classifier that training needs.

Letters: `B` images in a batch, `K` classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import optax


class Network(NamedTuple):
  """An image classifier as pure functions.

  Attributes:
    init: `key -> (params, batch_stats)`: the parameters, and the running
      averages of batch norm.
    loss_and_grad: `(params, batch_stats, images, labels) -> (loss, batch_stats,
      grads)`: in training mode, the mean cross-entropy per image, in nats, the
      new running averages, and the gradient of the loss, structured like
      `params`.
    predict: `(params, batch_stats, images) -> logits [B, K]`, using the running
      averages.
    optimizer: the optimizer, without the learning rate, if momentum or weight
      decay are data of a child; `None` for that of the recipe.
    predict_by_batch: `(params, images) -> logits [B, K]`, using the statistics
      of these images as training does, without running averages; `None` where
      it is not needed.
  """

  init: Callable[[jax.Array], tuple[Any, Any]]
  loss_and_grad: Callable[..., tuple[jax.Array, Any, Any]]
  predict: Callable[[Any, Any, jax.Array], jax.Array]
  optimizer: optax.GradientTransformation | None = None
  predict_by_batch: Callable[[Any, jax.Array], jax.Array] | None = None


def make_optimizer(
  momentum: jax.typing.ArrayLike, weight_decay: jax.typing.ArrayLike
) -> optax.GradientTransformation:
  """Makes gradient descent with Nesterov momentum, without a learning rate.

  Args:
    momentum: the momentum of the gradient; may be traced.
    weight_decay: the weight decay, applied to the gradient before the momentum;
      may be traced.
  """
  return optax.chain(
    optax.add_decayed_weights(weight_decay),
    optax.trace(momentum, nesterov=True),
  )
