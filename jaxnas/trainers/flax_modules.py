# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Trains children that are a user's own Flax modules.

    trainer = flax_modules.FlaxTrainer(
      lambda architecture: MyModule(width=architecture['width']),
      {'train': (x, y), 'validation': (x2, y2), 'report': (x3, y3)},
      loss=optax.softmax_cross_entropy_with_integer_labels,
      metrics={'accuracy': lambda outputs, y: outputs.argmax(-1) == y},
    )

Letters: `B` examples in a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from flax import linen as nn
import jax
import numpy as np
import optax

from jaxnas.records import fingerprint
from jaxnas.trainers import blocks, groups, mapping
from jaxnas.training import flax_task
from jaxnas.types import Trainer


class FlaxTrainer(groups.GroupTrainer):
  """Trains Flax modules on arrays; modules of one shape share a call.

  Children of the same shape are trained side by side by one compiled program,
  whatever their keys, learning rates and, if the module takes one, programs.
  Each other shape has its own compiled program.
  """

  def __init__(
    self,
    make_module: Callable[[Any], nn.Module],
    data: Mapping[str, tuple[Any, Any]],
    loss: flax_task.Score,
    metrics: Mapping[str, flax_task.Score],
    *,
    optimizer: flax_task.Optimizer = optax.adam,
    batch_size: int = 32,
    shape_of: Callable[[Any], Hashable] | None = None,
    program_of: Callable[[Any], Any] | None = None,
    block_size: int | None = None,
    num_devices: int | None = None,
  ):
    """Makes a trainer without compiling anything yet.

    Args:
      make_module: `shape -> module`; see `flax_task.make_task` for how it is
        called.
      data: the inputs and targets of each split, by name: `'train'`,
        `'validation'` and, for retraining, `'report'`.
      loss: the loss to minimize, `(outputs, targets) -> [B]`.
      metrics: the metrics by name, `(outputs, targets) -> [B]`.
      optimizer: `learning_rate -> optimizer`.
      batch_size: the number of examples per step.
      shape_of: `architecture -> shape`, the part of the architecture that the
        module is built from; hashable. The whole architecture by default.
      program_of: `architecture -> program`, the part of the architecture that
        the module is called with as `program=...`: a pytree of numbers or
        arrays, with the same structure and shapes for all children of a shape.
        None by default.
      block_size: the number of children per call; by default a number that
        suits the device.
      num_devices: the number of local devices to use; all by default.

    Raises:
      ValueError: an argument is out of range.
    """
    devices = mapping.choose_devices(num_devices)
    self._make_module, self._program_of = make_module, program_of
    self._inputs = jax.tree.map(
      lambda x: x[:1], dict(data).get('train', ((),))[0]
    )
    block_size = block_size or blocks.default_block_size(len(devices))

    def make_trainer(shape: Any) -> Trainer:
      task = flax_task.make_task(
        make_module(shape),
        data,
        loss,
        metrics,
        optimizer=optimizer,
        batch_size=batch_size,
        assemble=None if program_of is None else self._assemble,
      )
      return blocks.BlockTrainer(task, block_size, len(devices))

    super().__init__(
      make_trainer,
      shape_of or _whole,
      block_size,
      len(devices),
    )
    self.task = (
      fingerprint.Parts(
        make_module=make_module,
        program_of=program_of,
        loss=loss,
        metrics=dict(metrics),
      ),
      fingerprint.Parts(
        optimizer=optimizer, batch_size=batch_size, data=dict(data)
      ),
    )

  def num_params(self, architecture: Any) -> int:
    """Returns the number of parameters of a child."""
    return flax_task.num_params(
      self._make_module(self._shape_of(architecture)),
      self._inputs,
      None if self._program_of is None else self._program_of(architecture),
    )

  def _assemble(self, architectures: Sequence[Any]) -> Any:
    assert self._program_of is not None
    programs = [self._program_of(each) for each in architectures]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *programs)


def _whole(architecture: Any) -> Any:
  return architecture
