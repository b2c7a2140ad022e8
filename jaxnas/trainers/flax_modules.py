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
import inspect
from typing import Any

from flax import linen as nn
import jax
import numpy as np
import optax

from jaxnas import errors
from jaxnas.records import fingerprint
from jaxnas.trainers import blocks, dry_runs, groups, mapping
from jaxnas.training import flax_arguments, flax_labels, flax_task
from jaxnas.types import Trainer


class FlaxTrainer(groups.GroupTrainer):
  """Trains Flax modules on arrays; modules of the same shape share a call.

  Children of the same shape are trained side by side by one compiled program,
  even if they differ in keys, learning rates or, if the module takes one,
  programs.
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
      make_module: a function `shape -> module`. Modules are called with a batch
        of inputs, and with `train=True` or `False` (or `training`), if their
        `__call__` has an argument of that name. In training they have the
        random stream `'dropout'`, and their collections other than `'params'`,
        such as `'batch_stats'`, are kept.
      data: the inputs and targets of each split, by name: `'train'`,
        `'validation'` and, for retraining, `'report'`.
      loss: the loss to minimize, `(outputs, targets) -> [B]`.
      metrics: the metrics by name, `(outputs, targets) -> [B]`.
      optimizer: a function that makes the optimizer, `learning_rate ->
        optimizer`.
      batch_size: the number of examples per step.
      shape_of: a function `architecture -> shape` that returns the part of the
        architecture that the module is built from; hashable. The whole
        architecture by default.
      program_of: a function `architecture -> program` that returns the part of
        the architecture that the module is called with as `program=...`: a
        pytree of numbers or arrays, with the same structure and shapes for all
        children of a shape. None by default.
      block_size: the number of children per call; by default a number that
        suits the device.
      num_devices: the number of local devices to use; all by default.

    Raises:
      ValueError: an argument is out of range or of the wrong kind, or splits
        are not alike.
    """
    flax_arguments.check(data, loss, metrics, optimizer, batch_size)
    for name, function in (
      ('make_module', make_module),
      ('shape_of', shape_of or _whole),
      ('program_of', program_of or _whole),
    ):
      # A module is callable too, but does not make modules.
      if not callable(function) or isinstance(function, nn.Module):
        raise ValueError(f'{name} must be a function, got {_spell(function)}.')
    devices = mapping.choose_devices(num_devices)
    self._make_module, self._program_of = make_module, program_of
    self._num_params: dict[Hashable, int] = {}
    self._inputs = jax.tree.map(lambda x: x[:1], data['train'][0])
    self._data, self._loss = data, loss
    block_size = block_size or blocks.default_block_size(len(devices))

    def make_trainer(shape: Any) -> Trainer:
      task = flax_task.make_task(
        self._module(shape),
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
      _checked(shape_of or _whole),
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

  def dry_run(
    self, architectures: Sequence[Any], splits: Sequence[str]
  ) -> dry_runs.DryRun | None:
    """Returns the names of a training's results without any training.

    Args:
      architectures: architectures to be trained, as in `GroupTrainer.dry_run`.
      splits: the names of the splits that children would be measured on.

    Raises:
      ValueError: a split is missing, or a label is out of range. Errors of the
        module, the loss and the metrics are passed on.
    """
    found = super().dry_run(architectures, splits)
    module = self._module(self._shape_of(architectures[0]))
    program = None
    if self._program_of is not None:
      program = self._program(architectures[0])
    outputs = flax_task.outputs_of(module, self._inputs, program)
    name = type(module).__name__
    flax_labels.check(name, outputs, self._data, self._loss)
    return found

  def num_params(self, architecture: Any) -> int:
    """Returns the number of parameters of a child."""
    shape = self._shape_of(architecture)
    if shape not in self._num_params:
      self._num_params[shape] = flax_task.num_params(
        self._module(shape),
        self._inputs,
        None if self._program_of is None else self._program(architecture),
      )
    return self._num_params[shape]

  def _module(self, shape: Any) -> nn.Module:
    """Returns the module of a shape, after checking its `program` argument."""
    with errors.calling(f'make_module, called with {_spell(shape)},'):
      module = self._make_module(shape)
    if not isinstance(module, nn.Module):
      raise ValueError(
        'make_module must return a Flax module (flax.linen), got '
        f'{_spell(module)} for {_spell(shape)}.'
      )
    parameters = inspect.signature(type(module).__call__).parameters
    given = parameters.get('program')
    takes_any = any(
      each.kind is each.VAR_KEYWORD for each in parameters.values()
    )
    name = type(module).__name__
    if self._program_of is not None and given is None and not takes_any:
      raise ValueError(
        f'There is a program_of, but {name}.__call__ has no argument `program` '
        'to get it; add the argument, or leave program_of out.'
      )
    is_needed = given is not None and given.default is given.empty
    if self._program_of is None and is_needed:
      raise ValueError(
        f'{name}.__call__ needs a `program`, and FlaxTrainer has no '
        'program_of=... to make it; add one.'
      )
    return module

  def _program(self, architecture: Any) -> Any:
    """Returns the program of a child, a pytree of arrays of numbers."""
    assert self._program_of is not None
    with errors.calling('program_of'):
      program = jax.tree.map(np.asarray, self._program_of(architecture))
    for leaf in jax.tree.leaves(program):
      if leaf.dtype.kind not in 'biufcV':
        raise ValueError(
          'program_of must return numbers or arrays of numbers, which a '
          f'compiled program can take; got {_spell(leaf.tolist())}.'
        )
    return program

  def _assemble(self, architectures: Sequence[Any]) -> Any:
    programs = [self._program(each) for each in architectures]
    for each, program in zip(architectures, programs, strict=True):
      shapes, first = (
        jax.tree.map(lambda x: x.shape, x) for x in (program, programs[0])
      )
      if shapes != first:
        raise ValueError(
          'program_of must return arrays of the same shapes for all children '
          f'of a shape; got {first} for {_spell(architectures[0])}, and '
          f'{shapes} for {_spell(each)}.'
        )
    return jax.tree.map(lambda *leaves: np.stack(leaves), *programs)


def _whole(architecture: Any) -> Any:
  return architecture


def _checked(shape_of: Callable[[Any], Hashable]) -> Callable[[Any], Hashable]:
  """Returns the function, with clear errors."""

  def checked(architecture):
    with errors.calling('shape_of'):
      shape = shape_of(architecture)
    try:
      hash(shape)
    except TypeError:
      raise ValueError(
        'shape_of must return something that can be hashed, such as a number '
        f'or a tuple of them; got {_spell(shape)}.'
      ) from None
    return shape

  return checked


def _spell(value: Any) -> str:
  """Returns a user's value as it is printed, in one line."""
  if isinstance(value, Mapping):
    value = dict(value)
  return errors.in_one_line(value)
