# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The check of a Flax file without weights."""

from flax import linen as nn
from flax import traverse_util
import jax
import numpy as np

from jaxnas.export.pieces.comparison import compare
from jaxnas.export.pieces.drawing import draw

SEED = 0
INPUTS = (1, 1)
EXPECTED = [[0.0]]


def checked_model():
  """Returns the model whose outputs were recorded."""
  return nn.Dense(1)


def check():
  """Compares the outputs with the recorded ones; returns an exit code."""
  # In double precision, rounding is far below any mistake, on any machine.
  jax.config.update('jax_enable_x64', True)
  random = np.random.RandomState(SEED)
  inputs = draw(random, INPUTS)
  model = checked_model()
  shapes = jax.eval_shape(model.init, jax.random.key(0), inputs)
  leaves = traverse_util.flatten_dict(shapes, sep='/')
  drawn = {name: draw(random, leaves[name].shape) for name in sorted(leaves)}
  variables = traverse_util.unflatten_dict(drawn, sep='/')
  outputs = jax.jit(model.apply)(variables, inputs)
  return compare(jax.tree.leaves(outputs), EXPECTED)
