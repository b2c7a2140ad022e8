# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.training import epochs

N, B = 7, 3
EPOCH_STEPS = N // B


@functools.partial(jax.jit, static_argnums=0)
def run(num_steps, state, start, stop):
  def step(index, rows, state):
    return state.at[index].set(rows)

  assert state.shape == (num_steps, B)
  return epochs.run(step, state, jax.random.key(0), N, B, start, stop)


def test_orders_are_permutations_that_differ():
  key = jax.random.key(0)
  orders = [epochs.order(key, epoch, 20).tolist() for epoch in range(2)]
  assert sorted(orders[0]) == sorted(orders[1]) == list(range(20))
  assert orders[0] != orders[1]


def test_batches_follow_the_order_of_their_epoch():
  seen = run(6, jnp.full((6, B), -1), 0, 6)
  for epoch, rows in enumerate(np.asarray(seen).reshape(-1, EPOCH_STEPS * B)):
    order = epochs.order(jax.random.key(0), epoch, N)
    # The last example of an odd order is left out.
    np.testing.assert_array_equal(rows, order[: EPOCH_STEPS * B])


@pytest.mark.parametrize('cut', range(7))
def test_a_cut_at_any_step_changes_nothing(cut):
  blank = jnp.full((6, B), -1)
  whole = run(6, blank, 0, 6)
  first = run(6, blank, 0, cut)
  assert (first[cut:] == -1).all()
  np.testing.assert_array_equal(run(6, first, cut, 6), whole)
