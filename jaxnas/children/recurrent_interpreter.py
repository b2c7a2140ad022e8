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

The same interpreter computes a `SoftProgram`, which has probabilities in place
of codes, and a program whose nodes stand where the tokens put them, which is
what a distribution over tokens is about.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import functools
from typing import Any, NamedTuple

from flax import linen as nn
import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from jaxnas.children import (
  kernel_tree,
  maxima,
  platforms,
  recurrent_cell,
  soft_program,
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
    inject_index: the node that the memory is injected into, `int32[]`; in
      canonical form always the first of a level.
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
  *,
  is_canonical: bool = True,
) -> CellProgram:
  """Returns `N` architectures of one base number as one batch of programs.

  Args:
    architectures: the cells.
    combiners: the combiners that may occur, as in the `InterpretedCell`.
    activations: the activations that may occur, as in the `InterpretedCell`.
    is_canonical: whether children are swapped into canonical form. If not,
      block `i` of the parameters is for leaf `half_order(base)[i]` of the
      architecture, and the `InterpretedCell` must inject anywhere.

  Raises:
    ValueError: there is no cell, their base numbers differ, or one has an
      operation that may not occur.
  """
  bases = {cell.base for cell in architectures}
  if len(bases) != 1:
    raise ValueError(
      f'One program needs cells of one base number, got {sorted(bases)}.'
    )
  for cell in architectures:
    _check_declared(
      'combiner', {*cell.combiners, cell.inject_combiner}, combiners
    )
    _check_declared(
      'activation', {*cell.activations, cell.inject_activation}, activations
    )
  rows = [codes_of(cell, is_canonical) for cell in architectures]
  codes = [np.array(field, np.int32) for field in zip(*rows, strict=True)]
  return CellProgram._make([*codes, np.ones((), np.float32)])


@functools.lru_cache(maxsize=2**15)
def codes_of(
  architecture: space.RecurrentCell, is_canonical: bool
) -> tuple[Any, ...]:
  """Returns the codes of one cell, in the order of a `CellProgram`'s fields.

  It remembers cells, since a canonical form takes longer than all else here,
  and the cells that shared weights are asked about come again.

  Args:
    architecture: the cell.
    is_canonical: as in `assemble`.
  """
  order = recurrent_cell.half_order(architecture.base)
  place = {node: index for index, node in enumerate(order)}
  cell = architecture
  if is_canonical:
    cell, _ = space.canonicalize(architecture)
  return (
    tuple(_COMBINERS.index(cell.combiners[node]) for node in order),
    tuple(_ACTIVATIONS.index(cell.activations[node]) for node in order),
    _COMBINERS.index(cell.inject_combiner),
    _ACTIVATIONS.index(cell.inject_activation),
    place[cell.read_index],
    place[cell.inject_index],
  )


class InterpretedCell(recurrent_cell.FusedCell):
  """The recurrent cell that a program describes.

  Parameters, carry and values equal those of a `GrammarCell` of the same
  architecture. A traced program cannot be checked: `combiners` and
  `activations` must include those passed to `assemble`.

  Attributes:
    program: the program of the cell; its arrays may be traced. With a
      `SoftProgram`, gradients flow to its probabilities.
    combiners: the combiners that may occur in the program.
    activations: the activations that may occur in the program.
    platform: the platform that the cell is compiled for, such as `'cpu'`.
    recurrence: how a whole sequence is run, one of `RECURRENCES`. The kernel
      takes a `CellProgram` in canonical form.
    injects_anywhere: whether a `CellProgram` may inject into any node of a
      level and not only into its first.
  """

  program: CellProgram | soft_program.SoftProgram | None = None
  combiners: tuple[str, ...] = space.COMBINERS
  activations: tuple[str, ...] = space.ACTIVATIONS
  platform: str = dataclasses.field(
    default_factory=platforms.default, metadata=platforms.CONDITION
  )
  recurrence: str = dataclasses.field(
    default='scan', metadata=platforms.CONDITION
  )
  injects_anywhere: bool = False

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
    return self.base

  @property
  def base(self) -> int:
    """The base number `L` of the program."""
    assert self.program is not None
    # Of a batch, too: the nodes are on the last axis of codes, and on the last
    # but one of probabilities.
    axis = -2 if isinstance(self.program, soft_program.SoftProgram) else -1
    return (self.program.combiners.shape[axis] + 1) // 2

  @property
  def combine(self) -> Combine:
    """The interpreter for the operations that may occur."""
    names = tuple(self.combiners), tuple(self.activations)
    operations: Selections | soft_program.Mixtures
    if isinstance(self.program, soft_program.SoftProgram):
      operations = soft_program.Mixtures(*names)
    else:
      operations = Selections(*names, self.injects_anywhere)
    return _interpreter(operations, self.platform == 'cpu')

  @property
  def cell_program(self) -> CellProgram | soft_program.SoftProgram:
    """The architecture."""
    assert self.program is not None
    return self.program

  @nn.nowrap
  def _recur(self, *arrays):
    if self.recurrence == 'scan':
      return super()._recur(*arrays)
    if self.injects_anywhere or isinstance(
      self.program, soft_program.SoftProgram
    ):
      raise ValueError(
        'The kernel runs a CellProgram in canonical form alone; use the '
        "recurrence 'scan' for probabilities and for injects_anywhere."
      )
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
  return value / lax.stop_gradient(one).astype(value.dtype)


