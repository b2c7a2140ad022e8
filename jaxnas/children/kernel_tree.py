# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A step of an interpreted cell within a kernel, and its reverse.

Architectures are scalars there, so each node branches to its one operation; see
`recurrence_kernel`. The compilers of kernels know no derivative of a branch, so
reverses are written out.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
from jax import lax
import jax.numpy as jnp

from jaxnas.spaces import recurrent_cell as space


class Codes(NamedTuple):
  """An architecture as integers; nodes are in the order of a `CellProgram`.

  Attributes:
    combiners: the code of each node's combiner, `int32[2 L - 1]`.
    activations: the code of each node's activation, `int32[2 L - 1]`.
    inject_combiner: the code of the combiner with the memory, `int32[]`.
    inject_activation: the code of the activation after it, `int32[]`.
    read_index: the node that the new memory is read from, `int32[]`.
    inject_index: the node that the memory is injected into, `int32[]`; always
      the first of a level.
  """

  combiners: Any
  activations: Any
  inject_combiner: Any
  inject_activation: Any
  read_index: Any
  inject_index: Any


def read_codes(ref: Any, num_leaves: int) -> Codes:
  """Returns an architecture of scalars.

  Args:
    ref: a reference to the codes, one after another, `int32[1, 4 L + 2]`.
    num_leaves: the number of leaves `L`.
  """
  num_nodes = 2 * num_leaves - 1
  codes = [ref[0, index] for index in range(2 * num_nodes + 4)]
  return Codes(codes[:num_nodes], codes[num_nodes:-4], *codes[-4:])


class Level(NamedTuple):
  """What the reverse pass needs of a level of the tree.

  Attributes:
    start: the level's first node.
    first: the first operand of each node.
    second: the second operand of each node.
    values: each node's combination of them.
    output: the first node's activation of it, before the injection.
  """

  start: int
  first: list[jax.Array]
  second: list[jax.Array]
  values: list[jax.Array]
  output: jax.Array


def run(
  operations: Operations,
  codes: Codes,
  first: list[jax.Array],
  second: list[jax.Array],
  memory: jax.Array,
) -> tuple[jax.Array, jax.Array, list[Level]]:
  """Runs one step.

  Args:
    operations: the operations that may occur.
    codes: the architecture.
    first: `x W`, `[R, D]` of each leaf.
    second: `h U + b`, `[R, D]` of each leaf.
    memory: the memory `c`, `[R, D]`.

  Returns:
    The new `h` and `c`, each `[R, D]`, and the levels from leaves to root.
  """
  kept = []
  new_memory = jnp.zeros_like(memory)
  for start, width in space.levels(len(first)):
    values = [
      operations.combine(codes.combiners[start + index], *operands)
      for index, operands in enumerate(zip(first, second, strict=True))
    ]
    outputs = []
    for node, value in enumerate(values, start):
      new_memory = jnp.where(codes.read_index == node, value, new_memory)
      outputs.append(operations.activate(codes.activations[node], value))
    kept.append(Level(start, first, second, values, outputs[0]))
    outputs[0] = lax.cond(
      codes.inject_index == start,
      lambda output: operations.activate(
        codes.inject_activation,
        operations.combine(codes.inject_combiner, output, memory),
      ),
      lambda output: output,
      outputs[0],
    )
    first, second = outputs[: width // 2], outputs[width // 2 :]
  return outputs[0], new_memory, kept


def transpose(
  operations: Operations,
  codes: Codes,
  kept: list[Level],
  memory: jax.Array,
  grad_hidden: jax.Array,
  grad_memory: jax.Array,
) -> tuple[list[jax.Array], list[jax.Array], jax.Array]:
  """Runs the reverse of a step.

  Args:
    operations: the operations that may occur.
    codes: the architecture.
    kept: the levels, from `run`.
    memory: the memory before the step, `[R, D]`.
    grad_hidden: the gradient to the new `h`, `[R, D]`.
    grad_memory: the gradient to the new `c`, `[R, D]`.

  Returns:
    The gradients to `x W` and to `h U + b`, `[R, D]` of each leaf, and to the
    memory before the step, `[R, D]`.
  """
  to_memory = jnp.zeros_like(memory)
  grads = [grad_hidden]
  for level in reversed(kept):
    grads[0], of_level = lax.cond(
      codes.inject_index == level.start,
      functools.partial(_transpose_injection, operations, codes),
      lambda output, memory, grad: (grad, jnp.zeros_like(grad)),
      level.output,
      memory,
      grads[0],
    )
    to_memory += of_level
    to_operands = []
    operands = zip(level.first, level.second, level.values, grads, strict=True)
    for node, (first, second, value, grad) in enumerate(operands, level.start):
      grad = operations.transpose_activation(
        codes.activations[node], value, grad
      ) + jnp.where(codes.read_index == node, grad_memory, 0)
      to_operands.append(
        operations.transpose_combiner(
          codes.combiners[node], first, second, grad
        )
      )
    to_first, to_second = map(list, zip(*to_operands, strict=True))
    grads = [*to_first, *to_second]
  return to_first, to_second, to_memory


def _transpose_injection(operations, codes, output, memory, grad):
  value = operations.combine(codes.inject_combiner, output, memory)
  return operations.transpose_combiner(
    codes.inject_combiner,
    output,
    memory,
    operations.transpose_activation(codes.inject_activation, value, grad),
  )


class Operations(NamedTuple):
  """The grammar's operations and their reverses, chosen by a scalar.

  Attributes:
    with_max: whether a combiner may be the maximum.
    with_sin: whether an activation may be the sine.
  """

  with_max: bool
  with_sin: bool

  def combine(self, code, first, second):
    """Returns the combination of two operands."""
    branches = [jnp.add, jnp.multiply, jnp.maximum]
    return lax.switch(code, branches[: 2 + self.with_max], first, second)

  def transpose_combiner(self, code, first, second, grad):
    """Returns the gradients to both operands."""
    branches = [
      lambda first, second, grad: (grad, grad),
      lambda first, second, grad: (grad * second, grad * first),
      _transpose_maximum,
    ]
    return lax.switch(code, branches[: 2 + self.with_max], first, second, grad)

  def activate(self, code, value):
    """Returns the activation of a value."""
    branches = [
      lambda value: value,
      jnp.tanh,
      _sigmoid,
      # A NaN is not <= 0, so it remains NaN, as in `jax.nn.relu`.
      lambda value: jnp.where(value <= 0, 0, value),
      jnp.sin,
    ]
    return lax.switch(code, branches[: 4 + self.with_sin], value)

  def transpose_activation(self, code, value, grad):
    """Returns the gradient to the value."""
    branches = [
      lambda value, grad: grad,
      lambda value, grad: grad * (1 - jnp.tanh(value) ** 2),
      lambda value, grad: grad * _sigmoid(value) * (1 - _sigmoid(value)),
      lambda value, grad: jnp.where(value <= 0, 0, grad),
      lambda value, grad: grad * jnp.cos(value),
    ]
    return lax.switch(code, branches[: 4 + self.with_sin], value, grad)


def _sigmoid(value):
  # As in the interpreter: one transcendental function for both.
  return 0.5 * jnp.tanh(0.5 * value) + 0.5


def _transpose_maximum(first, second, grad):
  # As in `maxima.maximum`.
  share = jnp.where(first == second, 0.5, jnp.where(first > second, 1.0, 0.0))
  share = share.astype(grad.dtype)
  return grad * share, grad * (1 - share)
