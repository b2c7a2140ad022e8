# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Trials that are evaluated part of the way, and further if they are good."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.evaluators import queues
from jaxnas.types import Evaluation, Kept, Trained, Trainer


class Stages(NamedTuple):
  """An evaluator that pauses; see `types.Evaluator`.

  A trial that is evaluated to some steps and then further has, bit for bit, the
  results of one that is evaluated at once, whichever trials it is beside.

  Attributes:
    start: `(keys[N], tokens int32[N, T], stop) -> (Evaluation, Kept)`, which
      trains new children for `stop` steps. Nothing is kept after the last.
    go_on: `(Kept, stop) -> (Evaluation, Kept)`, which trains children further.
    num_steps: the number of steps of a full training.
    block_size: the number of children that a caller should evaluate at a time.
  """

  start: Callable[[jax.Array, np.ndarray, int], tuple[Evaluation, Any]]
  go_on: Callable[[Kept, int], tuple[Evaluation, Any]]
  num_steps: int
  block_size: int


def make_stages(
  trainer: Trainer,
  num_steps: int,
  prepare: Callable[[np.ndarray], queues.Block],
  judge: Callable[[Sequence[Any], Trained], Evaluation],
) -> Stages | None:
  """Makes the stages of an evaluator; `None` if its trainer cannot pause.

  Args:
    trainer: the trainer.
    num_steps: the number of steps of a full training.
    prepare: the function that decodes the tokens of `N` trials.
    judge: the function that evaluates architectures that were trained.
  """
  if not getattr(trainer, 'can_pause', hasattr(trainer, 'resume')):
    return None

  def start(keys, tokens, stop):
    block = prepare(tokens)
    trained = trainer.run(
      block.architectures,
      keys,
      block.learning_rates,
      num_steps,
      durations=block.durations,
      stop=stop,
      keep=stop < num_steps,
    )
    return judge(block.architectures, trained), trained.kept

  def go_on(kept, stop):
    trained = trainer.resume(kept, stop=stop, keep=stop < num_steps)
    return judge(kept.architectures, trained), trained.kept

  return Stages(start, go_on, num_steps, trainer.block_size)


def join(parts: Sequence[Kept]) -> Kept:
  """Returns kept children of one trainer together.

  Args:
    parts: children that have been trained for equally many steps, one part at
      least.

  Raises:
    ValueError: their numbers of steps differ.
  """
  first = parts[0]
  if any(
    (part.num_steps, part.num_trained) != (first.num_steps, first.num_trained)
    for part in parts
  ):
    raise ValueError('Children that go on together must have equal steps.')
  return first._replace(
    architectures=[each for part in parts for each in part.architectures],
    keys=jnp.concatenate([part.keys for part in parts]),
    learning_rates=np.concatenate([part.learning_rates for part in parts]),
    states=[each for part in parts for each in part.states],
  )


def pick(kept: Kept, row: int) -> Kept:
  """Returns one of several kept children, without what the others hold.

  Args:
    kept: the children.
    row: the position of the child.
  """
  one = kept.select([row])
  # A state may be a view of the arrays of a whole block.
  return one._replace(
    states=[
      jax.tree.map(
        lambda leaf: leaf.copy() if isinstance(leaf, np.ndarray) else leaf,
        state,
      )
      for state in one.states
    ]
  )
