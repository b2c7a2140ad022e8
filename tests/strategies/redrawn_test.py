# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import jax
import numpy as np
import pytest

from jaxnas import pure_search
from jaxnas.controllers import recurrent
from jaxnas.spaces import hyperparameters
from jaxnas.strategies import evolution, random_search, redrawn, reinforce
from jaxnas.types import Choice

SPACE = hyperparameters.make_space(
  {'a': Choice((0, 1, 2, 3)), 'b': Choice((0, 1, 2))}
)
RANDOM = random_search.make_random_search(SPACE.decisions)


def is_low(tokens):
  return tokens.sum() <= 1


def ask(strategy, num_trials, key=0):
  state = strategy.init(jax.random.key(1))
  return strategy.ask(state, jax.random.key(key), num_trials)


def test_what_is_allowed_keeps_its_probabilities():
  proposals = ask(redrawn.make_redrawn(RANDOM, is_low, 200), 600)
  rows, counts = np.unique(proposals.tokens, axis=0, return_counts=True)
  assert rows.tolist() == [[0, 0], [0, 1], [1, 0]]
  # Four standard deviations of a share of a third.
  np.testing.assert_allclose(counts / 600, 1 / 3, atol=4 * 0.0193)


def test_redraws_are_bounded_and_follow_from_the_key():
  plain = np.asarray(ask(RANDOM, 40).tokens)
  is_good = np.array([is_low(row) for row in plain])
  shares = []
  for most in (0, 1, 4):
    proposals = ask(redrawn.make_redrawn(RANDOM, is_low, most), 40)
    again = ask(redrawn.make_redrawn(RANDOM, is_low, most), 40)
    tokens = np.asarray(proposals.tokens)
    np.testing.assert_array_equal(tokens, again.tokens)
    # What was allowed at once stays.
    np.testing.assert_array_equal(tokens[is_good], plain[is_good])
    shares.append(np.mean([is_low(row) for row in tokens]))
  assert shares[0] == is_good.mean() < shares[1] < shares[2] < 1


@pytest.mark.parametrize('name', ['reinforce', 'stale', 'evolution'])
def test_a_log_prob_is_that_of_the_proposal(name):
  controller = recurrent.make_controller(SPACE.decisions, features=3)
  strategy = {
    'reinforce': reinforce.make_reinforce(controller, 0.1),
    'stale': reinforce.make_reinforce(controller, 0.1, correction='stale'),
    'evolution': evolution.make_evolution(SPACE.decisions, 2, 1),
  }[name]
  wrapped = redrawn.make_redrawn(strategy, is_low, 50)
  proposals = ask(wrapped, 6)
  assert all(map(is_low, np.asarray(proposals.tokens)))
  state = strategy.init(jax.random.key(1))
  if name != 'evolution':
    log_prob = controller.log_prob(state.params, proposals.tokens)[0].sum(-1)
    np.testing.assert_allclose(proposals.log_prob, log_prob, atol=1e-5)
  state, _ = wrapped.tell(state, proposals, np.arange(6, dtype=np.float32))
  again = wrapped.ask(state, jax.random.key(5), 6)
  assert all(map(is_low, np.asarray(again.tokens)))


def test_no_program_draws_without_redrawing():
  controller = recurrent.make_controller(SPACE.decisions, features=3)
  strategy = reinforce.make_reinforce(controller, 0.1)
  wrapped = redrawn.make_redrawn(strategy, is_low, 50)

  def rewards(tokens):
    return tokens.sum(-1).astype(np.float32)

  with pytest.raises(jax.errors.TracerArrayConversionError):
    pure_search.scan(wrapped, rewards, jax.random.key(0), 2, 3)


def test_a_negative_number_of_redraws_is_refused():
  with pytest.raises(ValueError, match='must be at least 0, got -1'):
    redrawn.make_redrawn(RANDOM, is_low, -1)
