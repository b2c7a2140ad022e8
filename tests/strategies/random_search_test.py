# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.strategies import random_search
from jaxnas.types import AnchorPoint, Choice, Range

DECISIONS = (
  AnchorPoint(0, 'layer_1'),
  Choice((24, 36, 48), 'filters'),
  AnchorPoint(2, 'layer_3'),
  Range(0.1, 1.0, num_levels=5, name='rate'),
)


@pytest.fixture(scope='module')
def strategy():
  return random_search.make_random_search(DECISIONS)


def test_every_sequence_is_equally_likely(strategy):
  num_trials = 12_000
  state = strategy.init(jax.random.key(0))
  proposals = strategy.ask(state, jax.random.key(1), num_trials)
  tokens = np.asarray(proposals.tokens)
  shape = (3, 2, 2, 5)
  size = np.prod(shape)
  counts = np.bincount(
    np.ravel_multi_index(tuple(tokens.T), shape), minlength=size
  )
  deviation = np.sqrt(num_trials / size * (1 - 1 / size))
  assert np.all(np.abs(counts - num_trials / size) < 5 * deviation)
  np.testing.assert_allclose(proposals.log_prob, -np.log(size), rtol=1e-6)


# Depths count decisions, of which the first has no token and the third two.
@pytest.mark.parametrize(
  ('num_active', 'num_tokens', 'size'),
  [(0, 0, 1), (1, 0, 1), (2, 1, 3), (3, 3, 12), (4, 4, 60), (None, 4, 60)],
)
def test_depth_counts_decisions_and_not_tokens(
  strategy, num_active, num_tokens, size
):
  state = strategy.init(jax.random.key(0))
  proposals = strategy.ask(state, jax.random.key(1), 16, num_active)
  is_made = np.asarray(proposals.tokens) >= 0
  assert np.all(is_made == (np.arange(4) < num_tokens))
  np.testing.assert_allclose(proposals.log_prob, -np.log(size), atol=1e-6)


def test_tell_counts_trials_and_reports_the_mean_reward(strategy):
  state = strategy.init(jax.random.key(0))
  for rewards in ([1.0, 2.0], [3.0, 6.0]):
    proposals = strategy.ask(state, jax.random.key(1), 2)
    state, metrics = strategy.tell(state, proposals, jnp.asarray(rewards))
  assert int(state.num_trials) == 4
  assert float(metrics['mean_reward']) == 4.5
  assert float(metrics['entropy']) == pytest.approx(np.log(60), rel=1e-6)


@pytest.mark.parametrize('decisions', [(), (AnchorPoint(0, 'layer_1'),)])
def test_decisions_without_a_token_are_refused(decisions):
  with pytest.raises(ValueError, match='at least one decision with a token'):
    random_search.make_random_search(decisions)
