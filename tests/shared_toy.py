# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Architectures that share weights, which are counts of what was trained."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.types import Choice, Reward, SearchSpace

SIZES = 3, 4, 2


@dataclasses.dataclass(frozen=True)
class Toy:
  tokens: tuple[int, ...]

  def to_json(self):
    return {'tokens': list(self.tokens)}


def canonical(tokens):
  # The last two values of the second token mean the same.
  return np.array([tokens[0], min(tokens[1], 2), tokens[2]], np.int32)


SPACE = SearchSpace(
  name='toy',
  decisions=tuple(
    Choice(tuple(range(size)), f'd{i}') for i, size in enumerate(SIZES)
  ),
  decode=lambda tokens: Toy(tuple(int(each) for each in tokens)),
  encode=lambda toy: np.array(toy.tokens, np.int32),
  canonical=canonical,
  size=24,
)


class KilledError(Exception):
  pass


class Counts:
  """Weights that count how often each token was trained."""

  num_minibatches = 5

  def __init__(self, kill_at=None):
    self.calls = []
    self.kill_at = kill_at

  def init(self, key, num_steps):
    del num_steps
    return {
      'counts': np.zeros((len(SIZES), max(SIZES)), np.float32),
      'noise': jax.random.uniform(key, (len(SIZES), max(SIZES))),
    }

  def train(self, state, architectures):
    if self.kill_at is not None and len(self.calls) >= self.kill_at:
      raise KilledError
    rows = np.array([each.tokens for each in architectures])
    self.calls.append(rows.tolist())
    counts = state['counts'].copy()
    for place in range(len(SIZES)):
      np.add.at(counts[place], rows[:, place], 1 / len(rows))
    return {**state, 'counts': counts}

  def _losses(self, state, architectures, minibatch):
    rows = np.array([each.tokens for each in architectures])
    trained = state['counts'] > 0
    losses = rows.sum(-1) / 10 + minibatch
    for place in range(len(SIZES)):
      losses = losses + 0.01 * ~trained[place, rows[:, place]]
    # One value of the first decision is dead.
    return np.where(rows[:, 0] == 2, np.nan, losses).astype(np.float32)

  def judge(self, state, architectures, minibatch):
    losses = self._losses(state, architectures, minibatch)
    return {'validation_loss': losses}

  def measure(self, state, architectures):
    return self.judge(state, architectures, 0)

  def slopes(self, state, probabilities, minibatch):
    # What is late in a decision is bad.
    weights = jnp.concatenate([jnp.arange(size) / 10 for size in SIZES])
    values = -(jnp.asarray(probabilities) @ weights) - minibatch
    return values, jnp.broadcast_to(-weights, probabilities.shape)

  def num_dropped(self, state):
    return 0


REWARD = Reward(lambda _, metrics: 10 - metrics['validation_loss'], 0.0)
