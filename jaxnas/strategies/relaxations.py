# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Relaxed policies, which learn from derivatives of rewards.

A `RelaxedPolicy` is asked and told as a `Strategy` is, but it asks for
probabilities in place of tokens, and is told what rewards are worth *and* how
they change with the probabilities. Whoever trains and judges children computes
that, wherever it likes:

    probabilities = relaxed.ask(state, key)
    rewards, slopes = judge(probabilities)
    state, metrics = relaxed.tell(state, key, rewards, slopes)

In the end architectures are *drawn*, by `sample`. The most likely outcome of
every decision is often a bad architecture: on Base2Bench that of the mean
rewards is worse than an architecture drawn at random.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax

from jaxnas.controllers import factorized
from jaxnas.strategies import estimators
from jaxnas.strategies.policy import is_violated
from jaxnas.types import Decision, Proposals


class RelaxedState(NamedTuple):
  """The state of a relaxed policy.

  Attributes:
    logits: the policy's logits, `[V]`; zeros at first.
    opt_state: the optimizer's state.
    num_updates: the number of updates so far, a scalar.
  """

  logits: jax.Array
  opt_state: optax.OptState
  num_updates: jax.Array


class RelaxedPolicy(NamedTuple):
  """A factorized policy that learns through a relaxation; pure functions.

  Attributes:
    init: `key -> state`, a `RelaxedState`.
    ask: `(state, key) -> probabilities [N, V]`, for each draw those of all
      outcomes, in the order of `Strategy.probabilities`.
    tell: `(state, key, rewards [N], slopes [N, V]) -> (state, metrics)`, with
      the key of the `ask`, where `slopes` are the derivatives of each reward by
      its probabilities. A draw without a finite reward and finite slopes is
      left out; without any other, nothing is learned. The metrics are scalars:
      `mean_reward`, that of the draws that count, `entropy`, that of the policy
      before, in nats, `grad_norm`, `temperature` and `num_dropped`.
    sample: `(state, key, num_trials) -> Proposals`, tokens drawn from the
      policy.
    probabilities: `(state, key, num_active) -> float[V]`, as in `Strategy`.
  """

  init: Callable[[jax.Array], RelaxedState]
  ask: Callable[[RelaxedState, jax.Array], jax.Array]
  tell: Callable[
    [RelaxedState, jax.Array, jax.Array, jax.Array],
    tuple[RelaxedState, Mapping[str, jax.Array]],
  ]
  sample: Callable[[RelaxedState, jax.Array, int], Proposals]
  probabilities: Callable[..., jax.Array]


def anneal(
  num_updates: int, first: float = 10.0, last: float = 0.1
) -> optax.Schedule:
  """Returns a temperature that falls by the same factor at every update.

  Args:
    num_updates: the number of updates after which it is `last`, and remains.
    first: the temperature of the first update.
    last: the last temperature, at most `first`.

  Raises:
    ValueError: a number is out of range.
  """
  if num_updates < 1:
    raise ValueError(f'num_updates must be at least 1, got {num_updates}.')
  if not 0 < last <= first:
    raise ValueError(
      'A temperature falls from first to last > 0, got '
      f'first={first} and last={last}.'
    )
  return optax.exponential_decay(
    first, num_updates, decay_rate=last / first, end_value=last
  )


def make_optimizer(
  learning_rate: float = 3e-3, weight_decay: float = 1e-3
) -> optax.GradientTransformation:
  """Returns DARTS's optimizer of logits for recurrent cells.

  Adam, to whose gradient the decay is added before its moments, as in the
  authors' code (https://github.com/quark0/darts, `rnn/architect.py`).

  Args:
    learning_rate: the learning rate.
    weight_decay: what draws the logits to zero.
  """
  return optax.chain(
    optax.add_decayed_weights(weight_decay), optax.adam(learning_rate)
  )


