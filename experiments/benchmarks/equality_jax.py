# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Compares the routes of training on the device of this process.

Each `make_` function prepares one comparison, as `device_jax` serves it.
Architectures are given as JSON. A burst reports the largest `difference`,
relative to the largest number compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks import conv_jax, recurrent_jax, recurrent_tasks
from experiments.benchmarks import worker as worker_lib
from jaxnas.children import recurrent_cell as cells
from jaxnas.children import recurrent_interpreter
from jaxnas.spaces import conv_net
from jaxnas.spaces import recurrent_cell as spaces
from jaxnas.trainers import blocks, compiled
from jaxnas.types import Trainer

Facts = worker_lib.Facts
Burst = Callable[..., Facts]

_LEARNING_RATE = 0.1
# By the route's name.
_RECURRENCES = {'interpreted': 'scan', 'kernel': 'kernel'}


def make_recurrence(
  architectures: Sequence[Mapping[str, Any]],
  features: int,
  num_unrolled: int,
  batch_size: int,
) -> tuple[Facts, Burst]:
  """Compares interpreted recurrences with each `GrammarCell`.

  It compares the loss and its gradients with respect to inputs and kernels.

  Args:
    architectures: the cells, of one base.
    features: the number of hidden units.
    num_unrolled: the number of steps of backpropagation through time.
    batch_size: the number of sequences.
  """
  children = [spaces.RecurrentCell.from_json(cell) for cell in architectures]
  arguments = recurrent_jax.recurrence_inputs(
    children, features, num_unrolled, batch_size, jax.random.key(0)
  )
  programs = {
    route: jax.jit(
      recurrent_jax.recurrence_gradients(
        functools.partial(
          recurrent_jax.jaxnas_recurrence, recurrence=recurrence
        )
      )
    )
    for route, recurrence in _RECURRENCES.items()
  }

  def loss(inputs, kernel, recurrent_kernel, weights, *, cell):
    params = {
      'input_projection': {'kernel': kernel},
      'recurrent_kernel': recurrent_kernel,
    }
    carry = (jnp.zeros(inputs.shape[1:]),) * 2
    outputs = cell.apply({'params': params}, carry, inputs, method='unroll')[1]
    return jnp.sum(outputs * weights)

  def burst(route: str) -> Facts:
    found = programs[route](*arguments)
    differences = []
    for index, child in enumerate(children):
      cell = cells.GrammarCell(features, architecture=child)
      expected = jax.jit(
        jax.value_and_grad(functools.partial(loss, cell=cell), (0, 1, 2))
      )(*(argument[index] for argument in arguments[1:]))
      differences += [
        difference(one[index], other)
        for one, other in zip(
          jax.tree.leaves(found), jax.tree.leaves(expected), strict=True
        )
      ]
    return {'difference': max(differences)}

  return {}, burst


def make_text(
  architectures: Sequence[Mapping[str, Any]],
  num_steps: int,
  **shapes: int,
) -> tuple[Facts, Burst]:
  """Compares cells after short trainings, as `compared` does.

  Args:
    architectures: the cells, of one base.
    num_steps: the number of training steps.
    **shapes: the sizes of the children and of the text, as in
      `recurrent_tasks.make_task`.
  """
  children = [spaces.RecurrentCell.from_json(cell) for cell in architectures]

  def make(route: str) -> Trainer:
    if route == 'compiled':
      return compiled.CompiledTrainer(
        lambda architecture: recurrent_tasks.make_task(
          functools.partial(cells.GrammarCell, architecture=architecture),
          None,
          None,
          num_segments=num_steps,
          **shapes,
        ),
        len(children),
      )
    return blocks.BlockTrainer(
      recurrent_tasks.make_task(
        functools.partial(
          recurrent_interpreter.InterpretedCell, recurrence=_RECURRENCES[route]
        ),
        recurrent_interpreter.assemble,
        recurrent_interpreter.BATCH_AXES,
        num_segments=num_steps,
        **shapes,
      ),
      conv_jax.whole_block(len(children)),
    )

  return {}, compared(make, children, num_steps, 'validation_perplexity')


def make_images(
  architectures: Sequence[Mapping[str, Any]],
  num_steps: int,
  **shape: Any,
) -> tuple[Facts, Burst]:
  """Compares networks after short trainings, as `compared` does.

  Args:
    architectures: the networks.
    num_steps: the number of training steps.
    **shape: the images and the search space; see `conv_jax.make_search`.
  """
  children = [conv_net.ConvNet.from_json(each) for each in architectures]
  makers = conv_jax.make_search(
    block_size=conv_jax.whole_block(len(children)), **shape
  )
  return {}, compared(makers.make, children, num_steps, 'validation_loss')


def difference(found: Any, expected: Any) -> float:
  """Returns the largest difference relative to the largest expected number.

  Args:
    found: an array.
    expected: an array of the same shape.

  Raises:
    ValueError: a number is not finite.
  """
  found, expected = np.asarray(found), np.asarray(expected)
  if not (np.isfinite(found).all() and np.isfinite(expected).all()):
    raise ValueError('a result is not finite')
  largest = max(float(np.abs(expected).max()), float(np.finfo('float32').tiny))
  return float(np.abs(found - expected).max()) / largest


def compared(
  make: Callable[[str], Trainer],
  children: Sequence[Any],
  num_steps: int,
  metric: str,
) -> Burst:
  """Returns a burst that compares a route with the compiled one.

  Args:
    make: `route -> trainer`.
    children: the architectures.
    num_steps: the number of steps that each child is trained for.
    metric: the metric compared.
  """
  keys = jax.random.split(jax.random.key(0), len(children))
  rates = np.full(len(children), _LEARNING_RATE)

  @functools.cache
  def values(route: str) -> np.ndarray:
    trained = make(route).run(children, keys, rates, num_steps)
    return trained.metrics[metric]

  def burst(route: str) -> Facts:
    differences = map(difference, values(route), values('compiled'))
    return {'difference': max(differences)}

  return burst
