# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The checks of arguments and the results that all trainers share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from jaxnas.trainers import memory
from jaxnas.types import Kept, Span, Status, Task, Trained

OUT_OF_MEMORY_REASON = 'it does not fit into memory'


def check(
  architectures: Sequence[Any],
  keys: jax.Array,
  learning_rates: np.ndarray | Sequence[float],
) -> np.ndarray:
  """Returns the learning rates as `float32[N]`, after checking the counts.

  Raises:
    ValueError: there is no child, or the numbers of architectures, keys and
      learning rates differ.
  """
  rates = np.asarray(learning_rates, np.float32)
  counts = len(architectures), len(keys), len(rates)
  if len(set(counts)) > 1:
    raise ValueError(
      'A trainer needs a key and a learning rate for each architecture; got '
      f'{counts[0]} architectures, {counts[1]} keys and {counts[2]} learning '
      'rates.'
    )
  if not len(keys):
    raise ValueError('A trainer needs at least one child to train.')
  return rates


def span(num_trained: int, stop: int | None, num_steps: int) -> Span:
  """Returns the span of steps from `num_trained` to `stop`, or to the end.

  Raises:
    ValueError: `stop` lies before the steps already taken, or after the end.
  """
  stop = num_steps if stop is None else stop
  if not num_trained <= stop <= num_steps:
    raise ValueError(
      f'stop must be from {num_trained}, the number of steps taken, to '
      f'{num_steps}, the length of the training; got {stop}.'
    )
  return Span(num_trained, stop, num_steps)


def train_from(task: Task) -> Callable[..., tuple[Any, dict[str, jax.Array]]]:
  """Returns the function that trains a child for a span of steps.

  A span that starts at 0 initializes the child and ignores the given state.
  Initialization is part of the training program, so a training cut into spans
  and an uncut one run the same program and agree bit for bit.

  Args:
    task: the task to train the child on.

  Returns:
    A function `(data, program, state, key, learning_rate, span) -> (state,
    metrics)`, with the state after the span and the training's metrics. It
    raises `ValueError` if the task does not report which children are alive.
  """

  def train(data, program, state, key, learning_rate, span):
    state = lax.cond(
      span.start > 0,
      lambda: state,
      lambda: task.init(program, key, learning_rate),
    )
    state = task.train(data, program, state, key, learning_rate, span)
    metrics = dict(task.train_metrics(state))
    if 'is_alive' not in metrics:
      raise ValueError(
        "The task's train_metrics must include 'is_alive', false where a child "
        f'failed; got {", ".join(sorted(metrics)) or "nothing"}.'
      )
    return state, metrics

  return train


def measure_of(task: Task) -> Callable[..., dict[str, jax.Array]]:
  """Returns the task's function `(split, program, state) -> metrics`."""
  return lambda split, program, state: dict(task.measure(split, program, state))


def split_of(splits: Mapping[str, Any], name: str) -> Any:
  """Returns the split of that name; raises `ValueError` if there is none."""
  if name not in splits:
    raise ValueError(
      f'The task has no split {name!r} to measure on; it has '
      f'{", ".join(sorted(splits)) or "none"}.'
    )
  return splits[name]


def blank(state: Any) -> Any:
  """Returns a placeholder for a state, for `train_from` to overwrite."""
  return jax.tree.map(lambda leaf: jnp.empty(leaf.shape, leaf.dtype), state)


def out_of_memory_reason(error: Exception) -> str:
  """Returns why children have no result, with the estimate if there is one."""
  is_estimated = isinstance(error, memory.NotEnoughMemoryError)
  return str(error) if is_estimated else OUT_OF_MEMORY_REASON


def judge(metrics: Mapping[str, np.ndarray]) -> Trained:
  """Turns metrics `[N]`, including `is_alive`, into results."""
  metrics = dict(metrics)
  is_alive = np.asarray(metrics.pop('is_alive'), bool)
  status = np.where(is_alive, Status.OK, Status.DIVERGED).astype(np.int32)
  return Trained(metrics, status)


def join(
  parts: Sequence[tuple[Sequence[int], Trained | str]],
  num_children: int,
  known: Mapping[str, jax.ShapeDtypeStruct] | None = None,
) -> Trained:
  """Joins the results of several groups of children.

  Args:
    parts: the indices of each group's children, and their results, or the
      reason why they did not fit into memory.
    num_children: the total number of children.
    known: the shapes and dtypes, for one child, of the metrics that every child
      has, since the set of metrics must not depend on which children fit.
  """
  metrics = {
    name: _missing(num_children, each.dtype, each.shape)
    for name, each in (known or {}).items()
  }
  status = np.full(num_children, Status.OUT_OF_MEMORY, np.int32)
  reasons = [OUT_OF_MEMORY_REASON] * num_children
  for rows, trained in parts:
    rows = list(rows)
    if isinstance(trained, str):
      for row in rows:
        reasons[row] = trained
      continue
    status[rows] = trained.status
    for row, reason in zip(rows, trained.reasons or [''] * len(rows)):  # noqa: B905  # For mypy; equal lengths.
      reasons[row] = reason
    for name, values in trained.metrics.items():
      if name not in metrics:
        metrics[name] = _missing(num_children, values.dtype, values.shape[1:])
      metrics[name][rows] = values
  return Trained(
    dict(sorted(metrics.items())),
    status,
    tuple(reasons) if any(reasons) else (),
    _join_kept(parts, num_children),
  )


def _missing(num_children, dtype, shape=()) -> np.ndarray:
  is_real = jax.dtypes.issubdtype(dtype, np.floating)
  return np.full((num_children, *shape), np.nan if is_real else 0, dtype)


def _join_kept(parts, num_children) -> Kept | None:
  kept = [
    (rows, trained.kept)
    for rows, trained in parts
    if not isinstance(trained, str) and trained.kept is not None
  ]
  if not kept:
    return None
  states: list[Any] = [None] * num_children
  for rows, each in kept:
    for row, state in zip(rows, each.states, strict=True):
      states[row] = state
  # The caller knows the children and fills in the other fields.
  return kept[0][1]._replace(states=states)
