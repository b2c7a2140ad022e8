# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A classifier of images, as what a training needs of it.

Letters: `B` images in a batch, `K` classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import optax


class Network(NamedTuple):
  """A classifier of images, as what a training needs of it.

  Attributes:
    init: `key -> (params, batch_stats)`; parameters, and the running averages
      of batch norm.
    loss_and_grad: `(params, batch_stats, images, labels) -> (loss, batch_stats,
      grads)`: in training mode, the mean cross-entropy of an image, nats, the
      new running averages, and the loss's gradient in the form of `params`.
    predict: `(params, batch_stats, images) -> logits [B, K]`, by the running
      averages.
    optimizer: makes of gradients what is subtracted, but for the learning rate;
      where momentum or weight decay are data of a child. By default it is made
      of the recipe's.
  """

  init: Callable[[jax.Array], tuple[Any, Any]]
  loss_and_grad: Callable[..., tuple[jax.Array, Any, Any]]
  predict: Callable[[Any, Any, jax.Array], jax.Array]
  optimizer: optax.GradientTransformation | None = None


def make_optimizer(
  momentum: jax.typing.ArrayLike, weight_decay: jax.typing.ArrayLike
) -> optax.GradientTransformation:
  """Makes gradient descent with Nesterov's momentum, but for its learning rate.

  Args:
    momentum: the share of the trace that a step keeps; may be traced.
    weight_decay: the share of the parameters that is added to the gradient,
      before the momentum; may be traced.
  """
  return optax.chain(
    optax.add_decayed_weights(weight_decay),
    optax.trace(momentum, nesterov=True),
  )
