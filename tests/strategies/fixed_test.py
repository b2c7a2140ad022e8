# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of the strategy that proposes a list."""

import jax
import numpy as np
import pytest

from jaxnas.strategies import fixed

TOKENS = np.arange(6, dtype=np.int32).reshape(3, 2)


def test_list_is_proposed_in_order_and_starts_again():
  strategy = fixed.make_fixed(TOKENS)
  state = strategy.init(jax.random.key(0))
  proposed = []
  for size in (2, 2):
    proposals = strategy.ask(state, jax.random.key(1), size)
    assert proposals.log_prob.shape == (size,)
    proposed.append(np.asarray(proposals.tokens))
    state, metrics = strategy.tell(state, proposals, np.array([1.0, 3.0]))
    assert metrics['mean_reward'] == 2
  np.testing.assert_array_equal(np.concatenate(proposed), TOKENS[[0, 1, 2, 0]])


def test_empty_list_is_refused():
  with pytest.raises(ValueError, match='at least one'):
    fixed.make_fixed([])
