# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Joins images and a recipe to the task that a child is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import difflib
from typing import Any

from jaxnas.children.network import Network
from jaxnas.datasets import images
from jaxnas.spaces import conv_net as spaces
from jaxnas.spaces import known_conv_nets
from jaxnas.training import image_task
from jaxnas.training.image_evaluation import Examples
from jaxnas.types import Task

KNOWN_NETS = ('chain', 'dense', 'resnet', 'figure_7')


def make_task(
  dataset: images.ImageDataset,
  recipe: image_task.Recipe,
  make_network: Callable[[Any], Network],
  assemble: Callable[[Sequence[Any]], Any] | None = None,
  program_axes: Any = None,
) -> Task:
  """Makes the task of training a child; see `image_task.make_task`."""
  return image_task.make_task(
    recipe,
    make_network,
    image_task.TrainData(
      dataset.train_images,
      dataset.train_labels,
      dataset.validation_images,
      dataset.validation_labels,
    ),
    {
      'validation': Examples(
        dataset.validation_images, dataset.validation_labels
      ),
      'report': Examples(dataset.report_images, dataset.report_labels),
    },
    assemble,
    program_axes,
  )


def known_net(
  name: str, num_layers: int, filters: int, merge: str
) -> spaces.ConvNet:
  """Returns a known network by name.

  Args:
    name: one of `KNOWN_NETS`.
    num_layers: its depth; `'figure_7'` has its own.
    filters: of every layer; likewise.
    merge: how it joins outputs; likewise.

  Raises:
    ValueError: there is none of that name, and the near ones are listed; or
      none of that depth.
  """
  if name == 'figure_7':
    return known_conv_nets.FIGURE_7
  makers = {
    'chain': known_conv_nets.make_chain,
    'dense': known_conv_nets.make_dense,
    'resnet': known_conv_nets.make_resnet,
  }
  if name in makers:
    return makers[name](num_layers, filters, merge=merge)
  near = difflib.get_close_matches(name, KNOWN_NETS, cutoff=0.4)
  raise ValueError(
    f'Unknown network {name!r}; '
    + (f'did you mean {" or ".join(near)}? ' if near else '')
    + f'the known networks are {", ".join(KNOWN_NETS)}.'
  )
