# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas import fronts, pure_search
from jaxnas.strategies import pareto_evolution
from jaxnas.types import Choice, Proposals

DECISIONS = tuple(Choice(range(4), f'decision_{place}') for place in range(5))


def costs(tokens):
  return tokens.sum(-1, keepdims=True)


def reward(tokens):
  """The more the better, but the last decision is worth twice its cost."""
  return tokens.sum(-1) + tokens[..., -1].astype(jnp.float32)


STRATEGY = pareto_evolution.make_pareto_evolution(
  DECISIONS, costs, population_size=4
)


def tell(state, tokens, rewards):
  tokens = jnp.array(tokens)
  proposals = Proposals(tokens, jnp.zeros(len(tokens)))
  return STRATEGY.tell(state, proposals, jnp.array(rewards))


def test_the_best_of_members_and_batch_survive():
  state = STRATEGY.init(jax.random.key(0))
  a, b, c, d, e = np.eye(5, dtype=np.int32)
  # Costs are 1 but for the last two, of 2; the second repeats the first.
  state, metrics = tell(state, [a, a, a + b], [1.0, 1.0, 2.0])
  assert state.tokens.tolist() == [*map(list, (a, a + b)), [-1] * 5, [-1] * 5]
  assert metrics['front_size'] == 2
  # It dominates one of them, and is dominated by none.
  state, metrics = tell(state, [c, c + d, e * 0], [3.0, 2.5, 0.0])
  assert metrics['front_size'] == 2
  rows = {tuple(row) for row in state.tokens.tolist()}
  # The origin is the cheapest; the first member and one dearer come next.
  assert {tuple(c), (0,) * 5} <= rows
  assert tuple(a + b) not in rows
  np.testing.assert_array_equal(state.values[0], [3, -1])
  assert state.num_told == 6


def test_a_search_finds_the_whole_front():
  strategy = pareto_evolution.make_pareto_evolution(
    DECISIONS, costs, population_size=24
  )
  found = jax.jit(lambda key: pure_search.scan(strategy, reward, key, 40, 12))(
    jax.random.key(3)
  )
  tokens = np.asarray(found.tokens).reshape(-1, 5)
  points = np.column_stack([reward(tokens), -costs(tokens)[:, 0]])
  best = [(cost + min(cost, 3), -cost) for cost in range(16)]
  assert [tuple(points[row]) for row in fronts.front(points)] == best[::-1]
  # A uniform draw of as many finds less.
  uniform = np.random.default_rng(0).integers(0, 4, tokens.shape)
  points = np.column_stack([reward(uniform), -costs(uniform)[:, 0]])
  assert len(fronts.front(points)) < 16


@pytest.mark.parametrize('memory', [0, 1024])
def test_what_was_tried_is_not_proposed_again(memory):
  # The space has 1,024 architectures, and the front is close to the corner.
  strategy = pareto_evolution.make_pareto_evolution(
    DECISIONS, costs, population_size=8, memory=memory
  )
  search = jax.jit(lambda key: pure_search.scan(strategy, reward, key, 10, 10))
  found = search(jax.random.key(1))
  tokens = np.asarray(found.tokens).reshape(-1, 5)
  num_distinct = len(np.unique(tokens, axis=0))
  assert num_distinct == 100 if memory else num_distinct < 85


def test_a_memory_forgets_the_oldest_first():
  strategy = pareto_evolution.make_pareto_evolution(
    DECISIONS, costs, population_size=2, sample_size=2, memory=4
  )
  state = strategy.init(jax.random.key(0))
  rows = np.stack([np.arange(13) // 4, np.arange(13) % 4, *[[0] * 13] * 3], 1)
  for batch in np.split(rows, [3, 6, 12]):
    proposals = Proposals(jnp.array(batch), jnp.zeros(len(batch)))
    state, _ = strategy.tell(state, proposals, jnp.ones(len(batch)))
  # Of 13 the last 4, of which the thirteenth has come to the first place.
  np.testing.assert_array_equal(state.tried, rows[[12, 9, 10, 11]])


def test_a_space_that_is_tried_out_is_proposed_again():
  tiny = (Choice(range(2), 'one'), Choice(range(2), 'two'))
  strategy = pareto_evolution.make_pareto_evolution(
    tiny, costs, population_size=2, sample_size=1
  )
  found = pure_search.scan(strategy, reward, jax.random.key(0), 3, 4)
  tokens = np.asarray(found.tokens)
  assert len(np.unique(tokens[0], axis=0)) == 4
  assert tokens.min() >= 0


def test_bad_arguments_are_refused():
  with pytest.raises(ValueError, match='memory must be at least 0, got -1'):
    pareto_evolution.make_pareto_evolution(DECISIONS, costs, memory=-1)
  with pytest.raises(ValueError, match='population_size must be at least 1'):
    pareto_evolution.make_pareto_evolution(DECISIONS, costs, population_size=0)


@pytest.mark.parametrize('floor', [0.0, None])
def test_whatever_a_failed_child_costs_it_ranks_last(floor):
  strategy = pareto_evolution.make_pareto_evolution(
    DECISIONS, costs, population_size=3, sample_size=2, floor=floor
  )
  cheap, *others = np.eye(5, dtype=np.int32)
  tokens = jnp.array([cheap * 0, *(each + cheap for each in others)])
  state, _ = strategy.tell(
    strategy.init(jax.random.key(0)),
    Proposals(tokens, jnp.zeros(5)),
    jnp.array([0.0, 1.0, 2.0, 3.0, 4.0]),
  )
  is_member = (0,) * 5 in {tuple(row) for row in state.tokens.tolist()}
  assert is_member == (floor is None)


def test_what_has_no_finite_cost_ranks_last():
  def some(tokens):
    return jnp.where(tokens[:, :1] == 0, jnp.nan, tokens[:, :1])

  strategy = pareto_evolution.make_pareto_evolution(
    DECISIONS, some, population_size=3, sample_size=2
  )
  first = [0, 1, 1, 1, 0]
  tokens = jnp.array([[one, place, 0, 0, 0] for place, one in enumerate(first)])
  state, metrics = strategy.tell(
    strategy.init(jax.random.key(0)),
    Proposals(tokens % 4, jnp.zeros(5)),
    jnp.array([9.0, 1.0, 2.0, 3.0, 9.0]),
  )
  assert state.tokens[0].tolist() == [1, 3, 0, 0, 0]
  assert metrics['front_size'] == 1
  assert jnp.isfinite(state.values).all()
