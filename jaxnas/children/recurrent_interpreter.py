# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Recurrent cells as data: one compiled program for all architectures.

A `CellProgram` holds an architecture as small integer arrays, and
`InterpretedCell` computes the same as `GrammarCell` does for it. Under
`jax.vmap` any number of different cells of one base number train at once.

The tree is computed level by level. In half order the operands of a level are
the two halves of the level below, and in canonical form only the first node of
a level can be the injected one, so a step needs no gather and no loop over
nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import functools
from typing import NamedTuple

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.children import (
  kernel_tree,
  maxima,
  platforms,
  recurrent_cell,
)
from jaxnas.children.recurrence import Combine
from jaxnas.spaces import recurrent_cell as space

_COMBINERS = space.EXTENDED_COMBINERS
_ACTIVATIONS = space.EXTENDED_ACTIVATIONS


class CellProgram(NamedTuple):
  """An architecture as arrays, with nodes in half order of the canonical form.

  A batch of programs has a leading axis `N` on all arrays but `one`: map it
  with `jax.vmap(..., in_axes=BATCH_AXES)`.

  Attributes:
    combiners: the code of each node's combiner, `int32[2L - 1]`.
    activations: the code of each node's activation, `int32[2L - 1]`.
    inject_combiner: the code of the combiner with the memory, `int32[]`.
    inject_activation: the code of the activation after it, `int32[]`.
    read_index: the node that the new memory is read from, `int32[]`.
    inject_index: the node that the memory is injected into, `int32[]`; always
      the first of a level.
    one: the number 1, `float32[]`; see `_fence`. A batch shares it, since only
      division by a scalar is cheap.
  """

  combiners: np.ndarray | jax.Array
  activations: np.ndarray | jax.Array
  inject_combiner: np.ndarray | jax.Array
  inject_activation: np.ndarray | jax.Array
  read_index: np.ndarray | jax.Array
  inject_index: np.ndarray | jax.Array
  one: np.ndarray | jax.Array


RECURRENCES = ('scan', 'kernel')
"""The ways to run a sequence: `recurrence` and `recurrence_kernel`."""

BATCH_AXES = CellProgram(0, 0, 0, 0, 0, 0, None)  # type: ignore[arg-type]  # Axes.


def assemble(
  architectures: Sequence[space.RecurrentCell],
  combiners: Sequence[str] = space.COMBINERS,
  activations: Sequence[str] = space.ACTIVATIONS,
) -> CellProgram:
  """Returns `N` architectures of one base number as one batch of programs.

  Args:
    architectures: the cells.
    combiners: the combiners that may occur, as in the `InterpretedCell`.
    activations: the activations that may occur, as in the `InterpretedCell`.

  Raises:
    ValueError: there is no cell, their base numbers differ, or one has an
      operation that may not occur.
  """
  bases = {cell.base for cell in architectures}
  if len(bases) != 1:
    raise ValueError(
      f'One program needs cells of one base number, got {sorted(bases)}.'
    )
  (base,) = bases
  for cell in architectures:
    _check_declared(
      'combiner', {*cell.combiners, cell.inject_combiner}, combiners
    )
    _check_declared(
      'activation', {*cell.activations, cell.inject_activation}, activations
    )
  order = recurrent_cell.half_order(base)
  place = {node: index for index, node in enumerate(order)}
  rows = []
  for architecture in architectures:
    cell, _ = space.canonicalize(architecture)
    rows.append(
      (
        [_COMBINERS.index(cell.combiners[node]) for node in order],
        [_ACTIVATIONS.index(cell.activations[node]) for node in order],
        _COMBINERS.index(cell.inject_combiner),
        _ACTIVATIONS.index(cell.inject_activation),
        place[cell.read_index],
        place[cell.inject_index],
      )
    )
  codes = [np.array(field, np.int32) for field in zip(*rows, strict=True)]
  return CellProgram._make([*codes, np.ones((), np.float32)])


