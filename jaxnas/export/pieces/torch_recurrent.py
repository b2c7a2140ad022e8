# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A recurrent cell over time, in PyTorch."""

import torch
from torch import nn


class Cell(nn.LSTMCell):
  """Stands in for the file's own cell."""

  features = 1


class Recurrent(nn.Module):
  """Runs a `Cell` over time, like `nn.LSTM(..., batch_first=True)`.

  Args:
    inputs: the number of features of the inputs.
    features: the number of hidden units.
  """

  def __init__(self, inputs, features):
    super().__init__()
    self.cell = Cell(inputs, features)

  def forward(self, inputs, state=None):
    """Runs the cell over all time steps.

    Args:
      inputs: the inputs, `[batch, time, inputs]`.
      state: the initial `(h, c)`, each `[batch, features]`; zeros by default.

    Returns:
      The hidden states, `[batch, time, features]`, and the final `(h, c)`.
    """
    if state is None:
      zeros = inputs.new_zeros(inputs.shape[0], self.cell.features)
      state = zeros, zeros
    outputs = []
    for step_inputs in inputs.unbind(1):
      state = self.cell(step_inputs, state)
      outputs.append(state[0])
    return torch.stack(outputs, 1), state