class Selections(NamedTuple):
  """Computes what codes choose.

  Attributes:
    combiners: the combiners that may occur.
    activations: the activations that may occur.
    injects_anywhere: whether another node of a level than its first may be the
      injected one.
  """

  combiners: tuple[str, ...]
  activations: tuple[str, ...]
  injects_anywhere: bool

  def combine(self, code, first, second):
    """Returns the values of nodes; `code` has their rank, or none."""
    # A slope and an offset rather than a selection of two results: the gradient
    # of a product that was not selected would be NaN if an operand is infinite.
    is_product = code == 1
    result = first * jnp.where(is_product, second, 1) + jnp.where(
      is_product, 0, second
    )
    if 'max' in self.combiners:
      result = jnp.where(code == 2, maxima.maximum(first, second), result)
    return result

  def activate(self, code, value):
    """Returns the outputs of nodes; `code` has their rank, or none."""
    # One transcendental function for both: sigmoid(x) = tanh(x / 2) / 2 + 1/2.
    scale = jnp.where(code == 2, 0.5, 1.0).astype(value.dtype)
    smooth = scale * jnp.tanh(scale * value) + (1 - scale)
    # A NaN is not <= 0, so it remains NaN, as in `jax.nn.relu`.
    linear = jnp.where((value <= 0) & (code != 0), 0, value)
    result = jnp.where((code == 1) | (code == 2), smooth, linear)
    if 'sin' in self.activations:
      result = jnp.where(code == 4, jnp.sin(value), result)
    return result

  def column(self, codes, rank):
    """Returns the codes of a level's nodes with the rank of their values."""
    return codes.reshape((1,) * (rank - 2) + (-1, 1))

  def read(self, program, start, value):
    """Returns what the new memory reads from a level, `[..., D]`."""
    nodes = jnp.arange(start, start + value.shape[-2])
    is_read = self.column(program.read_index == nodes, value.ndim)
    return jnp.where(is_read, value, 0).sum(-2)

  def inject(self, program, start, output, memory):
    """Returns the halves of a level after the injection; of a root, itself."""
    width = output.shape[-2]
    if self.injects_anywhere:
      nodes = jnp.arange(start, start + width)
      is_injected = self.column(program.inject_index == nodes, output.ndim)
      memory = jnp.broadcast_to(memory[..., None, :], output.shape)
      injected = self._join(program, output, memory)
      return soft_program.halves(jnp.where(is_injected, injected, output))
    injectable, *others = jnp.split(
      output, sorted({1, width // 2} & set(range(1, width))), -2
    )
    injected = self._join(program, injectable[..., 0, :], memory)[..., None, :]
    injected = jnp.where(program.inject_index == start, injected, injectable)
    if width == 1:
      return injected, None
    return jnp.concatenate([injected, *others[:-1]], -2), others[-1]

  def _join(self, program, output, memory):
    return self.activate(
      program.inject_activation,
      self.combine(program.inject_combiner, output, memory),
    )


@functools.cache
def _interpreter(
  operations: Selections | soft_program.Mixtures, with_fence: bool
) -> Combine:
  def combine(program, zx, zh, memory):
    features = memory.shape[-1]
    base = zx.shape[-1] // features
    lead = zx.shape[:-1]
    first = zx.reshape(*lead, base, features)
    second = zh.reshape(*lead, base, features)
    fence = (
      functools.partial(_fence, program.one) if with_fence else lambda x: x
    )
    column = functools.partial(operations.column, rank=len(lead) + 2)

    read = []
    for start, width in space.levels(base):
      nodes = slice(start, start + width)
      combiners = column(program.combiners[nodes])
      activations = column(program.activations[nodes])
      value = fence(operations.combine(combiners, first, second))
      read.append(operations.read(program, start, value))
      output = fence(operations.activate(activations, value))
      first, second = operations.inject(program, start, output, memory)
    return first[..., 0, :], sum(read)

  return combine
