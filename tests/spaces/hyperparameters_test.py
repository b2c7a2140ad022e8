# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import itertools
import json
import math
import pickle
from typing import Any

import numpy as np
import pytest

from jaxnas import types
from jaxnas.spaces import hyperparameters
from jaxnas.spaces.hyperparameters import Choice, Range

# For what a type checker refuses as well.
any_range: Any = Range

MIXED: dict[str, Range | Choice] = {
  'learning_rate': Range(1e-4, 1, log=True),
  'momentum': Range(0.0, 0.99, num_levels=12),
  'num_layers': Range(1, 8, integer=True),
  'batch_size': Choice((16, 32, 64)),
  'widths': Choice(((64,), [64, 32])),
  'schedule': Choice((None, 'cosine', True)),
}


@pytest.fixture(scope='module')
def space():
  return hyperparameters.make_space(MIXED)


def one(decision: Any) -> Any:
  return hyperparameters.make_space({'x': decision})


def test_names_become_decisions_of_one_token_in_order(space):
  assert [decision.name for decision in space.decisions] == list(MIXED)
  kinds = [type(decision) for decision in space.decisions]
  assert kinds == [types.Range] * 3 + [types.Choice] * 3
  sizes = [decision.num_choices for decision in space.decisions]
  assert sizes == [256, 12, 8, 3, 2, 3]
  assert space.num_tokens == 6
  assert space.size == math.prod(sizes)
  assert space.name == 'hyperparameters'


def test_a_decision_with_its_name_may_keep_it():
  rate = Range(0, 1, num_levels=3)
  named = hyperparameters.make_space({'x': Range(0, 1, False, 3, name='x')})
  assert named.decisions == one(rate).decisions
  assert rate.name == ''


def test_decode_gives_plain_python_values(space):
  result = space.decode(np.asarray([0, 11, 4, 1, 1, 0], np.int32))
  expected = {
    'learning_rate': 1e-4,
    'momentum': 0.99,
    'num_layers': 5,
    'batch_size': 32,
    'widths': (64, 32),
    'schedule': None,
  }
  assert result == expected
  assert result.to_dict() == expected
  assert type(result.to_dict()) is dict
  kinds = [type(value) for value in result.values()]
  assert kinds == [float, float, int, int, tuple, type(None)]
  assert (lambda **values: values)(**result) == expected
  assert result['batch_size'] == 32
  with pytest.raises(KeyError):
    result['other']


def test_hyperparameters_are_frozen_hashable_and_picklable(space):
  tokens = np.zeros(6, np.int32)
  first, second = space.decode(tokens), space.decode(tokens)
  assert first == second
  assert hash(first) == hash(second)
  assert first != space.decode(tokens + 1)
  swapped = hyperparameters.Hyperparameters(first.pairs[::-1])
  assert swapped == first
  assert hash(swapped) == hash(first)
  assert pickle.loads(pickle.dumps(first)) == first
  with pytest.raises(AttributeError):
    first.pairs = ()


@pytest.mark.parametrize(
  'decision',
  [
    Range(1e-4, 1, log=True),
    Range(-3, 7.3),
    Range(1e-5, 0.7, log=True, num_levels=31),
    Range(-4, 4, integer=True),
    Range(0, 10_000, integer=True),
    Choice((1, 'a', None, 2.5, (1, 'a'), False)),
  ],
)
def test_every_token_makes_the_round_trip(decision):
  space = one(decision)
  values = []
  for token in range(space.size):
    value = space.decode(np.asarray([token]))
    assert space.encode(value).tolist() == [token]
    assert space.canonical(np.asarray([token])).tolist() == [token]
    fields = json.loads(json.dumps(value.to_json()))
    assert fields == value.to_json()
    assert hyperparameters.Hyperparameters.from_json(fields) == value
    values.append(value['x'])
  assert len(set(values)) == space.size
  if isinstance(decision, Range):
    assert values == sorted(values)
    assert (values[0], values[-1]) == (decision.low, decision.high)
  assert space.encode({'x': values[-1]}).dtype == np.int32


def test_all_tokens_of_a_small_mixed_space_make_the_round_trip():
  space = hyperparameters.make_space(
    [('a', Range(1, 2, num_levels=3)), ('b', Choice((0, 1)))]
  )
  values = set()
  for tokens in itertools.product(range(3), range(2)):
    value: Any = space.decode(np.asarray(tokens))
    assert space.encode(value.to_dict()).tolist() == list(tokens)
    values.add(value)
  assert len(values) == space.size == 6


def test_a_value_between_levels_becomes_the_nearest():
  linear = one(Range(0, 10, num_levels=11))
  # Halfway in the logarithm is the square root of ten times the lower level.
  log = one(Range(1e-3, 10, log=True, num_levels=5))
  for value, token in [(3.4, 3), (3.6, 4), (3.5, 3), (10, 10)]:
    assert linear.encode({'x': value}).tolist() == [token]
  for number, token in [(0.031, 1), (0.032, 2), (np.float32(2.0), 3)]:
    assert log.encode({'x': number}).tolist() == [token]