class InterpretedCell(recurrent_cell.FusedCell):
  """The recurrent cell that a program describes.

  Parameters, carry and values equal those of a `GrammarCell` of the same
  architecture. A traced program cannot be checked: `combiners` and
  `activations` must include those passed to `assemble`.

  Attributes:
    program: the program of the cell; its arrays may be traced.
    combiners: the combiners that may occur in the program.
    activations: the activations that may occur in the program.
    platform: the platform that the cell is compiled for, such as `'cpu'`.
    recurrence: how a whole sequence is run, one of `RECURRENCES`.
  """

  program: CellProgram | None = None
  combiners: tuple[str, ...] = space.COMBINERS
  activations: tuple[str, ...] = space.ACTIVATIONS
  platform: str = dataclasses.field(
    default_factory=platforms.default, metadata=platforms.CONDITION
  )
  recurrence: str = dataclasses.field(
    default='scan', metadata=platforms.CONDITION
  )

  def __post_init__(self):
    if self.recurrence not in RECURRENCES:
      raise ValueError(
        f'Unknown recurrence {self.recurrence!r}; expected one of '
        f'{", ".join(RECURRENCES)}.'
      )
    super().__post_init__()

  @property
  def num_blocks(self) -> int:
    """One block per leaf."""
    assert self.program is not None
    return (self.program.combiners.shape[-1] + 1) // 2

  @property
  def combine(self) -> Combine:
    """The interpreter for the operations that may occur."""
    return _interpreter(
      'max' in self.combiners,
      'sin' in self.activations,
      self.platform == 'cpu',
    )

  @property
  def cell_program(self) -> CellProgram:
    """The architecture."""
    assert self.program is not None
    return self.program

  @nn.nowrap
  def _recur(self, *arrays):
    if self.recurrence == 'scan':
      return super()._recur(*arrays)
    # Pallas takes a third of a second to import.
    from jaxnas.children import recurrence_kernel

    return recurrence_kernel.unroll(
      kernel_tree.Codes(*self.cell_program[:-1]),
      *arrays,
      platform=self.platform,
      combiners=self.combiners,
      activations=self.activations,
    )


def _check_declared(kind, used, declared):
  for name in sorted(used - set(declared)):
    raise ValueError(
      f'A cell has the {kind} {name!r}, which is not among {kind}s='
      f'{tuple(declared)}; name it there, and in the InterpretedCell.'
    )


def _fence(one: jax.Array, value: jax.Array) -> jax.Array:
  """Returns `value`, keeping XLA from recomputing it for every consumer.

  XLA's CPU backend copies cheap producers into each consumer, which multiplies
  the work along a tree by up to its depth, and it drops
  `lax.optimization_barrier` before fusion. A division counts as expensive, and
  division by a traced 1 is exact; its transpose fences the reverse pass too.
  """
  return value / one.astype(value.dtype)


def _combine(code, first, second, with_max):
  # A slope and an offset rather than a selection of two results: the gradient
  # of a product that was not selected would be NaN if an operand is infinite.
  is_product = code == 1
  result = first * jnp.where(is_product, second, 1) + jnp.where(
    is_product, 0, second
  )
  if with_max:
    result = jnp.where(code == 2, maxima.maximum(first, second), result)
  return result


def _activate(code, value, with_sin):
  # One transcendental function for both: sigmoid(x) = tanh(x / 2) / 2 + 1 / 2.
  scale = jnp.where(code == 2, 0.5, 1.0).astype(value.dtype)
  smooth = scale * jnp.tanh(scale * value) + (1 - scale)
  # A NaN is not <= 0, so it remains NaN, as in `jax.nn.relu`.
  linear = jnp.where((value <= 0) & (code != 0), 0, value)
  result = jnp.where((code == 1) | (code == 2), smooth, linear)
  if with_sin:
    result = jnp.where(code == 4, jnp.sin(value), result)
  return result


@functools.cache
def _interpreter(with_max: bool, with_sin: bool, with_fence: bool) -> Combine:
  def combine(program, zx, zh, memory):
    features = memory.shape[-1]
    base = zx.shape[-1] // features
    lead = zx.shape[:-1]
    first = zx.reshape(*lead, base, features)
    second = zh.reshape(*lead, base, features)
    fence = (
      functools.partial(_fence, program.one) if with_fence else lambda x: x
    )

    def column(codes):
      return codes.reshape((1,) * len(lead) + (-1, 1))

    read = []
    for start, width in space.levels(base):
      nodes = slice(start, start + width)
      combiners = column(program.combiners[nodes])
      activations = column(program.activations[nodes])
      is_read = column(program.read_index == jnp.arange(start, start + width))
      value = fence(_combine(combiners, first, second, with_max))
      read.append(jnp.where(is_read, value, 0).sum(-2))
      output = fence(_activate(activations, value, with_sin))
      injectable, *others = jnp.split(
        output, sorted({1, width // 2} & set(range(1, width))), -2
      )
      injected = _activate(
        program.inject_activation,
        _combine(
          program.inject_combiner, injectable[..., 0, :], memory, with_max
        ),
        with_sin,
      )[..., None, :]
      injected = jnp.where(program.inject_index == start, injected, injectable)
      if width == 1:
        return injected[..., 0, :], sum(read)
      first = jnp.concatenate([injected, *others[:-1]], -2)
      second = others[-1]
    raise AssertionError('A tree ends at its root.')

  return combine
