# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A recurrence with one matmul per step and a hand-written reverse pass.

Everything is written for one child; use `jax.vmap` for many. A cell combines
two projected inputs with the memory:

    h_t, c_t = combine(program, x_t W, h_{t-1} U + b, c_{t-1})

`x W` is one matmul for all steps before the loop, and the gradient of `U` is
one matmul for all steps after it, instead of one matmul per step each.
"""

from __future__ import annotations

from collections.abc import Callable
import functools
from typing import Any

import chex
import jax
from jax import lax
import jax.numpy as jnp

Combine = Callable[
  [Any, jax.Array, jax.Array, jax.Array], tuple[jax.Array, jax.Array]
]
"""`(program, zx[B, K], zh[B, K], c[B, D]) -> (h[B, D], c[B, D])`."""

Carry = tuple[jax.Array, jax.Array]
"""`(c[B, D], h[B, D])`, the order of `flax.linen`'s LSTM cells."""


def unroll(
  combine: Combine,
  program: Any,
  carry: Carry,
  projected: jax.Array,
  recurrent_kernel: jax.Array,
  bias: jax.Array | None = None,
  recurrent_mask: jax.Array | None = None,
) -> tuple[Carry, jax.Array]:
  """Runs a cell over a sequence.

  Gradients flow to the carry, the projected inputs, the kernel and the bias,
  and to the program where somebody differentiates with respect to it; nothing
  is computed for it otherwise.

  Args:
    combine: the cell. The same function must be the same object; otherwise a
      caller under `jit` recompiles.
    program: a pytree of arrays that is passed to `combine`.
    carry: the memory and hidden state before the first step.
    projected: the projected inputs `x W` of all steps, `[T, B, K]`.
    recurrent_kernel: the recurrent kernel `U`, `[D, K]`.
    bias: the bias `b`, `[K]`, or `None`.
    recurrent_mask: the factor of `h_{t-1}` before the product with `U`, `[B,
      D]`: a dropout mask that is the same for all steps.

  Returns:
    The carry after the last step, and `h` at all steps, `[T, B, D]`.
  """
  memory, hidden = carry
  chex.assert_rank([projected, recurrent_kernel], [3, 2])
  chex.assert_equal_shape([memory, hidden])
  chex.assert_shape(hidden, (projected.shape[1], recurrent_kernel.shape[0]))
  chex.assert_axis_dimension(recurrent_kernel, 1, projected.shape[2])
  hidden_seq, memory, hidden = _unroll(
    combine,
    program,
    projected,
    recurrent_kernel,
    bias,
    recurrent_mask,
    memory,
    hidden,
  )
  return (memory, hidden), hidden_seq


def _project(hidden, kernel, bias, mask):
  if mask is not None:
    hidden = hidden * mask
  projected = hidden @ kernel
  return projected if bias is None else projected + bias[None]


def _read(sequence, time):
  return lax.dynamic_index_in_dim(sequence, time, 0, keepdims=False)


def _write(sequence, value, time):
  return lax.dynamic_update_index_in_dim(sequence, value, time, 0)


def _run(combine, program, projected, kernel, bias, mask, memory, hidden, keep):
  """Runs forward; with `keep`, also stores what the reverse pass needs."""
  num_steps, batch_size, width = projected.shape
  features = hidden.shape[-1]

  def zeros(last):
    return jnp.zeros((num_steps, batch_size, last), projected.dtype)

  def step(time, state):
    memory, hidden, hidden_seq, kept = state
    zh = _project(hidden, kernel, bias, mask)
    if keep:
      kept = _write(kept[0], memory, time), _write(kept[1], zh, time)
    hidden, memory = combine(program, _read(projected, time), zh, memory)
    return memory, hidden, _write(hidden_seq, hidden, time), kept

  kept = (zeros(features), zeros(width)) if keep else ()
  return lax.fori_loop(
    0, num_steps, step, (memory, hidden, zeros(features), kept)
  )


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _unroll(combine, program, projected, kernel, bias, mask, memory, hidden):
  memory, hidden, hidden_seq, _ = _run(
    combine, program, projected, kernel, bias, mask, memory, hidden, keep=False
  )
  return hidden_seq, memory, hidden


