# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Trains perceptrons whose hyperparameters are searched for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jaxnas.children import perceptron, platforms
from jaxnas.datasets import images
from jaxnas.trainers import blocks, compiler_options, groups, mapping
from jaxnas.training import dataset_tasks, image_task
from jaxnas.types import Span, Trainer

# More than any number of steps, since only the final accuracy is used.
_NEVER = 2**30


class PerceptronTrainer:
  """Trains perceptrons; those of the same width and batch size share a call.

  An architecture is a mapping with the entries `momentum`, `weight_decay`,
  `activation`, `width` and `batch_size`.

  Attributes:
    dataset: the images to train and measure on.
    trainer: the trainer of the perceptrons, whose steps are epochs.
  """

  def __init__(
    self,
    dataset: images.ImageDataset,
    widths: Sequence[int],
    batch_sizes: Sequence[int],
    *,
    num_layers: int,
    schedule: str,
    block_size: int,
    group_block_size: int,
    num_devices: int | None = None,
  ):
    """Makes a trainer without compiling anything yet.

    Args:
      dataset: the images.
      widths: the possible numbers of units of a hidden layer.
      batch_sizes: the possible numbers of images per step.
      num_layers: the number of hidden layers.
      schedule: the learning-rate schedule, one of `image_task.SCHEDULES`.
      block_size: the number of children of one shape per call.
      group_block_size: the number of children, of any shapes, that a caller
        should train at a time.
      num_devices: the number of local devices to use; one by default.

    Raises:
      ValueError: a batch size exceeds the number of training images, or the
        block size does not match the devices.
    """
    num_images = len(dataset.train_labels)
    if max(batch_sizes) > num_images:
      raise ValueError(
        f'batch_sizes must be at most {num_images}, the number of training '
        f'images; got {list(batch_sizes)}.'
      )
    self.dataset = dataset
    self._num_layers, self._schedule = num_layers, schedule
    self._block_size, self._num_devices = block_size, num_devices
    self._data: dict[str, Any] = {}
    # Raises first if the block size does not match the devices.
    self._make_trainer((widths[0], batch_sizes[0]))
    self.trainer: Trainer = groups.GroupTrainer(
      self._make_trainer,
      lambda architecture: (architecture['width'], architecture['batch_size']),
      group_block_size,
      num_devices or 1,
    )

  def num_params(self, architecture: Mapping[str, Any]) -> int:
    """Returns the number of parameters of a perceptron."""
    return perceptron.num_params(
      [architecture['width']] * self._num_layers,
      self.dataset.image_shape,
      self.dataset.num_classes,
    )

  def _make_trainer(self, shape: tuple[int, int]) -> Trainer:
    width, batch_size = shape
    dataset, widths = self.dataset, [width] * self._num_layers
    task = dataset_tasks.make_image_task(
      dataset,
      image_task.Recipe(
        batch_size=batch_size,
        schedule=self._schedule,
        evaluate_every=_NEVER,
        num_evaluations=1,
      ),
      lambda program: perceptron.make_network(
        program, widths, dataset.image_shape, dataset.num_classes
      ),
      perceptron.assemble,
      perceptron.BATCH_AXES,
    )
    if not self._data:
      # The trainers of all shapes share the data.
      self._data = mapping.place(
        {'train_data': task.train_data, 'splits': task.splits},
        self._num_devices,
      )
    epoch_steps = len(dataset.train_labels) // batch_size

    def train(data, program, state, key, learning_rate, span):
      span = Span(*(each * epoch_steps for each in span))
      return task.train(data, program, state, key, learning_rate, span)

    return blocks.BlockTrainer(
      task._replace(train=train, **self._data),
      self._block_size,
      self._num_devices,
      compiler_options=compiler_options.of_one_architecture(
        platforms.default()
      ),
    )
