# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of the joining of data sets and recipes to tasks."""

import functools

import numpy as np
import pytest

from jaxnas.children import conv_net, recurrent_cell
from jaxnas.datasets import images, text
from jaxnas.spaces import known_conv_nets
from jaxnas.training import dataset_tasks, image_task, long_text, text_task


def test_the_splits_of_a_text_are_read_once_each():
  dataset = text.load('pydoc', vocab_size=20)
  tasks = dataset_tasks.TextTasks(dataset, 20, 35)
  assert tasks.num_segments == (len(dataset.train) // 20 - 1) // 35
  task = tasks.make(
    text_task.Recipe(features=4),
    functools.partial(recurrent_cell.LSTMCell),
  )
  assert set(task.splits) == {'validation', 'report'}
  segments = task.splits['validation']
  # Every token but the first is predicted once.
  assert np.sum(segments.weights) == len(dataset.validation) - 1


def test_the_training_text_may_be_cut():
  dataset = text.load('pydoc', vocab_size=20)
  whole = dataset_tasks.TextTasks(dataset, 20, 35)
  tasks = dataset_tasks.TextTasks(dataset, 20, 35, num_segments=3)
  assert tasks.num_segments == 3
  recipe = long_text.Recipe(features=4)
  cut, uncut = (each.make_long(recipe, 'gru') for each in (tasks, whole))
  for part, all_of_it in zip(cut.train_data, uncut.train_data, strict=True):
    np.testing.assert_array_equal(part, all_of_it[:3])
  for name in ('validation', 'report'):
    np.testing.assert_array_equal(
      cut.splits[name].inputs, uncut.splits[name].inputs
    )
  with pytest.raises(ValueError, match=r'num_segments must be from 0 to \d+, '):
    dataset_tasks.TextTasks(dataset, 20, 35, num_segments=10_000)


def test_the_splits_of_images_are_those_of_the_data_set():
  dataset = images.load('digits')
  net = known_conv_nets.make_chain(2, 4)
  task = dataset_tasks.make_image_task(
    dataset,
    image_task.Recipe(),
    lambda _: conv_net.make_network(
      net, dataset.image_shape, dataset.num_classes
    ),
  )
  assert set(task.splits) == {'validation', 'report'}
  for name, split in task.splits.items():
    np.testing.assert_array_equal(
      split.labels, getattr(dataset, f'{name}_labels')
    )
