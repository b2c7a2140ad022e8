# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Joins a text and a recipe to the task that a child is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import difflib
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

from jaxnas.datasets import text
from jaxnas.spaces import recurrent_cell as spaces
from jaxnas.training import text_curve, text_task
from jaxnas.types import Task


class TextTasks:
  """A text, cut in segments, without its test split.

  Attributes:
    dataset: the text.
    num_segments: how many steps one epoch has.
  """

  def __init__(
    self, dataset: text.TextDataset, batch_size: int, num_unrolled: int
  ):
    """Cuts the text.

    Args:
      dataset: the text.
      batch_size: columns read at once.
      num_unrolled: steps of backpropagation through time.

    Raises:
      ValueError: the text is too short for one segment.
    """
    self.dataset = dataset
    inputs, targets = text.train_segments(
      dataset.train, batch_size, num_unrolled
    )
    self.num_segments = inputs.shape[0]
    self._train = text_task.Segments(
      jnp.asarray(inputs), jnp.asarray(targets), jnp.ones(inputs.shape)
    )
    self._splits = {
      name: to_segments(tokens, batch_size, num_unrolled)
      for name, tokens in (
        ('validation', dataset.validation),
        ('report', dataset.report),
      )
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
      self._train,
      self._splits,
      assemble,
      program_axes,
    )

  def make_curve(
    self,
    recipe: text_task.Recipe,
    make_cell: Callable[..., nn.RNNCellBase],
    fractions: Sequence[float],
    assemble: Callable[[Sequence[Any]], Any] | None,
    program_axes: Any,
  ) -> Task:
    """Makes the task of training with measures; see `text_curve.make_task`."""
    return text_curve.make_task(
      recipe,
      self.dataset.vocab_size,
      make_cell,
      self._train,
      self._splits,
      fractions,
      assemble,
      program_axes,
    )


def to_segments(
  tokens: jax.Array, batch_size: int, num_unrolled: int
) -> text_task.Segments:
  """Cuts a text for evaluation: each token but the first is counted once."""
  segments = text.evaluation_segments(tokens, batch_size, num_unrolled)
  return text_task.Segments(*map(jnp.asarray, segments))


def known_cell(name: str) -> spaces.RecurrentCell:
  """Returns a known cell by name.

  Raises:
    ValueError: there is none of that name; the near ones are listed.
  """
  if name in spaces.KNOWN_CELLS:
    return spaces.KNOWN_CELLS[name]
  near = difflib.get_close_matches(name, spaces.KNOWN_CELLS, cutoff=0.4)
  raise ValueError(
    f'Unknown cell {name!r}; '
    + (f'did you mean {" or ".join(near)}? ' if near else '')
    + f'The known cells are {", ".join(spaces.KNOWN_CELLS)}.'
  )
