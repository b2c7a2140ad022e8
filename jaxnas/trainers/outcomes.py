# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""What trainers are asked and what they answer, in one form for all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from jaxnas.types import Kept, Span, Status, Task, Trained

OUT_OF_MEMORY_REASON = 'it does not fit into memory'


def check(
  architectures: Sequence[Any],
  keys: jax.Array,
  learning_rates: np.ndarray | Sequence[float],
) -> np.ndarray:
  """Returns the learning rates `float32[N]` of children that go together.

  Raises:
    ValueError: there is no child, or there are not as many architectures, keys
      and learning rates.
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
  """Returns the steps from those done to `stop`, by default the last.

  Raises:
    ValueError: the training is asked to stop before it begins, or after its
      end.
  """
  stop = num_steps if stop is None else stop
  if not num_trained <= stop <= num_steps:
    raise ValueError(
      f'stop must be from {num_trained}, the steps that are done, to '
      f'{num_steps}, the length of the training; got {stop}.'
    )
  return Span(num_trained, stop, num_steps)


def train_from(task: Task) -> Callable[..., tuple[Any, dict[str, jax.Array]]]:
  """Returns `(data, program, state, key, learning_rate, span)` -> what is new.

  A span that starts at 0 makes the child, whatever the state it is given. That
  is part of the program that trains, so that a training in spans and one in one
  are the work of the same program, and the same to the bit.

  Args:
    task: what is done with a child.

  Returns:
    A function that returns the state after the span, and the metrics of the
    training; it raises `ValueError` where the task does not tell which children
    are alive, or a metric is no scalar.
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
        "The task's train_metrics must have 'is_alive' among them, false where "
        f'a child failed; got {", ".join(sorted(metrics)) or "nothing"}.'
      )
    return state, metrics

  return train


def measure_of(task: Task) -> Callable[..., dict[str, jax.Array]]:
  """Returns `(split, program, state) -> metrics` of a task."""
  return lambda split, program, state: dict(task.measure(split, program, state))


def split_of(splits: Mapping[str, Any], name: str) -> Any:
  """Returns a split by its name; raises `ValueError` where there is none."""
  if name not in splits:
    raise ValueError(
      f'The task has no split {name!r} to measure on; it has '
      f'{", ".join(sorted(splits)) or "none"}.'
    )
  return splits[name]


def blank(state: Any) -> Any:
  """Returns zeros of the shapes of a state, for `train_from` to overwrite."""
  return jax.tree.map(lambda leaf: jnp.empty(leaf.shape, leaf.dtype), state)


def judge(metrics: Mapping[str, np.ndarray]) -> Trained:
  """Turns metrics `[N]`, `is_alive` among them, into results."""
  metrics = dict(metrics)
  is_alive = np.asarray(metrics.pop('is_alive'), bool)
  status = np.where(is_alive, Status.OK, Status.DIVERGED).astype(np.int32)
  return Trained(metrics, status)


def join(
  parts: Sequence[tuple[Sequence[int], Trained | None]],
  num_children: int,
  known: Mapping[str, jax.ShapeDtypeStruct] | None = None,
) -> Trained:
  """Joins the results of parts of some children.

  Args:
    parts: the rows of each part's children, and their results; `None` where
      they did not fit into memory.
    num_children: how many rows there are.
    known: metrics that every child has, whether or not any fits, each as one
      child's: which metrics there are must not depend on who fits.
  """
  metrics = {
    name: _missing(num_children, each.dtype, each.shape)
    for name, each in (known or {}).items()
  }
  status = np.full(num_children, Status.OUT_OF_MEMORY, np.int32)
  reasons = [OUT_OF_MEMORY_REASON] * num_children
  for rows, trained in parts:
    if trained is None:
      continue
    rows = list(rows)
    status[rows] = trained.status
    for row, reason in zip(rows, trained.reasons or [''] * len(rows)):  # noqa: B905  # mypy's sake; equally long.
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
    if trained is not None and trained.kept is not None
  ]
  if not kept:
    return None
  states: list[Any] = [None] * num_children
  for rows, each in kept:
    for row, state in zip(rows, each.states, strict=True):
      states[row] = state
  # Who joins the parts knows the children, and says so.
  return kept[0][1]._replace(states=states)
