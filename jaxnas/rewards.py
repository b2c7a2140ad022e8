# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The paper's rewards, and rewards that weigh a cost."""

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


COST_WEIGHTS = {'absolute': -0.10, 'power': -0.07, 'hard': -0.07}
"""The kinds of `make_cost_reward`, and the weights of their papers."""


def make_cost_reward(
  reward: Reward,
  cost: str,
  target: float,
  kind: str = 'absolute',
  weight: float | None = None,
  max_deviation: float = 1.0,
) -> Reward:
  """Makes a reward that also weighs a cost `C` against a target `T`.

  With the quality `Q` that another reward gives:

      absolute    Q + beta |C/T - 1|
      power       Q (C/T)^w
      hard        Q min((C/T)^w, 1)

  The first is that of "Can Weight Sharing Outperform Random Architecture
  Search? An Investigation With TuNAS", Bender et al., 2020
  (https://arxiv.org/abs/2008.06120), section 3, with beta = -0.10: it pulls
  architectures to the target from both sides. The others are those of "MnasNet:
  Platform-Aware Neural Architecture Search for Mobile", Tan et al., 2019
  (https://arxiv.org/abs/1807.11626), section 3.1, with w = -0.07; `hard` does
  not reward costs below the target. What a target means under `power` depends
  on the space, so TuNAS's authors had to search several times to meet one.

  An architecture whose cost is NaN, such as a known one that is outside of the
  space, has the reward `Q`.

  Args:
    reward: the reward that gives `Q`. For `power` and `hard` no reward may be
      negative.
    cost: the name of the cost, which stands among the metrics.
    target: the target `T`, positive, in units of the cost.
    kind: one of `COST_WEIGHTS`.
    weight: beta or w, negative; that of the paper by default.
    max_deviation: the largest `|C/T - 1|` of the space; it lowers the floor of
      `absolute` so that failing never pays.

  Raises:
    ValueError: a number is out of range, or the kind is not known.
  """
  if kind not in COST_WEIGHTS:
    raise ValueError(
      f'Unknown cost reward {kind!r}; expected one of '
      f'{", ".join(COST_WEIGHTS)}.'
    )
  beta = COST_WEIGHTS[kind] if weight is None else weight
  if not target > 0:
    raise ValueError(f'The target of a cost must be positive, got {target}.')
  if not beta < 0:
    raise ValueError(f'The weight of a cost must be negative, got {beta}.')
  if kind != 'absolute' and reward.floor < 0:
    raise ValueError(
      f'The cost reward {kind!r} multiplies, so rewards must not be negative; '
      f'the floor is {reward.floor}. Take absolute.'
    )

  def weighed(architectures, metrics):
    quality = np.asarray(reward.function(architectures, metrics), np.float64)
    ratio = np.asarray(_measured(metrics, cost), np.float64) / target
    ratio = np.where(np.isnan(ratio), 1.0, ratio)
    if kind == 'absolute':
      return quality + beta * np.abs(ratio - 1)
    with np.errstate(divide='ignore'):
      factor = ratio**beta
    return quality * (np.minimum(factor, 1) if kind == 'hard' else factor)

  is_added = kind == 'absolute'
  return Reward(weighed, reward.floor + is_added * beta * max_deviation)


def _measured(metrics: Mapping[str, np.ndarray], name: str) -> np.ndarray:
  if name not in metrics:
    raise ValueError(
      f'The reward needs the metric {name!r}, which children do not have; '
      f'they have {", ".join(sorted(metrics)) or "none"}.'
    )
  return metrics[name]
