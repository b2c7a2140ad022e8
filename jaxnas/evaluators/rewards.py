# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Rewards: what a child's measures are worth to the controller."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from jaxnas.types import Evaluation, Status

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


def judge(
  metrics: Mapping[str, np.ndarray], reward: Reward, floor_reward: float
) -> Evaluation:
  """Turns measures into an evaluation.

  A child has failed if it died in training, or if its reward is not finite or
  does not exceed the floor.

  Args:
    metrics: arrays `[N]`, with `is_alive` among them.
    reward: what the other metrics are worth.
    floor_reward: what a child that failed is given.
  """
  metrics = dict(metrics)
  is_alive = metrics.pop('is_alive').astype(bool)
  with np.errstate(all='ignore'):
    rewards = np.asarray(reward(metrics), np.float32)
  is_ok = is_alive & np.isfinite(rewards) & (rewards > floor_reward)
  return Evaluation(
    rewards=np.where(is_ok, rewards, np.float32(floor_reward)),
    metrics=metrics,
    status=np.where(is_ok, Status.OK, Status.DIVERGED).astype(np.int32),
  )
