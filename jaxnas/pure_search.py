# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A whole search as one pure function, for rewards that are one of tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import functools
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jaxnas import errors, halving, rung_scale, versions
from jaxnas.strategies import told
from jaxnas.types import Strategy


class Scan(NamedTuple):
  """A whole search: `R` updates of the strategy, each by `N` trials.

  Attributes:
    tokens: the proposals, `int32[R, N, T]`.
    rewards: the proposals' rewards, `float32[R, N]`; with halving, those of the
      rungs where they stopped, and the floor if they failed.
    metrics: the strategy's metrics, each `[R]`.
    state: the strategy's state after the last update.
    rungs: with halving, the indices of the last rungs that the proposals were
      trained to, `int32[R, N]`.
  """

  tokens: jax.Array
  rewards: jax.Array
  metrics: Mapping[str, jax.Array]
  state: Any
  rungs: jax.Array | None = None


def scan(
  strategy: Strategy,
  reward: Callable[[jax.Array], jax.Array],
  key: jax.Array,
  num_rounds: int,
  batch_size: int,
  num_active: jax.Array | Sequence[int] | int | None = None,
  *,
  replicas: int = 1,
  replicas_per_update: int = 1,
  order: jax.Array | Sequence[int] | None = None,
  schedule: halving.Schedule | None = None,
  scale: rung_scale.Scale | None = None,
  floor: float = 0.0,
  costs: Callable[[jax.Array], jax.Array] | None = None,
) -> Scan:
  """Runs a whole search as one pure function, for `jit` and `vmap`.

  Given the same rewards, it proposes what `search.run` proposes in an arm with
  this key; see `search.arm_key`. Nothing is cached: an architecture that is
  proposed again is rewarded again, with the same reward by definition.

      best = jax.vmap(
        lambda key: scan(strategy, table.look_up, key, 25, 20).rewards.max()
      )(keys)

  To map over the numeric settings of `make_reinforce`, or those of `make_ppo`
  except its epochs, make the strategy inside the mapped function:
  `jax.vmap(lambda key, rate: scan(make_reinforce(controller, rate), ...))`.

  With several replicas it is the asynchronous search that `versions` describes,
  in which the groups finish in a given order; `finishing_order` makes one of
  durations. Each round tells `replicas_per_update` groups of `batch_size`
  proposals, so `N` is their product.

  With a `schedule`, children are stopped early; see `halving`. Each group of
  `batch_size` proposals is halved in itself or, with several replicas, by who
  came to a rung before in the order of finishing. The strategy is told what
  `rung_scale.told_rewards` makes of their rewards.

  Args:
    strategy: the strategy that proposes.
    reward: `tokens int32[N, T] -> rewards [N]`, a pure function; with halving,
      `[N, K]`, the rewards at all rungs, NaN where a child has failed by then.
    key: the random key that all randomness follows from.
    num_rounds: the number of times the strategy is told, `R`.
    batch_size: the number of architectures proposed each time.
    num_active: the number of decisions to make: one number, or one per group of
      proposals, `[R * replicas_per_update]`; all decisions by default.
    replicas: the number of groups in flight.
    replicas_per_update: the number of finished groups told together.
    order: the numbers of the groups in the order of finishing, `int32[R *
      replicas_per_update]`; that of asking by default.
    schedule: the rungs of successive halving, `K` of them; none by default.
    scale: what is known before the search of the rewards at the rungs, from
      children of a calibration; nothing by default.
    floor: with halving, the reward of a child that fails.
    costs: with halving in batches, `tokens int32[N, T] -> costs [N, C]`, which
      decide beside the reward who goes on; none by default.

  Returns:
    The proposals and their rewards, round by round: groups in the order of
    finishing, and the rows of a group in the order of proposal.

  Raises:
    ValueError: a reward is not finite, groups cannot finish in this order, or
      there are costs where no child waits for others.
      Under `jit` or `vmap` nothing is raised for values that are traced, so
      check the returned rewards; no strategy learns from a round with a reward
      that is not finite.
  """
  _check_replicas(replicas, replicas_per_update, costs is not None)
  num_groups = num_rounds * replicas_per_update
  replicas = max(1, min(replicas, num_groups))
  if num_active is not None:
    num_active = jnp.asarray(num_active, jnp.int32)
    if not num_active.ndim:
      num_active = jnp.broadcast_to(num_active, (num_groups,))
    chex.assert_shape(num_active, (num_groups,))
  order = jnp.arange(num_groups) if order is None else _checked(order, replicas)
  chex.assert_shape(order, (num_groups,))

  stopping = None
  if schedule is not None:
    stopping = _Stopping(schedule, replicas > 1, replicas_per_update, floor)

  def active(group):
    return None if num_active is None else num_active[group]

  def judge(tokens, halved):
    """Returns rewards, those to tell, rungs, and the state of halving."""
    rewards = jnp.asarray(reward(tokens), jnp.float32)
    learned, rungs = rewards, None
    if stopping is not None:
      rewards, learned, rungs, halved = stopping.stop(
        halved, rewards, None if costs is None else costs(tokens)
      )
    chex.assert_shape(rewards, (replicas_per_update * batch_size,))
    return rewards, learned, rungs, halved

  def ask(state, group):
    proposals = strategy.ask(
      state, round_key(key, group), batch_size, active(group)
    )
    return versions.join([proposals], replicas)

  def ask_and_teller(state, group):
    # A user's own strategy may lack this function.
    at_once = getattr(strategy, 'ask_and_teller', None)
    if at_once is None:
      proposals = ask(state, group)
      return proposals, functools.partial(strategy.tell, state, proposals)
    return at_once(state, round_key(key, group), batch_size, active(group))

  begun = (
    strategy.init(init_key(key)),
    stopping and stopping.start(scale, num_groups * batch_size),
  )
  if replicas == replicas_per_update == 1:
    (state, _), found = jax.lax.scan(
      _make_lock_step(ask_and_teller, judge), begun, jnp.arange(num_rounds)
    )
  else:
    # Whoever is free asks for the next group, before the next one finishes.
    asked = replicas - 1 + jnp.arange(num_groups)
    window = _begin(ask, begun[0], replicas)
    ((state, _), _), found = jax.lax.scan(
      _make_asynchronous(strategy.tell, ask, judge, replicas, num_groups),
      (begun, window),
      jax.tree.map(
        lambda leaf: leaf.reshape(num_rounds, replicas_per_update),
        (asked, order),
      ),
      num_rounds,
    )
  tokens, rewards, metrics, rungs = found
  told.check(rewards)
  return Scan(tokens, rewards, metrics, state, rungs)


