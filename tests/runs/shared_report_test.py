# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import dataclasses

import jax
import numpy as np
import pytest

from jaxnas import search as search_lib
from jaxnas import shared_search, statistics
from jaxnas.records import trial_log
from jaxnas.runs import shared_phases, shared_report
from jaxnas.strategies import fixed, random_search, sharing
from tests.shared_toy import REWARD, SPACE, Counts

UNIFORM = random_search.make_random_search(SPACE.decisions)


def make_phase(repeat=0):
  search = shared_search.SharedSearch(
    *(SPACE, Counts(), sharing.never_learning(UNIFORM), REWARD),
    *(jax.random.key(0), 1, 1, 1),
  )
  return shared_phases.Phase(
    ('shared', repeat), search, 100, ('random', repeat)
  )


def make_found(rewards, random_rewards):
  return shared_phases.Found(
    tokens=tuple((0, place, 0) for place in range(len(rewards))),
    rewards=tuple(rewards),
    random_tokens=tuple((1, place, 1) for place in range(len(random_rewards))),
    random_rewards=tuple(random_rewards),
    num_drawn=1000,
    num_distinct=900,
    num_dead=3,
    num_gradients=4000,
    num_dropped=17,
  )


def make_trials(arm, tokens, rewards, repeat=0):
  return [
    trial_log.Trial(
      number=number,
      arm=arm,
      repeat=repeat,
      tokens=each,
      architecture={},
      reward=reward,
      metrics={},
      status='ok',
    )
    for number, (each, reward) in enumerate(zip(tokens, rewards, strict=True))
  ]


def arms(num_repeats=1):
  blank = fixed.make_fixed(np.zeros((1, 3), np.int32))
  return [
    search_lib.Arm('shared', blank, 2, 2, each, label='shared weights')
    for each in range(num_repeats)
  ]


def test_one_search_is_told_with_an_interval_over_architectures():
  shared = np.array([1.0, 2, 3, 4, 5, 6])
  alone = np.array([1.0, 3, 2, 4, 6, 5])
  found = make_found([9.0, 8.0], shared)
  trials = [
    *make_trials('random', found.random_tokens, alone),
    *make_trials('shared', found.tokens, [7.0, 7.5]),
    # What random search trains later was not judged.
    *make_trials('random', [(2, 0, 0)], [99.0]),
  ]
  (line,) = shared_report.lines(
    arms(), [make_phase()], {('shared', 0): found}, trials
  )
  value, low, high = statistics.rank_correlation_interval(shared, alone)
  assert (
    f'shared weights: rank correlation of rewards {value:.2f} ({low:.2f} to '
    f'{high:.2f}) over 6 random architectures'
  ) in line
  both = statistics.rank_correlation_interval(
    [*shared, 9, 8], [*alone, 7.0, 7.5]
  )
  assert f', {both.value:.2f} (' in line
  assert 'with the 2 that were ranked first' in line
  assert 'Of 1,000 drawn 900 were distinct, 3 of them dead' in line
  assert '17 of 4,000 gradients, of dead architectures, were' in line


def test_several_searches_are_told_with_an_interval_over_them():
  found, trials, values = {}, [], []
  for repeat in range(3):
    rng = np.random.default_rng(repeat)
    shared, alone = rng.normal(size=(2, 20))
    alone = alone + shared
    each = make_found([5.0], shared)
    found['shared', repeat] = each
    trials += make_trials('random', each.random_tokens, alone, repeat)
    trials += make_trials('shared', each.tokens, [4.0], repeat)
    values.append(statistics.rank_correlation(shared, alone))
  (line,) = shared_report.lines(
    arms(3), [make_phase(each) for each in range(3)], found, trials
  )
  mean, low, high = statistics.mean_interval(np.array(values))
  assert f'{mean:.2f} ({low:.2f} to {min(1, high):.2f}) over 20 + 20 +' in line
  assert 'Of 3,000 drawn 2,700 were distinct, 9 of them dead' in line


def test_no_interval_goes_beyond_what_a_correlation_can_be():
  found, trials = {}, []
  for repeat, alone in enumerate([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]]):
    each = make_found([], [1.0, 2.0, 3.0])
    found['shared', repeat] = each
    trials += make_trials('random', each.random_tokens, alone, repeat)
  phases = [make_phase(each) for each in range(2)]
  (line,) = shared_report.lines(arms(2), phases, found, trials)
  assert '0.00 (-1.00 to 1.00) over 3 + 3 random' in line


def test_equal_and_infeasible_architectures():
  tokens = [(0, 0, 0), (0, 0, 0), (0, 1, 0), (0, 2, 0)]
  trials = make_trials('random', tokens, [1.0, 1.0, 2.0, 3.0])
  trials[3] = dataclasses.replace(trials[3], status=trial_log.INFEASIBLE)
  pairs = shared_report.pairs(
    trials, ('random', 0), tokens, [5.0, 5.0, 6.0, 7.0]
  )
  np.testing.assert_array_equal(pairs.shared, [5, 6])
  np.testing.assert_array_equal(pairs.alone, [1, 2])
  assert shared_report.pairs(
    [], ('random', 0), tokens, [1, 1, 2, 3]
  ).shared.shape == (0,)


@pytest.mark.parametrize('rewards', [[1.0, 1.0], []])
def test_what_has_no_correlation_is_undefined(rewards):
  found = make_found([], rewards)
  trials = make_trials('random', found.random_tokens, range(len(rewards)))
  (line,) = shared_report.lines(
    arms(), [make_phase()], {('shared', 0): found}, trials
  )
  assert f'undefined over {len(rewards)} random' in line
