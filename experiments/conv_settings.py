# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Settings of convolutional networks: their search space and training."""

from __future__ import annotations

import dataclasses

from experiments import data_settings, settings
from jaxnas.spaces import conv_net as spaces
from jaxnas.training import image_task


@dataclasses.dataclass(frozen=True)
class ConvSpace(settings.Bounded):
  """The networks that the controller can describe."""

  num_layers: int = settings.space(
    6,
    'Number of layers of the deepest network.',
    is_common=True,
    low=1,
    high=settings.MAX_LAYERS,
  )
  first_depth: int = settings.space(
    0,
    'Number of layers at the beginning of the search; 0: num_layers.',
    low=0,
    high=settings.MAX_LAYERS,
  )
  depth_growth: int = settings.space(
    2,
    'Number of layers that networks grow by at a time, up to num_layers.',
    source=settings.PAPER_IMAGES,
    low=0,
    high=settings.MAX_COUNT,
  )
  depth_every: int = settings.space(
    0,
    'Number of trials of a search before its networks grow; 0: they never do.',
    low=0,
    high=settings.MAX_COUNT,
  )
  heights: tuple[int, ...] = settings.space(
    spaces.SIZES,
    'Heights of filters to choose from, all odd.',
    source=settings.PAPER_IMAGES,
    low=1,
    high=spaces.MAX_SIZE,
  )
  widths: tuple[int, ...] = settings.space(
    spaces.SIZES,
    'Widths of filters to choose from, all odd.',
    source=settings.PAPER_IMAGES,
    low=1,
    high=spaces.MAX_SIZE,
  )
  filters: tuple[int, ...] = settings.space(
    (8, 12, 16, 24),
    'Numbers of filters to choose from; the paper has 24,36,48,64.',
    low=1,
    high=spaces.MAX_FILTERS,
  )
  strides: tuple[int, ...] = settings.space(
    (1,),
    'Strides to choose from, such as 1,2,3; one alone holds for every layer.',
    source=settings.PAPER_IMAGES,
    low=1,
    high=spaces.MAX_SIZE,
  )
  pool_after: tuple[int, ...] = settings.space(
    (),
    'Layers whose outputs are max pooled, counted from 0.',
    low=0,
    high=settings.MAX_LAYERS,
  )
  merge: str = settings.space(
    'concat',
    'How a layer joins several inputs.',
    source='the paper, section 3.3',
    choices=spaces.MERGES,
  )


@dataclasses.dataclass(frozen=True)
class ConvTraining(data_settings.AugmentedImages):
  """How networks are trained; the defaults are DenseNet's, as in the paper."""

  batch_size: int = settings.children(
    image_task.Recipe.batch_size,
    'Number of images in a step.',
    source=settings.DENSENET,
    low=1,
    high=settings.MAX_ITEMS,
  )
  learning_rate: float = settings.children(
    0.1,
    'Learning rate, before the schedule lowers it.',
    source=settings.DENSENET,
    above=0.0,
  )
  momentum: float = settings.children(
    image_task.Recipe.momentum,
    "Nesterov's momentum.",
    source=settings.DENSENET,
    low=0.0,
    below=1.0,
  )
  weight_decay: float = settings.children(
    image_task.Recipe.weight_decay,
    'Weight decay, the multiple of all parameters added to the gradient.',
    source=settings.DENSENET,
    low=0.0,
  )
  schedule: str = settings.children(
    image_task.Recipe.schedule,
    'Schedule of the learning rate; step divides it by ten at decay_start and '
    'again halfway from there to the end.',
    source=settings.DENSENET,
    choices=image_task.SCHEDULES,
  )
  decay_start: float = settings.children(
    image_task.Recipe.decay_start,
    'Fraction of the training at which the schedule step first decays.',
    source=settings.DENSENET,
    above=0.0,
    below=1.0,
  )
