# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Evaluates an image classifier in chunks of equal size."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
from jax import lax
import jax.numpy as jnp
import optax


class Examples(NamedTuple):
  """Labeled images.

  Attributes:
    images: the images, `float32[n, H, W, C]`.
    labels: the labels, `int32[n]`; -1 marks padding, which is ignored.
  """

  images: jax.Array
  labels: jax.Array


def evaluate(
  predict: Callable[[jax.Array], jax.Array],
  examples: Examples,
  batch_size: int,
) -> dict[str, jax.Array]:
  """Returns the `accuracy` and the mean `loss`, in nats, over images.

  An image whose logits are not all finite counts as wrong.

  Args:
    predict: the classifier, `images [B, H, W, C] -> logits [B, K]`.
    examples: the images; at least one is not padding.
    batch_size: the maximum number of images to evaluate at once.
  """
  chex.assert_rank(examples, [4, 1])
  examples = pad(examples, batch_size)
  num_chunks = _num_chunks(len(examples.labels), batch_size)
  chunks = jax.tree.map(
    lambda x: x.reshape(num_chunks, -1, *x.shape[1:]), examples
  )

  def body(sums, chunk):
    logits = predict(chunk.images)
    counts = chunk.labels >= 0
    is_right = logits.argmax(-1) == chunk.labels
    is_right &= jnp.isfinite(logits).all(-1)
    losses = optax.losses.softmax_cross_entropy_with_integer_labels(
      logits, jnp.maximum(chunk.labels, 0)
    )
    new = [jnp.where(counts, x, 0).sum() for x in (is_right, losses, counts)]
    # Under `jax_enable_x64` sums have 64 bits.
    return [a + b.astype(a.dtype) for a, b in zip(sums, new, strict=True)], None

  start = [jnp.zeros((), x) for x in (jnp.int32, jnp.float32, jnp.int32)]
  (num_right, loss, total), _ = lax.scan(body, start, chunks)
  accuracy = (num_right / total).astype(jnp.float32)
  return {'accuracy': accuracy, 'loss': loss / total}


def pad(examples: Examples, batch_size: int, size: int = 0) -> Examples:
  """Pads examples to a size, and further until all chunks are equal.

  Args:
    examples: the examples to pad.
    batch_size: the maximum number of images to evaluate at once.
    size: the minimum number of examples after padding.
  """
  size = max(size, len(examples.labels))
  num_chunks = _num_chunks(size, batch_size)
  missing = num_chunks * -(-size // num_chunks) - len(examples.labels)
  if not missing:
    return examples
  return Examples(
    jnp.pad(examples.images, ((0, missing), (0, 0), (0, 0), (0, 0))),
    jnp.pad(examples.labels, (0, missing), constant_values=-1),
  )


def _num_chunks(size: int, batch_size: int) -> int:
  return -(-size // batch_size)
