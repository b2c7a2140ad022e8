# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The shared training step on a task small enough for sums by hand.

An architecture is a number `a`, the weights are one number `w`, the loss is `(w
- a)^2 / 2` and its gradient `w - a`, clipped to 2.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.trainers import mapping
from jaxnas.training import shared

RATE = 0.5


def make_task():
  def gradient(data, program, params, carry, step):
    distance = params['w'] - program['a']
    loss = distance**2 / 2 + data[step]
    is_alive = jnp.isfinite(loss)
    grads = {'w': jnp.clip(distance, -2, 2)}
    carry = jnp.where(is_alive, carry + program['a'], 0)
    return shared.Gradient(loss, grads, is_alive, carry)

  def update(grads, opt_state, params):
    params = jax.tree.map(lambda w, g: w - RATE * g, params, grads)
    return params, opt_state + 1

  def loss(split, program, params, number):
    return (params['w'] - program['a']) ** 2 / 2 + split[number]

  return shared.SharedTask(
    init=lambda key: ({'w': jax.random.normal(key, ())}, jnp.zeros(())),
    start=lambda key: jnp.zeros(()),
    gradient=gradient,
    update=update,
    judge=lambda *given: {'loss': loss(*given)},
    measure=lambda split, program, params: {
      'mean': jnp.mean(jax.vmap(loss, (None, None, None, 0))(
        split, program, params, jnp.arange(len(split))
      ))
    },
    train_data=jnp.zeros(4),
    splits={'validation': jnp.array([0.0, 10.0])},
    num_batches={'validation': 2},
    assemble=lambda numbers: {'a': np.array(numbers, np.float32)},
    program_axes=0,
  )  # fmt: skip


TASK = make_task()


def make_state(w, num_children):
  state = shared.init(TASK, jax.random.key(0), num_children)
  return state._replace(params={'w': jnp.float32(w)})


def step(state, numbers, **given):
  return shared.train(
    TASK, TASK.train_data, state, TASK.assemble(numbers), **given
  )


def test_weights_follow_from_the_key_and_not_from_the_number_of_children():
  make = functools.partial(shared.init, TASK)
  first, second = make(jax.random.key(1), 2), make(jax.random.key(1), 3)
  assert first.params == second.params
  assert first.params != make(jax.random.key(2), 2).params
  assert (first.carry.shape, second.carry.shape) == ((2,), (3,))


@pytest.mark.parametrize('name', mapping.MAPPINGS)
def test_a_step_takes_the_mean_of_gradients_that_are_clipped_each(name):
  # Gradients -1, -2 and, clipped, -2.
  state = step(
    make_state(1, 3), [2, 3, 100], map_children=mapping.MAPPINGS[name]
  )
  np.testing.assert_allclose(state.params['w'], 1 + RATE * 5 / 3, rtol=1e-6)
  np.testing.assert_array_equal(state.carry, [2, 3, 100])
  assert state.num_steps == state.opt_state == 1
  assert state.num_dropped == 0


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_a_dead_child_is_left_out_counted_and_starts_anew(value):
  state = make_state(1, 3)._replace(carry=jnp.ones(3))
  state = step(state, [2, value, 3])
  assert state.params['w'] == 1 + RATE * 1.5
  np.testing.assert_array_equal(state.carry, [3, 0, 4])
  assert state.num_dropped == 1
  state = step(state, [2, 2, 2])
  assert np.isfinite(state.params['w'])
  assert state.num_dropped == 1


def test_a_step_whose_children_are_all_dead_changes_no_weights():
  state = step(make_state(1, 2), [np.nan, np.inf])
  assert state.params['w'] == 1
  assert state.opt_state == 0
  assert state.num_steps == 1
  assert state.num_dropped == 2


def test_children_are_judged_with_the_same_weights():
  params, split = {'w': jnp.float32(1)}, TASK.splits['validation']
  programs = TASK.assemble([1, 3])
  judged = shared.judge(TASK, split, params, programs, 1)
  np.testing.assert_array_equal(judged['loss'], [10, 12])
  measured = shared.measure(TASK, split, params, programs)
  np.testing.assert_array_equal(measured['mean'], [5, 7])
