# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Stacked LSTMs that read rows of a table, as most controllers do.

The arithmetic is that of `children.recurrent_cell.LSTMCell`, arranged for
layers so narrow that what surrounds the products takes most of the time:

- The table is multiplied by the first layer's input kernel before any row is
  read, which takes one product instead of one for each step.
- A step runs all layers. Every later layer takes one product: of its input and
  its previous output, joined, with both of its kernels.
- The gates and the candidate are one tanh, by sigmoid(x) = (1 + tanh(x/2)) / 2.
- The reverse pass, written by hand, reads slopes that the forward pass keeps,
  and computes each kernel's gradient by one product after its loop.

Shape letters here: `T` steps, `N` sequences, `D` features, `L` layers. Columns
are in the order i, f, g, o: input gate, forget gate, candidate, output gate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import functools
from typing import Any, NamedTuple

import chex
from flax import linen as nn
import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from jaxnas.children import recurrent_cell
from jaxnas.types import Params

Carries = tuple[tuple[jax.Array, jax.Array], ...]
"""`(c, h)` of every layer, each `[..., D]`."""


class Stack(NamedTuple):
  """The parameters of a stack, prepared for its steps.

  Attributes:
    table: the rows to read, multiplied by the first layer's input kernel, plus
      its bias, `[rows, 4 D]`.
    kernels: the first layer's recurrent kernel, `[D, 4 D]`, and every later
      layer's input kernel stacked on its recurrent kernel, `[2 D, 4 D]`.
    biases: the biases of all layers but the first, `[4 D]` each.
  """

  table: jax.Array
  kernels: tuple[jax.Array, ...]
  biases: tuple[jax.Array, ...]


class Activations(NamedTuple):
  """What a step computes, or a sequence of steps `[T, ...]`.

  Attributes:
    outputs: each layer's output, `[..., D]`.
    slopes: what the reverse pass multiplies gradients by, of each layer: for
      the columns i, f and g that of the layer's new `c`, for o that of its
      output, `[..., 4 D]`.
    layers: what else the reverse pass reads of each layer.
  """

  outputs: tuple[jax.Array, ...]
  slopes: tuple[jax.Array, ...]
  layers: tuple[_Layer, ...]

  @property
  def hidden(self) -> jax.Array:
    """The last layer's output, `[..., D]`."""
    return self.outputs[-1]


def serves(cell: nn.RNNCellBase) -> bool:
  """Returns whether this module computes stacks of a cell."""
  return (
    type(cell) is recurrent_cell.LSTMCell
    and cell.use_bias
    and cell.dtype is None
    and cell.param_dtype == jnp.float32
    and cell.carry_init is recurrent_cell.LSTMCell.carry_init
  )


def make_stack(rows: jax.Array, layers: Sequence[Params]) -> Stack:
  """Prepares the parameters for the steps.

  Args:
    rows: the rows of the table, `[rows, D]`.
    layers: the parameters of each layer's cell, an `LSTMCell`.
  """
  first, *later = layers
  inputs = [layer['input_projection']['kernel'] for layer in layers]
  table = rows @ inputs[0]
  table += jnp.broadcast_to(first['bias'], table.shape)
  kernels = [
    jnp.concatenate([kernel, layer['recurrent_kernel']])
    for kernel, layer in zip(inputs[1:], later, strict=True)
  ]
  return Stack(
    table,
    (first['recurrent_kernel'], *kernels),
    tuple(layer['bias'] for layer in later),
  )


def first_carries(stack: Stack, num_sequences: tuple[int, ...] = ()) -> Carries:
  """Returns the carries before the first step: zeros, `[*N, D]` each."""
  features = stack.kernels[0].shape[0]
  zeros = jnp.zeros((*num_sequences, features), stack.table.dtype)
  return ((zeros, zeros),) * len(stack.kernels)


def step(
  stack: Stack, carries: Carries, row: jax.Array
) -> tuple[Carries, Activations]:
  """Runs all layers once.

  Args:
    stack: the stack.
    carries: the carries before the step.
    row: the row of the table that is read, `int32[...]`.

  Returns:
    The carries after the step, and what it has computed.
  """
  return _step(stack.kernels, stack.biases, carries, stack.table[row])


def unroll(
  stack: Stack, rows: jax.Array, known: Activations | None = None
) -> jax.Array:
  """Runs all layers over whole sequences.

  Gradients flow to the stack.

  Args:
    stack: the stack.
    rows: the rows of the table that are read, `int32[T, N]`.
    known: what the steps of these sequences have computed, `[T, N, ...]`, where
      `step` has run before; nothing is then computed but gradients.

  Returns:
    The last layer's outputs, `[T, N, D]`.
  """
  chex.assert_rank(rows, 2)
  projected = stack.table[rows]
  if known is None:
    return _unroll(stack.kernels, stack.biases, projected)
  return _recall(stack.kernels, stack.biases, projected, known)


