# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Training steps over shuffled examples, which can be paused at any step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp


def order(
  key: jax.Array, epoch: jax.typing.ArrayLike, num_examples: int
) -> jax.Array:
  """Returns the order of the examples in an epoch, `int32[num_examples]`."""
  return jax.random.permutation(
    jax.random.fold_in(key, epoch), jnp.arange(num_examples, dtype=jnp.int32)
  )


def run(
  step: Callable[[jax.Array, jax.Array, Any], Any],
  state: Any,
  key: jax.Array,
  num_examples: int,
  batch_size: int,
  start: jax.typing.ArrayLike,
  stop: jax.typing.ArrayLike,
) -> Any:
  """Takes steps on batches of examples, reshuffled in every epoch.

  Args:
    step: the training step, `(index, rows int32[B], state) -> state`.
    state: the state of the training before the first step.
    key: the random key that determines the order of examples in each epoch.
    num_examples: the number of examples, at least one batch.
    batch_size: the batch size `B`; an epoch has as many whole batches as fit.
    start: the first step.
    stop: the step after the last one.
  """
  epoch_steps = num_examples // batch_size

  # The index is the same for all children of a `vmap`, so this remains a real
  # branch.
  def body(index, loop):
    state, rows = loop
    rows = lax.cond(
      (index == start) | (index % epoch_steps == 0),
      lambda: order(key, index // epoch_steps, num_examples),
      lambda: rows,
    )
    chosen = lax.dynamic_slice_in_dim(
      rows, index % epoch_steps * batch_size, batch_size
    )
    return step(index, chosen, state), rows

  rows = jnp.zeros(num_examples, jnp.int32)
  return lax.fori_loop(start, stop, body, (state, rows))[0]
