# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import jax
import numpy as np
import pytest

from jaxnas.datasets import reward_table as tables
from jaxnas.strategies import evolution, started

DECISIONS = tables.make_decisions((3, 3))


def test_a_strategy_goes_on_from_its_first_proposals():
  first = np.arange(16, dtype=np.int32).reshape(8, 2) % 3
  inner = evolution.make_evolution(DECISIONS, 6, 3)
  strategy = started.start_from(inner, first)
  state = strategy.init(jax.random.key(0))
  for start in (0, 4):
    proposals = strategy.ask(state, jax.random.key(start), 4)
    np.testing.assert_array_equal(proposals.tokens, first[start : start + 4])
    rewards = np.arange(4.0) + start
    state, _ = strategy.tell(state, proposals, rewards.astype(np.float32))
  # Evolution knows the newest six, and breeds from them.
  assert sorted(state.inner.rewards.tolist()) == [2, 3, 4, 5, 6, 7]
  proposals = strategy.ask(state, jax.random.key(9), 4)
  expected = inner.ask(state.inner, jax.random.key(9), 4)
  np.testing.assert_array_equal(proposals.tokens, expected.tokens)
  with pytest.raises(ValueError, match='not whole batches of 3'):
    strategy.ask(state, jax.random.key(0), 3)
