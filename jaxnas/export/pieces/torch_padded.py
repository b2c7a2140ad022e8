# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The joining of outputs of different shapes, in PyTorch."""

import torch
from torch.nn import functional


def concat(*outputs):
  """Concatenates outputs along the filters, padding smaller ones with zeros."""
  height, width = (max(each.shape[i] for each in outputs) for i in (2, 3))
  return torch.cat(
    [pad(each, each.shape[1], height, width) for each in outputs], dim=1
  )


def add(*outputs):
  """Adds outputs, those of smaller size or fewer filters padded with zeros."""
  filters, height, width = (
    max(each.shape[i] for each in outputs) for i in (1, 2, 3)
  )
  return sum(pad(each, filters, height, width) for each in outputs)


def pad(outputs, filters, height, width):
  """Pads with zeros: height and width half on each side, filters at the end."""
  rows, columns = height - outputs.shape[2], width - outputs.shape[3]
  last = filters - outputs.shape[1]
  sides = columns // 2, columns - columns // 2, rows // 2, rows - rows // 2
  return functional.pad(outputs, (*sides, 0, last))
