# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Children for tests of rungs that cost nothing and know their steps."""

import jax
import numpy as np

from jaxnas.evaluators import stages as stages_lib
from jaxnas.types import Evaluation, Evaluator, Kept, Status

LENGTH = 8


class KilledError(Exception):
  pass


class Children:
  """Children whose state says for how many steps they have been trained.

  Attributes:
    num_steps: the number of steps of all trainings.
    blocks: the first step, the last step and the size of each block.
  """

  def __init__(self, kill_after=None, block_size=4, reward=None):
    self.num_steps, self.blocks = 0, []
    self._kill_after, self._reward = kill_after, reward or reward_at
    self.evaluator = Evaluator(
      lambda keys, tokens: self.start(keys, tokens, LENGTH)[0],
      block_size,
      floor_reward=0.0,
      task='made-up children',
      stages=stages_lib.Stages(self.start, self.go_on, LENGTH, block_size),
    )

  def start(self, keys, tokens, stop):
    seeds = np.asarray(jax.random.key_data(keys), np.uint32)[:, -1]
    kept = Kept(
      [tuple(row.tolist()) for row in tokens],
      keys,
      np.ones(len(keys), np.float32),
      LENGTH,
      0,
      [np.array([0, seed], np.uint32) for seed in seeds],
    )
    return self.go_on(kept, stop)

  def go_on(self, kept, stop):
    assert 0 < len(kept.states) <= self.evaluator.block_size
    if self._kill_after == len(self.blocks):
      raise KilledError
    self.blocks.append((kept.num_trained, stop, len(kept.states)))
    added = stop - kept.num_trained
    self.num_steps += added * len(kept.states)
    for state in kept.states:
      assert state[0] == kept.num_trained
    states = [state + np.array([added, 0], np.uint32) for state in kept.states]
    kept = kept._replace(num_trained=stop, states=states)
    rewards = np.array(
      [
        self._reward(tokens, state)
        for tokens, state in zip(kept.architectures, states, strict=True)
      ],
      np.float32,
    )
    failed = ~np.isfinite(rewards)
    evaluation = Evaluation(
      np.where(failed, 0, rewards).astype(np.float32),
      {
        'trained': np.full(len(states), stop, np.int32),
        'size': np.array([size_of(each) for each in kept.architectures]),
      },
      np.where(failed, Status.DIVERGED, Status.OK),
    )
    return evaluation, kept if stop < LENGTH else None


def size_of(tokens):
  """Returns what a child costs, which grows with its reward."""
  return sum(token == 1 for token in tokens)


def reward_at(tokens, state):
  """Returns a child's reward, which grows with the steps; NaN if it failed."""
  steps, seed = (int(each) for each in state)
  noise = np.sin(seed % 1000 + steps) * 0.2 / steps
  if tokens[0] + tokens[1] == 0 and steps > 2:
    return np.nan
  return np.mean(np.array(tokens) == 1) * steps / LENGTH + 1.0 + noise
