# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Rewards: what a child's measures are worth to the controller."""

from __future__ import annotations

from collections.abc import Callable, Mapping
import dataclasses

from absl import logging
import numpy as np

from jaxnas.types import Evaluation, Status

OUT_OF_MEMORY = 'is_out_of_memory'
"""The metric that tells which children did not fit, where a runner has it."""


@dataclasses.dataclass(frozen=True)
class Reward:
  """What a child's measures are worth, of either sign.

  Attributes:
    function: `metrics -> rewards[N]`; not finite where the metrics are of a
      child that failed.
    floor: what a child that failed is given, whatever it failed by: what the
      worst child would get, negative where rewards are. A lower reward counts
      as this one, so that no failure is worth more than a child.
  """

  function: Callable[[Mapping[str, np.ndarray]], np.ndarray]
  floor: float

  def __post_init__(self):
    if not abs(self.floor) <= float(np.finfo(np.float32).max):
      raise ValueError(
        f'The floor of a reward must be finite as a float32, got {self.floor}.'
      )

  def __call__(self, metrics: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns the rewards of `N` children, `[N]`."""
    return self.function(metrics)


def make_perplexity_reward(
  scale: float = 80.0, metric: str = 'validation_perplexity'
) -> Reward:
  """Makes the reward `scale / perplexity^2`.

  Section 4.2 of "Neural Architecture Search with Reinforcement Learning", Zoph
  and Le, 2017 (https://arxiv.org/abs/1611.01578), where `scale` is 80. A child
  that failed, or has no finite perplexity, gets the floor 0.

  Args:
    scale: the constant `c`, positive.
    metric: which metric is the perplexity.

  Raises:
    ValueError: `scale` is not positive.
  """
  if not scale > 0:
    raise ValueError(f'The reward scale must be positive, got {scale}.')

  def reward(metrics):
    perplexity = np.asarray(metrics[metric], np.float64)
    # The limit, 0, would be the reward of a child that is alive.
    perplexity = np.where(np.isfinite(perplexity), perplexity, np.nan)
    return scale / np.square(perplexity)

  return Reward(reward, floor=0.0)


def make_accuracy_reward(
  power: float = 3.0, metric: str = 'best_accuracy'
) -> Reward:
  """Makes the reward `accuracy^power`.

  Section 4.1 of "Neural Architecture Search with Reinforcement Learning", Zoph
  and Le, 2017 (https://arxiv.org/abs/1611.01578), where `power` is 3 and the
  accuracy is the best validation accuracy of the last five epochs. A child that
  failed gets the floor 0, as one that is never right.

  Args:
    power: the exponent, positive.
    metric: which metric is the accuracy, from 0 to 1.

  Raises:
    ValueError: `power` is not positive.
  """
  if not power > 0:
    raise ValueError(f'The reward power must be positive, got {power}.')
  return Reward(
    lambda metrics: np.power(metrics[metric], power, dtype=np.float64),
    floor=0.0,
  )


def judge(metrics: Mapping[str, np.ndarray], reward: Reward) -> Evaluation:
  """Turns measures into an evaluation.

  A child has failed if it died in training or its reward is not finite, never
  because its reward is low.

  Args:
    metrics: arrays `[N]`, with `is_alive` among them; `is_out_of_memory`, if it
      is there, tells what kept a child from being trained.
    reward: what the other metrics are worth.
  """
  metrics = dict(metrics)
  is_alive = metrics.pop('is_alive').astype(bool)
  is_out_of_memory = metrics.pop(OUT_OF_MEMORY, np.zeros_like(is_alive))
  rewards = np.full(is_alive.shape, reward.floor, np.float32)
  # Where no child could be trained there are no measures.
  if not is_out_of_memory.all():
    with np.errstate(all='ignore'):
      rewards = np.asarray(reward(metrics), np.float32)
  is_ok = is_alive & np.isfinite(rewards)
  floor = np.float32(reward.floor)
  is_low = is_ok & (rewards < floor)
  if is_low.any():
    logging.warning(
      '%d of %d rewards, the lowest %g, are below the floor of the reward, %g, '
      'and count as that; give a floor that no child falls below.',
      is_low.sum(),
      is_ok.size,
      rewards[is_low].min(),
      floor,
    )
  return Evaluation(
    rewards=np.where(is_ok & ~is_low, rewards, floor),
    metrics=metrics,
    status=np.select(
      [is_ok, is_out_of_memory],
      [Status.OK, Status.OUT_OF_MEMORY],
      Status.DIVERGED,
    ).astype(np.int32),
  )
