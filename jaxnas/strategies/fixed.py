# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Proposes given architectures in order, such as the known cells of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.strategies import told
from jaxnas.types import Proposals, Strategy


class FixedState(NamedTuple):
  """The position in the list.

  Attributes:
    num_proposed: the number of architectures told so far, a scalar.
  """

  num_proposed: jax.Array


def make_fixed(tokens: Sequence[np.ndarray] | np.ndarray) -> Strategy:
  """Makes a strategy that proposes a list, over and over, and learns nothing.

  The position in the list is part of the state, and moves when the strategy is
  told. So it needs an arm with one replica: several would propose the same rows
  at first.

  Args:
    tokens: the architectures, `int32[M, T]`.

  Raises:
    ValueError: the list is empty.
  """
  if not len(tokens):
    raise ValueError('A fixed strategy needs at least one architecture.')
  table = jnp.asarray(np.stack([np.asarray(row) for row in tokens]), jnp.int32)

  def init(key):
    del key
    return FixedState(jnp.zeros((), jnp.int32))

  def ask(state, key, num_trials, num_active=None):
    del key, num_active
    rows = (state.num_proposed + jnp.arange(num_trials)) % len(table)
    return Proposals(table[rows], jnp.zeros(num_trials))

  def tell(state, proposals, rewards):
    told.check(rewards)
    metrics = {'mean_reward': jnp.mean(rewards)}
    return FixedState(state.num_proposed + len(proposals.tokens)), metrics

  return Strategy(init, ask, tell)
