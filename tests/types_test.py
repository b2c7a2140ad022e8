# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import math

import pytest

from jaxnas import types


def make_space(*decisions):
  return types.SearchSpace(
    name='space',
    decisions=decisions,
    decode=tuple,
    encode=list,
    canonical=lambda tokens: tokens,
    size=math.prod(d.num_choices**d.num_tokens for d in decisions),
  )


def test_decisions_count_their_tokens_and_choices():
  choice = types.Choice('filters', (24, 36, 48))
  anchor = types.AnchorPoint('skips', 4)
  rate = types.Range('rate', 0.1, 1.0, num_levels=11)
  assert (choice.num_tokens, choice.num_choices) == (1, 3)
  assert (anchor.num_tokens, anchor.num_choices) == (4, 2)
  assert (rate.num_tokens, rate.num_choices) == (1, 11)
  assert make_space(choice, anchor, rate).num_tokens == 6
  assert make_space().num_tokens == 0
  # The first layer has no earlier layers: a decision without tokens.
  assert types.AnchorPoint('skips', 0).num_tokens == 0


@pytest.mark.parametrize(
  ('make', 'message'),
  [
    (
      lambda: types.Choice('filters', ()),
      "Choice 'filters' needs at least one value",
    ),
    (
      lambda: types.Choice('filters', (24, 36, 24)),
      r"Choice 'filters' needs distinct values, got \(24, 36, 24\)",
    ),
    (
      lambda: types.AnchorPoint('skips', -1),
      "AnchorPoint 'skips' needs num_previous >= 0, got -1",
    ),
    (
      lambda: types.Range('rate', 1.0, 1.0),
      "Range 'rate' needs low < high, got 1.0 and 1.0",
    ),
    (
      lambda: types.Range('rate', math.nan, 1.0),
      "Range 'rate' needs low < high, got nan and 1.0",
    ),
    (
      lambda: types.Range('rate', 0.0, math.inf),
      "Range 'rate' needs finite bounds, got 0.0 and inf",
    ),
    (
      lambda: types.Range('rate', 0.0, 1.0, log=True),
      "Range 'rate' is logarithmic and needs low > 0, got 0.0",
    ),
    (
      lambda: types.Range('rate', 0.0, 1.0, num_levels=1),
      "Range 'rate' needs at least 2 levels, got 1",
    ),
  ],
)
def test_bad_decisions_are_named(make, message):
  with pytest.raises(ValueError, match=message):
    make()


def test_a_linear_range_has_even_steps():
  levels = types.Range('size', -1.0, 3.0, num_levels=5)
  assert [levels.value(token) for token in range(5)] == [-1, 0, 1, 2, 3]


def test_a_logarithmic_range_has_even_ratios():
  levels = types.Range('rate', 1e-4, 1.0, log=True, num_levels=5)
  values = [levels.value(token) for token in range(5)]
  assert values == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1, 1.0], rel=1e-12)


@pytest.mark.parametrize('log', [False, True])
@pytest.mark.parametrize(
  ('low', 'high'), [(0.1, 0.3), (1e-5, 0.7), (3e-4, 5.1), (20.0, 1337.0)]
)
def test_the_ends_of_a_range_are_exact(low, high, log):
  levels = types.Range('rate', low, high, log, num_levels=7)
  assert levels.value(0) == low
  assert levels.value(6) == high
  values = [levels.value(token) for token in range(7)]
  assert values == sorted(set(values))


def test_decisions_are_frozen_and_hashable():
  decisions = (
    types.Choice('a', (1, 2)),
    types.AnchorPoint('b', 2),
    types.Range('c', 0.0, 1.0),
  )
  for decision in decisions:
    assert dataclasses.replace(decision) == decision
    assert hash(dataclasses.replace(decision)) == hash(decision)
    with pytest.raises(dataclasses.FrozenInstanceError):
      decision.name = 'other'


def test_states_have_fixed_numbers():
  # They are written to logs and checkpoints.
  assert types.Status.OK == 0
  assert types.Status.DIVERGED == 1
