# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.strategies import mutation
from jaxnas.types import AnchorPoint, Choice, Range

DECISIONS = (
  Choice(('a', 'b', 'c'), 'letter'),
  AnchorPoint(2, 'inputs'),
  Choice(('only',), 'fixed'),
  Range(0.0, 1.0, num_levels=4, name='rate'),
)
EVERYTHING = np.array(
  list(itertools.product(range(3), range(2), range(2), range(1), range(4))),
  np.int32,
)
ALL_ACTIVE = np.ones(5, bool)


@pytest.fixture(scope='module')
def mutations():
  return mutation.Mutation(DECISIONS, range_scale=0.25)


def test_tokens_know_their_decision_and_their_values(mutations):
  assert mutations.num_choices.tolist() == [3, 2, 2, 1, 4]
  assert mutations.decision_of_token.tolist() == [0, 1, 1, 2, 3]


@pytest.mark.parametrize(
  'parent', [[0, 0, 0, 0, 0], [2, 1, 0, 0, 3], [1, 1, 1, 0, 2]]
)
def test_the_probabilities_of_all_children_sum_to_1(mutations, parent):
  log_prob = mutations.log_prob(
    jnp.asarray(EVERYTHING), jnp.array([parent]), ALL_ACTIVE
  )
  assert float(jnp.exp(log_prob).sum()) == pytest.approx(1.0, rel=1e-5)


def test_a_child_differs_in_one_token(mutations):
  parents = jnp.tile(jnp.array([[1, 0, 1, 0, 2]]), (200, 1))
  children = mutations.draw(jax.random.key(0), parents, ALL_ACTIVE)
  assert ((children != parents).sum(axis=1) == 1).all()
  assert (children[:, 3] == 0).all()


def test_steps_of_a_range_weigh_by_their_length(mutations):
  # From level 0 of 4 the steps 1, 2, 3 weigh 1, 1/e and 1/e^2; a third of all
  # changes are of this decision.
  children = np.zeros((3, 5), np.int32)
  children[:, 4] = 1, 2, 3
  log_prob = mutations.log_prob(
    jnp.asarray(children), jnp.zeros((1, 5), jnp.int32), ALL_ACTIVE
  )
  weights = np.exp(-np.arange(3.0))
  np.testing.assert_allclose(
    np.exp(log_prob[:, 0]), weights / weights.sum() / 3, rtol=1e-5
  )


def test_tokens_that_a_parent_lacks_are_drawn_uniformly(mutations):
  parent = jnp.array([[0, -1, -1, -1, -1]])
  log_prob = mutations.log_prob(jnp.asarray(EVERYTHING), parent, ALL_ACTIVE)
  assert float(jnp.exp(log_prob).sum()) == pytest.approx(1.0, rel=1e-5)
  # Either the letter changes, or one of the two others that can.
  same = EVERYTHING[:, 0] == 0
  np.testing.assert_allclose(np.exp(log_prob[same, 0]), 2 / 3 / 16, rtol=1e-5)


def test_what_is_not_active_stays(mutations):
  parents = jnp.tile(jnp.array([[1, 0, 1, 0, 2]]), (100, 1))
  is_active = np.array([True, False, False, False, False])
  children = mutations.draw(jax.random.key(1), parents, is_active)
  assert (children[:, 1:] == parents[:, 1:]).all()
  assert set(np.asarray(children[:, 0]).tolist()) == {0, 2}
