# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Recurrent cells with weights of their own for each operation of a leaf.

Where many cells share their weights, a leaf's kernels must serve every
operation that a cell may have there. In "Efficient Neural Architecture Search
via Parameter Sharing" (Pham et al., 2018, https://arxiv.org/abs/1802.03268)
each pair of nodes has weights of its own; in the paper's grammar only leaves
have weights, so here each leaf has a *bank* of them: `W` and `U` for every
combiner and activation.

Letters: `L` leaves, `C` combiners, `A` activations, `D` features.
"""

from __future__ import annotations

from collections.abc import Callable
import functools

from flax import linen as nn
from flax.typing import Dtype, Initializer
import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.children import recurrent_interpreter, soft_program
from jaxnas.spaces import recurrent_cell as space


class BankedCell(recurrent_interpreter.InterpretedCell):
  """An interpreted cell that takes each leaf's weights from a bank.

  With the weights that its leaves take it is the `InterpretedCell` of the same
  program; with a `SoftProgram` a leaf's weights are the mixture of its bank by
  the probabilities of its combiner times those of its activation. Parameters
  have `L * C * A` blocks: that of leaf `i` with combiner `c` and activation `a`
  is block `(i * C + c) * A + a`, with leaves in half order of the canonical
  form and operations in the order of `combiners` and `activations`.
  """

  @property
  def num_blocks(self) -> int:
    """One block per leaf, combiner and activation."""
    return self.base * len(self.combiners) * len(self.activations)

  @nn.nowrap
  def _make_projection(self, width, kernel_init):
    choose = functools.partial(_choose, self._shares(), self.features)
    return _ChosenDense(
      width, choose, kernel_init, self.dtype, self.param_dtype
    )

  @nn.nowrap
  def _choose(self, columns):
    return _choose(self._shares(), self.features, columns)

  @nn.nowrap
  def _shares(self) -> jax.Array:
    """Returns each leaf's share of its bank, `[L, C * A]`.

    Booleans for codes, and floats for probabilities.
    """
    program, base = self.cell_program, self.base
    combiners = program.combiners[:base]
    activations = program.activations[:base]
    if not isinstance(program, soft_program.SoftProgram):
      combiners = _is_chosen(
        combiners, self.combiners, space.EXTENDED_COMBINERS
      )
      activations = _is_chosen(
        activations, self.activations, space.EXTENDED_ACTIVATIONS
      )
    shares = jnp.asarray(combiners[:, :, None] * activations[:, None])
    return shares.reshape(base, -1)


def _is_chosen(codes, names, all_names) -> jax.Array:
  """Returns whether each code is that of each name, `bool[nodes, names]`."""
  known = np.array([all_names.index(name) for name in names])
  return jnp.asarray(codes)[:, None] == known[None]


def _choose(shares, features, columns) -> jax.Array:
  """Returns each leaf's columns, `[..., L * C * A * D] -> [..., L * D]`."""
  *lead, _ = columns.shape
  banks = columns.reshape(*lead, *shares.shape, features)
  shares = shares.reshape(*(1,) * len(lead), *shares.shape, 1)
  if shares.dtype == bool:
    # Not a product with 0, which would be NaN where another cell's weights are
    # not finite.
    chosen = jnp.where(shares, banks, 0)
  else:
    chosen = shares.astype(columns.dtype) * banks
  return chosen.sum(-2).reshape(*lead, -1)


class _ChosenDense(nn.Module):
  """A layer without bias that chooses among the columns of its kernel."""

  width: int
  choose: Callable[[jax.Array], jax.Array]
  kernel_init: Initializer
  dtype: Dtype | None
  param_dtype: Dtype

  @nn.compact
  def __call__(self, inputs):
    kernel = self.param(
      'kernel',
      self.kernel_init,
      (inputs.shape[-1], self.width),
      self.param_dtype,
    )
    inputs, kernel = nn.dtypes.promote_dtype(
      inputs, self.choose(kernel), dtype=self.dtype
    )
    return inputs @ kernel
