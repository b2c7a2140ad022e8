# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.datasets import image_preprocessing, images
from jaxnas.trainers import perceptron_trainer


def make_dataset():
  """Two classes that differ in the brightness of one half."""
  generator = np.random.default_rng(0)
  labels = (np.arange(48) % 2).astype(np.int32)
  pixels = 0.1 * generator.normal(size=(48, 4, 4, 1))
  pixels[labels == 1, :2] += 1
  ends = {'train': (0, 32), 'validation': (32, 40), 'report': (40, 48)}
  arrays = {}
  for split, (start, stop) in ends.items():
    arrays[f'{split}_images'] = jnp.asarray(pixels[start:stop], jnp.float32)
    arrays[f'{split}_labels'] = jnp.asarray(labels[start:stop])
  return images.ImageDataset(
    name='halves',
    num_classes=2,
    statistics=image_preprocessing.Statistics(np.zeros(1), np.ones(1)),
    content_hash='',
    **arrays,
  )


def make_trainer(**changes):
  return perceptron_trainer.PerceptronTrainer(
    make_dataset(),
    **{
      'widths': (3, 5),
      'batch_sizes': (8,),
      'num_layers': 2,
      'schedule': 'constant',
      'block_size': 2,
      'group_block_size': 4,
      'num_devices': 1,
      **changes,
    },
  )


def perceptron(width, momentum=0.9):
  return {
    'momentum': momentum,
    'weight_decay': 1e-4,
    'activation': 'relu',
    'width': width,
    'batch_size': 8,
  }


def test_children_of_several_shapes_train_for_epochs():
  made = make_trainer()
  assert made.trainer.block_size == 4
  nets = [perceptron(3), perceptron(5), perceptron(3, 0.0), perceptron(3)]
  keys = jax.random.split(jax.random.key(0), 4)
  keys = keys.at[3].set(keys[0])
  found = made.trainer.run(nets, keys, [0.1] * 4, 8)
  accuracy = found.metrics['validation_accuracy']
  loss = found.metrics['validation_loss']
  # An epoch has four steps, so a training that took epochs for steps would
  # have learned far less.
  assert accuracy[0] == 1
  assert loss[0] == loss[3]
  assert len(set(loss.tolist())) == 3


def test_parameters_are_counted():
  # 16 x 3 + 3 and 3 x 3 + 3, and 3 x 2 + 2 of the last layer.
  assert make_trainer().num_params(perceptron(3)) == 51 + 12 + 8


def test_arguments_are_checked():
  with pytest.raises(ValueError, match='batch_sizes must be at most 32'):
    make_trainer(batch_sizes=(8, 33))
