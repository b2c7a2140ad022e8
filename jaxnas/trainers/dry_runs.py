# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Dry runs: the tracing of a child's functions before any training.

Nothing is computed, so a mistake in a loss, or in the module of a rare choice,
is found within a second rather than after a search.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnas.trainers import mapping, outcomes
from jaxnas.types import Span, Task


class DryRun(NamedTuple):
  """The names of the results that a training would have.

  Attributes:
    metrics: the names of a trained child's metrics, except those of splits.
    measured: the names of the metrics measured on each split.
    uses_learning_rate: whether anything depends on the learning rate.
  """

  metrics: tuple[str, ...]
  measured: tuple[str, ...]
  uses_learning_rate: bool

  def names(self, split: str) -> tuple[str, ...]:
    """Returns the names of the metrics of a child measured on one split."""
    return (*self.metrics, *(f'{split}_{name}' for name in self.measured))


def trace(task: Task, architecture: Any, splits: Sequence[str]) -> DryRun:
  """Traces the training of one child and its measurements.

  Args:
    task: the task to train the child on.
    architecture: the child's architecture.
    splits: the names of the splits that it would be measured on.

  Raises:
    ValueError: a split is missing. Errors of the task's functions are passed
      on.
  """
  data = [outcomes.split_of(task.splits, name) for name in splits]
  program = None
  if task.assemble is not None:
    # One axis may apply to all arrays below it.
    program = mapping.map_axes(
      lambda axis, part: (
        jax.tree.map(lambda leaf: leaf[0], part) if axis == 0 else part
      ),
      task.program_axes,
      task.assemble([architecture]),
    )
  key = jax.random.key(0)

  def train(learning_rate):
    state = task.init(program, key, learning_rate)
    state = task.train(
      task.train_data, program, state, key, learning_rate, Span(0, 1, 1)
    )
    return dict(task.train_metrics(state)), state

  traced, (metrics, state) = jax.make_jaxpr(train, return_shape=True)(
    jnp.float32(1)
  )
  names: set[str] = set()
  for split in data:
    names |= set(
      jax.eval_shape(lambda s: dict(task.measure(split, program, s)), state)  # noqa: B023  # Called immediately.
    )
  (rate,) = traced.jaxpr.invars
  used = [*traced.jaxpr.outvars]
  for equation in traced.jaxpr.eqns:
    used.extend(equation.invars)
  return DryRun(
    tuple(sorted(set(metrics) - {'is_alive'})),
    tuple(sorted(names)),
    any(each is rate for each in used),
  )
