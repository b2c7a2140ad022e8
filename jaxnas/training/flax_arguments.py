# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Checks of the arguments of a Flax module's task, before tracing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnas import errors

Score = Callable[[Any, Any], jax.Array]
"""`(outputs, targets) -> [B]`: the score of each example of a batch."""

Optimizer = Callable[[jax.typing.ArrayLike], optax.GradientTransformation]
"""`learning_rate -> optimizer`, like `optax.adam`; the rate may be traced."""


def check(
  data: Mapping[str, tuple[Any, Any]],
  loss: Score,
  metrics: Mapping[str, Score],
  optimizer: Optimizer,
  batch_size: int,
) -> dict[str, int]:
  """Checks the arguments of a task except its module.

  Args:
    data: the inputs and targets of each split, as in `flax_task.make_task`.
    loss: the loss to minimize.
    metrics: the metrics by name.
    optimizer: `learning_rate -> optimizer`.
    batch_size: the batch size `B`.

  Returns:
    The number of examples of each split.

  Raises:
    ValueError: an argument has the wrong type, a split is missing or empty, its
      arrays differ in length, a value is NaN, splits differ in the shape or
      dtype of an example, or there are fewer training examples than one batch.
  """
  if not isinstance(metrics, Mapping):
    raise ValueError(
      'metrics must be a mapping from names to functions, such as '
      f"{{'accuracy': function}}; got {errors.shorten(repr(metrics))}."
    )
  scores = {f'The metric {name!r}': score for name, score in metrics.items()}
  for name, function in (
    ('loss', loss),
    ('optimizer', optimizer),
    *scores.items(),
  ):
    if not callable(function):
      such = ' from a learning rate to an optax optimizer, such as optax.adam'
      raise ValueError(
        f'{name} must be a function{such if name == "optimizer" else ""}, got '
        f'{errors.shorten(repr(function))}.'
      )
  if 'loss' in metrics:
    raise ValueError(
      "The metric 'loss' is the mean of the loss, which is measured on every "
      'split without being asked for; leave it out, or use another name.'
    )
  if not isinstance(data, Mapping):
    raise ValueError(
      'data must be a mapping from names of splits to (inputs, targets), such '
      f"as {{'train': (x, y), ...}}; got a {type(data).__name__}."
    )
  if 'train' not in data or len(data) < 2:
    raise ValueError(
      "The data needs a split 'train' and a split to measure on, such as "
      f"'validation'; got {', '.join(map(str, data)) or 'nothing'}."
    )
  sizes = {name: _size(name, split) for name, split in data.items()}
  for name in data:
    _check_alike(data, name)
  if not isinstance(batch_size, int | np.integer):
    raise ValueError(f'batch_size must be a whole number, got {batch_size!r}.')
  if not 1 <= batch_size <= sizes['train']:
    raise ValueError(
      f'batch_size must be from 1 to {sizes["train"]}, the number of training '
      f'examples; got {batch_size}.'
    )
  return sizes


def _size(name: str, split: Any) -> int:
  """Returns the number of examples in a split."""
  if not isinstance(split, Sequence) or len(split) != 2:
    raise ValueError(
      f'data[{name!r}] must be (inputs, targets), got a '
      f'{type(split).__name__}'
      + (f' of {len(split)}.' if isinstance(split, Sequence) else '.')
    )
  for part in jax.tree.leaves(split, is_leaf=lambda x: isinstance(x, list)):
    # To jax, a list is a tree of as many arrays as it has numbers.
    if isinstance(part, list) and not all(map(np.ndim, jax.tree.leaves(part))):
      raise ValueError(
        f'data[{name!r}] has a list of numbers; make it an array, with '
        'np.asarray(list).'
      )
  leaves = [
    leaf if isinstance(leaf, jax.Array) else np.asarray(leaf)
    for leaf in jax.tree.leaves(split)
  ]
  for leaf in leaves:
    if not leaf.ndim or leaf.dtype.kind not in 'biufcV':
      raise ValueError(
        f'data[{name!r}] must be arrays of numbers whose first axis counts '
        f'the examples; got one of shape {leaf.shape} and dtype {leaf.dtype}.'
      )
  lengths = sorted({len(leaf) for leaf in leaves})
  if len(lengths) != 1:
    raise ValueError(
      f'The arrays of {name!r} must have equally many examples, at least '
      f'one; got {", ".join(map(str, lengths)) or "no array"}.'
    )
  if not lengths[0]:
    raise ValueError(f'There are no examples in {name!r}.')
  for part, arrays in zip(('inputs', 'targets'), split, strict=True):
    num_bad = sum(_count_nan(leaf) for leaf in jax.tree.leaves(arrays))
    if num_bad:
      raise ValueError(
        f'The {part} of {name!r} have {num_bad:,} values that are NaN; replace '
        'them, or leave their examples out.'
      )
  return lengths[0]


def _count_nan(array: Any) -> int:
  is_real = jax.dtypes.issubdtype(array.dtype, np.inexact)
  return int(np.isnan(np.asarray(array)).sum()) if is_real else 0


def _check_alike(data: Mapping[str, Any], name: str) -> None:
  """Checks that the examples of a split are like training examples."""

  def example(array):
    dtype = jax.dtypes.canonicalize_dtype(jnp.result_type(array))
    return f'{dtype}{list(np.shape(array)[1:])}'

  for part, given, expected in zip(
    ('inputs', 'targets'), data[name], data['train'], strict=True
  ):
    shown, wanted = (jax.tree.map(example, x) for x in (given, expected))
    if shown != wanted:
      raise ValueError(
        f'An example of the {part} of {name!r} is {shown}, but one of '
        f"'train' is {wanted}; make them alike."
      )
