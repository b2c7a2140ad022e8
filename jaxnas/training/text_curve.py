# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The proxy task for text with a learning curve, measured during training.

`text_task` measures once, after the training. Here the same is measured at
several points of one training, so that budgets can be compared afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import functools
from typing import Any, NamedTuple

from flax import linen as nn
import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from jaxnas.training import text_task
from jaxnas.types import Span, Task


class CurveState(NamedTuple):
  """A child in training and its learning curve so far.

  Attributes:
    child: the child.
    perplexities: the perplexities by split, `float32[P]`; NaN at points not yet
      reached or where the child was no longer alive.
  """

  child: text_task.TrainState
  perplexities: Mapping[str, jax.Array]


def make_task(
  recipe: text_task.Recipe,
  vocab_size: int,
  make_cell: Callable[..., nn.RNNCellBase],
  train_segments: text_task.Segments,
  splits: Mapping[str, text_task.Segments],
  fractions: Sequence[float],
  assemble: Callable[[Sequence[Any]], Any] | None = None,
  program_axes: Any = None,
) -> Task:
  """Makes the task of training a language model with a learning curve.

  `P` is the number of points. The measurements are metrics of the training
  itself, `<split>_perplexity float32[P]`, NaN from the point at which the child
  is no longer alive. The task has no splits to measure on afterwards.

  Args:
    recipe: the recipe by which a child is built and trained.
    vocab_size: the size `V` of the vocabulary.
    make_cell: a function that makes a cell from `program` (if `assemble` is
      given), `features`, `kernel_init` and `recurrent_kernel_init`.
    train_segments: the text to train on.
    splits: the texts to measure on, by name.
    fractions: the points as fractions of all steps, ascending in `(0, 1]`;
      rounded up to whole steps.
    assemble: `cells -> program`, as in `Task`; `None` if the cell is fixed.
    program_axes: the batch axes of the programs.

  Raises:
    ValueError: `fractions` does not ascend from above 0 to 1.
  """
  points = _to_points(fractions)
  model_of = functools.partial(
    text_task.make_program_model,
    recipe,
    vocab_size,
    make_cell,
    assemble is not None,
  )

  def init(program, key, learning_rate):
    del learning_rate
    batch_size = train_segments.inputs.shape[-1]
    child = text_task.init(model_of(program), recipe, key, batch_size)
    nothing = jnp.full(points.shape, jnp.nan, jnp.float32)
    return CurveState(child, dict.fromkeys(splits, nothing))

  def train(data, program, state, key, learning_rate, span: Span):
    del key
    segments, measured = data
    model = model_of(program)
    ends = jnp.ceil(points * span.num_steps).astype(jnp.int32)

    def go_on(child, point):
      first, end, curve = point
      child = text_task.train(
        model,
        recipe,
        child,
        segments,
        learning_rate,
        jnp.minimum(end, span.stop),
        jnp.maximum(first, span.start),
      )
      is_due = (span.start < end) & (end <= span.stop)
      # The span is the same for all children of a `vmap`, so this remains a
      # real branch.
      return child, lax.cond(
        is_due, lambda: _measure_all(model, child, measured), lambda: curve
      )

    firsts = jnp.pad(ends, (1, 0))[:-1]
    child, curves = lax.scan(
      go_on, state.child, (firsts, ends, state.perplexities)
    )
    return CurveState(child, curves)

  def train_metrics(state):
    return text_task.train_metrics(state.child) | {
      f'{name}_perplexity': curve for name, curve in state.perplexities.items()
    }

  return Task(
    init=init,
    train=train,
    train_metrics=train_metrics,
    measure=lambda split, program, state: {},
    train_data=(train_segments, dict(splits)),
    splits={},
    assemble=assemble,
    program_axes=program_axes,
  )


def _to_points(fractions: Sequence[float]) -> np.ndarray:
  """Returns fractions as an array, `float32[P]`, after checking them."""
  points = np.asarray(fractions, np.float32)
  if not (
    points.size and points[-1] == 1 and np.diff(points, prepend=0).min() > 0
  ):
    raise ValueError(
      f'The fractions must ascend from above 0 to 1, got {list(fractions)}.'
    )
  return points


def _measure_all(model, child, splits) -> dict[str, jax.Array]:
  """Returns a child's perplexity on each split; NaN if it is not alive."""
  return {
    name: jnp.where(
      child.is_alive,
      text_task.perplexity(model, child.params, split),
      jnp.nan,
    )
    for name, split in splits.items()
  }
