# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from jaxnas import decisions, types

# For what a type checker refuses as well.
any_choice: Any = decisions.Choice
any_range: Any = decisions.Range
any_three: Any = 3


def make_space(*parts):
  return types.SearchSpace(
    name='space',
    decisions=parts,
    decode=tuple,
    encode=list,
    canonical=lambda tokens: tokens,
    size=math.prod(d.num_choices**d.num_tokens for d in parts),
  )


def test_decisions_count_their_tokens_and_choices():
  choice = decisions.Choice((24, 36, 48), 'filters')
  anchor = decisions.AnchorPoint(4, 'skips')
  rate = decisions.Range(0.1, 1.0, num_levels=11, name='rate')
  assert (choice.num_tokens, choice.num_choices) == (1, 3)
  assert (anchor.num_tokens, anchor.num_choices) == (4, 2)
  assert (rate.num_tokens, rate.num_choices) == (1, 11)
  assert make_space(choice, anchor, rate).num_tokens == 6
  assert make_space().num_tokens == 0
  assert [d.num_outcomes for d in (choice, anchor, rate)] == [3, 4, 11]
  # The first layer has no earlier layers: a decision without tokens.
  assert decisions.AnchorPoint(0, 'skips').num_tokens == 0


@pytest.mark.parametrize(
  ('make', 'message'),
  [
    (
      lambda: decisions.Choice((), 'filters'),
      "Choice 'filters' needs at least one value",
    ),
    (
      lambda: decisions.Choice((24, 36, 24), 'filters'),
      r"Choice 'filters' needs distinct values, got \(24, 36, 24\)",
    ),
    (
      lambda: decisions.AnchorPoint(-1, 'skips'),
      "AnchorPoint 'skips' needs num_previous >= 0, got -1",
    ),
    (
      lambda: decisions.Range(1.0, 1.0, name='rate'),
      "Range 'rate' needs low < high, got 1.0 and 1.0",
    ),
    (
      lambda: decisions.Range(math.nan, 1.0, name='rate'),
      "Range 'rate' needs low < high, got nan and 1.0",
    ),
    (
      lambda: decisions.Range(0.0, math.inf, name='rate'),
      "Range 'rate' needs finite bounds, got 0.0 and inf",
    ),
    (
      lambda: decisions.Range(0.0, 1.0, log=True, name='rate'),
      "Range 'rate' is logarithmic and needs low > 0, got 0.0",
    ),
    (
      lambda: decisions.Range(0.0, 1.0, num_levels=1, name='rate'),
      "Range 'rate' needs at least 2 levels, got 1",
    ),
    (lambda: decisions.Choice(()), '^Choice needs at least one value'),
    (lambda: any_choice('relu'), "a tuple or a list of values, got 'relu'"),
    (lambda: any_choice('size', (1, 2)), "a list of values, got 'size'"),
    (lambda: any_choice({'a'}), "a tuple or a list of values, got {'a'}"),
    (lambda: any_choice(b'ab'), "a tuple or a list of values, got b'ab'"),
    (lambda: decisions.Choice(np.asarray(4)), 'a list of values, got 4'),
    (lambda: decisions.Choice((np.eye(2),)), r'hashed, got \(array\(\[\[1., 0'),
    (lambda: decisions.Choice((1, {2})), r'hashed, got \(1, \{2\}\)'),
    (lambda: any_range('rate', 1), "^Range needs numeric bounds, got 'rate'"),
    (lambda: decisions.Range(0, True), '^Range needs numeric bounds, got True'),
    (
      lambda: decisions.Range(-(10**400), 1),
      '^Range needs finite bounds, got -10',
    ),
    (
      lambda: any_range(0, 1, num_levels=2.5),
      'num_levels of Range must be an integer, got 2.5',
    ),
    (
      lambda: decisions.Range(1, 2.5, integer=True),
      'of integers needs integer bounds, got 1 and 2.5',
    ),
  ],
)
def test_bad_decisions_are_named(make, message):
  with pytest.raises(ValueError, match=message) as caught:
    make()
  assert '\n' not in str(caught.value)


def test_values_are_pythons_own():
  assert decisions.Choice(np.arange(3)).values == (0, 1, 2)
  assert decisions.Choice([[1, 2], np.int64(3)]).values == ((1, 2), 3)
  assert type(decisions.Choice(np.arange(3)).values[0]) is int
  assert type(decisions.Range(np.float32(1), np.int64(3)).high) is int


def test_names_may_be_left_to_a_mapping():
  assert decisions.Choice((1, 2)).name == decisions.Range(0, 1).name == ''
  assert decisions.AnchorPoint(2).name == ''


def test_integers_have_a_level_each_where_there_are_enough():
  few = decisions.Range(2, 5, integer=True)
  assert [few.value(token) for token in range(few.num_choices)] == [2, 3, 4, 5]
  many = decisions.Range(0, 1000, num_levels=5, integer=True)
  assert [many.value(token) for token in range(5)] == [0, 250, 500, 750, 1000]
  assert type(few.value(0)) is int


def test_a_linear_range_has_even_steps():
  levels = decisions.Range(-1.0, 3.0, num_levels=5, name='size')
  assert [levels.value(token) for token in range(5)] == [-1, 0, 1, 2, 3]


def test_a_logarithmic_range_has_even_ratios():
  levels = decisions.Range(1e-4, 1.0, log=True, num_levels=5, name='rate')
  values = [levels.value(token) for token in range(5)]
  assert values == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1, 1.0], rel=1e-12)


@pytest.mark.parametrize('log', [False, True])
@pytest.mark.parametrize(
  ('low', 'high'), [(0.1, 0.3), (1e-5, 0.7), (3e-4, 5.1), (20.0, 1337.0)]
)
def test_the_ends_of_a_range_are_exact(low, high, log):
  levels = decisions.Range(low, high, log, num_levels=7, name='rate')
  assert levels.value(0) == low
  assert levels.value(6) == high
  values = [levels.value(token) for token in range(7)]
  assert values == sorted(set(values))


def test_decisions_are_frozen_and_hashable():
  kinds = (
    decisions.Choice((1, 2), 'a'),
    decisions.AnchorPoint(2, 'b'),
    decisions.Range(0.0, 1.0, name='c'),
  )
  for decision in kinds:
    assert dataclasses.replace(decision) == decision
    assert hash(dataclasses.replace(decision)) == hash(decision)
    with pytest.raises(dataclasses.FrozenInstanceError):
      decision.name = 'other'


def test_a_space_is_not_taken_for_its_decisions():
  kinds = (decisions.Choice((1, 2), 'a'), decisions.Range(0.0, 1.0, name='b'))
  decisions.check_decisions(kinds)
  any_space: Any = make_space(*kinds)
  with pytest.raises(ValueError, match="SearchSpace 'space'; pass"):
    decisions.check_decisions(any_space)
  with pytest.raises(ValueError, match=r'a sequence of Choice.* got 3'):
    decisions.check_decisions(any_three)
