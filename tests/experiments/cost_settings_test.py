# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of limits and targets of costs on a command line."""

import dataclasses
import re

import jax
import numpy as np
import pytest

from experiments import cost_settings, strategy_settings
from jaxnas import rewards
from jaxnas.costs import conv_net as conv_costs
from jaxnas.costs import latency
from jaxnas.costs import recurrent_cell as cell_costs
from jaxnas.spaces import conv_net, recurrent_cell
from jaxnas.strategies import random_search

CELLS = recurrent_cell.make_space(2)
MODEL = cell_costs.Model(vocab_size=10, features=4)
NETS = conv_net.make_space(3, filters=(2, 4))
IMAGES = conv_costs.Images((4, 4, 1), 3)
CHOICES = conv_costs.Choices(3, conv_net.SIZES, conv_net.SIZES, (2, 4))
USUAL = rewards.make_accuracy_reward()


def of_cells(**changes):
  config = cost_settings.Costs(**changes)
  return cost_settings.Prices(
    config,
    CELLS,
    MODEL.costs(),
    lambda cell: MODEL.program(cell, 2, 1),
    MODEL.fewest(CELLS),
  )


def of_nets(**changes):
  config = cost_settings.Costs(**changes)
  return cost_settings.Prices(
    config,
    NETS,
    IMAGES.costs(),
    lambda net: IMAGES.program(net, 1),
    {'num_params': lambda: conv_costs.fewest_params(IMAGES, CHOICES)},
  )


def test_without_a_setting_nothing_is_counted():
  prices = of_nets()
  assert (prices.costs, prices.limits, prices.is_weighed) == ({}, None, False)
  assert prices.reward(USUAL) is USUAL
  strategy = random_search.make_random_search(NETS.decisions)
  assert prices.adapt('random', strategy) is strategy


def test_limits_are_kept_by_drawing_again(tmp_path, capsys):
  prices = of_nets(max_params=150, max_multiply_adds=1600, max_redraws=200)
  assert prices.limits.most == {'num_params': 150, 'num_multiply_adds': 1600}
  assert sorted(prices.costs) == ['num_multiply_adds', 'num_params']
  strategy = prices.adapt(
    'random', random_search.make_random_search(NETS.decisions)
  )
  proposals = strategy.ask(
    strategy.init(jax.random.key(0)), jax.random.key(1), 8
  )
  for tokens in np.asarray(proposals.tokens):
    net = NETS.decode(tokens)
    assert IMAGES.num_params(net) <= 150
    assert IMAGES.num_multiply_adds(net) <= 1600
  with prices.opened(tmp_path):
    assert not list(tmp_path.iterdir())
  assert 'of 1,000 random architectures meet them' in capsys.readouterr().out


def test_a_target_changes_the_reward():
  prices = of_cells(cost='transcendentals', cost_target=8, cost_weight=-0.2)
  assert prices.is_weighed
  reward = prices.reward(USUAL)
  cells = [CELLS.decode(np.zeros(10, np.int32)), None]
  costs = [prices.costs['num_transcendentals'](cell) for cell in cells]
  assert costs[0] == 0
  metrics = {
    'best_accuracy': np.array([0.5, 0.5]),
    'num_transcendentals': np.array(costs),
  }
  # A known cell that is none of the space is judged without its cost.
  np.testing.assert_allclose(reward.function(cells, metrics), [-0.075, 0.125])
  # From 0 to 16 of them: the largest deviation from 8 is 1.
  assert reward.floor == pytest.approx(-0.2)


@pytest.mark.parametrize(
  ('make', 'changes', 'message'),
  [
    (
      of_nets,
      {'max_params': 30},
      r'meets --max_params=30: the least num_params is 31, counted exactly\.',
    ),
    (
      of_cells,
      {'max_params': 10},
      'the least num_params is 154, counted exactly',
    ),
    (
      of_cells,
      {'cost_target': 200.0},
      'All architectures of the space have num_params 154, so --cost_target=200'
      ' has nothing to choose from',
    ),
    (
      of_cells,
      {'objectives': ('reward', 'params')},
      'have num_params 154, so it cannot be one of --objectives',
    ),
    (
      of_nets,
      {'objectives': ('params', 'reward')},
      r'must be reward and one or two costs of params, .* got params,reward',
    ),
    (
      of_nets,
      {'objectives': ('reward', 'size')},
      'such as reward,params; got reward,size',
    ),
    (
      of_nets,
      {'cost': 'transcendentals', 'cost_target': 17.0},
      'no cost num_transcendentals; they have params, multiply_adds and late',
    ),
  ],
)
def test_what_no_architecture_meets_is_found(make, changes, message):
  with pytest.raises(ValueError, match=message):
    make(**changes)


