# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The tasks on random tokens of the benchmarks of recurrent cells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.children import recurrent_interpreter
from jaxnas.spaces import recurrent_cell as spaces
from jaxnas.training import shared, shared_text, text_task
from jaxnas.types import Task

LEARNING_RATE = 1.0
"""The learning rate of every child."""


def make_task(
  make_cell: Callable[..., nn.RNNCellBase],
  assemble: Any,
  program_axes: Any,
  *,
  vocab_size: int,
  features: int,
  num_unrolled: int,
  batch_size: int,
  num_segments: int,
) -> Task:
  """Makes the task of training on random tokens by clipped SGD.

  Args:
    make_cell: `features -> cell`, or `features, program -> cell`.
    assemble: `architectures -> programs`, or `None` for one architecture.
    program_axes: the axes of programs that are mapped over.
    vocab_size: the number of different tokens.
    features: the number of hidden units.
    num_unrolled: the number of steps of backpropagation through time.
    batch_size: the number of columns of text.
    num_segments: the number of segments of the text.
  """
  segments = _segments(vocab_size, num_unrolled, batch_size, num_segments)
  return text_task.make_task(
    _recipe(features),
    vocab_size,
    make_cell,
    segments,
    {'validation': jax.tree.map(lambda x: x[:1], segments)},
    assemble,
    program_axes,
  )


def make_shared_task(
  architecture: spaces.RecurrentCell,
  *,
  vocab_size: int,
  features: int,
  num_unrolled: int,
  batch_size: int,
  num_segments: int,
) -> shared.SharedTask:
  """Makes the same with one set of weights for all interpreted cells.

  Args:
    architecture: any cell of the base number.
    vocab_size: the number of different tokens.
    features: the number of hidden units.
    num_unrolled: the number of steps of backpropagation through time.
    batch_size: the number of columns of text.
    num_segments: the number of segments of the text.
  """
  segments = _segments(vocab_size, num_unrolled, batch_size, num_segments)
  return shared_text.make_task(
    _recipe(features),
    vocab_size,
    recurrent_interpreter.InterpretedCell,
    segments,
    {'validation': jax.tree.map(lambda x: x[:1], segments)},
    architecture,
    LEARNING_RATE,
    recurrent_interpreter.assemble,
    recurrent_interpreter.BATCH_AXES,
  )


def _segments(vocab_size, num_unrolled, batch_size, num_segments):
  shape = (num_segments + 1, num_unrolled, batch_size)
  generator = np.random.default_rng(0)
  tokens = jnp.asarray(generator.integers(vocab_size, size=shape), jnp.int32)
  return text_task.Segments(tokens[:-1], tokens[1:], jnp.ones(tokens[1:].shape))


def _recipe(features):
  return text_task.Recipe(
    features=features, optimizer='sgd', max_grad_norm=0.25
  )
