# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Recurrent cells as probabilities: what a relaxation differentiates.

A `SoftProgram` has a distribution where a `CellProgram` has a code, and a cell
computes the mixture of what each choice would compute:

    z_n = p_add (x + y) + p_mul x y       a_n = sum_k p_k activation_k(z_n)
    a_n += p_n (inject(a_n) - a_n)        c_t = sum_n p_n z_n

As in "DARTS: Differentiable Architecture Search" (Liu et al., 2019,
https://arxiv.org/abs/1806.09055), but for every decision of the
paper's grammar. Where all distributions are one-hot it is the cell that they
choose.
"""

from __future__ import annotations

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.children import recurrent_cell
from jaxnas.spaces import recurrent_cell as space


class SoftProgram(NamedTuple):
  """Distributions over a cell's decisions, with nodes in half order.

  Unlike those of a `CellProgram`, nodes stand where the tokens put them, not in
  canonical form: probabilities have none. A batch of programs has a leading
  axis `N` on all arrays but `one`.

  Attributes:
    combiners: for each node, `float[2L - 1, C]`, in the order of the
      `combiners` of the cell.
    activations: for each node, `float[2L - 1, A]`, in the order of the
      `activations` of the cell.
    inject_combiner: that of the combiner with the memory, `float[C]`.
    inject_activation: that of the activation after it, `float[A]`.
    read_index: that of the node that the new memory is read from, `float[2L -
      1]`.
    inject_index: that of the node that the memory is injected into, `float[2L -
      1]`.
    one: the number 1, `float[]`, as in `CellProgram`.
  """

  combiners: jax.Array
  activations: jax.Array
  inject_combiner: jax.Array
  inject_activation: jax.Array
  read_index: jax.Array
  inject_index: jax.Array
  one: np.ndarray | jax.Array


BATCH_AXES = SoftProgram(0, 0, 0, 0, 0, 0, None)  # type: ignore[arg-type]  # Axes.


def soften(
  probabilities: jax.Array,
  base: int,
  num_combiners: int = len(space.COMBINERS),
  num_activations: int = len(space.ACTIVATIONS),
) -> SoftProgram:
  """Returns the program of a distribution over a space's tokens.

  Args:
    probabilities: the distributions of all decisions in the order of the
      space's, `float[V]` with `V = (2L - 1)(C + A) + C + A + 2 (2L - 1)`, as in
      `Strategy.probabilities`; may be traced.
    base: the base number `L`.
    num_combiners: the number `C` of combiners to choose from.
    num_activations: the number `A` of activations to choose from.
  """
  num_nodes = 2 * base - 1
  num_operations = num_combiners + num_activations
  order = np.array(recurrent_cell.half_order(base))
  probabilities = jnp.asarray(probabilities)
  chex.assert_shape(
    probabilities,
    (num_nodes * num_operations + num_operations + 2 * num_nodes,),
  )
  nodes, rest = jnp.split(probabilities, [num_nodes * num_operations])
  nodes = nodes.reshape(num_nodes, num_operations)[order]
  inject, read_index, inject_index = jnp.split(
    rest, [num_operations, num_operations + num_nodes]
  )
  return SoftProgram(
    nodes[:, :num_combiners],
    nodes[:, num_combiners:],
    inject[:num_combiners],
    inject[num_combiners:],
    read_index[order],
    inject_index[order],
    np.ones((), np.float32),
  )


class Mixtures(NamedTuple):
  """Computes mixtures of what nodes could compute.

  The operands of all methods are `[..., nodes, D]`, or of one node `[..., D]`,
  and probabilities are a tuple of arrays of the same rank, or of none: one
  array for each name.

  Attributes:
    combiners: the names of the combiners.
    activations: the names of the activations.
  """

  combiners: tuple[str, ...]
  activations: tuple[str, ...]

  def combine(self, probabilities, first, second):
    """Returns the values of nodes."""
    return sum(
      p * recurrent_cell.COMBINERS[name](first, second)
      for p, name in zip(probabilities, self.combiners, strict=True)
    )

  def activate(self, probabilities, value):
    """Returns the outputs of nodes."""
    return sum(
      p * recurrent_cell.ACTIVATIONS[name](value)
      for p, name in zip(probabilities, self.activations, strict=True)
    )

  def column(self, probabilities, rank):
    """Returns the probabilities of a level's nodes, `[nodes, choices]`."""
    shape = (1,) * (rank - 2) + (-1, 1)
    return tuple(column.reshape(shape) for column in probabilities.T)

  def read(self, program, start, value):
    """Returns what the new memory reads from a level, `[..., D]`."""
    return (self._of_level(program.read_index, start, value) * value).sum(-2)

  def inject(self, program, start, output, memory):
    """Returns the halves of a level after the injection; of a root, itself."""
    memory = jnp.broadcast_to(memory[..., None, :], output.shape)
    joined = self.activate(
      tuple(program.inject_activation),
      self.combine(tuple(program.inject_combiner), output, memory),
    )
    share = self._of_level(program.inject_index, start, output)
    output = output + share * (joined - output)
    return halves(output)

  def _of_level(self, probabilities, start, value):
    (column,) = self.column(
      probabilities[start : start + value.shape[-2], None], value.ndim
    )
    return column


def halves(level: jax.Array) -> tuple[jax.Array, jax.Array | None]:
  """Returns the halves of a level `[..., nodes, D]`; of a root, itself."""
  if level.shape[-2] == 1:
    return level, None
  first, second = jnp.split(level, 2, -2)
  return first, second
