# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The layers of a convolutional network and their joining, in PyTorch."""

import torch
from torch import nn
from torch.nn import functional


class ConvLayer(nn.Module):
  """A convolution without bias, batch norm and ReLU.

  Args:
    channels: the number of channels of the layer's inputs.
    filters: the number of filters.
    size: the height and width of the filters in pixels, odd.
    strides: the vertical and horizontal stride, in pixels.
  """

  def __init__(self, channels, filters, size, strides=(1, 1)):
    super().__init__()
    padding = size[0] // 2, size[1] // 2
    self.conv = nn.Conv2d(channels, filters, size, strides, padding, bias=False)
    self.norm = nn.BatchNorm2d(filters, eps=1e-5)
    nn.init.kaiming_normal_(self.conv.weight)

  def forward(self, images):
    """Returns the layer's outputs, `[batch, filters, height, width]`.

    Args:
      images: the layer's inputs, `[batch, channels, height, width]`.
    """
    return torch.relu(self.norm(self.conv(images)))


def concat(*outputs):
  """Concatenates outputs of equal height and width along the filters."""
  return torch.cat(outputs, dim=1)


def add(*outputs):
  """Adds outputs of equal shapes."""
  return sum(outputs)


def max_pool(outputs):
  """Halves height and width, rounding down, by the maximum of 2 x 2 pixels."""
  return functional.max_pool2d(outputs, 2)
