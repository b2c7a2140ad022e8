# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Layers of a convolutional network, and how outputs are joined, in PyTorch."""

import torch
from torch import nn
from torch.nn import functional


class ConvLayer(nn.Module):
  """A convolution without bias, batch norm and ReLU.

  Args:
    channels: number of filters of what the layer reads.
    filters: number of filters.
    size: height and width of the filters, odd, in pixels.
    strides: rows and columns from one output to the next.
  """

  def __init__(self, channels, filters, size, strides=(1, 1)):
    super().__init__()
    padding = size[0] // 2, size[1] // 2
    self.conv = nn.Conv2d(channels, filters, size, strides, padding, bias=False)
    self.norm = nn.BatchNorm2d(filters, eps=1e-5)
    nn.init.kaiming_normal_(self.conv.weight)

  def forward(self, images):
    """Maps `[batch, channels, height, width]` to the layer's outputs."""
    return torch.relu(self.norm(self.conv(images)))


def concat(*outputs):
  """Joins outputs of equal height and width by their filters."""
  return torch.cat(outputs, dim=1)


def add(*outputs):
  """Adds outputs of equal shapes."""
  return sum(outputs)


def max_pool(outputs):
  """Halves height and width; an odd row or column at the end is left out."""
  return functional.max_pool2d(outputs, 2)
