# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""How a PyTorch file takes its parameters from arrays."""

import torch


def read_state(model, arrays):
  """Sets a model's parameters, which must be among the arrays.

  Args:
    model: the module.
    arrays: arrays by name, as `read_arrays` returns them.

  Raises:
    ValueError: an array is missing, or of another shape.
  """
  state = model.state_dict()
  for name, old in state.items():
    if old.is_floating_point():
      array = arrays.get(f'state/{name}')
      if array is None or array.shape != tuple(old.shape):
        raise ValueError(f'{name} must be there, of the shape {old.shape}')
      state[name] = torch.from_numpy(array)
  model.load_state_dict(state)
