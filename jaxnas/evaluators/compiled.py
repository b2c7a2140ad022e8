# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""One child, one program: the reference that other evaluators are held to."""

from __future__ import annotations

from collections.abc import Callable
import functools
from typing import Any

import jax
import numpy as np

from jaxnas.evaluators import rewards
from jaxnas.types import Architecture, Evaluator, ProxyTask, SearchSpace

_MAX_PROGRAMS = 64


def make_evaluator(
  space: SearchSpace,
  make_task: Callable[[Any], ProxyTask],
  reward: rewards.Reward,
  learning_rate: float,
  num_steps: int,
  floor_reward: float = 0.0,
) -> Evaluator:
  """Makes an evaluator that compiles a program for each architecture.

  Args:
    space: what the tokens mean.
    make_task: `architecture -> task`, whose program is `None`.
    reward: what the task's metrics are worth.
    learning_rate: of every child.
    num_steps: how long every child trains.
    floor_reward: what a child that failed is given.
  """

  @functools.lru_cache(maxsize=_MAX_PROGRAMS)
  def compiled(architecture: Architecture):
    task = make_task(architecture)
    return task, jax.jit(task.train), jax.jit(task.measure)

  def evaluate(keys, tokens):
    rows = []
    for key, row in zip(keys, np.asarray(tokens), strict=True):
      task, train, measure = compiled(space.decode(row))
      child, metrics = train(
        task.train_data,
        None,
        key,
        np.float32(learning_rate),
        np.int32(num_steps),
      )
      measured = measure(task.splits['validation'], None, child)
      metrics |= {f'validation_{name}': x for name, x in measured.items()}
      rows.append(jax.tree.map(np.asarray, metrics))
    metrics = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    return rewards.judge(metrics, reward, floor_reward)

  return Evaluator(evaluate, 1, floor_reward)