def scan(
  body: Callable[[Any, Any], tuple[Any, Any]],
  carry: Any,
  inputs: Any,
  reverse: bool = False,
  overwritten: Any = None,
) -> tuple[Any, Any]:
  """Is `lax.scan` with other strides on a CPU.

  There, outputs are written into buffers that the loop carries. So under
  `jax.vmap` the axis of mapped searches comes before that of the steps, and all
  steps of a search are the rows of one matrix; the outputs of `lax.scan` would
  have to be transposed. Accelerators would launch more kernels for it.

  Args:
    body: `(carry, inputs) -> (carry, outputs)`, or with something to overwrite
      `(carry, (inputs, overwritten)) -> (carry, outputs)`.
    carry: the carry before the first step.
    inputs: the inputs of all steps, `[T, ...]`.
    reverse: whether to begin with the last step.
    overwritten: more inputs of all steps, of the outputs' structure, shapes and
      types, into which a CPU writes the outputs where nobody reads them later.

  Returns:
    The carry after the last step, and the outputs of all steps, `[T, ...]`.
  """
  if overwritten is not None:
    inputs = inputs, overwritten
  return lax.platform_dependent(
    carry,
    inputs,
    cpu=functools.partial(
      _scan_into_buffers, body, reverse, overwritten is not None
    ),
    default=lambda carry, inputs: lax.scan(
      body, carry, inputs, reverse=reverse
    ),
  )


def _scan_into_buffers(body, reverse, overwrites, carry, inputs):
  """Is `lax.scan`; see `scan`."""
  length = len(jax.tree.leaves(inputs)[0])

  def read(arrays, step):
    return jax.tree.map(
      lambda leaf: lax.dynamic_index_in_dim(leaf, step, keepdims=False), arrays
    )

  if overwrites:
    inputs, buffers = inputs
  else:
    shapes = jax.eval_shape(lambda: body(carry, read(inputs, 0))[1])
    buffers = jax.tree.map(
      lambda leaf: jnp.zeros((length, *leaf.shape), leaf.dtype), shapes
    )

  def run(count, state):
    carry, buffers = state
    step = length - 1 - count if reverse else count
    step_inputs = read(inputs, step)
    if overwrites:
      step_inputs = step_inputs, read(buffers, step)
    carry, outputs = body(carry, step_inputs)
    write = functools.partial(_write, 0, step)
    return carry, jax.tree.map(write, buffers, outputs)

  return lax.fori_loop(0, length, run, (carry, buffers))


def _write(axis, step, buffer, row):
  """Is `lax.dynamic_update_index_in_dim` under `jax.vmap` as well.

  That becomes a scatter there, which looks at the row before it overwrites it.
  The step is the same in all mapped searches.
  """
  update = functools.partial(lax.dynamic_update_index_in_dim, axis=axis)

  @jax.custom_batching.custom_vmap
  def write(step, buffer, row):
    return update(buffer, row, step)

  @write.def_vmap
  def write_all(size, is_mapped, step, *arrays):
    assert not is_mapped[0]
    if not any(is_mapped):
      return update(*arrays, step), False
    buffers, rows = (
      array if mapped else jnp.broadcast_to(array, (size, *array.shape))
      for array, mapped in zip(arrays, is_mapped[1:], strict=True)
    )
    return _write(axis + 1, step, buffers, rows), True

  if not jnp.issubdtype(buffer.dtype, jnp.inexact):
    return write(step, buffer, row)
  # What has a rule of its own for `vmap` has no reverse mode.
  linear = jax.custom_jvp(write)

  @linear.defjvp
  def write_tangents(primals, tangents):
    step, *arrays = primals
    return update(*arrays, step), update(*tangents[1:], step)

  return linear(step, buffer, row)


def _step(kernels, biases, carries, projected):
  """Returns carries and activations."""
  next_carries, outputs, slopes, layers = [], [], [], []
  hidden = projected
  for layer, (memory, own) in enumerate(carries):
    if layer:
      inputs = jnp.concatenate([hidden, own], axis=-1)
      total = inputs @ kernels[layer]
      total += jnp.broadcast_to(biases[layer - 1], total.shape)
    else:
      inputs = own
      total = projected + inputs @ kernels[0]
    gates = _activate(total)
    i, f, g, o = jnp.split(gates, 4, axis=-1)
    next_memory = f * memory + i * g
    squashed = jnp.tanh(next_memory)
    hidden = o * squashed
    next_carries.append((next_memory, hidden))
    outputs.append(hidden)
    slopes.append(_slopes(memory, gates, squashed))
    layers.append(_Layer(o * (1 - squashed * squashed), f))
  return tuple(next_carries), Activations(
    tuple(outputs), tuple(slopes), tuple(layers)
  )


