# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The joining of outputs of different shapes, in Flax."""

import jax.numpy as jnp


def concat(*outputs):
  """Concatenates outputs along the filters, padding smaller ones with zeros."""
  height, width = (max(each.shape[i] for each in outputs) for i in (1, 2))
  return jnp.concatenate(
    [pad(each, height, width, each.shape[3]) for each in outputs], axis=-1
  )


def add(*outputs):
  """Adds outputs, those of smaller size or fewer filters padded with zeros."""
  height, width, filters = (
    max(each.shape[i] for each in outputs) for i in (1, 2, 3)
  )
  return sum(pad(each, height, width, filters) for each in outputs)


def pad(outputs, height, width, filters):
  """Pads with zeros: height and width half on each side, filters at the end."""
  rows, columns = height - outputs.shape[1], width - outputs.shape[2]
  return jnp.pad(
    outputs,
    (
      (0, 0),
      (rows // 2, rows - rows // 2),
      (columns // 2, columns - columns // 2),
      (0, filters - outputs.shape[3]),
    ),
  )
