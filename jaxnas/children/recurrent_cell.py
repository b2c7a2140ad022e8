# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Recurrent cells as Flax Linen modules.

`GrammarCell` defines what an architecture of `jaxnas.spaces.recurrent_cell`
computes: its tree unrolls into straight-line code. It works with
`flax.linen.RNN`.
"""

from __future__ import annotations

from collections.abc import Callable
import functools
from typing import Any

from flax import linen as nn
from flax.typing import Dtype, Initializer
import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.children import maxima, recurrence
from jaxnas.spaces import recurrent_cell as space

COMBINERS: dict[str, Callable[[jax.Array, jax.Array], jax.Array]] = {
  'add': jnp.add,
  'elem_mult': jnp.multiply,
  'max': maxima.maximum,
}
ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
  'identity': lambda x: x,
  'tanh': jnp.tanh,
  'sigmoid': jax.nn.sigmoid,
  'relu': jax.nn.relu,
  'sin': jnp.sin,
}


def half_order(base: int) -> tuple[int, ...]:
  """Returns the nodes of a tree in *half order*.

  In half order, node `i` of a level of width `w` has the children `i` and `i +
  w` in the level below, so that the two operands of a whole level are the
  contiguous halves of the level below. The first node of a level stays first.

  Args:
    base: the number of leaves of the tree.

  Returns:
    For each position in half order, the node's number in level order.
  """
  levels = space.levels(base)
  rows = [[levels[-1][0]]]
  for first, width in reversed(levels[:-1]):
    parents = [node - (first + width) for node in rows[0]]
    rows.insert(
      0, [first + 2 * p for p in parents] + [first + 2 * p + 1 for p in parents]
    )
  return tuple(node for row in rows for node in row)


def leaf_order(architecture: space.RecurrentCell) -> tuple[int, ...]:
  """Returns the leaf of the architecture that each block of parameters is for.

  Parameters are in half order of the canonical form. Architectures that differ
  only in the order of children therefore give the same child, and an
  interpreter can read the parameters without rearranging them.

  Args:
    architecture: any cell.

  Returns:
    The leaf of each of the `L` blocks of `features` columns of the kernels.
  """
  _, leaves = space.canonicalize(architecture)
  return tuple(leaves[i] for i in half_order(architecture.base)[: len(leaves)])


def arrange_leaves(
  weights: jax.Array, architecture: space.RecurrentCell
) -> jax.Array:
  """Returns per-leaf weights as the kernel that a `GrammarCell` stores.

  Args:
    weights: the weights, `[L, inputs, features]`, or `[L, features]` for a
      bias, in the leaf order of `architecture`.
    architecture: the cell that the weights belong to.

  Returns:
    The kernel, `[inputs, L * features]`, or the bias, `[L * features]`.
  """
  ordered = weights[jnp.asarray(leaf_order(architecture))]
  return jnp.moveaxis(ordered, 0, -2).reshape(*ordered.shape[1:-1], -1)


class FusedCell(nn.RNNCellBase):
  """A recurrent cell that combines blocks of two fused projections.

      zx_t = W x_t,  zh_t = U h_{t-1} + b
      h_t, c_t = combine(program, zx_t, zh_t, c_{t-1})

  where `W`, `U` and `b` have `num_blocks` blocks of `features` columns. The
  carry is `(c, h)`. Initializers are applied to each block separately, so that
  fan-in and fan-out are those of one block.

  Attributes:
    features: the number of hidden units `D`.
    use_bias: whether the recurrent half has a bias.
    kernel_init: the initializer of `W`.
    recurrent_kernel_init: the initializer of `U`.
    bias_init: the initializer of `b`.
    carry_init: the initializer of the carry.
    dtype: the dtype of the computation and the carry; if `None`, it is inferred
      for the computation and the initial carry has `param_dtype`.
    param_dtype: the dtype of the parameters.
  """

  features: int
  use_bias: bool = False
  kernel_init: Initializer = nn.initializers.lecun_normal()
  recurrent_kernel_init: Initializer = nn.initializers.orthogonal()
  bias_init: Initializer = nn.initializers.zeros_init()
  carry_init: Initializer = nn.initializers.zeros_init()
  dtype: Dtype | None = None
  param_dtype: Dtype = jnp.float32

  def __post_init__(self):
    if not isinstance(self.features, int | np.integer):
      raise ValueError(
        f'features must be an integer, got {self.features!r}; name the '
        f'arguments, as in {type(self).__name__}(features=64, ...).'
      )
    super().__post_init__()

  @property
  def num_blocks(self) -> int:
    """The number of blocks of `features` columns in the projections."""
    raise NotImplementedError

  @property
  def combine(self) -> recurrence.Combine:
    """The function that computes one step after the projections."""
    raise NotImplementedError

  @property
  def cell_program(self) -> Any:
    """The pytree passed to `combine`; `None` if it needs none."""
    return None

  def setup(self):
    """Declares the parameters."""
    width = self.num_blocks * self.features
    self.input_projection = self._make_projection(
      width, _each_block(self.kernel_init, self.features)
    )
    self.recurrent_kernel = self.param(
      'recurrent_kernel',
      _each_block(self.recurrent_kernel_init, self.features),
      (self.features, width),
      self.param_dtype,
    )
    self.bias = (
      self.param('bias', self.bias_init, (width,), self.param_dtype)
      if self.use_bias
      else None
    )

  @nn.nowrap
  def _make_projection(self, width, kernel_init):
    """Makes the layer that computes `W x`, `[..., inputs] -> [..., width]`."""
    return nn.Dense(
      width,
      use_bias=False,
      kernel_init=kernel_init,
      dtype=self.dtype,
      param_dtype=self.param_dtype,
    )

  @nn.nowrap
  def _choose(self, columns):
    """Returns the columns of `U` or `b` that the cell uses; here, all."""
    return columns

  def __call__(self, carry, inputs):
    """Runs one step.

    Args:
      carry: the carry `(c, h)`, each `[..., D]`.
      inputs: the inputs of the step, `[..., inputs]`.

    Returns:
      The new carry and `h`, `[..., D]`.
    """
    memory, hidden, projected, kernel, bias = self._promote(
      *carry, self.input_projection(inputs), *self._recurrent()
    )
    recurrent = hidden @ kernel
    if bias is not None:
      recurrent = recurrent + jnp.broadcast_to(bias, recurrent.shape)
    hidden, memory = self.combine(
      self.cell_program, projected, recurrent, memory
    )
    return (memory, hidden), hidden

  def unroll(self, carry, inputs, recurrent_mask=None):
    """Runs a whole sequence; faster than `flax.linen.RNN`, with equal results.

    Args:
      carry: the carry `(c, h)`, each `[B, D]`.
      inputs: the inputs of all steps, `[T, B, inputs]`.
      recurrent_mask: a dropout mask; see `jaxnas.children.recurrence.unroll`.

    Returns:
      The carry after the last step, and `h` at all steps, `[T, B, D]`.
    """
    memory, hidden, projected, kernel, bias, recurrent_mask = self._promote(
      *carry,
      self.input_projection(inputs),
      *self._recurrent(),
      recurrent_mask,
    )
    return self._recur(
      (memory, hidden), projected, kernel, bias, recurrent_mask
    )

  @nn.nowrap
  def _recurrent(self):
    """Returns the columns of `U` and `b` that the cell uses."""
    bias = None if self.bias is None else self._choose(self.bias)
    return self._choose(self.recurrent_kernel), bias

  @nn.nowrap
  def _recur(self, *arrays):
    """Runs all steps; see `jaxnas.children.recurrence.unroll`."""
    return recurrence.unroll(self.combine, self.cell_program, *arrays)

  @nn.nowrap
  def _promote(self, *arrays):
    return nn.dtypes.promote_dtype(*arrays, dtype=self.dtype)

  @nn.nowrap
  def initialize_carry(self, rng, input_shape):
    """Returns the initial carry `(c, h)` for inputs `[..., inputs]`."""
    shape = (*input_shape[:-1], self.features)
    dtype = self.param_dtype if self.dtype is None else self.dtype
    first, second = jax.random.split(rng)
    return (
      self.carry_init(first, shape, dtype),
      self.carry_init(second, shape, dtype),
    )

  @property
  def num_feature_axes(self) -> int:
    """Part of the `RNNCellBase` interface."""
    return 1


class GrammarCell(FusedCell):
  """The recurrent cell that an architecture describes.

  Section 3.4 of Zoph and Le, 2017 (https://arxiv.org/abs/1611.01578); for the
  equations see `jaxnas.spaces.recurrent_cell`. With `use_bias` every leaf has a
  bias on its recurrent half, `combiner(W x, U h + b)`, as in TensorFlow's
  `NASCell`. Blocks of parameters are in `leaf_order(architecture)`.

      cell = GrammarCell(architecture=KNOWN_CELLS['nascell'], features=64)
      outputs = nn.RNN(cell)(inputs)

  Attributes:
    architecture: the architecture, a
      `jaxnas.spaces.recurrent_cell.RecurrentCell`.
  """

  architecture: space.RecurrentCell = space.KNOWN_CELLS['nascell']

  @property
  def num_blocks(self) -> int:
    """One block per leaf."""
    return self.architecture.base

  @property
  def combine(self) -> recurrence.Combine:
    """The architecture's tree."""
    return _tree(self.architecture)


class LSTMCell(FusedCell):
  """An LSTM with the arithmetic of `flax.linen.OptimizedLSTMCell`.

      i = sigmoid(W_i x + U_i h + b_i)    f = sigmoid(W_f x + U_f h + b_f)
      g = tanh(W_g x + U_g h + b_g)       o = sigmoid(W_o x + U_o h + b_o)
      c' = f * c + i * g                  h' = o * tanh(c')

  Blocks are in the order i, f, g, o. The forget gate's bias starts at 1 ("An
  Empirical Exploration of Recurrent Network Architectures", Jozefowicz et al.,
  2015).
  """

  use_bias: bool = True
  bias_init: Initializer = lambda key, shape, dtype: (
    jnp.zeros((4, shape[-1] // 4), dtype).at[1].set(1).reshape(shape)
  )

  @property
  def num_blocks(self) -> int:
    """Three gates and the candidate."""
    return 4

  @property
  def combine(self) -> recurrence.Combine:
    """The LSTM's equations."""
    return _lstm


class GRUCell(FusedCell):
  """A GRU, in the form whose reset gate follows the recurrent product.

      r = sigmoid(W_r x + U_r h + b_r)    z = sigmoid(W_z x + U_z h + b_z)
      n = tanh(W_n x + r * (U_n h + b_n)) h' = (1 - z) * n + z * h

  "Learning Phrase Representations using RNN Encoder-Decoder", Cho et al., 2014
  (https://arxiv.org/abs/1406.1078), as cuDNN computes it; `flax.linen.GRUCell`
  has one more bias, beside `W_n x`. Blocks are in the order r, z, n. The memory
  carries `h`, so both parts of a carry must be equal.
  """

  use_bias: bool = True

  @property
  def num_blocks(self) -> int:
    """Two gates and the candidate."""
    return 3

  @property
  def combine(self) -> recurrence.Combine:
    """The GRU's equations."""
    return _gru


def _each_block(initializer: Initializer, features: int) -> Initializer:
  def init(key, shape, dtype):
    *lead, width = shape
    keys = jax.random.split(key, width // features)
    blocks = jax.vmap(lambda key: initializer(key, (*lead, features), dtype))(
      keys
    )
    return jnp.moveaxis(blocks, 0, -2).reshape(shape)

  return init


@functools.lru_cache(maxsize=1024)
def _tree(architecture: space.RecurrentCell) -> recurrence.Combine:
  cell, _ = space.canonicalize(architecture)
  base = cell.base
  blocks = half_order(base)[:base]

  def combine(program, zx, zh, memory):
    del program
    outputs: dict[int, jax.Array] = {}
    left = dict(zip(blocks, jnp.split(zx, base, -1), strict=True))
    right = dict(zip(blocks, jnp.split(zh, base, -1), strict=True))
    for node, (combiner, activation) in enumerate(
      zip(cell.combiners, cell.activations, strict=True)
    ):
      if node < base:
        operands = left[node], right[node]
      else:
        child = 2 * (node - base)
        operands = outputs[child], outputs[child + 1]
      value = COMBINERS[combiner](*operands)
      if node == cell.read_index:
        new_memory = value
      output = ACTIVATIONS[activation](value)
      if node == cell.inject_index:
        output = ACTIVATIONS[cell.inject_activation](
          COMBINERS[cell.inject_combiner](output, memory)
        )
      outputs[node] = output
    return outputs[2 * base - 2], new_memory

  return combine


def _lstm(program, zx, zh, memory):
  del program
  i, f, g, o = jnp.split(zx + zh, 4, -1)
  memory = nn.sigmoid(f) * memory + nn.sigmoid(i) * nn.tanh(g)
  return nn.sigmoid(o) * nn.tanh(memory), memory


def _gru(program, zx, zh, memory):
  del program
  reset_x, update_x, candidate_x = jnp.split(zx, 3, -1)
  reset_h, update_h, candidate_h = jnp.split(zh, 3, -1)
  update = nn.sigmoid(update_x + update_h)
  candidate = nn.tanh(candidate_x + nn.sigmoid(reset_x + reset_h) * candidate_h)
  hidden = (1 - update) * candidate + update * memory
  return hidden, hidden
