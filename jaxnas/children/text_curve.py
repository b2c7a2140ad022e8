# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The proxy task with its learning curve: measured while it goes on.

What `text_training` measures once, after the training, is measured here at
several points of one training, so that budgets can be compared afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import functools
from typing import Any

from flax import linen as nn
from jax import lax
import jax.numpy as jnp
import numpy as np

from jaxnas.children import text_training
from jaxnas.types import ProxyTask


def make_task(
  recipe: text_training.Recipe,
  vocab_size: int,
  make_cell: Callable[..., nn.RNNCellBase],
  train_segments: text_training.Segments,
  splits: Mapping[str, text_training.Segments],
  fractions: Sequence[float],
  program_axes: Any,
) -> ProxyTask:
  """Makes the task of training a language model and measuring it on the way.

  `P` is the number of points. The measures are metrics of the training itself,
  `<split>_perplexity float32[P]`: NaN from the point on at which the child is
  no longer alive. The task has no splits to measure afterwards.

  Args:
    recipe: how a child is built and trained.
    vocab_size: `V`.
    make_cell: makes a cell from `program`, `features`, `kernel_init` and
      `recurrent_kernel_init`.
    train_segments: the text to train on.
    splits: the texts to measure on, by name.
    fractions: after which parts of all steps there is a point, ascending in
      `(0, 1]`; a fraction of a step is a whole one.
    program_axes: the axes of a batch of programs.

  Raises:
    ValueError: the fractions do not ascend from above 0 to 1.
  """
  points = np.asarray(fractions, np.float32)
  if not (
    points.size and points[-1] == 1 and np.diff(points, prepend=0).min() > 0
  ):
    raise ValueError(
      f'The fractions must ascend from above 0 to 1, got {list(fractions)}.'
    )

  def run_training(data, program, key, learning_rate, num_steps):
    segments, measured = data
    model = text_training.make_model(
      recipe, vocab_size, functools.partial(make_cell, program=program)
    )
    state = text_training.init(model, recipe, key, segments.inputs.shape[-1])

    def go_on(state, span):
      first, last = span
      state = text_training.train(
        model, recipe, state, segments, learning_rate, last, first
      )
      return state, {
        f'{name}_perplexity': jnp.where(
          state.is_alive,
          text_training.perplexity(model, state.params, split),
          jnp.nan,
        )
        for name, split in measured.items()
      }

    ends = jnp.ceil(points * num_steps).astype(jnp.int32)
    state, curves = lax.scan(go_on, state, (jnp.pad(ends, (1, 0))[:-1], ends))
    metrics = {'num_trained': state.num_trained, 'is_alive': state.is_alive}
    return state.params, curves | metrics

  def measure(segments, program, params):
    del segments, program, params
    return {}

  return ProxyTask(
    train=run_training,
    measure=measure,
    train_data=(train_segments, dict(splits)),
    splits={},
    program_axes=program_axes,
  )
