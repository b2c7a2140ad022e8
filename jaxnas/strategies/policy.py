# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The common part of strategies that train a controller by gradient descent.

Such a strategy draws architectures from a controller, compares their rewards
with a baseline, and descends the gradient of a loss. Strategies differ only in
the loss and in the number of steps per batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import functools
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax

from jaxnas import errors
from jaxnas.strategies import policy_gradient, told
from jaxnas.types import Controller, Params, Proposals, Strategy

PolicyLoss = Callable[..., jax.Array]
"""`(log_prob, proposed_log_prob, advantage, entropy) -> scalar`, where each
argument is `[N]`: an architecture's current log-probability, the one it was
proposed with, its reward less the baseline, and the policy's current entropy at
it. Log-probabilities and entropies are in nats. If proposals may be old and the
correction is `'truncated'`, a fifth argument `is_current`, `bool[N]`, tells
which architectures the current parameters proposed."""

CORRECTIONS = ('none', 'stale', 'truncated')
"""The ways to learn from proposals of earlier parameters."""

# The standard error of a probability is thereby below 0.05, and usually far
# below it; see `_make_probabilities`.
_NUM_SAMPLES = 128


class PolicyState(NamedTuple):
  """The state of a strategy that trains a controller.

  Attributes:
    params: the controller's parameters.
    opt_state: the optimizer's state.
    baseline: the moving average of the batches' mean returns, a scalar.
    num_updates: the number of batches told so far, a scalar. The first batch
      only sets the baseline; every later one also updates the parameters.
  """

  params: Params
  opt_state: optax.OptState
  baseline: jax.Array
  num_updates: jax.Array


class SkipPrior(NamedTuple):
  """How often anchor points should choose a layer.

  "Efficient Neural Architecture Search via Parameter Sharing", Pham et al.,
  2018 (https://arxiv.org/abs/1802.03268). The return of an architecture is
  lower by `weight` times the mean, over all anchor points but the first, of the
  divergence of their coins from those of the prior; see `anchors.divergence`.
  These are the coins that are tossed: in ENAS's code, from which the defaults
  are, layers are chosen with the sigmoid of twice the logit that the divergence
  sees, so that its 0.4 stands for 0.31.

  Attributes:
    probability: the prior's probability, above 0 and below 1.
    weight: the reward per nat.
  """

  probability: float = 0.4
  weight: float = 0.8


