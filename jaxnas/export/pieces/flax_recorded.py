# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Reads a Flax file's variables from arrays."""

from flax import traverse_util
import jax


def read_variables(model, arrays, inputs, dtype=None):
  """Returns the variables of a model, taken from the arrays of a file.

  Args:
    model: the model.
    arrays: the file's arrays by name, as `read_arrays` returns them.
    inputs: example inputs of the model; their values do not matter.
    dtype: the type of the variables; that of the arrays by default.

  Raises:
    ValueError: an array is missing, or has the wrong shape.
  """
  shapes = jax.eval_shape(model.init, jax.random.key(0), inputs)
  variables = {}
  for name, leaf in traverse_util.flatten_dict(shapes, sep='/').items():
    if name not in arrays or arrays[name].shape != leaf.shape:
      raise ValueError(f'{name} is missing, or its shape is not {leaf.shape}')
    variables[name] = arrays[name].astype(dtype or arrays[name].dtype)
  return traverse_util.unflatten_dict(variables, sep='/')