def _make_lock_step(ask_and_teller, judge):
  """Makes the function that plays a round in lock step."""

  def play(carry, group):
    state, halved = carry
    proposals, tell = ask_and_teller(state, group)
    rewards, learned, rungs, halved = judge(proposals.tokens, halved)
    state, metrics = tell(learned)
    return (state, halved), (proposals.tokens, rewards, metrics, rungs)

  return play


def _make_asynchronous(tell, ask, judge, replicas, num_groups):
  """Makes the function that plays a round with several groups."""

  def ask_if_any(state, group):
    if replicas == 1:
      return ask(state, group)
    # After the last group nobody looks at what a free replica has.
    nothing = jax.tree.map(jnp.zeros_like, jax.eval_shape(ask, state, group))
    return jax.lax.cond(
      group < num_groups, ask, lambda *_: nothing, state, group
    )

  def play(carry, inputs):
    (state, halved), window = carry

    def take(window, inputs):
      """A free replica asks, and then a group finishes."""
      flying, groups, free = window
      asked, finished = inputs
      flying = jax.tree.map(
        lambda all_of, new: all_of.at[free].set(new),
        flying,
        ask_if_any(state, asked),
      )
      groups = groups.at[free].set(asked)
      free = jnp.argmax(groups == finished)
      proposals = jax.tree.map(lambda all_of: all_of[free], flying)
      return (flying, groups, free), proposals

    window, proposals = jax.lax.scan(take, window, inputs)
    proposals = jax.tree.map(
      lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), proposals
    )
    rewards, learned, rungs, halved = judge(proposals.tokens, halved)
    state, metrics = tell(state, proposals, learned)
    carry = (state, halved), window
    return carry, (proposals.tokens, rewards, metrics, rungs)

  return play


def _check_replicas(
  replicas: int, replicas_per_update: int, has_costs: bool
) -> None:
  if min(replicas, replicas_per_update) < 1:
    raise ValueError(
      'replicas and replicas_per_update must be at least 1, got '
      f'{replicas} and {replicas_per_update}.'
    )
  if has_costs and replicas > 1:
    raise ValueError(
      'With costs a batch is compared as a whole, so replicas must be 1, got '
      f'{replicas}.'
    )


