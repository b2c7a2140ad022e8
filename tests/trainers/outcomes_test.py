# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.trainers import outcomes
from jaxnas.types import Kept, Span, Status, Task, Trained

KEYS = jax.random.split(jax.random.key(0), 3)


def trained(values, states=None):
  kept = None
  if states is not None:
    kept = Kept((), KEYS, np.zeros(3, np.float32), 4, 4, states)
  return Trained(
    {'value': np.array(values, np.float32)},
    np.full(len(values), Status.OK, np.int32),
    kept=kept,
  )


def test_children_that_do_not_go_together_are_refused():
  rates = outcomes.check('ab', KEYS[:2], [1, 2])
  assert rates.dtype == np.float32
  with pytest.raises(ValueError, match='got 3 architectures, 2 keys and 2'):
    outcomes.check('abc', KEYS[:2], [1, 2])
  with pytest.raises(ValueError, match='at least one child'):
    outcomes.check('', KEYS[:0], [])


def test_a_span_ends_within_the_training():
  assert outcomes.span(3, None, 9) == Span(3, 9, 9)
  assert outcomes.span(3, 3, 9) == Span(3, 3, 9)
  for stop in (2, 10):
    with pytest.raises(ValueError, match=f'from 3, .* to 9, .* got {stop}'):
      outcomes.span(3, stop, 9)


def make_task(**metrics):
  return Task(
    init=lambda program, key, rate: jnp.float32(100),
    train=lambda data, program, state, key, rate, span: state + data,
    train_metrics=lambda state: {'state': state, **metrics},
    measure=lambda split, program, state: {},
    train_data=1,
    splits={'b': 0, 'a': 1},
  )


def test_a_span_that_starts_at_0_makes_the_child():
  train = outcomes.train_from(make_task(is_alive=True))
  for start, expected in ((0, 101), (2, 6)):
    state, metrics = train(1, None, 5.0, KEYS[0], 0.1, Span(start, 3, 3))
    assert state == metrics['state'] == expected


def test_a_task_must_tell_who_is_alive():
  train = outcomes.train_from(make_task(x=1))
  with pytest.raises(ValueError, match=r"include 'is_alive'.*got state, x"):
    train(1, None, 0.0, KEYS[0], 0.1, Span(0, 1, 1))


def test_a_split_that_is_not_there_is_told():
  splits = make_task().splits
  assert outcomes.split_of(splits, 'a') == 1
  with pytest.raises(ValueError, match=r"no split 'c' .* it has a, b"):
    outcomes.split_of(splits, 'c')


def test_parts_are_joined_in_their_rows():
  joined = outcomes.join(
    [([2, 0], trained([1, 2], ['x', 'y'])), ([1], 'It needs 9 GiB.')], 3
  )
  np.testing.assert_array_equal(joined.metrics['value'], [2, np.nan, 1])
  assert joined.status.tolist() == [
    Status.OK, Status.OUT_OF_MEMORY, Status.OK
  ]  # fmt: skip
  assert joined.reasons == ('', 'It needs 9 GiB.', '')
  assert joined.kept.states == ['y', None, 'x']


def test_what_is_known_of_children_does_not_depend_on_who_fits():
  known = {
    'count': jax.ShapeDtypeStruct((), np.int32),
    'curve': jax.ShapeDtypeStruct((4,), np.float32),
  }
  metrics = outcomes.join([([0, 1], 'It needs 9 GiB.')], 2, known).metrics
  np.testing.assert_array_equal(metrics['count'], [0, 0])
  np.testing.assert_array_equal(metrics['curve'], np.full((2, 4), np.nan))