def _activate(total: jax.Array) -> jax.Array:
  """Returns the gates' sigmoids and the candidate's tanh, `[..., 4 D]`."""
  scale, shift = (
    jnp.broadcast_to(
      np.repeat(np.asarray(numbers, total.dtype), total.shape[-1] // 4),
      total.shape,
    )
    for numbers in ((0.5, 0.5, 1, 0.5), (0.5, 0.5, 0, 0.5))
  )
  return jnp.tanh(total * scale) * scale + shift


class _Layer(NamedTuple):
  """What the reverse pass reads of a layer's step, apart from its slopes.

  Like the slopes these are products of activations, since products that are
  fused with the reading of a row would take a CPU several times as long.

  Attributes:
    memory_slope: what the memory's gradient is of the output's, `[..., D]`.
    forget: the forget gate, `[..., D]`.
  """

  memory_slope: jax.Array
  forget: jax.Array


def _slopes(memory, gates, squashed):
  """Returns the slopes of a step that began with a memory."""
  i, f, g, o = jnp.split(gates, 4, axis=-1)
  return jnp.concatenate(
    [
      g * (i - i * i),
      memory * (f - f * f),
      i * (1 - g * g),
      squashed * (o - o * o),
    ],
    axis=-1,
  )


def _reverse_step(layer: _Layer, slopes, grad_hidden, grad_memory):
  """Returns the gradients of a layer's `total` and of its previous memory."""
  grad_memory += grad_hidden * layer.memory_slope
  grads = [grad_memory] * 3 + [grad_hidden]
  grad_total = jnp.concatenate(grads, axis=-1) * slopes
  return grad_total, grad_memory * layer.forget


@jax.custom_vjp
def _unroll(kernels, biases, projected):
  return _forward(kernels, biases, projected)[0]


@jax.custom_vjp
def _recall(kernels, biases, projected, known):
  """Returns what `_unroll` returned, and has the same gradient."""
  del kernels, biases, projected
  return known.hidden


def _forward(kernels, biases, projected):
  def body(carries, step_projected):
    return _step(kernels, biases, carries, step_projected)

  carries = _zeros(kernels, projected[0])
  _, activations = scan(body, carries, projected)
  return activations.hidden, (kernels, activations)


def _zeros(kernels, like) -> Carries:
  shape = (*like.shape[:-1], kernels[0].shape[0])
  return ((jnp.zeros(shape, like.dtype),) * 2,) * len(kernels)


def _backward(residuals, grad_hidden):
  kernels, (outputs, slopes, layers) = residuals
  features = kernels[0].shape[0]
  transposed = [kernel.T for kernel in kernels]

  def body(grads, inputs):
    (grad_output, step_layers), step_slopes = inputs
    next_grads: list[Any] = [None] * len(kernels)
    grad_totals: list[Any] = [None] * len(kernels)
    for layer in reversed(range(len(kernels))):
      grad_memory, grad_own = grads[layer]
      grad_totals[layer], grad_memory = _reverse_step(
        step_layers[layer],
        step_slopes[layer],
        grad_output + grad_own,
        grad_memory,
      )
      grad_inputs = grad_totals[layer] @ transposed[layer]
      grad_output = grad_inputs[:, :features]
      next_grads[layer] = grad_memory, grad_inputs[:, -features:]
    return tuple(next_grads), tuple(grad_totals)

  _, grad_totals = scan(
    body,
    _zeros(kernels, grad_hidden[0]),
    (grad_hidden, layers),
    reverse=True,
    overwritten=slopes,
  )
  rows = [grad.reshape(-1, grad.shape[-1]) for grad in grad_totals]
  previous = [_delay(output) for output in outputs]
  inputs = [previous[:1], *zip(outputs[:-1], previous[1:], strict=True)]
  # A layer's two kernels one by one, as a CPU is quicker by that under `vmap`.
  grad_kernels = tuple(
    jnp.concatenate([part.reshape(-1, features).T @ grad for part in parts])
    for parts, grad in zip(inputs, rows, strict=True)
  )
  grad_biases = tuple(grad.sum(axis=0) for grad in rows[1:])
  return grad_kernels, grad_biases, grad_totals[0]


def _delay(sequence):
  """Returns what was one step before, `[T, ...]`, first zeros."""
  return jnp.concatenate([jnp.zeros_like(sequence[:1]), sequence[:-1]])


_unroll.defvjp(_forward, _backward)
_recall.defvjp(
  lambda kernels, biases, projected, known: (
    known.hidden,
    (kernels, known),
  ),
  lambda residuals, grad_hidden: (*_backward(residuals, grad_hidden), None),
)