def test_what_none_of_some_architectures_meets_may_be_found(caplog):
  of_nets(max_multiply_adds=9)
  of_cells(cost='transcendentals', cost_target=17.0)
  assert re.fullmatch(
    r'.*--max_multiply_adds=9: the least num_multiply_adds is 114, of [\d,]+ '
    r'architectures that were looked at, not of all\. There may be others\.\n'
    '.*greatest num_transcendentals is 16, of .*',
    '\n'.join(record.getMessage() for record in caplog.records),
  )


def test_evolution_ranks_by_all_objectives():
  @dataclasses.dataclass(frozen=True)
  class Config(strategy_settings.StrategySettings, cost_settings.Costs):
    pass

  config = Config(objectives=('reward', 'params', 'multiply_adds'))
  prices = cost_settings.Prices(
    config, NETS, IMAGES.costs(), lambda net: IMAGES.program(net, 1)
  )
  assert prices.objectives == ('reward', 'num_params', 'num_multiply_adds')
  assert prices.facts == {'objectives': list(prices.objectives)}
  uniform = random_search.make_random_search(NETS.decisions)
  assert prices.adapt('random', uniform) is uniform
  strategy = prices.adapt('evolution', uniform)
  state = strategy.init(jax.random.key(0))
  proposals = strategy.ask(state, jax.random.key(1), 2)
  state, _ = strategy.tell(state, proposals, np.array([0.5, 0.5], np.float32))
  nets = [NETS.decode(np.asarray(row)) for row in proposals.tokens]
  expected = {
    (0.5, -IMAGES.num_params(net), -IMAGES.num_multiply_adds(net))
    for net in nets
  }
  assert {tuple(row) for row in state.values[:2].tolist()} == expected
  assert config.num_parts == 3


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'max_params': -1}, '--max_params must be from 0'),
    ({'max_latency_ms': float('nan')}, '--max_latency_ms must be at least 0'),
    ({'cost_weight': 0.1}, '--cost_weight must be at most 0, got 0.1'),
  ],
)
def test_bad_numbers_are_refused(changes, message):
  with pytest.raises(ValueError, match=message):
    cost_settings.Costs(**changes)


def test_latencies_are_measured_once_a_run(
  tmp_path, monkeypatch, capsys, caplog
):
  measured = []

  def measure(program):
    measured.append(program)
    return float(len(measured))

  monkeypatch.setattr(latency, 'measure', measure)
  monkeypatch.setattr(cost_settings, '_NUM_MEASURED', 3)
  prices = of_nets(max_latency_ms=3.0)
  with prices.opened(tmp_path):
    count = len(measured)
    assert 1 < count <= 3
    net = NETS.decode(np.ones(NETS.num_tokens, np.int32))
    assert prices.costs['latency_ms'](net) == count + 1
    assert 'latency_ms is' in prices.limits.exceeded(net)
  again = of_nets(max_latency_ms=3.0)
  with again.opened(tmp_path):
    assert again.costs['latency_ms'](net) == count + 1
  assert len(measured) == count + 1
  assert 'random architectures' not in capsys.readouterr().out
  with of_nets(max_latency_ms=0.5).opened(tmp_path):
    assert '--max_latency_ms=0.5: the least latency_ms is 1, of ' in caplog.text


def test_a_power_of_a_cost_that_may_be_nothing_is_refused():
  settings = {'cost': 'transcendentals', 'cost_target': 2}
  of_cells(**settings, cost_reward='hard')
  with pytest.raises(ValueError, match='divides by num_transcendentals, and'):
    of_cells(**settings, cost_reward='power')


@pytest.mark.parametrize(
  ('name', 'value'),
  [('cost', 'latency'), ('cost_reward', 'hard'), ('cost_weight', -0.2)],
)
def test_how_to_weigh_no_cost_is_refused(name, value):
  with pytest.raises(
    ValueError, match=f'--{name}={value} has no effect .* give --cost_target'
  ):
    of_cells(**{name: value})
