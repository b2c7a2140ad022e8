# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import math

import numpy as np
import pytest

from jaxnas.costs import extremes
from jaxnas.spaces import conv_net, hyperparameters, recurrent_cell
from jaxnas.types import Choice, SearchSpace


def test_a_small_space_is_looked_at_as_a_whole():
  space = recurrent_cell.make_space(2, ('add',), ('tanh', 'relu'))
  found = extremes.find(space, lambda cell: cell.activations.count('tanh'))
  how = 'of all 144 architectures'
  assert found == (0, 3, how, how)


def test_a_large_space_is_climbed():
  space = conv_net.make_space(5, filters=(3, 8, 20))
  cost = lambda net: net.num_params(1, 10)  # noqa: E731
  found = extremes.find(space, cost)
  dense = conv_net.ConvNet(
    tuple(
      conv_net.ConvLayer(7, 7, 20, inputs=tuple(range(number)))
      for number in range(5)
    )
  )
  assert found.high == cost(dense)
  # Filters of 1 x 1, and one layer at most for each other.
  assert 5 * 3 < found.low < 250
  drawn = extremes.find(space, cost, num_drawn=5, climbs=False)
  assert found.low < drawn.low < drawn.high < found.high
  assert drawn.low_how == ('of 5 architectures that were looked at, not of all')
  assert found.with_low(None) == found
  assert found.with_low(2)[::2] == (2, 'counted exactly')


def test_shallower_networks_have_costs_of_their_own():
  space = conv_net.make_space(4, filters=(3,))
  of = lambda active: extremes.find(  # noqa: E731
    space, lambda net: len(net.layers), num_active=active
  )
  assert (of(8).low, of(8).high) == (2, 2)
  assert of(None).low == 4


def test_the_share_is_that_of_random_architectures():
  space = hyperparameters.make_space({'a': Choice((1, 2, 3, 4))})
  share = extremes.share_within(space, lambda tokens: tokens[0] == 2)
  assert share == pytest.approx(0.25, abs=0.05)


def test_what_is_not_allowed_is_passed_over():
  def decode(tokens):
    if tokens[0] == tokens[1]:
      raise ValueError('twice')
    return tuple(tokens.tolist())

  decisions = Choice(range(3), 'a'), Choice(range(3), 'b')
  space = SearchSpace('pairs', decisions, decode, np.array, np.asarray, 9)
  found = extremes.find(space, sum)
  assert (found.low, found.high) == (1, 3)
  # Of the six pairs two have the sum 3.
  share = extremes.share_within(space, lambda row: sum(decode(row)) == 3)
  assert share == pytest.approx(1 / 3, abs=0.06)
  assert found.high_how == 'of all 6 architectures'


def test_a_cost_that_fails_is_told():
  space = hyperparameters.make_space({'a': Choice((1, 2))})
  with pytest.raises(ValueError, match='The cost failed'):
    extremes.find(space, lambda each: each['b'])


@pytest.mark.parametrize('sizes', [(3, 4), (6,) * 8])
def test_a_cost_that_is_no_number_bounds_nothing(sizes):
  names = [f'x{place}' for place in range(len(sizes))]
  space = hyperparameters.make_space(
    {
      name: Choice(tuple(range(size)), name)
      for name, size in zip(names, sizes, strict=True)
    }
  )

  def cost(each):
    return math.nan if each['x0'] == 0 else sum(each.values())

  found = extremes.find(space, cost)
  assert (found.low, found.high) == (1, sum(sizes) - len(sizes))
  with pytest.raises(ValueError, match='The cost of no architecture'):
    extremes.find(space, lambda each: math.nan)


def test_a_deep_space_is_drawn_from():
  # There are more architectures than a float has room for.
  space = conv_net.make_space(60)
  found = extremes.find(space, lambda net: len(net.layers), num_drawn=1)
  assert (found.low, found.high) == (60, 60)
  assert not extremes.is_exact(found.low_how)