class _Stopping(NamedTuple):
  """How children are stopped early.

  Attributes:
    schedule: the rungs.
    is_early: whether children wait for nobody.
    num_groups: the number of groups told together.
    floor: the reward of a child that fails.
  """

  schedule: halving.Schedule
  is_early: bool
  num_groups: int
  floor: float

  def start(self, scale, num_children):
    """Returns the state before the first child."""
    if scale is None:
      scale = rung_scale.init_scale(self.schedule.num_rungs)
    if not self.is_early:
      return scale, None
    return scale, halving.init_arrivals(self.schedule, num_children)

  def stop(self, state, curves, costs):
    """Stops children at rungs, `[N, K] -> [N]`, by costs `[N, C]` if any.

    Returns:
      Their rewards where they stopped, the rewards to tell, the rungs, and the
      state.
    """
    scale, arrivals = state
    num_rungs = self.schedule.num_rungs
    chex.assert_shape(curves, (None, num_rungs))
    if self.is_early:
      rungs, arrivals = halving.halve_early(self.schedule, curves, arrivals)
    else:
      groups = jax.tree.map(
        lambda leaf: leaf.reshape(self.num_groups, -1, leaf.shape[-1]),
        (curves, costs),
      )
      halve = functools.partial(halving.halve, self.schedule)
      rungs = jax.vmap(halve)(*groups).reshape(-1)
    is_known = jnp.arange(num_rungs)[None] <= rungs[:, None]
    scale = rung_scale.extend_scale(scale, jnp.where(is_known, curves, jnp.nan))
    rewards = jnp.take_along_axis(curves, rungs[:, None], axis=1)[:, 0]
    learned = rung_scale.told_rewards(scale, rewards, rungs, self.floor)
    rewards = jnp.where(jnp.isfinite(rewards), rewards, self.floor)
    return rewards, learned, rungs, (scale, arrivals)


def finishing_order(durations: jax.Array, replicas: int) -> jax.Array:
  """Returns the groups of a search in the order of finishing, `int32[G]`.

  A replica begins its next group when it has finished one. Of groups that
  finish at the same time, the one asked for first comes first.

  Args:
    durations: the duration of each group, `[G]`, finite and positive; may be
      traced.
    replicas: the number of groups in flight.
  """
  num_groups = len(durations)
  replicas = min(replicas, num_groups)

  def finish(carry, asked):
    times, groups = carry
    now = jnp.min(times)
    free = jnp.argmin(jnp.where(times == now, groups, num_groups))
    finished = groups[free]
    end = jnp.where(asked < num_groups, now + durations[asked], jnp.inf)
    return (times.at[free].set(end), groups.at[free].set(asked)), finished

  groups = jnp.arange(num_groups, dtype=jnp.int32)
  durations = jnp.asarray(durations, jnp.float32)
  begun = durations[:replicas], groups[:replicas]
  return jax.lax.scan(finish, begun, replicas + groups)[1]


def _begin(ask, state, replicas):
  """Returns the groups of a search before its first round.

  That is the proposals of each replica, the number of its group, and which
  replica is free: the last, while all others have asked.
  """
  early = jnp.arange(replicas - 1, dtype=jnp.int32)
  one = jax.eval_shape(ask, state, jnp.int32(0))
  flying = jax.tree.map(
    lambda leaf: jnp.zeros((replicas, *leaf.shape), leaf.dtype), one
  )
  if replicas > 1:
    asked = jax.lax.map(lambda group: ask(state, group), early)
    flying = jax.tree.map(
      lambda all_of, some: all_of.at[:-1].set(some), flying, asked
    )
  groups = jnp.append(early, jnp.int32(-1))
  return flying, groups, jnp.int32(replicas - 1)


def _checked(order, replicas) -> jax.Array:
  """Returns an order of finishing, after checking it unless it is traced."""
  if not isinstance(order, jax.core.Tracer):
    numbers = np.asarray(order)
    if sorted(numbers.tolist()) != list(range(len(numbers))):
      raise ValueError(
        f'order must have each group from 0 to {len(numbers) - 1} once, got '
        f'{errors.shorten(str(numbers.tolist()))}.'
      )
    is_early = numbers >= replicas + np.arange(len(numbers))
    if is_early.any():
      place = int(is_early.argmax())
      raise ValueError(
        f'Group {numbers[place]} cannot be the one at place {place} of order: '
        f'with {replicas} replicas it has not been asked for by then.'
      )
  return jnp.asarray(order, jnp.int32)


def init_key(key: jax.Array) -> jax.Array:
  """Returns the key for a strategy's `init`, given its arm's key."""
  return jax.random.fold_in(key, 0)


def round_key(key: jax.Array, round_index: jax.Array | int) -> jax.Array:
  """Returns the key for a strategy's `ask` in a round, given its arm's key."""
  return jax.random.fold_in(key, 1 + round_index)


def trial_key(key: jax.Array, proposal: jax.typing.ArrayLike) -> jax.Array:
  """Returns the key that a proposal is evaluated with, given its arm's key."""
  # No round has this number, so no other key of the arm is the same.
  return jax.random.fold_in(jax.random.fold_in(key, _TRIALS), proposal)


def probability_key(key: jax.Array, version: jax.typing.ArrayLike) -> jax.Array:
  """Returns the key that a version's policy is estimated with."""
  return jax.random.fold_in(jax.random.fold_in(key, _POLICIES), version)


_TRIALS, _POLICIES = 2**32 - 1, 2**32 - 2
