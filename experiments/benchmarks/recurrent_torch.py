# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The PyTorch side of the benchmark of recurrent cells.

A worker of `experiments.benchmark_recurrent`; needs the extra `bench`. The
child is what an experienced user of eager PyTorch would write: one matmul of
all inputs with `W` before the loop, one matmul with all blocks of `U` per step,
and the tree in Python. Architectures are given as JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import time
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from experiments.benchmarks import worker as worker_lib
from jaxnas.spaces import recurrent_cell as spaces

Facts = worker_lib.Facts
Burst = Callable[..., Facts]

_COMBINERS: dict[str, Callable[..., torch.Tensor]] = {
  'add': torch.add,
  'elem_mult': torch.mul,
  'max': torch.maximum,
}
_ACTIVATIONS: dict[str, Callable[..., torch.Tensor]] = {
  'identity': lambda x: x,
  'tanh': torch.tanh,
  'sigmoid': torch.sigmoid,
  'relu': torch.relu,
  'sin': torch.sin,
}
_LEARNING_RATE = 1.0


class Cell(nn.Module):
  """A recurrent cell of the tree grammar, over a whole sequence.

  Attributes:
    architecture: the cell; blocks of the kernels are in its leaf order.
    kernel: the input kernel `W`, `[D, L * D]`.
    recurrent_kernel: the recurrent kernel `U`, `[D, L * D]`.
  """

  def __init__(self, architecture: spaces.RecurrentCell, features: int):
    super().__init__()
    self.architecture = architecture
    width = architecture.base * features
    self.kernel = nn.Parameter(torch.empty(features, width))
    self.recurrent_kernel = nn.Parameter(torch.empty(features, width))
    for kernel in (self.kernel, self.recurrent_kernel):
      nn.init.uniform_(kernel, -0.1, 0.1)

  def compile_step(self, compiler: str) -> None:
    """Compiles the step from one time to the next.

    Args:
      compiler: the backend of `torch.compile`, such as `'inductor'`.
    """
    compile_method(self, '_step', compiler)

  def forward(self, inputs, hidden, memory):
    """Returns `h` at all steps, `[T, B, D]`, and the last `h` and `c`."""
    features = hidden.shape[-1]
    outputs = []
    for projected in (inputs @ self.kernel).unbind(0):
      hidden, memory = self._step(
        projected.split(features, -1),
        (hidden @ self.recurrent_kernel).split(features, -1),
        memory,
      )
      outputs.append(hidden)
    return torch.stack(outputs), hidden, memory

  def _step(self, firsts, seconds, memory):
    cell, base = self.architecture, self.architecture.base
    outputs: list[torch.Tensor] = []
    for node, (combiner, activation) in enumerate(
      zip(cell.combiners, cell.activations, strict=True)
    ):
      if node < base:
        first, second = firsts[node], seconds[node]
      else:
        first, second = outputs[2 * (node - base) : 2 * (node - base) + 2]
      value = _COMBINERS[combiner](first, second)
      if node == cell.read_index:
        new_memory = value
      output = _ACTIVATIONS[activation](value)
      if node == cell.inject_index:
        output = _ACTIVATIONS[cell.inject_activation](
          _COMBINERS[cell.inject_combiner](output, memory)
        )
      outputs.append(output)
    return outputs[-1], new_memory


class LanguageModel(nn.Module):
  """Embedding, cell and softmax, like `jaxnas.children.language_model`."""

  def __init__(
    self, architecture: spaces.RecurrentCell, vocab_size: int, features: int
  ):
    super().__init__()
    self.embedding = nn.Embedding(vocab_size, features)
    self.cell = Cell(architecture, features)
    self.output = nn.Linear(features, vocab_size)
    for weight in (self.embedding.weight, self.output.weight):
      nn.init.uniform_(weight, -0.05, 0.05)
    nn.init.zeros_(self.output.bias)

  def forward(self, inputs, targets, hidden, memory):
    """Returns the mean cross-entropy, and the last `h` and `c`, detached."""
    outputs, hidden, memory = self.cell(self.embedding(inputs), hidden, memory)
    logits = self.output(outputs).flatten(0, 1)
    loss = functional.cross_entropy(logits, targets.flatten())
    return loss, hidden.detach(), memory.detach()


def make_step(model: LanguageModel, max_grad_norm: float = 0.25):
  """Returns a function that trains a child on one segment by clipped SGD."""
  optimizer = torch.optim.SGD(model.parameters(), _LEARNING_RATE)

  def step(inputs, targets, hidden, memory):
    optimizer.zero_grad()
    loss, hidden, memory = model(inputs, targets, hidden, memory)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
    optimizer.step()
    return loss, hidden, memory

  return step


def compile_method(module: Any, name: str, compiler: str) -> None:
  """Replaces a method of a module by its compiled form.

  Args:
    module: the module.
    name: the name of the method.
    compiler: the backend of `torch.compile`.
  """
  # Each child is another program of the same code.
  torch._dynamo.config.recompile_limit = 1024
  compiled = torch.compile(
    getattr(module, name), backend=compiler, dynamic=False
  )
  setattr(module, name, compiled)


