# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.strategies import fixed, relaxations, sharing
from jaxnas.types import Choice, Proposals, Strategy

DECISIONS = Choice((0, 1, 2), 'a'), Choice((0, 1), 'b')


def make_recorder(told):
  """Makes a strategy that proposes a list and records what it is told."""
  tokens = np.array([[0, 1], [1, 0], [2, 1], [0, 0]], np.int32)
  inner = fixed.make_fixed(tokens)

  def tell(state, proposals, rewards):
    told.append((proposals, np.asarray(rewards)))
    return inner.tell(state, proposals, rewards)

  return Strategy(inner.init, inner.ask, tell)


def test_a_strategy_is_told_advantages_of_a_step():
  told = []
  policy = sharing.of_strategy(make_recorder(told), 4)
  asked = []

  def rewards(tokens):
    asked.append(tokens)
    return np.array([1.0, 2.0, 3.0, 6.0], np.float32)

  key = jax.random.key(0)
  state, metrics = policy.learn(
    policy.init(key), key, sharing.Judge(rewards, None)
  )
  ((proposals, advantages),) = told
  assert isinstance(proposals, Proposals)
  np.testing.assert_array_equal(asked[0], proposals.tokens)
  # By hand: each less the mean of the other three.
  expected = [1 - 11 / 3, 2 - 10 / 3, 3 - 9 / 3, 6 - 6 / 3]
  np.testing.assert_allclose(advantages, expected, rtol=1e-6, atol=1e-6)
  assert metrics['mean_reward'] == 3
  assert int(state.num_proposed) == 4
  np.testing.assert_array_equal(
    policy.sample(state, key, 2), proposals.tokens[:2]
  )


def test_a_relaxation_gets_slopes_of_its_own_draws():
  relaxed = relaxations.make_relaxed_policy(DECISIONS, 'gumbel', 3)
  policy = sharing.of_relaxation(relaxed)
  key = jax.random.key(1)
  state = policy.init(key)
  asked = []

  def slopes(probabilities):
    asked.append(probabilities)
    # The first value of both decisions is good.
    direction = jnp.array([1.0, 0, 0, 1, 0])
    return probabilities @ direction, jnp.broadcast_to(direction, (3, 5))

  learned, metrics = policy.learn(state, key, sharing.Judge(None, slopes))
  np.testing.assert_array_equal(asked[0], relaxed.ask(state, key))
  assert float(metrics['mean_reward']) == pytest.approx(
    float(asked[0][:, [0, 3]].sum(-1).mean()), rel=1e-6
  )
  assert (np.asarray(learned.logits)[[0, 3]] > 0).all()
  drawn = policy.sample(learned, key, 5)
  assert drawn.shape == (5, 2)
  assert drawn.dtype == np.int32


def test_a_comparison_takes_two():
  with pytest.raises(ValueError, match='at least 2 must be judged; got 1'):
    sharing.of_strategy(make_recorder([]), 1)