def make_policy_gradient(
  controller: Controller,
  loss: PolicyLoss,
  *,
  learning_rate: float,
  baseline_decay: float,
  entropy_weight: float,
  max_grad_norm: float | None,
  optimizer: optax.GradientTransformation | None,
  num_epochs: int = 1,
  correction: str = 'none',
  skip_prior: SkipPrior | None = None,
) -> Strategy:
  """Makes a strategy that trains a controller by the gradient of a loss.

  A batch is compared with the baseline before its mean return enters the
  baseline: `b <- decay * b + (1 - decay) * mean`. The first batch sets the
  baseline and changes nothing else, since there is no earlier reward to compare
  it with. The return, `R + entropy_weight * H`, less the penalty of a skip
  prior, is also what the parameters climb.

  A token of -1 tells `tell` that a decision was not made. The metrics of `tell`
  are scalars: `baseline` (the one that the batch was compared with),
  `mean_reward`, and, of the policy that proposed the batch, `entropy` (the mean
  `H`, in nats), `grad_norm` (before clipping) and, if there is a skip prior,
  `skip_penalty` (its mean). A reward that is not finite raises `ValueError`,
  or, if it is traced, discards its batch; see `told`.

  A batch may have been proposed by earlier parameters, group by group, as in a
  search with replicas. The `correction` chooses how this is treated:

  - `'none'`: not at all. The gradient is taken at the current parameters, and
    the loss may compare the log-probabilities.
  - `'stale'`: the gradient of each group, and its entropy, are taken at the
    parameters that proposed it, which `Proposals.policy` carries.
  - `'truncated'`: the gradient is taken at the current parameters, and the loss
    is told which groups they did not propose; `Proposals.policy` carries the
    number of updates.

  Without a `Proposals.policy` no proposal is old, and all three are the same.

  Args:
    controller: the policy.
    loss: the loss to descend; it applies `entropy_weight` itself.
    learning_rate: Adam's learning rate; unused if `optimizer` is given.
    baseline_decay: the share of the old baseline that stays, in `[0, 1)`.
    entropy_weight: the reward per nat of entropy.
    max_grad_norm: the bound on the gradient's global norm; `None` for no bound.
    optimizer: the optimizer to use in place of Adam.
    num_epochs: the number of steps per batch, each on the whole batch.
    correction: one of `CORRECTIONS`.
    skip_prior: how often anchor points should choose a layer; `None` for no
      matter how often.

  Returns:
    A strategy whose state is a `PolicyState`.

  Raises:
    ValueError: a number is out of range, the correction is unknown, or it or
      the controller does not go together with a skip prior. All numbers except
      `num_epochs` may be traced, as under `vmap` over settings, and are then
      not checked.
  """
  _check_controller(controller)
  _check_arguments(
    learning_rate, baseline_decay, entropy_weight, max_grad_norm, num_epochs
  )
  if correction not in CORRECTIONS:
    raise ValueError(
      f'correction must be one of {", ".join(CORRECTIONS)}, got {correction!r}.'
    )
  if skip_prior is not None:
    _check_skip_prior(skip_prior, controller, correction)
  if optimizer is None:
    optimizer = optax.adam(learning_rate)
  if max_grad_norm is not None:
    optimizer = optax.chain(optax.clip_by_global_norm(max_grad_norm), optimizer)
  gradient = policy_gradient.make_gradient(
    controller, loss, correction, skip_prior
  )
  improve = _make_improve(gradient, optimizer.update, num_epochs)
  learn = _make_learn(improve, baseline_decay, entropy_weight)
  learn_alone = jax.jit(learn)
  draw = _make_draw(controller)
  # A user's own controller may lack this function, and it knows no divergence.
  sample_and_vjp: Any = getattr(controller, 'sample_and_vjp', None)
  is_kept = sample_and_vjp is not None and skip_prior is None

  @jax.jit
  def init(key: jax.Array) -> PolicyState:
    params = controller.init(key)
    return PolicyState(
      params=params,
      opt_state=optimizer.init(params),
      baseline=jnp.zeros(()),
      num_updates=jnp.zeros((), jnp.int32),
    )

  def ask(
    state: PolicyState,
    key: jax.Array,
    num_trials: int,
    num_active: jax.Array | int | None = None,
  ) -> Proposals:
    note = {'stale': state.params, 'truncated': state.num_updates}
    return draw(
      state.params,
      note.get(correction),
      key,
      _num_active(num_active),
      num_trials,
    )

  def tell(state, proposals, rewards):
    told.check(rewards)
    return learn_alone(state, proposals, rewards)

  def ask_and_teller(state, key, num_trials, num_active=None):
    keys = jax.random.split(key, num_trials)
    tokens, values, vjp = sample_and_vjp(state.params, keys, num_active)
    proposals = Proposals(tokens, jnp.sum(values[0], axis=-1))

    def first_gradient(advantage):
      return policy_gradient.pull_back(loss, values, vjp, advantage)

    def tell(rewards):
      told.check(rewards)
      return learn(state, proposals, rewards, first_gradient)

    return proposals, tell

  return Strategy(
    init,
    ask,
    tell,
    _make_probabilities(controller),
    ask_and_teller if is_kept else None,
  )


def _num_active(num_active: jax.Array | int | None) -> jax.Array:
  # All depths must have one type to share a program, so "all decisions" is a
  # number that no controller reaches.
  if num_active is None:
    num_active = jnp.iinfo(jnp.int32).max
  return jnp.asarray(num_active, jnp.int32)


def _make_draw(controller):
  """Makes the function that draws proposals."""

  @functools.partial(jax.jit, static_argnames='num_trials')
  def draw(params, note, key, num_active, num_trials) -> Proposals:
    keys = jax.random.split(key, num_trials)
    tokens, log_prob = jax.vmap(
      controller.sample_and_log_prob, in_axes=(None, 0, None)
    )(params, keys, num_active)
    return Proposals(
      tokens=tokens,
      log_prob=jnp.sum(log_prob, axis=-1),
      policy=jax.tree.map(lambda leaf: leaf[None], note),
    )

  return draw


def _make_probabilities(controller):
  """Makes the function that estimates each decision's distribution.

  The estimate averages the distributions that the decisions of random
  architectures are drawn from. This has a lower variance than counting the
  draws: it is exact for a decision that depends on no other.
  """
  # A user's own controller may lack this function.
  if getattr(controller, 'sample_probabilities', None) is None:
    return None

  @jax.jit
  def estimate(params, key, num_active) -> jax.Array:
    keys = jax.random.split(key, _NUM_SAMPLES)
    samples = jax.vmap(controller.sample_probabilities, (None, 0, None))(
      params, keys, num_active
    )
    return jnp.mean(samples, axis=0)

  def probabilities(
    state: PolicyState,
    key: jax.Array,
    num_active: jax.Array | int | None = None,
  ) -> jax.Array:
    return estimate(state.params, key, _num_active(num_active))

  return probabilities


