# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A policy whose decisions are independent: one free logit for each outcome.

Every choice and every range has a softmax of its own, and every earlier layer
that an anchor point may select has a coin of its own, whose probability is the
sigmoid of its logit: the multinomial of `anchors.make_multinomial`.

Both are drawn by the Gumbel trick: the outcome whose logit plus noise is the
greatest is an exact draw from a softmax, and heads if logit plus noise is
positive, with the difference of two Gumbel variables as noise, is one of a
coin. Relaxations, in `strategies.estimators`, replace what is greatest by a
function with derivatives.

Shape letters here: `V` outcomes of all decisions in the order of
`Strategy.probabilities`, `C` decisions of one token, of at most `K` outcomes,
`P` coins, `T` tokens, and `...` any axes or none.
"""

from __future__ import annotations

from collections.abc import Sequence

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.decisions import check_decisions
from jaxnas.types import AnchorPoint, Controller, Decision, Params


class FactorizedPolicy:
  """The functions of a factorized policy's logits, all of them pure.

  Attributes:
    num_decisions: the number of decisions.
    num_tokens: the number of tokens, `T`.
    num_outcomes: the number of outcomes, `V`.
  """

  def __init__(self, decisions: Sequence[Decision]):
    """Makes the policy.

    Args:
      decisions: the decisions of a search space, of any kind.

    Raises:
      ValueError: an entry is not a decision, or no decision has a token.
    """
    check_decisions(decisions)
    if not sum(decision.num_tokens for decision in decisions):
      raise ValueError(
        'decisions needs at least one decision with a token, got '
        f'{tuple(decisions)}.'
      )
    self.num_decisions = len(decisions)
    choices: list[range] = []
    coins: list[int] = []
    tokens_of_choices: list[int] = []
    tokens_of_coins: list[int] = []
    outcome = token = 0
    for decision in decisions:
      if isinstance(decision, AnchorPoint):
        coins += range(outcome, outcome + decision.num_outcomes)
        tokens_of_coins += range(token, token + decision.num_tokens)
      else:
        choices.append(range(outcome, outcome + decision.num_outcomes))
        tokens_of_choices.append(token)
      outcome += decision.num_outcomes
      token += decision.num_tokens
    self.num_tokens, self.num_outcomes = token, outcome

    width = max(map(len, choices), default=1)
    # Where each choice's outcomes are among all; any outcome beyond the last.
    self._choices = np.zeros((len(choices), width), np.int32)
    self._is_choice = np.zeros((len(choices), width), bool)
    for row, places in enumerate(choices):
      self._choices[row, : len(places)] = places
      self._is_choice[row, : len(places)] = True
    self._coins = np.asarray(coins, np.int32)
    # Where each outcome is when all `[C, K]` and then all `[P]` are in one row.
    self._order = np.zeros(outcome, np.int32)
    self._order[self._choices[self._is_choice]] = np.flatnonzero(
      self._is_choice
    )
    self._order[self._coins] = self._is_choice.size + np.arange(len(coins))
    self._token_order = np.argsort(tokens_of_choices + tokens_of_coins)
    self._choice_tokens = np.asarray(tokens_of_choices, np.int32)
    self._coin_tokens = np.asarray(tokens_of_coins, np.int32)
    steps = np.arange(self.num_decisions, dtype=np.int32)
    self._outcome_steps = np.repeat(steps, [d.num_outcomes for d in decisions])
    self._token_steps = np.repeat(steps, [d.num_tokens for d in decisions])

  def probabilities(
    self, scores: jax.Array, temperature: jax.typing.ArrayLike = 1.0
  ) -> jax.Array:
    """Returns the probability of every outcome, `[..., V]`.

    Args:
      scores: the logits, or what `perturb` made of them, `[..., V]`.
      temperature: what they are divided by, a positive scalar.
    """
    choices, coins = self._split(scores / temperature)
    return self._join(
      jax.nn.softmax(self._masked(choices)), jax.nn.sigmoid(coins)
    )

  def perturb(self, logits: jax.Array, key: jax.Array) -> jax.Array:
    """Adds noise, of which `harden` makes an exact draw.

    Args:
      logits: the logits, `[..., V]`; each row gets noise of its own.
      key: a random key.

    Returns:
      `[..., V]`: Gumbel noise more than the logits of choices, and the
      difference of two Gumbel variables more than those of coins.
    """
    first, second = jax.random.gumbel(key, (2, *logits.shape), logits.dtype)
    is_coin = np.zeros(self.num_outcomes, bool)
    is_coin[self._coins] = True
    is_coin = np.broadcast_to(is_coin, logits.shape)
    return logits + first - jnp.where(is_coin, second, 0)

  def harden(self, scores: jax.Array) -> jax.Array:
    """Returns the most likely outcomes: 1 for each of them, 0 for others.

    Args:
      scores: the logits, or what `perturb` made of them, `[..., V]`.
    """
    choices, coins = self._split(scores)
    best = jnp.argmax(self._masked(choices), axis=-1)
    return self._join(
      jax.nn.one_hot(best, choices.shape[-1], dtype=scores.dtype),
      (coins > 0).astype(scores.dtype),
    )

  def tokens(self, outcomes: jax.Array) -> jax.Array:
    """Returns the tokens of chosen outcomes, `int32[..., T]`.

    Args:
      outcomes: 1 for the chosen outcomes and 0 for others, `[..., V]`.
    """
    choices, coins = self._split(outcomes)
    tokens = jnp.concatenate(
      [jnp.argmax(choices, axis=-1), coins.astype(jnp.int32)], axis=-1
    )
    return tokens[..., self._token_order].astype(jnp.int32)

  def outcomes(self, tokens: jax.Array) -> jax.Array:
    """Returns 1 for the outcomes of tokens, 0 for others, `float32[..., V]`.

    Args:
      tokens: the tokens, `int32[..., T]`; one of -1 has no outcome.
    """
    chex.assert_axis_dimension(tokens, -1, self.num_tokens)
    return self._join(
      jax.nn.one_hot(tokens[..., self._choice_tokens], self._choices.shape[1]),
      (tokens[..., self._coin_tokens] == 1).astype(jnp.float32),
    )

  def sample(self, logits: jax.Array, key: jax.Array) -> jax.Array:
    """Draws the tokens of one architecture for each row, `int32[..., T]`.

    Args:
      logits: the logits, `[..., V]`.
      key: a random key.
    """
    return self.tokens(self.harden(self.perturb(logits, key)))

  def log_prob(
    self, logits: jax.Array, tokens: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    """Returns log-probabilities and entropies, both `[..., decisions]`, nats.

    Both are 0 for a decision that was not made.

    Args:
      logits: the logits, `[V]`.
      tokens: the tokens, `int32[..., T]`; -1 where a decision was not made.
    """
    chex.assert_shape(logits, (self.num_outcomes,))
    chosen = self.outcomes(tokens)
    is_made = self.by_decision(tokens < 0, self._token_steps) == 0
    choices, coins = self._split(logits)
    # Finite, so that no product with 0 is NaN.
    log_softmax = jnp.where(
      self._is_choice, jax.nn.log_softmax(self._masked(choices)), 0.0
    )
    on, off = jax.nn.log_sigmoid(coins), jax.nn.log_sigmoid(-coins)
    # A coin that shows tails has `off`, where another outcome has nothing.
    likely = self._join(log_softmax, on)
    unlikely = self._join(jnp.zeros_like(log_softmax), off)
    log_prob = self.by_decision(
      jnp.where(
        chosen == 1,
        jnp.broadcast_to(likely, chosen.shape),
        jnp.broadcast_to(unlikely, chosen.shape),
      ),
      self._outcome_steps,
    )
    entropy = self.by_decision(
      -jnp.exp(likely) * likely - jnp.exp(unlikely) * unlikely,
      self._outcome_steps,
    )
    return (
      jnp.where(is_made, log_prob, 0.0),
      jnp.where(is_made, jnp.broadcast_to(entropy, is_made.shape), 0.0),
    )

  def by_decision(self, values: jax.Array, steps: np.ndarray) -> jax.Array:
    """Returns sums over what belongs to each decision, `[..., decisions]`.

    Args:
      values: the values, `[..., M]`.
      steps: the decision of each, `int32[M]`.
    """
    values = jnp.asarray(values)
    if values.dtype == bool:
      values = values.astype(jnp.int32)
    shape = (*values.shape[:-1], self.num_decisions)
    return jnp.zeros(shape, values.dtype).at[..., steps].add(values)

  def distributions(self, probabilities: jax.Array) -> list[jax.Array]:
    """Returns the distribution of every token, `T` arrays `[choices]`.

    Args:
      probabilities: the probabilities of all outcomes, `[V]`.
    """
    chex.assert_shape(probabilities, (self.num_outcomes,))
    choices = [
      probabilities[places[is_choice]]
      for places, is_choice in zip(self._choices, self._is_choice, strict=True)
    ]
    coins = [
      jnp.stack([1 - probabilities[place], probabilities[place]])
      for place in self._coins
    ]
    both = choices + coins
    return [both[place] for place in self._token_order]

  def is_active(self, num_active: jax.Array | int | None) -> jax.Array:
    """Returns which decisions are made, `bool[decisions]`; all if `None`."""
    steps = jnp.arange(self.num_decisions)
    return steps < (self.num_decisions if num_active is None else num_active)

  def make_controller(self) -> Controller:
    """Makes a controller, whose parameters are the logits, zeros at first."""

    def init(key: jax.Array) -> Params:
      del key
      return {'logits': jnp.zeros(self.num_outcomes)}

    def sample_and_log_prob(params, key, num_active=None):
      tokens = self.sample(params['logits'], key)
      is_token = self.is_active(num_active)[self._token_steps]
      tokens = jnp.where(is_token, tokens, -1)
      return tokens, self.log_prob(params['logits'], tokens)[0]

    def log_prob(params, tokens, num_active=None):
      is_token = self.is_active(num_active)[self._token_steps]
      tokens = jnp.where(jnp.broadcast_to(is_token, tokens.shape), tokens, -1)
      return self.log_prob(params['logits'], tokens)

    def sample_probabilities(params, key, num_active=None):
      del key
      is_outcome = self.is_active(num_active)[self._outcome_steps]
      return jnp.where(is_outcome, self.probabilities(params['logits']), -1)

    return Controller(init, sample_and_log_prob, log_prob, sample_probabilities)

  def _split(self, values: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns `[..., C, K]` and `[..., P]` of `[..., V]`."""
    chex.assert_axis_dimension(values, -1, self.num_outcomes)
    return values[..., self._choices], values[..., self._coins]

  def _join(self, choices: jax.Array, coins: jax.Array) -> jax.Array:
    """Returns `[..., V]` of `[..., C, K]` and `[..., P]`."""
    choices = choices.reshape(*choices.shape[:-2], -1)
    return jnp.concatenate([choices, coins], axis=-1)[..., self._order]

  def _masked(self, choices: jax.Array) -> jax.Array:
    is_choice = jnp.broadcast_to(self._is_choice, choices.shape)
    return jnp.where(is_choice, choices, -jnp.inf)
