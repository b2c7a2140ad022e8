# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Combines a data set and a recipe into a task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import functools
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.children import recurrent_interpreter
from jaxnas.children.network import Network
from jaxnas.datasets import images, text
from jaxnas.spaces import recurrent_cell
from jaxnas.training import (
  image_task,
  long_images,
  long_text,
  shared,
  shared_images,
  shared_text,
  text_curve,
  text_task,
)
from jaxnas.training.image_evaluation import Examples
from jaxnas.types import SearchSpace, Task


def make_image_task(
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
    *_image_data(dataset),
    assemble,
    program_axes,
  )


def make_long_image_task(
  dataset: images.ImageDataset, recipe: image_task.Recipe, network: Network
) -> Task:
  """Makes the task of a long training; see `long_images.make_task`."""
  return long_images.make_task(recipe, network, *_image_data(dataset))


def make_shared_images(
  dataset: images.ImageDataset,
  recipe: image_task.Recipe,
  make_network: Callable[[Any], Network],
  init: Callable[[jax.Array], tuple[Any, Any]],
  learning_rate: float,
  assemble: Callable[[Sequence[Any]], Any],
  program_axes: Any,
) -> shared.SharedTask:
  """Makes the task of training shared weights; see `shared_images`.

  Children can be judged on the validation split.
  """
  train_data, splits = _image_data(dataset)
  return shared_images.make_task(
    recipe,
    make_network,
    init,
    Examples(train_data.images, train_data.labels),
    {'validation': splits['validation']},
    learning_rate,
    assemble,
    program_axes,
  )


def _image_data(
  dataset: images.ImageDataset,
) -> tuple[image_task.TrainData, dict[str, Examples]]:
  """Returns the images to train on, and the splits to measure on."""
  validation = Examples(dataset.validation_images, dataset.validation_labels)
  return (
    image_task.TrainData(
      dataset.train_images, dataset.train_labels, *validation
    ),
    {
      'validation': validation,
      'report': Examples(dataset.report_images, dataset.report_labels),
    },
  )


class TextTasks:
  """A text cut into segments, without its test split.

  Attributes:
    dataset: the text.
    num_segments: the number of segments that children train on, which is the
      number of steps in an epoch.
    train: the segments that children train on.
    num_minibatches: the number of segments of each other split, by its name.
  """

  def __init__(
    self,
    dataset: text.TextDataset,
    batch_size: int,
    num_unrolled: int,
    num_segments: int = 0,
  ):
    """Cuts the text.

    Args:
      dataset: the text.
      batch_size: the number of columns read at once.
      num_unrolled: the number of time steps that gradients flow through.
      num_segments: the number of segments of the training text to train on,
        the first of every column; 0 for all.

    Raises:
      ValueError: the training text is too short for one segment, or for
        `num_segments`.
    """
    self.dataset = dataset
    inputs, targets = text.train_segments(
      dataset.train, batch_size, num_unrolled
    )
    if not 0 <= num_segments <= len(inputs):
      raise ValueError(
        f'num_segments must be from 0 to {len(inputs):,}, the number of '
        f'segments of the training text, got {num_segments:,}.'
      )
    self.num_segments = num_segments or len(inputs)
    inputs, targets = (x[: self.num_segments] for x in (inputs, targets))
    self.train = text_task.Segments(
      jnp.asarray(inputs), jnp.asarray(targets), jnp.ones(inputs.shape)
    )
    self._splits = {
      name: to_segments(tokens, batch_size, num_unrolled)
      for name, tokens in (
        ('validation', dataset.validation),
        ('report', dataset.report),
      )
    }
    self.num_minibatches = {
      name: len(segments.inputs) for name, segments in self._splits.items()
    }

  def make(
    self,
    recipe: text_task.Recipe,
    make_cell: Callable[..., nn.RNNCellBase],
    assemble: Callable[[Sequence[Any]], Any] | None = None,
    program_axes: Any = None,
  ) -> Task:
    """Makes the task of training a child; see `text_task.make_task`."""
    return text_task.make_task(
      recipe,
      self.dataset.vocab_size,
      make_cell,
      self.train,
      self._splits,
      assemble,
      program_axes,
    )

  def make_long(
    self,
    recipe: long_text.Recipe,
    architecture: recurrent_cell.RecurrentCell | str,
  ) -> Task:
    """Makes the task of a long training; see `long_text.make_task`."""
    return long_text.make_task(
      recipe, self.dataset.vocab_size, architecture, self.train, self._splits
    )

  def make_curve(
    self,
    recipe: text_task.Recipe,
    make_cell: Callable[..., nn.RNNCellBase],
    fractions: Sequence[float],
    assemble: Callable[[Sequence[Any]], Any] | None,
    program_axes: Any,
  ) -> Task:
    """Makes the task with a learning curve; see `text_curve.make_task`."""
    return text_curve.make_task(
      recipe,
      self.dataset.vocab_size,
      make_cell,
      self.train,
      self._splits,
      fractions,
      assemble,
      program_axes,
    )

  def make_shared(
    self,
    recipe: text_task.Recipe,
    make_cell: Callable[..., nn.RNNCellBase],
    architecture: Any,
    learning_rate: float,
    assemble: Callable[[Sequence[Any]], Any],
    program_axes: Any,
  ) -> shared.SharedTask:
    """Makes the task of training shared weights; see `shared_text`."""
    return shared_text.make_task(
      recipe,
      self.dataset.vocab_size,
      make_cell,
      self.train,
      self._splits,
      architecture,
      learning_rate,
      assemble,
      program_axes,
    )

  def make_shared_cells(
    self,
    recipe: text_task.Recipe,
    space: SearchSpace,
    learning_rate: float,
    *,
    sharing: str = 'leaf',
    is_relaxed: bool = False,
    combiners: Sequence[str] = recurrent_cell.COMBINERS,
    activations: Sequence[str] = recurrent_cell.ACTIVATIONS,
  ) -> shared.SharedTask:
    """Makes the task of training one set of weights for all cells of a space.

    A leaf of a relaxed cell has no canonical place, so there the weights of a
    leaf are those of its place among the tokens, and cells that are equal but
    for the order of operands have different weights.

    Args:
      recipe: the recipe by which the weights are made and trained.
      space: the search space, recurrent cells with the same base number.
      learning_rate: the learning rate of the weights.
      sharing: what shares weights, a key of `shared_text.SHARINGS`.
      is_relaxed: whether a program may be a `SoftProgram`, a mixture of cells.
      combiners: the combiners to choose from.
      activations: the activations to choose from.
    """
    operations: Any = {
      'combiners': tuple(combiners),
      'activations': tuple(activations),
    }
    return self.make_shared(
      recipe,
      functools.partial(
        shared_text.SHARINGS[sharing], injects_anywhere=is_relaxed, **operations
      ),
      space.decode(np.zeros(space.num_tokens, np.int32)),
      learning_rate,
      functools.partial(
        recurrent_interpreter.assemble,
        is_canonical=not is_relaxed,
        **operations,
      ),
      recurrent_interpreter.BATCH_AXES,
    )


def to_segments(
  tokens: jax.Array, batch_size: int, num_unrolled: int
) -> text_task.Segments:
  """Cuts a text for evaluation: every token but the first counts once."""
  segments = text.evaluation_segments(tokens, batch_size, num_unrolled)
  return text_task.Segments(*map(jnp.asarray, segments))
