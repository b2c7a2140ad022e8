# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Evolution with several objectives: the reward, and costs to keep small.

It is NSGA-II ("A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II",
Deb et al., 2002, IEEE Transactions on Evolutionary Computation 6) with the
mutations of regularized evolution in place of crossover: the best of parents
and children survive, ranked by the number of fronts that dominate them and then
by the distance to their neighbors. Architectures that have been tried are drawn
again, since repeating them would teach nothing.

Letters: `P` members of the population, `A` architectures that are remembered,
`T` tokens, `M` objectives, `C` costs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import functools
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jaxnas import nondominated
from jaxnas.strategies import evolution, told
from jaxnas.types import Decision, Proposals, Strategy

_WORST = -1e30
_MAX_REDRAWS = 16
_REDRAWS = 2**32 - 3


class ParetoState(NamedTuple):
  """The population, best first.

  Attributes:
    tokens: the members, `int32[P, T]`; empty places, the last, hold -1.
    values: the members' objectives, `float32[P, M]`, of which more is better:
      the reward and the negated costs.
    num_told: the number of rewards told so far, a scalar.
    tried: the architectures told most recently, a ring buffer, `int32[A, T]`;
      empty places hold -1.
  """

  tokens: jax.Array
  values: jax.Array
  num_told: jax.Array
  tried: jax.Array


def make_pareto_evolution(
  decisions: tuple[Decision, ...],
  costs: Callable[[jax.Array], jax.typing.ArrayLike],
  num_costs: int = 1,
  population_size: int = 32,
  sample_size: int = 4,
  range_scale: float = 0.1,
  num_trials: int | None = None,
  floor: float | None = None,
  memory: int = 1024,
) -> Strategy:
  """Makes the strategy that breeds a front.

  Batches are drawn uniformly until `population_size` rewards have been told.
  From then on, each child of a batch gets its own tournament and mutation in
  the population, as in `make_evolution`. After a batch, the best
  `population_size` of its members and the population's survive: those of the
  lowest non-dominated rank first, and of equal ranks the least crowded. An
  architecture that is a member already does not enter again, and one without a
  finite cost ranks behind all others.

  A proposal that repeats another of its batch, or one of the last `memory` that
  were told, is drawn again, at most 16 times. Its `log_prob` is that of a draw
  that may repeat. The effects of drawing again and of the tournament size were
  measured on a complete table; see `docs/results/costs.md`.

  The metrics are `mean_reward`, the mean reward of the batch, and `front_size`,
  the number of members that no member dominates.

  Args:
    decisions: the decisions of the search space, of any kind.
    costs: the costs to keep small, a pure function `tokens int32[N, T] ->
      costs [N, C]`. In `search.scan` it must be traceable.
    num_costs: the number of costs, `C`.
    population_size: the number of members of the population, `P`.
    sample_size: the number of members in a tournament; 2 in the paper, which
      breeds hundreds of generations.
    range_scale: the typical length of a step on a `Range`, as a fraction of its
      levels.
    num_trials: the number of trials of a search, if known.
    floor: the reward of a child that failed or was not trained. Such a child
      ranks behind all others, whatever it costs. No floor by default.
    memory: the number of architectures that are remembered, `A`; 0 lets
      proposals repeat.

  Returns:
    A strategy whose state is a `ParetoState`.

  Raises:
    ValueError: `make_evolution` would raise it, or `memory` is negative.
  """
  if memory < 0:
    raise ValueError(f'memory must be at least 0, got {memory}.')
  memory = min(memory, num_trials or memory)
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
      tried=jnp.full((memory, breeder.num_tokens), -1, jnp.int32),
    )

  @functools.partial(jax.jit, static_argnames='num_trials')
  def propose(state, key, num_active, num_trials) -> Proposals:
    is_full = state.num_told >= population_size

    def draw(key):
      return breeder.propose(state.tokens, is_full, key, num_active, num_trials)

    return _draw_new(draw, state.tried, key) if memory else draw(key)

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
    # NaN would be dominated by nothing, and stay.
    is_dead = ~jnp.isfinite(paid).all(1)
    if floor is not None:
      is_dead |= rewards <= jnp.float32(floor)
    # Even a dead child that costs nothing is dominated by all living ones.
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
    tried=_remember(state, tokens[size:]),
  ), front_size


def _remember(state: ParetoState, tokens: jax.Array) -> jax.Array:
  """Returns the tried architectures after a batch has replaced the oldest."""
  memory = len(state.tried)
  # If a batch fills the ring more than once, only its last ones stay.
  first = max(0, len(tokens) - memory)
  places = (state.num_told + np.arange(first, len(tokens))) % max(1, memory)
  return state.tried.at[places].set(tokens[first:]) if memory else state.tried


def _draw_new(
  draw: Callable[[jax.Array], Proposals], tried: jax.Array, key: jax.Array
) -> Proposals:
  """Returns a batch in which tried and repeated architectures are redrawn.

  Args:
    draw: the function that draws a batch, given a key.
    tried: the architectures that have been tried, `int32[A, T]`.
    key: a random key.
  """

  def repeats(tokens):
    number = np.arange(len(tokens))
    equal = (tokens[:, None] == tokens[None]).all(-1)
    is_known = (tokens[:, None] == tried[None]).all(-1).any(1)
    return is_known | (equal & (number[None] < number[:, None])).any(1)

  def is_left(carry):
    attempt, _, is_old = carry
    return (attempt < _MAX_REDRAWS) & is_old.any()

  def again(carry):
    attempt, proposals, is_old = carry
    others = draw(jax.random.fold_in(beyond, attempt))
    proposals = Proposals(
      jnp.where(is_old[:, None], others.tokens, proposals.tokens),
      jnp.where(is_old, others.log_prob, proposals.log_prob),
    )
    return attempt + 1, proposals, repeats(proposals.tokens)

  # A draw splits its key, which gives other keys than these.
  beyond = jax.random.fold_in(key, np.uint32(_REDRAWS))
  first = draw(key)
  start = jnp.int32(0), first, repeats(first.tokens)
  return jax.lax.while_loop(is_left, again, start)[1]
