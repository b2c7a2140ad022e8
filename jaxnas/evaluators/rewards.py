# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Rewards: what a child's measures are worth to the controller."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from jaxnas.types import Evaluation, Status

OUT_OF_MEMORY = 'is_out_of_memory'
"""The metric that tells which children did not fit, where a runner has it."""

Reward = Callable[[Mapping[str, np.ndarray]], np.ndarray]
"""`metrics -> rewards[N]`; need not be finite where a child failed."""


def make_perplexity_reward(
  scale: float = 80.0, metric: str = 'validation_perplexity'
) -> Reward:
  """Makes the reward `scale / perplexity^2`.

  Section 4.2 of "Neural Architecture Search with Reinforcement Learning", Zoph
  and Le, 2017 (https://arxiv.org/abs/1611.01578), where `scale` is 80. A child
  that failed gets the floor reward 0, which no perplexity reaches.

  Args:
    scale: the constant `c`, positive.
    metric: which metric is the perplexity.

  Raises:
    ValueError: `scale` is not positive.
  """
  if not scale > 0:
    raise ValueError(f'The reward scale must be positive, got {scale}.')
  return lambda metrics: scale / np.square(metrics[metric], dtype=np.float64)


def make_accuracy_reward(
  power: float = 3.0, metric: str = 'best_accuracy'
) -> Reward:
  """Makes the reward `accuracy^power`.

  Section 4.1 of "Neural Architecture Search with Reinforcement Learning", Zoph
  and Le, 2017 (https://arxiv.org/abs/1611.01578), where `power` is 3 and the
  accuracy is the best validation accuracy of the last five epochs. A child that
  failed gets the floor reward 0, as one that is never right.

  Args:
    power: the exponent, positive.
    metric: which metric is the accuracy, from 0 to 1.

  Raises:
    ValueError: `power` is not positive.
  """
  if not power > 0:
    raise ValueError(f'The reward power must be positive, got {power}.')
  return lambda metrics: np.power(metrics[metric], power, dtype=np.float64)


def judge(
  metrics: Mapping[str, np.ndarray], reward: Reward, floor_reward: float
) -> Evaluation:
  """Turns measures into an evaluation.

  A child has failed if it died in training, or if its reward is not finite or
  does not exceed the floor.

  Args:
    metrics: arrays `[N]`, with `is_alive` among them; `is_out_of_memory`, if it
      is there, tells what kept a child from being trained.
    reward: what the other metrics are worth.
    floor_reward: what a child that failed is given.
  """
  metrics = dict(metrics)
  is_alive = metrics.pop('is_alive').astype(bool)
  is_out_of_memory = metrics.pop(OUT_OF_MEMORY, np.zeros_like(is_alive))
  rewards = np.full(is_alive.shape, floor_reward, np.float32)
  # Where no child could be trained there are no measures.
  if not is_out_of_memory.all():
    with np.errstate(all='ignore'):
      rewards = np.asarray(reward(metrics), np.float32)
  is_ok = is_alive & np.isfinite(rewards) & (rewards > floor_reward)
  return Evaluation(
    rewards=np.where(is_ok, rewards, np.float32(floor_reward)),
    metrics=metrics,
    status=np.select(
      [is_ok, is_out_of_memory],
      [Status.OK, Status.OUT_OF_MEMORY],
      Status.DIVERGED,
    ).astype(np.int32),
  )
