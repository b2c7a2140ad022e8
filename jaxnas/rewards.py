# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The paper's rewards."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from jaxnas.types import Reward


def make_perplexity_reward(
  scale: float = 80.0, metric: str = 'validation_perplexity'
) -> Reward:
  """Makes the reward `scale / perplexity^2`.

  Section 4.2 of "Neural Architecture Search with Reinforcement Learning", Zoph
  and Le, 2017 (https://arxiv.org/abs/1611.01578), where `scale` is 80. A child
  that failed gets the floor, 0, which no finite perplexity reaches.

  Args:
    scale: the paper's constant `c`, positive.
    metric: the name of the metric that is the perplexity.

  Raises:
    ValueError: `scale` is not positive.
  """
  if not scale > 0:
    raise ValueError(f'The reward scale must be positive, got {scale}.')

  def reward(architectures, metrics):
    del architectures
    perplexity = np.asarray(_measured(metrics, metric), np.float64)
    # An infinite perplexity is a failure, not just a reward of 0.
    return np.where(np.isfinite(perplexity), scale / perplexity**2, np.nan)

  return Reward(reward)


def make_accuracy_reward(
  power: float = 3.0, metric: str = 'best_accuracy'
) -> Reward:
  """Makes the reward `accuracy^power`.

  Section 4.1 of "Neural Architecture Search with Reinforcement Learning", Zoph
  and Le, 2017 (https://arxiv.org/abs/1611.01578), where `power` is 3 and the
  accuracy is the best validation accuracy of the last five epochs. A child that
  failed gets the floor, 0, like one that is never right.

  Args:
    power: the exponent, positive.
    metric: the name of the metric that is the accuracy, from 0 to 1.

  Raises:
    ValueError: `power` is not positive.
  """
  if not power > 0:
    raise ValueError(f'The reward power must be positive, got {power}.')

  def reward(architectures, metrics):
    del architectures
    accuracy = _measured(metrics, metric)
    return np.power(accuracy, power, dtype=np.float64)

  return Reward(reward)


def _measured(metrics: Mapping[str, np.ndarray], name: str) -> np.ndarray:
  if name not in metrics:
    raise ValueError(
      f'The reward needs the metric {name!r}, which children do not have; '
      f'they have {", ".join(sorted(metrics)) or "none"}.'
    )
  return metrics[name]