def _forward(combine, program, *arrays):
  """Runs forward; each primal tells whether its gradient is asked for."""
  leaves, structure = jax.tree.flatten(program)
  # Residuals hold arrays alone, so their structure tells what is static.
  learned = [() if leaf.perturbed else None for leaf in leaves]
  program = jax.tree.unflatten(structure, [leaf.value for leaf in leaves])
  projected, kernel, bias, mask, memory, hidden = jax.tree.map(
    lambda leaf: leaf.value, arrays
  )
  last_memory, last_hidden, hidden_seq, kept = _run(
    combine, program, projected, kernel, bias, mask, memory, hidden, keep=True
  )
  arrays = (projected, kernel, bias, mask, hidden, hidden_seq, kept)
  return (hidden_seq, last_memory, last_hidden), (program, learned, arrays)


def _dense(cotangent):
  if isinstance(cotangent, jax.custom_derivatives.SymbolicZero):
    return jnp.zeros(cotangent.shape, cotangent.dtype)
  return cotangent


def _backward(combine, residuals, cotangents):
  program, learned, arrays = residuals
  projected, kernel, bias, mask, first, hidden_seq, kept = arrays
  memory_seq, zh_seq = kept
  grad_hidden_seq, grad_memory, grad_hidden = map(_dense, cotangents)
  leaves, structure = jax.tree.flatten(program)
  places = [i for i, is_learned in enumerate(learned) if is_learned is not None]
  num_steps = projected.shape[0]
  transposed = kernel.T

  def apply(chosen, *inputs):
    merged = list(leaves)
    for place, leaf in zip(places, chosen, strict=True):
      merged[place] = leaf
    return combine(jax.tree.unflatten(structure, merged), *inputs)

  chosen = [leaves[place] for place in places]

  def step(index, state):
    time = num_steps - 1 - index
    grad_memory, grad_hidden, grad_zx_seq, grad_zh_seq, grad_chosen = state
    _, vjp = jax.vjp(
      apply,
      chosen,
      _read(projected, time),
      _read(zh_seq, time),
      _read(memory_seq, time),
    )
    more_chosen, grad_zx, grad_zh, grad_memory = vjp(
      (grad_hidden + _read(grad_hidden_seq, time), grad_memory)
    )
    grad_hidden = grad_zh @ transposed
    if mask is not None:
      grad_hidden = grad_hidden * mask
    return (
      grad_memory,
      grad_hidden,
      _write(grad_zx_seq, grad_zx, time),
      _write(grad_zh_seq, grad_zh, time),
      jax.tree.map(jnp.add, grad_chosen, more_chosen),
    )

  zeros = jnp.zeros_like(projected)
  nothing = jax.tree.map(jnp.zeros_like, chosen)
  grad_memory, grad_hidden, grad_projected, grad_zh_seq, grad_chosen = (
    lax.fori_loop(
      0, num_steps, step, (grad_memory, grad_hidden, zeros, zeros, nothing)
    )
  )
  previous = jnp.concatenate([first[None], hidden_seq[:-1]])
  if mask is not None:
    previous = previous * mask[None]
  rows = previous.reshape(-1, previous.shape[-1])
  grad_rows = grad_zh_seq.reshape(-1, grad_zh_seq.shape[-1])
  grad_kernel = rows.T @ grad_rows
  grad_bias = None if bias is None else grad_rows.sum(0)
  grad_mask = None if mask is None else jnp.zeros_like(mask)
  grad_program = [None] * len(leaves)
  for place, gradient in zip(places, grad_chosen, strict=True):
    grad_program[place] = gradient
  return (
    jax.tree.unflatten(structure, grad_program),
    grad_projected,
    grad_kernel,
    grad_bias,
    grad_mask,
    grad_memory,
    grad_hidden,
  )


_unroll.defvjp(_forward, _backward, symbolic_zeros=True)