def test_integers_share_the_logarithm_and_are_known_by_their_first_level():
  space = one(Range(1, 1024, log=True, num_levels=101, integer=True))
  values = [space.decode(np.asarray([token]))['x'] for token in range(101)]
  assert values == sorted(values)
  assert (values[0], values[-1]) == (1, 1024)
  assert all(type(value) is int for value in values)
  # 2 has the levels between 1.5 and 2.5: log2(2.5 / 1.5) tenths of them.
  assert values.count(2) == pytest.approx(10 * math.log2(2.5 / 1.5), abs=1)
  for token, value in enumerate(values):
    first = values.index(value)
    assert space.canonical(np.asarray([token])).tolist() == [first]
    assert space.encode({'x': value}).tolist() == [first]


def test_few_integers_have_a_level_each_and_many_have_the_ends():
  few = one(Range(2, 5, integer=True))
  assert [few.decode(np.asarray([token]))['x'] for token in range(4)] == [
    2, 3, 4, 5,
  ]  # fmt: skip
  many = one(Range(0, 1000, num_levels=5, integer=True))
  values = [many.decode(np.asarray([token]))['x'] for token in range(5)]
  assert values == [0, 250, 500, 750, 1000]


def test_numpy_scalars_become_pythons():
  space = one(Choice(np.asarray([0.5, 1.5])))
  assert type(space.decode(np.asarray([1]))['x']) is float
  space = one(any_range(np.float64(0.5), np.int32(2)))
  assert type(space.decode(np.asarray([255]))['x']) is float
  assert one(any_range(0, 1, num_levels=np.int64(4))).size == 4
  assert one(Choice(np.eye(2))).decode(np.asarray([1]))['x'] == (0.0, 1.0)


@pytest.mark.parametrize(
  ('decisions', 'message'),
  [
    ({}, 'needs at least one decision'),
    (
      [('a', Choice((1,))), ('b', Choice((1,))), ('a', Range(0, 1))],
      'need distinct names, got a, b, a',
    ),
    ({3: Range(0, 1)}, 'name of a hyperparameter must be a string, got 3'),
    ({'': Range(0, 1)}, "name of a hyperparameter must be a string, got ''"),
    ({'x': 3}, "'x' must be a Range or a Choice of jaxnas, got 3"),
    ({'x': types.AnchorPoint(2)}, "'x' must be a Range or a Choice of jaxnas"),
    (
      {'x': Range(0, 1, name='y')},
      "decision of hyperparameter 'x' is called 'y'",
    ),
    ({'x': Range(1.0, 1 + 1e-15)}, "'x' from 1.0 .* too narrow for 256 levels"),
    ({'x': Choice((max,))}, "'x' must be .*JSON can hold; got <built-in"),
    ({'x': Choice((1j,))}, "'x' must be .*JSON can hold; got 1j"),
    ({'x': Choice((math.nan,))}, "'x' must be .*JSON can hold; got nan"),
  ],
)
def test_bad_decisions_are_named_in_one_line(decisions, message):
  with pytest.raises(ValueError, match=message) as caught:
    hyperparameters.make_space(decisions)
  assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
  ('tokens', 'message'),
  [
    ([0, 0, 0, 3, 0, 0], "Token 3 is out of range for decision 'batch_size'"),
    ([256, 0, 0, 0, 0, 0], "Token 256 .*'learning_rate', which has 256"),
    ([0, -1, 0, 0, 0, 0], "Token -1 is out of range for decision 'momentum'"),
    ([0, 0], r'have 6 tokens, got an array of shape \(2,\)'),
    ([0.0] * 6, 'Tokens must be integers, got float64'),
  ],
)
def test_bad_tokens_are_named(space, tokens, message):
  for use in (space.decode, space.canonical):
    with pytest.raises(ValueError, match=message):
      use(np.asarray(tokens))


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (
      {'learning_rate': 2.0},
      "2.0 is out of range for decision 'learning_rate'",
    ),
    ({'momentum': -0.1}, "-0.1 is out of range for decision 'momentum', which"),
    ({'num_layers': '3'}, "Range 'num_layers' takes numbers, got '3'"),
    ({'batch_size': 17}, "17 is not a value of decision 'batch_size', which"),
    ({'other': 1}, 'Expected a mapping with values for learning_rate, mom'),
  ],
)
def test_bad_values_are_named(space, change, message):
  values = space.decode(np.zeros(6, np.int32)).to_dict() | change
  with pytest.raises(ValueError, match=message):
    space.encode(values)


def test_what_is_no_mapping_is_refused(space):
  with pytest.raises(ValueError, match='Expected a mapping with values for'):
    space.encode([1, 2])
  from_json: Any = hyperparameters.Hyperparameters.from_json
  with pytest.raises(ValueError, match=r'dict from names to values; got \[1\]'):
    from_json([1])
