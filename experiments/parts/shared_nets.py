# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Convolutional networks that share weights, as a search asks about them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from experiments.parts import shared_weights
from jaxnas.children import conv_masked, platforms
from jaxnas.datasets import images
from jaxnas.trainers import shared as shared_trainers
from jaxnas.training import dataset_tasks, image_task, shared, shared_images

METRICS = (
  'best_accuracy',
  'num_trained',
  'validation_accuracy',
  'validation_loss',
)
"""The metrics of a network that is judged with shared weights."""

_NETS_A_DEVICE = 8


class SharedNets(shared_weights.SharedWeights):
  """One set of weights for all networks of a space; a `shared_search.Supernet`.

  The weights are those of the masked network, in which a filter is the middle
  of the largest one and fewer filters are the first ones. Networks are judged
  by their accuracy on minibatches of the validation images, by whose statistics
  batch norm normalizes.
  """

  def __init__(
    self,
    config: Any,
    dataset: images.ImageDataset,
    recipe: image_task.Recipe,
  ):
    """Makes the weights' functions; nothing is compiled yet.

    Args:
      config: the complete settings of a search for networks.
      dataset: the images.
      recipe: the recipe by which the weights are trained.

    Raises:
      ValueError: there are fewer images than one batch.
    """
    num_devices = config.num_host_devices
    trainer = shared_trainers.SharedTrainer(
      make_task(config, dataset, recipe),
      config.shared_cells,
      _NETS_A_DEVICE * num_devices,
      num_devices,
      mapping='loop' if platforms.default() == 'cpu' else 'vmap',
    )
    super().__init__(trainer, config.ranked_minibatches)

  def init(self, key: jax.Array, num_steps: int) -> shared.SharedState:
    """Returns untrained weights of a training of `num_steps` steps."""
    return shared_images.of_length(self.trainer.init(key), num_steps)

  def judge(
    self,
    state: shared.SharedState,
    architectures: Sequence[Any],
    minibatch: int,
  ) -> dict[str, np.ndarray]:
    """Returns the metrics of networks on one minibatch, each `[N]`."""
    return self._judge(state, architectures, [minibatch])

  def measure(
    self, state: shared.SharedState, architectures: Sequence[Any]
  ) -> dict[str, np.ndarray]:
    """Returns the metrics of networks on what they are ranked by."""
    return self._judge(state, architectures, self.ranked_on)

  def slopes(self, state: Any, probabilities: Any, minibatch: int) -> Any:
    """Raises `ValueError`: a mixture of networks has no masks."""
    raise ValueError('Convolutional networks have no mixtures to descend.')

  def _judge(self, state, architectures, numbers) -> dict[str, np.ndarray]:
    """Returns the means of metrics over minibatches."""
    found = [
      self.trainer.judge(
        state.params, architectures, shared_weights.SPLIT, int(number)
      )
      for number in numbers
    ]
    accuracy, loss = (
      np.mean([each[name] for each in found], axis=0)
      for name in ('accuracy', 'loss')
    )
    trained = np.full(len(accuracy), int(state.num_steps), np.int32)
    return {
      'best_accuracy': accuracy,
      'num_trained': trained,
      'validation_accuracy': accuracy,
      'validation_loss': loss,
    }


def make(
  config: Any, dataset: images.ImageDataset, recipe: image_task.Recipe
) -> SharedNets | None:
  """Makes the shared weights of a search, if it has any.

  Args:
    config: the complete settings of a search for networks.
    dataset: the images.
    recipe: the recipe by which the weights are trained.
  """
  return SharedNets(config, dataset, recipe) if config.has_sharing else None


def make_task(
  config: Any, dataset: images.ImageDataset, recipe: image_task.Recipe
) -> shared.SharedTask:
  """Makes the task of training weights for all networks of a space.

  Args:
    config: the settings of a search for networks.
    dataset: the images.
    recipe: the recipe by which the weights are trained.
  """
  masked = conv_masked.ConvMasked(
    config.num_layers,
    dataset.image_shape,
    dataset.num_classes,
    config.heights,
    config.widths,
    config.filters,
    config.merge,
  )
  return dataset_tasks.make_shared_images(
    dataset,
    recipe,
    masked.make_network,
    masked.init_shared,
    config.shared_learning_rate,
    masked.assemble,
    conv_masked.BATCH_AXES,
  )