def make_relaxed_policy(
  decisions: Sequence[Decision],
  estimator: str,
  num_draws: int = 1,
  temperature: optax.Schedule | float = 1.0,
  optimizer: optax.GradientTransformation | None = None,
  is_clipped: bool = True,
) -> RelaxedPolicy:
  """Makes a policy that climbs the rewards of a relaxation.

  Args:
    decisions: the decisions of the search space, of any kind.
    estimator: the relaxation, one of `estimators.RELAXATIONS`.
    num_draws: the number of draws of an update, `N`. Without noise, as
      `'darts'` is, all are the same, so it takes 1.
    temperature: the temperature of each update, such as `anneal`; not used by
      `'darts'`.
    optimizer: what descends; `make_optimizer()` by default.
    is_clipped: whether the gradient of each draw is bounded by the median of
      their norms, see `estimators.clip_draws`.

  Raises:
    ValueError: the relaxation is unknown, a number is out of range, or these
      are not decisions.
  """
  if estimator not in estimators.RELAXATIONS:
    raise ValueError(
      f'estimator must be one of {", ".join(estimators.RELAXATIONS)}, got '
      f'{estimator!r}.'
    )
  if num_draws < 1 or (estimator == 'darts' and num_draws > 1):
    expected = '1, without noise' if estimator == 'darts' else 'at least 1'
    raise ValueError(f'num_draws must be {expected}, got {num_draws}.')
  schedule: Any = temperature
  if not callable(temperature):
    if is_violated(temperature > 0):
      raise ValueError(
        f'temperature must be greater than 0, got {temperature}.'
      )
    schedule = optax.constant_schedule(temperature)
  policy = factorized.FactorizedPolicy(decisions)
  optimizer = make_optimizer() if optimizer is None else optimizer
  relaxation = estimators.RELAXATIONS[estimator]

  def draw(logits, key, num_updates):
    return relaxation(policy, logits, key, schedule(num_updates))

  def init(key: jax.Array) -> RelaxedState:
    del key
    logits = jnp.zeros(policy.num_outcomes)
    return RelaxedState(
      logits, optimizer.init(logits), jnp.zeros((), jnp.int32)
    )

  @jax.jit
  def ask(state: RelaxedState, key: jax.Array) -> jax.Array:
    return draw(_rows(state.logits, num_draws), key, state.num_updates)

  return RelaxedPolicy(
    init,
    ask,
    jax.jit(_make_tell(policy, draw, optimizer, schedule, is_clipped)),
    _make_sample(policy),
    _make_probabilities(policy),
  )


def _rows(logits: jax.Array, count: int) -> jax.Array:
  return jnp.broadcast_to(logits, (count, *logits.shape))


def _make_tell(policy, draw, optimizer, schedule, is_clipped):
  """Makes the function that learns from one batch of draws."""

  def tell(state, key, rewards, slopes):
    shape = rewards.shape[0], policy.num_outcomes
    chex.assert_shape(slopes, shape)
    is_finite = jnp.isfinite(rewards) & jnp.isfinite(slopes).all(-1)
    count = jnp.maximum(is_finite.sum(), 1)
    # Chosen and not multiplied, since 0 times infinity is NaN.
    slopes = jnp.where(jnp.broadcast_to(is_finite[:, None], shape), slopes, 0.0)
    # The noise of `ask` once more, which is what a key is not for elsewhere.
    noise = jax.random.clone(key)
    probabilities, pull_back = jax.vjp(
      lambda rows: draw(rows, noise, state.num_updates),
      _rows(state.logits, shape[0]),
    )
    chex.assert_equal_shape([probabilities, slopes])
    (gradients,) = pull_back(slopes)
    if is_clipped:
      is_given = jnp.broadcast_to(is_finite[:, None], shape)
      gradients = estimators.clip_draws(jnp.where(is_given, gradients, jnp.nan))
      gradients = jnp.where(is_given, gradients, 0.0)
    gradient = gradients.sum(0) / count
    updates, opt_state = optimizer.update(
      -gradient, state.opt_state, state.logits
    )
    logits = optax.apply_updates(state.logits, updates)
    logits, opt_state = jax.tree.map(
      lambda new, old: jnp.where(is_finite.any(), new, old),
      (logits, opt_state),
      (state.logits, state.opt_state),
    )
    tokens = jnp.zeros(policy.num_tokens, jnp.int32)
    metrics = {
      'mean_reward': jnp.where(is_finite, rewards, 0.0).sum() / count,
      # The same for all tokens.
      'entropy': policy.log_prob(state.logits, tokens)[1].sum(),
      'grad_norm': optax.tree.norm(gradient),
      'temperature': jnp.asarray(schedule(state.num_updates)),
      'num_dropped': (~is_finite).sum(),
    }
    return RelaxedState(logits, opt_state, state.num_updates + 1), metrics

  return tell


def _make_sample(policy):
  """Makes the function that draws tokens."""

  def sample(state, key, num_trials: int) -> Proposals:
    tokens = policy.sample(_rows(state.logits, num_trials), key)
    log_prob, _ = policy.log_prob(state.logits, tokens)
    return Proposals(tokens, log_prob.sum(-1))

  return jax.jit(sample, static_argnums=2)


def _make_probabilities(policy):
  """Makes the function that tells how likely every outcome is."""
  of_params = policy.make_controller().sample_probabilities

  def probabilities(state, key, num_active=None):
    return of_params({'logits': state.logits}, key, num_active)

  return probabilities
