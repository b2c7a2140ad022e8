# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The check of a PyTorch file without weights."""

import numpy as np
import torch
from torch import nn

from jaxnas.export.pieces.comparison import compare
from jaxnas.export.pieces.drawing import draw

SEED = 0
INPUTS = (1, 1)
EXPECTED = [[0.0]]


def checked_model():
  """Returns the model whose outputs were recorded."""
  return nn.Linear(1, 1)


def leaves(outputs):
  """Returns the tensors in nested tuples as a list of arrays."""
  if isinstance(outputs, torch.Tensor):
    return [outputs.detach().numpy()]
  return [leaf for each in outputs for leaf in leaves(each)]


def check():
  """Compares the outputs with the recorded ones; returns an exit code."""
  # In double precision, rounding is far below any mistake, on any machine.
  model = checked_model().double().eval()
  random = np.random.RandomState(SEED)
  inputs = torch.from_numpy(draw(random, INPUTS))
  state = model.state_dict()
  for name in sorted(state):
    if state[name].is_floating_point():
      state[name] = torch.from_numpy(draw(random, tuple(state[name].shape)))
  model.load_state_dict(state)
  return compare(leaves(model(inputs)), EXPECTED)
