# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Evolution with several objectives: the reward, and costs to keep small.

It is NSGA-II ("A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II",
Deb et al., 2002, IEEE Transactions on Evolutionary Computation 6) with the
mutations of regularized evolution in place of crossover: the best of parents
and children survive, ranked by how many fronts dominate them and then by how
far their neighbors are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import functools
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from jaxnas import nondominated
from jaxnas.strategies import evolution, told
from jaxnas.types import Decision, Proposals, Strategy

_WORST = -1e30


class ParetoState(NamedTuple):
  """The population, best first.

  Attributes:
    tokens: the members, `int32[P, T]`; empty places, the last, hold -1.
    values: the members' objectives, more is better, `float32[P, M]`: the
      reward and the negated costs.
    num_told: the number of rewards told so far, a scalar.
  """

  tokens: jax.Array
  values: jax.Array
  num_told: jax.Array


def make_pareto_evolution(
  decisions: tuple[Decision, ...],
  costs: Callable[[jax.Array], jax.typing.ArrayLike],
  num_costs: int = 1,
  population_size: int = 32,
  sample_size: int = 2,
  range_scale: float = 0.1,
  num_trials: int | None = None,
  floor: float | None = None,
) -> Strategy:
  """Makes the strategy that breeds a front.

  Batches are drawn uniformly until `population_size` rewards have been told.
  From then on each child of a batch gets its own tournament and mutation in the
  population, as in `make_evolution`. After a batch the best `population_size`
  of members and batch survive: first by non-dominated rank, then the least
  crowded. An architecture that is a member already does not enter again.

  The metrics are `mean_reward`, of the batch, and `front_size`, the number of
  members that no member dominates.

  Args:
    decisions: the decisions of the search space, of any kind.
    costs: `tokens int32[N, T] -> costs [N, C]`, a pure function, all of which
      are to be small. In `search.scan` it must be traceable.
    num_costs: the number of costs, `C`.
    population_size: the number of members of the population, `P`.
    sample_size: the number of members in a tournament; 2 in the paper.
    range_scale: the typical length of a step on a `Range`, as a fraction of its
      levels.
    num_trials: the number of trials of a search, if known.
    floor: the reward of a child that failed or was not trained. Whatever it
      costs, it ranks behind all others. None by default.

  Returns:
    A strategy whose state is a `ParetoState`.

  Raises:
    ValueError: as `make_evolution` does.
  """
  evolution.check_arguments(
    population_size, sample_size, range_scale, num_trials
  )
  breeder = evolution.Breeder(
    decisions, population_size, sample_size, range_scale
  )

  @jax.jit
  def init(key: jax.Array) -> ParetoState:
    del key
    return ParetoState(
      tokens=jnp.full((population_size, breeder.num_tokens), -1, jnp.int32),
      values=jnp.zeros((population_size, 1 + num_costs)),
      num_told=jnp.zeros((), jnp.int32),
    )

  @functools.partial(jax.jit, static_argnames='num_trials')
  def propose(state, key, num_active, num_trials) -> Proposals:
    is_full = state.num_told >= population_size
    return breeder.propose(state.tokens, is_full, key, num_active, num_trials)

  def ask(
    state: ParetoState,
    key: jax.Array,
    num_trials: int,
    num_active: jax.Array | int | None = None,
  ) -> Proposals:
    num_active = len(decisions) if num_active is None else num_active
    return propose(state, key, jnp.asarray(num_active, jnp.int32), num_trials)

  @jax.jit
  def learn(
    state: ParetoState, tokens: jax.Array, rewards: jax.Array, paid: jax.Array
  ) -> tuple[ParetoState, Mapping[str, jax.Array]]:
    chex.assert_shape(paid, (len(rewards), num_costs))
    values = jnp.column_stack([rewards, -paid])
    if floor is not None:
      # Even one that costs nothing is dominated by all that are alive.
      is_dead = rewards <= jnp.float32(floor)
      values = jnp.where(is_dead[:, None], _WORST, values)
    after, front_size = _survive(state, tokens, values)
    metrics = {'mean_reward': jnp.mean(rewards), 'front_size': front_size}
    return told.keep_where_finite(rewards, after, state), metrics

  def tell(state, proposals, rewards):
    told.check(rewards)
    rewards = jnp.asarray(rewards, jnp.float32)
    paid = jnp.asarray(costs(proposals.tokens), jnp.float32)
    return learn(state, proposals.tokens, rewards, paid)

  return Strategy(init, ask, tell)


def _survive(
  state: ParetoState, tokens: jax.Array, values: jax.Array
) -> tuple[ParetoState, jax.Array]:
  """Returns the population after a batch, and the size of its front."""
  size = len(state.tokens)
  tokens = jnp.concatenate([state.tokens, tokens])
  values = jnp.concatenate([state.values, values])
  number = jnp.arange(len(tokens))
  is_equal = (tokens[:, None] == tokens[None]).all(-1)
  is_repeat = (is_equal & (number[None] < number[:, None])).any(1)
  # At least one decision is always made.
  is_valid = (tokens >= 0).any(1) & ~is_repeat
  best = nondominated.order(values, is_valid)[:size]
  kept = is_valid[best]
  front_size = (nondominated.ranks(values[best], kept) == 0).sum()
  return ParetoState(
    tokens=jnp.where(kept[:, None], tokens[best], -1),
    values=jnp.where(kept[:, None], values[best], 0.0),
    num_told=state.num_told + len(tokens) - size,
  ), front_size
