# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Finds labels that a child's outputs have no place for.

JAX raises no error for an index that is out of range: it takes NaN, the last
element or, for a negative one, an element from the end. Children would be
trained on the wrong labels, or all of them would fail.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import contextlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Loss = Callable[[Any, Any], jax.Array]


def check(
  module: str, outputs: Any, data: Mapping[str, tuple[Any, Any]], loss: Loss
) -> None:
  """Checks that the labels of every split are classes that a child knows.

  Only whole numbers beside one axis of outputs can be labels, and only a loss
  that they index shows whether they are.

  Args:
    module: the name of the child's module.
    outputs: the shapes and dtypes of its outputs for a batch.
    data: the inputs and targets of each split, by name.
    loss: the loss, `(outputs, targets) -> [B]`.

  Raises:
    ValueError: a label is out of range.
  """
  if not isinstance(outputs, jax.ShapeDtypeStruct) or len(outputs.shape) < 2:
    return
  *axes, num_classes = outputs.shape[1:]
  for name, (_, targets) in data.items():
    if not hasattr(targets, 'dtype') or num_classes < 2:
      continue
    if targets.dtype.kind not in 'iu' or list(targets.shape[1:]) != axes:
      continue
    for label in (int(targets.max()), int(targets.min())):
      if 0 <= label < num_classes:
        continue
      if _is_outside(loss, outputs, targets.dtype, label):
        raise ValueError(
          f'data[{name!r}] has the label {label}, but {module} returns '
          f'{num_classes} numbers for each example, so that labels go from 0 '
          f'to {num_classes - 1}.'
        )


def _is_outside(loss: Loss, outputs: Any, dtype: Any, label: int) -> bool:
  """Returns whether a loss takes a label as the index of what is not there."""
  num_classes = outputs.shape[-1]
  # Any probabilities, all different, which may also be logits.
  shape = 1, *outputs.shape[1:]
  dtype = jax.dtypes.canonicalize_dtype(dtype)
  values = jax.nn.softmax(jnp.linspace(0, 1, num_classes))
  some = jnp.broadcast_to(values, shape).astype(outputs.dtype)

  def loss_of(label: int) -> np.ndarray:
    return np.asarray(loss(some, jnp.full(shape[:-1], label, dtype)))

  # What a loss makes of outputs and labels is checked where it is traced.
  with contextlib.suppress(Exception):
    first, second = loss_of(0), loss_of(1)
    if not np.isfinite(first).all() or np.array_equal(first, second):
      return False
    mine = loss_of(label)
    if not np.isfinite(mine).all():
      return True
    if label < 0:
      return np.array_equal(mine, loss_of(label + num_classes))
    last = loss_of(num_classes - 1)
    return np.array_equal(mine, last) and np.array_equal(
      loss_of(label + 1), last
    )
  return False
