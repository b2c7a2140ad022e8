# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The recurrence of interpreted cells as one kernel, for accelerators.

`recurrence.unroll` is a loop whose every step is a dozen small kernels, and on
an accelerator the time to launch them is the time of a step. Here all steps of
a child are one Pallas kernel (https://docs.jax.dev/en/latest/pallas). It keeps
`U` and the state on the chip; and since a program of its grid works for one
child, it branches on the architecture instead of computing every operation.
The reverse pass is a second kernel, which computes `h U` and the tree again
rather than reading them.

Written for one child and mapped by `jax.vmap`, which makes the children a
dimension of the grid; the other dimension is tiles of the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import functools
import math
from typing import Any, NamedTuple

import chex
import jax
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu
from jax.experimental.pallas import triton
import jax.numpy as jnp

from jaxnas.children import kernel_tree, recurrence
from jaxnas.spaces import recurrent_cell as space

MAX_FEATURES = 128
"""The most hidden units for which blocks of `U` fit on a chip."""

# A GPU's matrix units take 16 rows, and its blocks are powers of two.
_GPU_ROWS = 16
# Blocks that a step reads stay in its shared memory, of 227 KiB, if all fit.
_GPU_BYTES = 160 * 2**10
# A TPU's registers have 8 rows of 128 lanes.
_TPU_ROWS = 8
_TPU_LANES = 128
# What the sequences of a tile may take of the memory of a TPU's core, and how
# much of it the kernel may use; the compiler's default is 16 MiB of 128.
_TPU_BYTES = 32 * 2**20
_TPU_LIMIT = 64 * 2**20


class _Shape(NamedTuple):
  """What is static about a kernel.

  Attributes:
    platform: the platform that it is compiled for.
    with_max: whether a combiner may be the maximum.
    with_sin: whether an activation may be the sine.
    num_rows: the number of rows of the batch, `B`.
    num_units: the number of hidden units, `D`.
    tile: the number of rows of a tile.
    num_tiles: the number of tiles.
    width: the number of units with those that pad them.
  """

  platform: str
  with_max: bool
  with_sin: bool
  num_rows: int
  num_units: int
  tile: int
  num_tiles: int
  width: int


def unroll(
  codes: kernel_tree.Codes,
  carry: recurrence.Carry,
  projected: jax.Array,
  recurrent_kernel: jax.Array,
  bias: jax.Array | None = None,
  recurrent_mask: jax.Array | None = None,
  *,
  platform: str,
  combiners: Sequence[str] = space.COMBINERS,
  activations: Sequence[str] = space.ACTIVATIONS,
) -> tuple[recurrence.Carry, jax.Array]:
  """Runs an interpreted cell over a sequence, as `recurrence.unroll` does.

  Args:
    codes: the architecture, of `L` leaves.
    carry: the memory and hidden state before the first step, each `[B, D]`.
    projected: the projected inputs `x W` of all steps, `[T, B, L D]`.
    recurrent_kernel: the recurrent kernel `U`, `[D, L D]`.
    bias: the bias `b`, `[L D]`, or `None`.
    recurrent_mask: the factor of `h_{t-1}`, `[B, D]`, or `None`.
    platform: the platform that it is compiled for; on a CPU the kernel is
      interpreted, which is slow and meant for tests.
    combiners: the combiners that may occur.
    activations: the activations that may occur.

  Returns:
    The carry after the last step, and `h` at all steps, `[T, B, D]`.

  Raises:
    ValueError: there are more than `MAX_FEATURES` hidden units.
  """
  memory, hidden = carry
  num_rows, num_units = hidden.shape
  num_steps, _, width = projected.shape
  num_leaves = width // num_units
  chex.assert_shape(memory, (num_rows, num_units))
  chex.assert_shape(recurrent_kernel, (num_units, width))
  check_features(num_units)
  tile, num_tiles, padded = _tiles(
    platform, num_steps, num_leaves, num_rows, num_units
  )
  shape = _Shape(
    platform,
    'max' in combiners,
    'sin' in activations,
    num_rows,
    num_units,
    tile,
    num_tiles,
    padded,
  )

  def pad(array, rows=num_tiles * tile):
    """Pads the last two axes."""
    ends = rows - array.shape[-2], padded - array.shape[-1]
    return jnp.pad(
      array, [(0, 0)] * (array.ndim - 2) + [(0, end) for end in ends]
    )

  if bias is None:
    bias = jnp.zeros((width,), projected.dtype)
  if recurrent_mask is None:
    recurrent_mask = jnp.ones_like(hidden)
  leaves = projected.reshape(num_steps, num_rows, num_leaves, num_units)
  kernel = recurrent_kernel.reshape(num_units, num_leaves, num_units)
  hidden_seq, memory, hidden = _unroll(
    shape,
    jnp.concatenate([jnp.atleast_1d(jnp.asarray(each)) for each in codes])[
      None
    ],
    pad(leaves.transpose(0, 2, 1, 3)),
    pad(kernel.transpose(1, 0, 2), padded),
    pad(bias.reshape(num_leaves, 1, num_units), 1),
    pad(recurrent_mask),
    pad(memory),
    pad(hidden),
  )
  hidden_seq, memory, hidden = (
    each[..., :num_rows, :num_units] for each in (hidden_seq, memory, hidden)
  )
  return (memory, hidden), hidden_seq


def check_features(features: int) -> None:
  """Raises `ValueError` for more than `MAX_FEATURES` hidden units."""
  if features > MAX_FEATURES:
    raise ValueError(
      f'The kernel of the recurrence takes at most {MAX_FEATURES} hidden '
      f'units, got {features}; use the scan.'
    )


def _tiles(platform, num_steps, num_leaves, num_rows, num_units):
  """Returns the rows of a tile, the number of tiles, and the padded units."""
  if platform == 'tpu':
    # Inputs and both their gradients, two tiles at a time.
    of_row = 4 * num_steps * (3 * num_leaves + 4) * _TPU_LANES * 2
    most = max(1, _TPU_BYTES // (of_row * _TPU_ROWS))
    num_tiles = math.ceil(math.ceil(num_rows / _TPU_ROWS) / most)
    rows = _TPU_ROWS * math.ceil(num_rows / num_tiles / _TPU_ROWS)
    return rows, num_tiles, num_units
  units = max(_GPU_ROWS, 1 << (num_units - 1).bit_length())
  return _GPU_ROWS, math.ceil(num_rows / _GPU_ROWS), units


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _unroll(shape, codes, leaves, kernel, bias, mask, memory, hidden):
  hidden_seq, _, memory, hidden = _run_forward(
    shape, codes, leaves, kernel, bias, mask, memory, hidden
  )
  return hidden_seq, memory, hidden


def _forward(shape, codes, leaves, kernel, bias, mask, memory, hidden):
  hidden_seq, memory_seq, last_memory, last_hidden = _run_forward(
    shape, codes, leaves, kernel, bias, mask, memory, hidden
  )
  previous = jnp.concatenate([hidden[None], hidden_seq[:-1]])
  residuals = codes, leaves, kernel, bias, mask, memory_seq, previous
  return (hidden_seq, last_memory, last_hidden), residuals


def _backward(shape, residuals, cotangents):
  codes, leaves, kernel, bias, mask, memory_seq, previous = residuals
  grad_leaves, grad_recurrent, grad_memory, grad_hidden = _run_backward(
    shape, codes, leaves, kernel, bias, mask, memory_seq, previous, *cotangents
  )
  masked = previous * mask[None]
  grad_kernel = jnp.einsum('tbd,tlbk->ldk', masked, grad_recurrent)
  grad_bias = grad_recurrent.sum((0, 2))[:, None]
  return (
    None,
    grad_leaves,
    grad_kernel,
    grad_bias,
    jnp.zeros_like(mask),
    grad_memory,
    grad_hidden,
  )


_unroll.defvjp(_forward, _backward)


def _run_forward(shape, codes, leaves, kernel, bias, mask, memory, hidden):
  num_steps, num_leaves = leaves.shape[:2]

  def run(codes_ref, kernel_ref, bias_ref, mask_ref, leaves_ref, *refs):
    memory_ref, hidden_ref, *results = refs
    hidden_seq_ref, memory_seq_ref, last_memory_ref, last_hidden_ref = results
    step = _make_step(shape, 1, codes_ref, kernel_ref, bias_ref, mask_ref)

    def advance(time, carry):
      memory, hidden = carry
      memory_seq_ref[time] = memory
      inputs = [leaves_ref[time, leaf] for leaf in range(num_leaves)]
      hidden, memory = step.combine(inputs, step.project(hidden), memory)
      hidden_seq_ref[time] = hidden
      return memory, hidden

    last_memory_ref[:], last_hidden_ref[:] = lax.fori_loop(
      0, num_steps, advance, (memory_ref[:], hidden_ref[:])
    )

  sequence = num_steps, *hidden.shape
  return _call(
    shape,
    run,
    codes,
    (kernel, bias),
    (mask, leaves, memory, hidden),
    (sequence, sequence, hidden.shape, hidden.shape),
  )


def _run_backward(
  shape, codes, leaves, kernel, bias, mask, memory_seq, previous, *cotangents
):
  num_steps, num_leaves = leaves.shape[:2]

  def run(codes_ref, kernel_ref, bias_ref, transposed_ref, mask_ref, *refs):
    leaves_ref, memory_seq_ref, previous_ref, *others = refs
    grad_seq_ref, grad_memory_ref, grad_hidden_ref, *results = others
    to_leaves_ref, to_recurrent_ref, to_memory_ref, to_hidden_ref = results
    step = _make_step(shape, 2, codes_ref, kernel_ref, bias_ref, mask_ref)

    def retreat(index, grads):
      grad_memory, grad_hidden = grads
      time = num_steps - 1 - index
      inputs = [leaves_ref[time, leaf] for leaf in range(num_leaves)]
      recurrent = step.project(previous_ref[time])
      to_inputs, to_recurrent, grad_memory = step.transpose(
        inputs,
        recurrent,
        memory_seq_ref[time],
        grad_hidden + grad_seq_ref[time],
        grad_memory,
      )
      grad_hidden = jnp.zeros_like(grad_hidden)
      for leaf in range(num_leaves):
        to_leaves_ref[time, leaf] = to_inputs[leaf]
        to_recurrent_ref[time, leaf] = to_recurrent[leaf]
        grad_hidden += _dot(
          to_recurrent[leaf], step.block(transposed_ref, leaf)
        )
      return grad_memory, grad_hidden * mask_ref[:]

    to_memory_ref[:], to_hidden_ref[:] = lax.fori_loop(
      0, num_steps, retreat, (grad_memory_ref[:], grad_hidden_ref[:])
    )

  return _call(
    shape,
    run,
    codes,
    (kernel, bias, kernel.transpose(0, 2, 1)),
    (mask, leaves, memory_seq, previous, *cotangents),
    (leaves.shape, leaves.shape, mask.shape, mask.shape),
  )


def _call(shape, run, codes, shared, tiled, outputs):
  """Calls a kernel for every tile of rows.

  Args:
    shape: what is static about the kernel.
    run: the kernel, called with references to all that follows.
    codes: the architecture.
    shared: the arrays that every tile needs whole.
    tiled: the arrays that have a tile's rows on their last but one axis.
    outputs: the shapes of the results, which are tiled too.
  """

  def whole(array, **kwargs):
    return pl.BlockSpec(array.shape, lambda _: (0,) * array.ndim, **kwargs)

  def of_tile(array_shape):
    lead = array_shape[:-2]
    return pl.BlockSpec(
      (*lead, shape.tile, shape.width),
      lambda tile: (*(0,) * len(lead), tile, 0),
    )

  # A TPU branches on what is in its memory of scalars.
  is_tpu = shape.platform == 'tpu'
  of_codes = {'memory_space': pltpu.SMEM} if is_tpu else {}
  return pl.pallas_call(
    run,
    grid=(shape.num_tiles,),
    in_specs=[
      whole(codes, **of_codes),
      *(whole(each) for each in shared),
      *(of_tile(each.shape) for each in tiled),
    ],
    out_specs=[of_tile(each) for each in outputs],
    out_shape=[jax.ShapeDtypeStruct(each, tiled[0].dtype) for each in outputs],
    interpret=shape.platform == 'cpu',
    compiler_params=(
      pltpu.CompilerParams(vmem_limit_bytes=_TPU_LIMIT)
      if is_tpu
      else triton.CompilerParams(num_stages=1)
    ),
  )(codes, *shared, *tiled)


def _dot(first, second):
  """Returns a product; matrix units sum in at least single precision."""
  dtype = jnp.promote_types(first.dtype, jnp.float32)
  product = jnp.dot(first, second, preferred_element_type=dtype)
  return product.astype(first.dtype)


class _Step(NamedTuple):
  """One step of a cell within a kernel, for a tile of `R` rows.

  Attributes:
    block: `(ref, leaf) -> [D, D]`, for what is shaped as the blocks of `U`.
    project: `h -> h U + b`, of `[R, D]` a list of `[R, D]`, one of each leaf.
    combine: `(x W, h U + b, c) -> (h, c)`.
    transpose: `(x W, h U + b, c, grad h, grad c) -> (grad x W, grad h U + b,
      grad c)`, the reverse of `combine`.
  """

  block: Callable[..., Any]
  project: Callable[..., Any]
  combine: Callable[..., Any]
  transpose: Callable[..., Any]


def _make_step(
  shape, num_kernels, codes_ref, kernel_ref, bias_ref, mask_ref
) -> _Step:
  """Returns the step of a tile; asks which tile it is, so not in a loop.

  Args:
    shape: what is static about the kernel.
    num_kernels: the number of arrays as large as `U` that a step reads.
    codes_ref: the architecture.
    kernel_ref: the blocks of `U`.
    bias_ref: the bias.
    mask_ref: the factor of `h`.
  """
  first_row = pl.program_id(0) * shape.tile
  codes = kernel_tree.read_codes(codes_ref, kernel_ref.shape[0])
  operations = kernel_tree.Operations(shape.with_max, shape.with_sin)

  def keep(array):
    """Returns an array with zeros where rows or units are padding."""
    if shape.num_units < shape.width:
      unit = lax.broadcasted_iota(jnp.int32, array.shape, 1)
      array = jnp.where(unit < shape.num_units, array, 0)
    if shape.num_rows < shape.tile * shape.num_tiles:
      row = lax.broadcasted_iota(jnp.int32, array.shape, 0) + first_row
      array = jnp.where(row < shape.num_rows, array, 0)
    return array

  num_bytes = num_kernels * math.prod(kernel_ref.shape) * 4
  stays = shape.platform in ('cpu', 'tpu') or num_bytes <= _GPU_BYTES

  def block(ref, leaf):
    """Returns a leaf's block of `U`, which stays on the chip if all fit."""
    return ref[leaf] if stays else triton.load(ref.at[leaf], volatile=True)

  def project(hidden):
    hidden = hidden * mask_ref[:]
    return [
      _dot(hidden, block(kernel_ref, leaf)) + bias_ref[leaf]
      for leaf in range(kernel_ref.shape[0])
    ]

  def combine(inputs, recurrent, memory):
    hidden, memory, _ = kernel_tree.run(
      operations, codes, inputs, recurrent, memory
    )
    return keep(hidden), keep(memory)

  def transpose(inputs, recurrent, memory, grad_hidden, grad_memory):
    *_, kept = kernel_tree.run(operations, codes, inputs, recurrent, memory)
    return kernel_tree.transpose(
      operations, codes, kept, memory, keep(grad_hidden), keep(grad_memory)
    )

  return _Step(block, project, combine, transpose)