def prepare(device: str, num_threads: int | None) -> None:
  """Configures PyTorch; `None` is its default number of threads."""
  torch.manual_seed(0)
  if num_threads is not None:
    torch.set_num_threads(num_threads)
  # Like XLA: denormal numbers are flushed to zero, and a GPU may multiply
  # float32 in TF32. Both can only make PyTorch faster.
  torch.set_flush_denormal(True)
  torch.backends.cuda.matmul.allow_tf32 = True


def wait(device: str) -> None:
  """Waits for an accelerator."""
  if device == 'cuda':
    torch.cuda.synchronize()


def describe() -> Facts:
  """Returns the version and devices."""
  return {
    'version': torch.__version__,
    'has_cuda': torch.cuda.is_available(),
    'num_threads': torch.get_num_threads(),
  }


def make_train(
  architectures: Sequence[Mapping[str, Any]],
  vocab_size: int,
  features: int,
  num_unrolled: int,
  batch_size: int,
  device: str,
  num_threads: int | None = None,
  compiler: str = '',
) -> tuple[Facts, Burst]:
  """Trains children one after another; a burst trains each for some steps.

  Args:
    architectures: the children.
    vocab_size: the number of different tokens.
    features: the number of hidden units.
    num_unrolled: the number of steps of backpropagation through time.
    batch_size: the number of columns of text.
    device: the device to train on.
    num_threads: the number of threads; `None` for PyTorch's default.
    compiler: the backend of `torch.compile`, by which each child's cell is
      compiled, one step of it; `''` for eager. The whole forward pass takes ten
      times as long to compile.

  Returns:
    The facts and the burst. `cold_seconds` is the duration of the first step of
    all children, including everything before it.
  """
  prepare(device, num_threads)
  started = time.perf_counter()
  shape = (num_unrolled, batch_size)
  inputs, targets = (
    torch.randint(vocab_size, shape, device=device) for _ in range(2)
  )
  steps, states = [], []
  for cell in architectures:
    architecture = spaces.RecurrentCell.from_json(cell)
    model = LanguageModel(architecture, vocab_size, features)
    if compiler:
      model.cell.compile_step(compiler)
    steps.append(make_step(model.to(device)))
    states.append((torch.zeros(batch_size, features, device=device),) * 2)

  def burst(num_steps: int) -> Facts:
    started = time.perf_counter()
    for index, step in enumerate(steps):
      for _ in range(num_steps):
        states[index] = step(inputs, targets, *states[index])[1:]
    wait(device)
    return {'seconds': time.perf_counter() - started}

  burst(1)
  return {
    'num_threads': torch.get_num_threads(),
    'cold_seconds': time.perf_counter() - started,
  }, burst


def make_forward(
  architectures: Sequence[Mapping[str, Any]],
  vocab_size: int,
  features: int,
  num_unrolled: int,
  batch_size: int,
  device: str,
) -> tuple[Facts, Burst]:
  """Judges cells on one segment, one after another, without gradients.

  Args:
    architectures: the cells.
    vocab_size: the number of different tokens.
    features: the number of hidden units.
    num_unrolled: the number of steps of the segment.
    batch_size: the number of columns of text.
    device: the device to run on.
  """
  prepare(device, None)
  shape = (num_unrolled, batch_size)
  inputs, targets = (
    torch.randint(vocab_size, shape, device=device) for _ in range(2)
  )
  zeros = torch.zeros(batch_size, features, device=device)
  models = [
    LanguageModel(
      spaces.RecurrentCell.from_json(cell), vocab_size, features
    ).to(device)
    for cell in architectures
  ]

  @torch.inference_mode()
  def burst() -> Facts:
    started = time.perf_counter()
    for model in models:
      model(inputs, targets, zeros, zeros)
    wait(device)
    return {'seconds': time.perf_counter() - started}

  burst()
  return {}, burst


def make_lstm(
  features: int,
  num_unrolled: int,
  batch_size: int,
  device: str,
  num_calls: int = 1,
) -> tuple[Facts, Burst]:
  """Runs `torch.nn.LSTM` forward and backward."""
  prepare(device, None)
  network = nn.LSTM(features, features).to(device)
  shape = (num_unrolled, batch_size, features)
  inputs = torch.randn(shape, device=device, requires_grad=True)
  weights = torch.randn(shape, device=device)

  def call() -> None:
    network.zero_grad()
    inputs.grad = None
    (network(inputs)[0] * weights).sum().backward()

  def burst() -> Facts:
    started = time.perf_counter()
    for _ in range(num_calls):
      call()
    wait(device)
    return {'seconds': (time.perf_counter() - started) / num_calls}

  call()
  wait(device)
  return {}, burst


MAKERS: dict[str, worker_lib.Maker] = {
  'train': make_train,
  'forward': make_forward,
  'lstm': make_lstm,
}


if __name__ == '__main__':
  worker_lib.serve(MAKERS, describe)
