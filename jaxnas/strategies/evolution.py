# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Regularized evolution: tournaments, single mutations, death by age.

Algorithm 1 of "Regularized Evolution for Image Classifier Architecture Search",
Real et al., 2019 (https://arxiv.org/abs/1802.01548). The population consists of
the newest architectures. A few of them are drawn with replacement, and the best
of these becomes the parent of the next architecture, which replaces the oldest
one, however good the oldest is.
"""

from __future__ import annotations

from collections.abc import Mapping
import functools
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.strategies import mutation as mutations
from jaxnas.strategies import random_search, told
from jaxnas.types import Decision, Proposals, Strategy


class EvolutionState(NamedTuple):
  """The population: a ring buffer in which the newest overwrites the oldest.

  Attributes:
    tokens: the members, `int32[P, T]`; empty places hold -1.
    rewards: the members' rewards, `float32[P]`.
    num_told: the number of rewards told so far, a scalar; modulo `P`, the place
      of the next member.
  """

  tokens: jax.Array
  rewards: jax.Array
  num_told: jax.Array


def make_evolution(
  decisions: tuple[Decision, ...],
  population_size: int = 32,
  sample_size: int = 8,
  range_scale: float = 0.1,
  num_trials: int | None = None,
) -> Strategy:
  """Makes the strategy that breeds architectures.

  Batches are drawn uniformly until `population_size` rewards have been told.
  From then on, each child of a batch gets its own tournament and mutation in
  the population as it stands at the `ask`. This is the parallel form; with
  batches of one it is the paper's. If a batch is larger than the population,
  its last members replace the whole population.

  A child differs from its parent in one token; see `mutation`. (The paper also
  copies a parent now and then; here a copy would teach nothing.) Decisions that
  a shallower parent did not make are drawn uniformly, and those that a deeper
  parent made beyond `num_active` are cut off.

  The `log_prob` of a proposal is exact: it sums over every member of the
  population that could be its parent, weighted by the member's probability of
  winning a tournament, where the younger of equals wins. The metrics are
  `mean_reward`, the mean reward of the batch, and `population_reward`, that of
  the population after the batch.

  The defaults keep the proportions of the paper's population of 100 and sample
  of 25, for searches of about 500 trials instead of 20,000; for measurements
  see `docs/results/strategies.md`.

  Args:
    decisions: the decisions of the search space, of any kind.
    population_size: the number of members of the population, `P`.
    sample_size: the number of members in a tournament.
    range_scale: the typical length of a step on a `Range`, as a fraction of its
      levels.
    num_trials: the number of trials of a search, if known.

  Returns:
    A strategy whose state is an `EvolutionState`.

  Raises:
    ValueError: no decision has a token, a number is out of range, or the first
      population uses up all trials, so nothing would ever be bred.
  """
  check_arguments(population_size, sample_size, range_scale, num_trials)
  breeder = Breeder(decisions, population_size, sample_size, range_scale)

  @jax.jit
  def init(key: jax.Array) -> EvolutionState:
    del key
    shape = population_size, breeder.num_tokens
    return EvolutionState(
      tokens=jnp.full(shape, -1, jnp.int32),
      rewards=jnp.zeros(population_size),
      num_told=jnp.zeros((), jnp.int32),
    )

  @functools.partial(jax.jit, static_argnames='num_trials')
  def propose(state, key, num_active, num_trials) -> Proposals:
    is_full = state.num_told >= population_size
    return breeder.propose(_ranked(state), is_full, key, num_active, num_trials)

  def ask(
    state: EvolutionState,
    key: jax.Array,
    num_trials: int,
    num_active: jax.Array | int | None = None,
  ) -> Proposals:
    num_active = len(decisions) if num_active is None else num_active
    return propose(state, key, jnp.asarray(num_active, jnp.int32), num_trials)

  @jax.jit
  def learn(
    state: EvolutionState, proposals: Proposals, rewards: jax.Array
  ) -> tuple[EvolutionState, Mapping[str, jax.Array]]:
    chex.assert_equal_shape([proposals.log_prob, rewards])
    after = _enter(state, proposals.tokens, rewards)
    metrics = {
      'mean_reward': jnp.mean(rewards),
      # Empty places have a reward of zero, so the sum leaves them out.
      'population_reward': jnp.sum(after.rewards)
      / jnp.minimum(after.num_told, population_size),
    }
    return told.keep_where_finite(rewards, after, state), metrics

  def tell(state, proposals, rewards):
    told.check(rewards)
    return learn(state, proposals, rewards)

  return Strategy(init, ask, tell)


class Breeder:
  """Breeds architectures from a ranked population.

  Attributes:
    num_tokens: the length `T` of an architecture's tokens.
  """

  def __init__(
    self,
    decisions: tuple[Decision, ...],
    population_size: int,
    sample_size: int,
    range_scale: float,
  ):
    """Prepares for populations of one size.

    Args:
      decisions: the decisions of the search space.
      population_size: the number of members of the population, `P`.
      sample_size: the number of members in a tournament.
      range_scale: the typical length of a step on a `Range`.
    """
    self._uniform = random_search.make_random_search(decisions)
    self._uniform_state = self._uniform.init(jax.random.key(0))
    self._mutation = mutations.Mutation(decisions, range_scale)
    self._tournament = _tournament(population_size, sample_size)
    self._sample_size = sample_size
    self.num_tokens = len(self._mutation.num_choices)

  def propose(
    self,
    ranking: jax.Array,
    is_full: jax.Array,
    key: jax.Array,
    num_active: jax.Array,
    num_trials: int,
  ) -> Proposals:
    """Returns children of the population, or uniform draws before it is full.

    Args:
      ranking: the members, best first, `int32[P, T]`; a row of -1 stands for an
        empty place, whose children are drawn uniformly.
      is_full: whether there are enough members to breed from, a scalar.
      key: a random key.
      num_active: the number of decisions to make.
      num_trials: the number of proposals.
    """
    mutation = self._mutation
    fresh_key, rank_key, mutation_key = jax.random.split(key, 3)
    fresh = self._uniform.ask(
      self._uniform_state, fresh_key, num_trials, num_active
    )
    # Drawing members uniformly and taking the best is the same as drawing ranks
    # and taking the smallest.
    ranks = jax.random.randint(
      rank_key, (num_trials, self._sample_size), 0, len(ranking)
    )
    is_active = jnp.asarray(mutation.decision_of_token < num_active)
    parents = jnp.where(is_active[None], ranking, -1)
    chosen = parents[jnp.min(ranks, axis=1)]
    children = mutation.draw(mutation_key, chosen, is_active)
    children = jnp.where(chosen >= 0, children, fresh.tokens)
    from_parents = mutation.log_prob(children, parents, is_active)
    log_prob = jax.nn.logsumexp(from_parents + self._tournament[None], axis=1)
    # Rounding may lift the log-probability of a certain child above 0.
    log_prob = jnp.minimum(log_prob, 0.0)
    return jax.tree.map(
      lambda bred, drawn: jnp.where(is_full, bred, drawn),
      Proposals(children, log_prob),
      fresh,
    )


def _enter(
  state: EvolutionState, tokens: jax.Array, rewards: jax.Array
) -> EvolutionState:
  """Returns the population after a batch has replaced its oldest members."""
  population_size = len(state.rewards)
  # If a batch fills the ring more than once, only its last members stay.
  first = max(0, len(rewards) - population_size)
  places = (state.num_told + np.arange(first, len(rewards))) % population_size
  return EvolutionState(
    tokens=state.tokens.at[places].set(tokens[first:]),
    rewards=state.rewards.at[places].set(rewards[first:]),
    num_told=state.num_told + len(rewards),
  )


def _tournament(population_size: int, sample_size: int) -> np.ndarray:
  """Returns the log-probability that each rank wins, best first, `[P]`.

  The best of a sample of `S` has rank `k` or worse with probability
  `((P - k) / P)^S`; the result is the difference of two such terms.
  """
  left = population_size - np.arange(population_size)
  log_prob = sample_size * np.log(left / population_size)
  log_prob += np.log1p(-(((left - 1) / left) ** sample_size))
  return log_prob.astype(np.float32)


def _ranked(state: EvolutionState) -> jax.Array:
  """Returns the members, best first; of equals, the younger first."""
  size = len(state.rewards)
  age = (state.num_told - 1 - jnp.arange(size)) % size
  return state.tokens[jnp.lexsort((age, -state.rewards))]


def check_arguments(
  population_size: int,
  sample_size: int,
  range_scale: float,
  num_trials: int | None,
) -> None:
  """Checks the arguments of `make_evolution`.

  Args:
    population_size: the number of members of the population.
    sample_size: the number of members in a tournament.
    range_scale: the typical length of a step on a `Range`.
    num_trials: the number of trials of a search, if known.

  Raises:
    ValueError: a number is out of range.
  """
  if population_size < 1:
    raise ValueError(
      f'population_size must be at least 1, got {population_size}.'
    )
  if not 1 <= sample_size <= population_size:
    raise ValueError(
      f'sample_size must be from 1 to population_size ({population_size}), got '
      f'{sample_size}.'
    )
  if not range_scale > 0:
    raise ValueError(f'range_scale must be greater than 0, got {range_scale}.')
  if num_trials is not None and num_trials <= population_size:
    raise ValueError(
      f'Evolution draws population_size ({population_size}) architectures at '
      f'random before it breeds, and each search has {num_trials} trials; give '
      'it more trials or a smaller population_size.'
    )
