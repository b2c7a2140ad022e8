# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Reads a PyTorch file's state from arrays."""

import torch


def read_state(model, arrays):
  """Sets the state of a model to the arrays of a file.

  Args:
    model: the model.
    arrays: the file's arrays by name, as `read_arrays` returns them.

  Raises:
    ValueError: an array is missing, or has the wrong shape.
  """
  state = model.state_dict()
  for name, old in state.items():
    if old.is_floating_point():
      array = arrays.get(f'state/{name}')
      if array is None or array.shape != tuple(old.shape):
        raise ValueError(f'{name} is missing, or its shape is not {old.shape}')
      state[name] = torch.from_numpy(array)
  model.load_state_dict(state)
