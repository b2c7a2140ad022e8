# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Weight sharing: one set of weights for many architectures.

"Efficient Neural Architecture Search via Parameter Sharing" (Pham et al., 2018,
https://arxiv.org/abs/1802.03268): every architecture is a child with the same
weights. A step trains them on `M` children, and any child is judged by its loss
with the weights as they are, without a training of its own.

Letters: `M` children of a step, `N` architectures to judge.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnas.training import guard
from jaxnas.types import Params


class Gradient(NamedTuple):
  """What one child says about the shared weights in one step.

  Attributes:
    loss: the child's loss on the step's batch, `float[]`.
    grads: its gradient, clipped by itself if the task clips; ignored if the
      child is dead.
    is_alive: whether loss and gradient are finite, `bool[]`.
    carry: what the next child in the same slot starts from.
  """

  loss: jax.Array
  grads: Params
  is_alive: jax.Array
  carry: Any


class SharedTask(NamedTuple):
  """How shared weights are made, trained and measured, as pure functions.

  `gradient`, `judge` and `measure` take one child; the functions of this module
  map them over many with the weights unmapped, so that what depends on no
  architecture is computed once for all.

  Attributes:
    init: `key -> (params, opt_state)`, untrained weights.
    start: `key -> carry`, what a slot carries into its first step.
    gradient: `(data, program, params, carry, step) -> Gradient` on training
      batch number `step` of its slot, with `train_data` as `data`.
    update: `(grads, opt_state, params) -> (params, opt_state)`, one step of the
      optimizer.
    judge: `(split, program, params, number) -> metrics`, a dict of scalars of a
      child on minibatch `number` of a split. Its `'loss'` is the mean loss.
    measure: `(split, program, params) -> metrics`, a dict of scalars, of a
      child on a whole split.
    train_data: the data that the weights are trained on, a pytree of arrays.
    splits: the data that children can be measured on, by name, such as
      `'validation'`. Splits of equal shapes share a compiled program.
    num_batches: the number of minibatches of each split, by name.
    assemble: `architectures -> program`, which stacks `N` programs along
      `program_axes`. Architectures that compute the same functions have equal
      programs.
    program_axes: the batch axes of stacked programs, as `in_axes` of
      `jax.vmap`.
  """

  init: Callable[[jax.Array], tuple[Params, Any]]
  start: Callable[[jax.Array], Any]
  gradient: Callable[[Any, Any, Params, Any, jax.Array], Gradient]
  update: Callable[[Params, Any, Params], tuple[Params, Any]]
  judge: Callable[
    [Any, Any, Params, jax.typing.ArrayLike], Mapping[str, jax.Array]
  ]
  measure: Callable[[Any, Any, Params], Mapping[str, jax.Array]]
  train_data: Any
  splits: Mapping[str, Any]
  num_batches: Mapping[str, int]
  assemble: Callable[[Sequence[Any]], Any]
  program_axes: Any


class SharedState(NamedTuple):
  """Shared weights in training.

  Attributes:
    params: the weights.
    opt_state: the state of their optimizer.
    carry: what the `M` slots carry from step to step, with a leading axis `M`.
    num_steps: the number of steps taken, `int32[]`; the next one trains on
      batch number `num_steps`.
    num_dropped: the number of gradients that were dropped in all steps because
      a child was dead, `int32[]`.
  """

  params: Params
  opt_state: Any
  carry: Any
  num_steps: jax.Array
  num_dropped: jax.Array


STATE_AXES = SharedState(None, None, 0, None, None)  # type: ignore[arg-type]  # Axes.
"""Which arrays of a state have an axis of slots."""


def init(task: SharedTask, key: jax.Array, num_children: int) -> SharedState:
  """Returns untrained weights.

  Args:
    task: the task.
    key: a random key.
    num_children: the number `M` of children of a step.
  """
  params, opt_state = task.init(key)
  # The weights' own key first, so that they do not depend on `M`.
  keys = jax.random.split(jax.random.fold_in(key, 1), num_children)
  zero = jnp.zeros((), jnp.int32)
  return SharedState(params, opt_state, jax.vmap(task.start)(keys), zero, zero)


def train(
  task: SharedTask,
  data: Any,
  state: SharedState,
  programs: Any,
  *,
  map_children: Callable[..., Any] = jax.vmap,
  gather: Callable[[Any], Any] = lambda rows: rows,
) -> SharedState:
  """Trains the weights for one step on `M` children.

  The weights take one step of the optimizer against the mean of the children's
  gradients. A child whose loss or gradient is not finite is left out of the
  mean and counted; if all are dead, the weights stay as they are.

  Args:
    task: the task.
    data: the data to train on, the task's `train_data`.
    state: the weights.
    programs: the programs of the children, `M` of them.
    map_children: how children are mapped, a function like `jax.vmap`.
    gather: where `state.carry` and `programs` are one device's part of the `M`
      children: a function that returns the rows of all devices.

  Returns:
    The new state; its carry is that of the same children.
  """
  axes = None, task.program_axes, None, 0, None
  found: Gradient = map_children(task.gradient, axes)(
    data, programs, state.params, state.carry, state.num_steps
  )
  grads, is_alive = gather((found.grads, found.is_alive))
  num_alive = is_alive.sum()

  def mean(grad):
    if len(is_alive) == 1:
      # The same program as that of a child with weights of its own.
      return grad.reshape(grad.shape[1:])
    is_kept = is_alive.reshape(-1, *(1,) * (grad.ndim - 1))
    total = jnp.where(is_kept, grad, 0).sum(0)
    return total / jnp.maximum(num_alive, 1).astype(total.dtype)

  updated = task.update(
    jax.tree.map(mean, grads), state.opt_state, state.params
  )
  params, opt_state = guard.keep(
    num_alive > 0, updated, (state.params, state.opt_state)
  )
  return SharedState(
    params,
    opt_state,
    found.carry,
    state.num_steps + 1,
    state.num_dropped + (len(is_alive) - num_alive).astype(jnp.int32),
  )


def judge(
  task: SharedTask,
  split: Any,
  params: Params,
  programs: Any,
  number: jax.typing.ArrayLike,
  *,
  map_children: Callable[..., Any] = jax.vmap,
) -> Mapping[str, jax.Array]:
  """Returns the metrics of `N` children on one minibatch, each `[N]`.

  Args:
    task: the task.
    split: the data, one of the task's `splits`.
    params: the weights.
    programs: the programs of the children, `N` of them.
    number: the number of the minibatch, from 0 to one less than the split's
      `num_batches`.
    map_children: how children are mapped, a function like `jax.vmap`.
  """
  axes = None, task.program_axes, None, None
  return map_children(task.judge, axes)(split, programs, params, number)


def measure(
  task: SharedTask,
  split: Any,
  params: Params,
  programs: Any,
  *,
  map_children: Callable[..., Any] = jax.vmap,
) -> Mapping[str, jax.Array]:
  """Returns the metrics of `N` children on a whole split, each `[N]`.

  Args:
    task: the task.
    split: the data, one of the task's `splits`.
    params: the weights.
    programs: the programs of the children, `N` of them.
    map_children: how children are mapped, a function like `jax.vmap`.
  """
  axes = None, task.program_axes, None
  return map_children(task.measure, axes)(split, programs, params)
