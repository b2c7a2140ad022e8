# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import math
import pickle

import pytest

from jaxnas.workers import function_servant, process


def give(value, seed, **settings):
  return value if seed == 0 else settings


@pytest.fixture(name='servant')
def make_servant():
  return function_servant.FunctionServant(pickle.dumps(give))


@pytest.mark.parametrize(
  ('result', 'values'),
  [
    (3, {'reward': 3.0}),
    (True, {'reward': 1.0}),
    ({'reward': -2, 'size': 7}, {'reward': -2.0, 'size': 7.0}),
    ({'reward': 0, 5: 10**400}, {'reward': 0.0, '5': math.inf}),
  ],
)
def test_an_answer_has_numbers_by_name(servant, result, values):
  assert servant((result, 0, {})) == values


def test_named_arguments_arrive(servant):
  assert servant((None, 1, {'reward': 4})) == {'reward': 4.0}


@pytest.mark.parametrize(
  ('result', 'reason'),
  [
    (None, 'expected a number, got a NoneType'),
    ('0.5', 'expected a number, got a str'),
    ({'reward': 1, 'size': [2]}, "expected a number as 'size', got a list"),
    ({}, "the mapping needs a 'reward', got nothing"),
    ({'a': 1, 'b': 2}, "the mapping needs a 'reward', got a, b"),
  ],
)
def test_what_is_no_reward_is_told(servant, result, reason):
  with pytest.raises(process.RefusalError) as error:
    servant((result, 0, {}))
  assert str(error.value) == reason