def _make_learn(improve, baseline_decay, entropy_weight):
  """Makes the function that learns from one batch.

  It takes what `improve` takes as its `first_gradient`, if anything.
  """

  def learn(
    state: PolicyState,
    proposals: Proposals,
    rewards: jax.Array,
    *first_gradient: Callable[[jax.Array], tuple[Params, jax.Array]],
  ) -> tuple[PolicyState, Mapping[str, jax.Array]]:
    chex.assert_equal_shape([proposals.log_prob, rewards])
    is_first = state.num_updates == 0
    before = state.params, state.opt_state
    after, measured = improve(
      *before,
      state.num_updates,
      proposals,
      rewards - state.baseline,
      *first_gradient,
    )
    params, opt_state = jax.tree.map(
      lambda new, old: jnp.where(is_first, old, new), after, before
    )
    mean_reward = jnp.mean(rewards)
    mean_return = mean_reward + entropy_weight * measured['entropy']
    if 'skip_penalty' in measured:
      mean_return -= measured['skip_penalty']
    decay = jnp.where(is_first, 0.0, baseline_decay)
    baseline = decay * state.baseline + (1 - decay) * mean_return
    metrics = {
      'baseline': jnp.where(is_first, baseline, state.baseline),
      'mean_reward': mean_reward,
      **measured,
    }
    num_updates = state.num_updates + 1
    learned = PolicyState(params, opt_state, baseline, num_updates)
    return told.keep_where_finite(rewards, learned, state), metrics

  return learn


def _make_improve(gradient, update, num_epochs):
  """Makes the function that takes the steps on one batch."""

  def improve(
    params, opt_state, num_updates, proposals, advantage, first_gradient=None
  ):
    """Takes the steps.

    Args:
      params: the parameters before.
      opt_state: the optimizer's state before.
      num_updates: the number of batches told before.
      proposals: the batch.
      advantage: the rewards less the baseline, `[N]`.
      first_gradient: `advantage -> (grads, measured)`, that of the first step,
        where it is cheaper than from the batch.

    Returns:
      `(params, opt_state)`, and what was measured before them.
    """

    def take(carry, grads, measured):
      params, opt_state = carry
      updates, opt_state = update(grads, opt_state, params)
      params = optax.apply_updates(params, updates)
      measured = {**measured, 'grad_norm': optax.tree.norm(grads)}
      return (params, opt_state), measured

    def step(carry, _):
      return take(carry, *gradient(carry[0], num_updates, proposals, advantage))

    after = params, opt_state
    if first_gradient is None:
      after, measured = jax.lax.scan(step, after, length=num_epochs)
      return after, {name: values[0] for name, values in measured.items()}
    after, measured = take(after, *first_gradient(advantage))
    if num_epochs > 1:
      after, _ = jax.lax.scan(step, after, length=num_epochs - 1)
    return after, measured

  return improve


def is_violated(condition: jax.Array | bool) -> bool:
  """Returns whether a condition is known to be false; a traced one is not."""
  return not isinstance(condition, jax.core.Tracer) and not condition


def _check_controller(controller) -> None:
  # No isinstance: a user's own controller needs only the functions.
  if not hasattr(controller, 'sample_and_log_prob'):
    raise ValueError(
      'controller must be a Controller, such as '
      'make_controller(space.decisions); got '
      f'{errors.shorten(repr(controller))}.'
    )


def _check_skip_prior(skip_prior, controller, correction) -> None:
  probability, weight = skip_prior
  # A divergence from what rounds to never or always would be infinite.
  rounded = jnp.asarray(probability, jnp.float32)
  if is_violated((rounded > 0) & (rounded < 1)):
    raise ValueError(
      'The probability of a skip prior must be in (0, 1), also as a float32, '
      f'got {probability}.'
    )
  if is_violated(weight >= 0):
    raise ValueError(
      f'The weight of a skip prior must be at least 0, got {weight}.'
    )
  if getattr(controller, 'log_prob_and_divergence', None) is None:
    raise ValueError(
      'A skip prior needs a controller with log_prob_and_divergence, such as '
      'make_controller makes for two anchor points or more.'
    )
  if correction != 'none':
    raise ValueError(
      f"A skip prior needs the correction 'none', got {correction!r}."
    )


def _check_arguments(
  learning_rate, baseline_decay, entropy_weight, max_grad_norm, num_epochs
) -> None:
  if is_violated(learning_rate > 0):
    raise ValueError(
      f'learning_rate must be greater than 0, got {learning_rate}.'
    )
  if is_violated((baseline_decay >= 0) & (baseline_decay < 1)):
    raise ValueError(f'baseline_decay must be in [0, 1), got {baseline_decay}.')
  if is_violated(entropy_weight >= 0):
    raise ValueError(
      f'entropy_weight must be at least 0, got {entropy_weight}.'
    )
  if max_grad_norm is not None and is_violated(max_grad_norm > 0):
    raise ValueError(
      f'max_grad_norm must be greater than 0 or None, got {max_grad_norm}.'
    )
  if num_epochs < 1:
    raise ValueError(f'num_epochs must be at least 1, got {num_epochs}.')
