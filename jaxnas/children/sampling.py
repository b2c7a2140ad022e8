# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Draws text from a language model, token by token, in one program."""

from __future__ import annotations

from collections.abc import Mapping
import functools
from typing import Any

import chex
import jax
from jax import lax
import jax.numpy as jnp

from jaxnas.children import language_model


@functools.partial(jax.jit, static_argnames=('model', 'num_tokens'))
def sample(
  model: language_model.LanguageModel,
  params: Mapping[str, Any],
  keys: jax.Array,
  prompt: jax.Array,
  num_tokens: int,
  temperature: jax.Array | float,
  is_allowed: jax.Array,
) -> tuple[jax.Array, jax.Array]:
  """Draws continuations of a prompt.

  The draw of a token depends only on its sample's key and its position, so a
  longer sample begins like a shorter one.

  `V` is the size of the vocabulary, `S` the number of samples.

  Args:
    model: the language model.
    params: the variables of the model.
    keys: the random key of each sample, `key[S]`.
    prompt: the tokens to continue, at least one, `int32[T]`.
    num_tokens: the number of tokens to draw.
    temperature: the divisor of the logits, at least 0. At 0, the most probable
      token is taken; at 1, tokens are drawn with the model's probabilities.
    is_allowed: whether each token may be drawn, `bool[V]`; true for at least
      one.

  Returns:
    The tokens drawn, `int32[S, num_tokens]`, and whether all logits of each
    sample were finite, `bool[S]`; the tokens of a sample for which they were
    not are meaningless.
  """
  chex.assert_rank([keys, prompt, is_allowed], 1)
  chex.assert_shape(is_allowed, (model.vocab_size,))
  num_samples = len(keys)
  read = jnp.broadcast_to(prompt[:-1, None], (len(prompt) - 1, num_samples))
  carry = model.initialize_carry(num_samples)
  if len(prompt) > 1:
    carry, _ = model.apply(params, carry, read, method='encode')

  def step(state, place):
    carry, tokens, is_finite = state
    logits, carry = model.apply(params, carry, tokens[None], method='logits')
    logits = logits[0]
    is_finite &= jnp.isfinite(logits).all(axis=-1)
    logits = jnp.where(is_allowed[None], logits, -jnp.inf)
    best = jnp.argmax(logits, axis=-1)
    # The largest logit is 0, so it stays finite at any temperature.
    relative = logits - logits.max(axis=-1, keepdims=True)
    divisor = jnp.where(temperature > 0, temperature, 1)
    drawn = jax.vmap(jax.random.categorical)(
      jax.vmap(jax.random.fold_in, (0, None))(keys, place), relative / divisor
    )
    tokens = jnp.where(temperature > 0, drawn, best).astype(jnp.int32)
    return (carry, tokens, is_finite), tokens

  first = jnp.broadcast_to(prompt[-1], (num_samples,)).astype(jnp.int32)
  start = carry, first, jnp.ones(num_samples, bool)
  (_, _, is_finite), tokens = lax.scan(step, start, jnp.arange(num_tokens))
  return tokens.T, is_finite
