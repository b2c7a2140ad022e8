# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The PyTorch side of the benchmark of convolutional networks.

A worker of `experiments.benchmark_conv`; needs the extra `bench`. The child is
what an experienced user of eager PyTorch would write: the framework's modules,
images and weights in the memory format `channels_last`, data on the device.
Architectures are given as JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import itertools
import math
import time
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from experiments.benchmarks import recurrent_torch
from experiments.benchmarks import worker as worker_lib
from jaxnas.spaces import conv_net as spaces

Facts = worker_lib.Facts
Burst = Callable[..., Facts]

_LEARNING_RATE = 0.1
_NUM_CLASSES = 10
_NUM_BATCHES = 16


class ConvNetwork(nn.Module):
  """The network of an architecture, like `children.conv_net.ConvNetwork`.

  It has no strides or pooling, and concatenates outputs.

  Attributes:
    architecture: the network.
    convolutions: the convolution of each layer.
    norms: the batch norm of each layer.
    head: the classifier.
  """

  def __init__(
    self,
    architecture: spaces.ConvNet,
    image_filters: int,
    num_classes: int = _NUM_CLASSES,
  ):
    super().__init__()
    self.architecture = architecture
    self.convolutions, self.norms = nn.ModuleList(), nn.ModuleList()
    for layer in architecture.layers:
      convolution = nn.Conv2d(
        architecture.join_filters(layer.inputs, image_filters),
        layer.filters,
        (layer.height, layer.width),
        padding=(layer.height // 2, layer.width // 2),
        bias=False,
      )
      fan_in = math.prod(convolution.weight.shape[1:])
      nn.init.normal_(convolution.weight, std=math.sqrt(2 / fan_in))
      self.convolutions.append(convolution)
      self.norms.append(nn.BatchNorm2d(layer.filters))
    features = architecture.join_filters(architecture.outputs, image_filters)
    self.head = nn.Linear(features, num_classes)
    nn.init.normal_(self.head.weight, std=math.sqrt(1 / features))
    nn.init.zeros_(self.head.bias)

  def forward(self, images: torch.Tensor) -> torch.Tensor:
    """Returns the logits `[B, K]` of images `[B, C, H, W]`."""
    outputs: list[torch.Tensor] = []
    for layer, convolution, norm in zip(
      self.architecture.layers, self.convolutions, self.norms, strict=True
    ):
      sources = [outputs[source] for source in layer.inputs] or [images]
      inputs = sources[0] if len(sources) == 1 else torch.cat(sources, 1)
      outputs.append(functional.relu(norm(convolution(inputs)), inplace=True))
    # Joining the averages, which are few numbers, is cheaper.
    pooled = [
      outputs[number].mean((2, 3)) for number in self.architecture.outputs
    ]
    return self.head(torch.cat(pooled, 1))


def make_step(
  model: ConvNetwork,
) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
  """Returns a function that trains a child on a batch by Nesterov's SGD."""
  optimizer = torch.optim.SGD(
    model.parameters(),
    _LEARNING_RATE,
    momentum=0.9,
    nesterov=True,
    weight_decay=1e-4,
  )

  def step(images, labels):
    optimizer.zero_grad()
    loss = functional.cross_entropy(model(images), labels)
    loss.backward()
    optimizer.step()
    return loss

  return step


def make_train(
  architectures: Sequence[Mapping[str, Any]],
  image_shape: Sequence[int],
  batch_size: int,
  device: str,
  num_threads: int | None = None,
  compiler: str = '',
  **space: Any,
) -> tuple[Facts, Burst]:
  """Trains children one after another; a burst trains each for some steps.

  Args:
    architectures: the children.
    image_shape: the shape of an image, `(H, W, C)`.
    batch_size: the number of images per step.
    device: the device to train on.
    num_threads: the number of threads; `None` for PyTorch's default.
    compiler: the backend of `torch.compile`, by which each child's forward pass
      is compiled; `''` for eager.
    **space: the other settings of the search space, which are ignored.

  Returns:
    The facts and the burst. `cold_seconds` is the duration of the first steps
    of all children, including everything before them.
  """
  del space
  started = time.perf_counter()
  recurrent_torch.prepare(device, num_threads)
  # Like XLA on a GPU: the fastest kernels, and TF32.
  torch.backends.cudnn.benchmark = True
  torch.backends.cudnn.allow_tf32 = True
  count = _NUM_BATCHES * batch_size
  # Stored with channels last; a view of it is `[B, C, H, W]`.
  images = torch.randn((count, *image_shape), device=device)
  labels = torch.randint(_NUM_CLASSES, (count,), device=device)
  steps = []
  for each in architectures:
    # Not typed: PyTorch's types lack `memory_format`.
    model: Any = ConvNetwork(spaces.ConvNet.from_json(each), image_shape[-1])
    model = model.to(device).to(memory_format=torch.channels_last)
    if compiler:
      recurrent_torch.compile_method(model, 'forward', compiler)
    steps.append(make_step(model))

  def burst(num_steps: int) -> Facts:
    started = time.perf_counter()
    for step in steps:
      order = torch.randperm(count, device=device).split(batch_size)
      for chosen in itertools.islice(itertools.cycle(order), num_steps):
        step(images[chosen].permute(0, 3, 1, 2), labels[chosen])
    recurrent_torch.wait(device)
    return {
      'seconds': time.perf_counter() - started,
      'peak_bytes': (
        torch.cuda.max_memory_allocated()
        if device == 'cuda'
        else worker_lib.peak_bytes()
      ),
    }

  burst(2)
  return {
    'num_threads': torch.get_num_threads(),
    'cold_seconds': time.perf_counter() - started,
  }, burst


MAKERS: dict[str, worker_lib.Maker] = {'train': make_train}


if __name__ == '__main__':
  worker_lib.serve(MAKERS, recurrent_torch.describe)
