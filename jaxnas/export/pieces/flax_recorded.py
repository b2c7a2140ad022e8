# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""How a Flax file takes its variables from arrays."""

from flax import traverse_util
import jax


def read_variables(model, arrays, inputs, dtype=None):
  """Returns a model's variables, which must be among the arrays.

  Args:
    model: the module.
    arrays: arrays by name, as `read_arrays` returns them.
    inputs: inputs of the module; their values do not matter.
    dtype: a type to convert the variables to; by default they stay as they are.

  Raises:
    ValueError: an array is missing, or of another shape.
  """
  shapes = jax.eval_shape(model.init, jax.random.key(0), inputs)
  variables = {}
  for name, leaf in traverse_util.flatten_dict(shapes, sep='/').items():
    if name not in arrays or arrays[name].shape != leaf.shape:
      raise ValueError(f'{name} must be there, of the shape {leaf.shape}')
    variables[name] = arrays[name].astype(dtype or arrays[name].dtype)
  return traverse_util.unflatten_dict(variables, sep='/')
